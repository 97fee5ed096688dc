"""Long recordings in overlapping windows: cutting them, and joining what was found in each window.

Every window comes back with several candidate separations, and sources of one class may come in any order. `join` takes
one candidate a window and one order, so that each source stays itself from window to window, and cross-fades them.

The choice is the cheapest path through all windows (Viterbi 1967). The cost of a path is the sum of

- for every window, doubt^2 / `doubt_std`^2: what the sampler says against the candidate (root mean square), the
  residual or, for Gibbs, that of the estimates noised and denoised (`GibbsConfig`);
- for every two neighbours, the mean square over sources and shared samples of what one says minus what the other says,
  over `overlap_std`^2.

Both are mean squares, not sums over samples: neighbouring errors are far from independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations, product

import torch
from torch import Tensor

from srcsep_core.config import check_positive
from srcsep_core.errors import InputError
from srcsep_core.samplers.base import rms

MAX_ORDERS = 24
SILENCE = 1e-3  # of the whole signal's root mean square


@dataclass(frozen=True)
class JoinConfig:
    """What a candidate's doubt and a disagreement of neighbours cost, in the unit of the signals (std)."""

    doubt_std: float = 0.05
    overlap_std: float = 0.1

    def __post_init__(self) -> None:
        check_positive(self, "doubt_std", "overlap_std")


@dataclass(frozen=True)
class Joined:
    """The result of `join` for N windows.

    signals (K, T); chosen (N,): which candidate; orders (N, K): source k of the result is source `orders[n, k]` of the
    candidate; disagreement (N - 1, K): root mean square of what neighbours say differently where they overlap.
    """

    signals: Tensor
    chosen: Tensor
    orders: Tensor
    disagreement: Tensor


def window_starts(length: int, window: int, overlap: int) -> list[int]:
    """Where windows of `window` samples start, neighbours sharing `overlap` samples; the last one ends at `length`.

    The last one may share more than that. Raises `InputError` for a signal shorter than a window, and for an overlap
    outside 1..window / 2.
    """
    if not 1 <= overlap <= window // 2:
        raise InputError(f"the overlap is {overlap} samples; use 1 to {window // 2}, half of the window")
    if length < window:
        raise InputError(f"the signal has {length} samples but one window {window}; use a longer signal")
    last = length - window
    return [*range(0, last, window - overlap), last]


def cut(x: Tensor, starts: Sequence[int], window: int) -> Tensor:
    """The windows of a signal (T,): (N, window)."""
    return torch.stack([x[start : start + window] for start in starts])


def sounding(windows: Tensor, whole: Tensor) -> Tensor:
    """Which windows (N, W) of a signal (T,) are not silent beside the whole of it, (N,)."""
    return rms(windows) > SILENCE * rms(whole)


def class_orders(classes: Sequence[str]) -> Tensor:
    """Every order of the sources that exchanges only those of one class, (P, K) int64; the first changes nothing.

    Raises `InputError` if there are more than 24.
    """
    members = [[k for k, other in enumerate(classes) if other == name] for name in dict.fromkeys(classes)]
    count = math.prod(math.factorial(len(group)) for group in members)
    if count > MAX_ORDERS:
        named = ", ".join(f"{len(group)} {classes[group[0]]}" for group in members)
        raise InputError(
            f"{len(classes)} sources ({named}) are too many: those of one class can be exchanged in {count} ways, and "
            f"{MAX_ORDERS} is the most; name 4 of one class, or 3 of one and 2 of each of two others, or 2 of each of "
            "four, beside 1 of every other"
        )
    orders = []
    for choice in product(*(permutations(group) for group in members)):
        order = list(range(len(classes)))
        for group, taken in zip(members, choice, strict=True):
            for k, chosen in zip(group, taken, strict=True):
                order[k] = chosen
        orders.append(order)
    return torch.tensor(orders)


def join(
    candidates: Tensor,
    doubts: Tensor,
    starts: Sequence[int],
    classes: Sequence[str],
    config: JoinConfig | None = None,
) -> Joined:
    """The sources of a whole signal from C candidates for each of its N windows, (N, C, K, W) with doubts (N, C).

    An infinite doubt marks a candidate that does not exist. `starts` (N,) are those of `window_starts`, `classes`
    (K,) the sources' classes. Raises `InputError` if a window has no candidate, and for shapes that do not fit.
    """
    config = config or JoinConfig()
    count, _, sources, window = candidates.shape
    if len(starts) != count or doubts.shape != candidates.shape[:2] or len(classes) != sources:
        raise InputError(
            f"{len(starts)} starts, doubts {tuple(doubts.shape)} and {len(classes)} classes do not fit "
            f"candidates {tuple(candidates.shape)}; pass (N,), (N, C) and (K,) for (N, C, K, W)"
        )
    if not bool(doubts.isfinite().any(dim=1).all()):
        raise InputError("a window has no candidate with a finite doubt; run the sampler on it first")
    orders = class_orders(classes)
    path = _cheapest_path(candidates.double(), doubts.double(), starts, orders, config)
    chosen = torch.tensor([state // len(orders) for state in path])
    taken = orders[torch.tensor([state % len(orders) for state in path])]
    kept = torch.stack([candidates[n, chosen[n], taken[n]] for n in range(count)])
    shared = [window - (after - before) for before, after in pairwise(starts)]
    gaps = [(kept[n, :, -some:] - kept[n + 1, :, :some]).square().mean(dim=1).sqrt() for n, some in enumerate(shared)]
    disagreement = torch.stack(gaps) if gaps else kept.new_zeros(0, sources)
    return Joined(crossfade(kept, starts), chosen, taken, disagreement)


def crossfade(windows: Tensor, starts: Sequence[int]) -> Tensor:
    """Windows (N, K, W) at `starts` as one signal (K, T), faded into each other over what they share (sin^2)."""
    window = windows.shape[2]
    out = windows.new_zeros(windows.shape[1], starts[-1] + window)
    out[:, :window] = windows[0]
    for here, (before, after) in zip(windows[1:], pairwise(starts), strict=True):
        end = before + window
        time = (torch.arange(end - after, device=out.device, dtype=out.dtype) + 0.5) / (end - after)
        rise = torch.sin(time * torch.pi / 2).square()
        out[:, after:end] += rise * (here[:, : end - after] - out[:, after:end])
        out[:, end : after + window] = here[:, end - after :]
    return out


def _cheapest_path(
    candidates: Tensor, doubts: Tensor, starts: Sequence[int], orders: Tensor, config: JoinConfig
) -> list[int]:
    """For every window the number of its state: candidate * P + order, of C * P.

    The first window keeps its order, which fixes the names of sources of one class.
    """
    count, window = len(candidates), candidates.shape[3]
    own = (doubts / config.doubt_std).square().repeat_interleave(len(orders), dim=1)
    cost = own[0].masked_fill(torch.arange(own.shape[1]) % len(orders) != 0, torch.inf)
    back = []
    for n in range(1, count):
        shared = window - (starts[n] - starts[n - 1])
        moves = _disagreement(candidates[n - 1, ..., -shared:], candidates[n, ..., :shared], orders)
        best = (cost[:, None] + moves / config.overlap_std**2).min(dim=0)
        back.append(best.indices)
        cost = best.values + own[n]
    path = [int(cost.argmin())]
    for choices in reversed(back):
        path.append(int(choices[path[-1]]))
    return path[::-1]


def _disagreement(before: Tensor, after: Tensor, orders: Tensor) -> Tensor:
    """Mean square difference between every state of a window and every state of the next, over what they share.

    `before` and `after` (C, K, O), orders (P, K): (C * P, C * P).
    """
    pairs = torch.stack(
        [(one[:, :, None] - after[:, None]).square().mean(dim=-1) for one in before[:, None]]
    )  # (C before, C after, K before, K after)
    moves = pairs[:, :, orders[:, None], orders[None]].mean(dim=-1)  # (C, C, P before, P after)
    states = len(before) * len(orders)
    return moves.transpose(1, 2).reshape(states, states)
