"""One channel at the separator's rate: its gain, the candidates for its windows, and the windows that are tried again.

The sampler stops restarting a window once its doubt is small, yet a small doubt can go with the wrong sources.
Neighbours tell: where the joined sources disagree in what two windows share, both windows are given more chains, all
of which become candidates, and the windows are joined anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from srcsep_core.baselines.base import Separator
from srcsep_core.errors import InputError
from srcsep_core.progress import Progress
from srcsep_core.samplers.base import Separation, State, rms
from srcsep_core.samplers.separator import PriorSeparator
from srcsep_core.separate.separators import Windows
from srcsep_core.separate.windows import JoinConfig, Joined, cut, join, window_starts

AMPLITUDE = 0.9  # that a peak is taken to
GAIN_MARGIN_DB = 3.0
SILENCE = 1e-3  # of the whole signal's root mean square


@dataclass(frozen=True)
class SearchConfig:
    """How windows are cut, searched and joined.

    `overlap` samples are shared by neighbours (None: a quarter of a window); `batch` windows are separated
    at once. Where neighbours differ by more than `threshold` (root mean square, sources at amplitude about 0.9), both
    get `retries` more chains, in at most `rounds` rounds. The gain is tried on `gain_windows` windows with up to
    `gain_restarts` chains each.
    """

    overlap: int | None = None
    batch: int = 64
    threshold: float = 0.2
    rounds: int = 2
    retries: int = 4
    gain_windows: int = 3
    gain_restarts: int = 2
    join: JoinConfig = field(default_factory=JoinConfig)

    def __post_init__(self) -> None:
        for name, least in (("batch", 1), ("rounds", 0), ("retries", 1), ("gain_windows", 1), ("gain_restarts", 1)):
            if getattr(self, name) < least:
                raise InputError(f"SearchConfig.{name} is {getattr(self, name)}; use at least {least}")
        if not self.threshold > 0:
            raise InputError(f"SearchConfig.threshold is {self.threshold}; use a number above 0")


@dataclass(frozen=True)
class Found:
    """What `Search.run` finds: signals (K, T) whose mean is about `gain` times the channel, and facts to report."""

    signals: Tensor
    gain: float
    report: dict[str, Any]


@dataclass(frozen=True)
class Search:
    """Separates channels with one separator and one generator; only a sampler has chains, to try again with."""

    separator: Separator
    heard: Windows
    sources: Sequence[str]
    config: SearchConfig
    generator: torch.Generator
    progress: bool = False

    def run(self, channel: Tensor, gain: float | None = None) -> Found:
        """Separate a channel (T,) at the rate heard; without a `gain` one is found, with chains by trying."""
        window = self.heard.window or len(channel)
        overlap = self.config.overlap or window // 4
        chains = self.separator if isinstance(self.separator, PriorSeparator) else None
        starts = window_starts(len(channel), window, overlap)
        cuts = cut(channel, starts, window)
        active = rms(cuts) > SILENCE * rms(channel)
        tried: dict[float, float] = {}
        if gain is None:
            gain, tried = self._find_gain(cuts[active], chains)
        mixes = gain * cuts
        candidates, doubts = self._silence(mixes, active)
        found = self._sample(mixes[active], self.separator, "separating")
        candidates, doubts = _append(candidates, doubts, active, *found)
        joined = join(candidates, doubts, starts, self.sources, self.config.join)
        again: list[int] = []
        for _ in range(self.config.rounds if chains else 0):
            doubtful = self._doubtful(joined) & active
            if not bool(doubtful.any()):
                break
            again.append(int(doubtful.sum()))
            assert chains is not None
            more = chains.restarting(self.config.retries, all_of_them=True)
            found = self._sample(mixes[doubtful], more, f"round {len(again)}")
            candidates, doubts = _append(candidates, doubts, doubtful, *found)
            joined = join(candidates, doubts, starts, self.sources, self.config.join)
        report = {
            "gain": gain,
            "gains_tried": [{"gain": one, "doubt_db": tried[one]} for one in sorted(tried)],
            "rounds": len(again),
            "windows_again": again,
            "windows": self._windows(joined, mixes, doubts, starts, active),
        }
        return Found(joined.signals.float(), gain, report)

    def _find_gain(self, cuts: Tensor, chains: PriorSeparator | None) -> tuple[float, dict[float, float]]:
        """The gain that leaves about the lowest doubt of a few windows (N, W), and the doubts (dB) of all tried.

        Tried are, the likelier first: 1 and 1 / K, as the file may be a mean or a sum just so; what takes the peak to
        0.9; what takes the root mean square of the windows to that of a mix of sources of amplitude 0.9; and 15 %
        less and more. The first within 3 dB of the lowest doubt is taken, for that floor falls as the gain grows.
        Without chains it is that of the root mean square.
        """
        count = len(self.sources)
        level = math.sqrt(sum(self.heard.typical_rms[source] ** 2 for source in self.sources)) / count
        expected = level / float(rms(cuts.flatten()))
        if chains is None:
            return expected, {}
        near = [gain for gain in (1.0, 1 / count, AMPLITUDE / float(cuts.abs().max())) if 0.7 < gain / expected < 1.4]
        gains: list[float] = []
        for gain in (*near, expected, 0.85 * expected, 1.15 * expected):
            if all(abs(math.log(gain / other)) > 0.03 for other in gains):
                gains.append(gain)
        some = torch.linspace(0, len(cuts) - 1, min(self.config.gain_windows, len(cuts))).round().long()
        mixes = torch.cat([gain * cuts[some] for gain in gains])
        few = chains.restarting(self.config.gain_restarts, all_of_them=False)
        _, doubts = self._sample(mixes, few, "finding the gain")
        relative = (doubts.amin(dim=1) / rms(mixes)).view(len(gains), -1).median(dim=1).values
        levels = [20 * math.log10(max(float(value), 1e-10)) for value in relative]
        chosen = next(gain for gain, level in zip(gains, levels, strict=True) if level <= min(levels) + GAIN_MARGIN_DB)
        return chosen, dict(zip(gains, levels, strict=True))

    def _sample(self, mixes: Tensor, separator: Separator, title: str) -> tuple[Tensor, Tensor]:
        """Every chain's sources (B, R, K, W) and doubts (B, R) for mixes (B, W), on the CPU."""
        batches = mixes.to(self.generator.device)[:, None].split(self.config.batch)
        found, doubts, bar = [], [], _Bar(len(batches), title, self.progress)
        for batch in batches:
            result = separator.separate(batch, self.sources, self.generator, bar.step)
            bar.next()
            candidates, own = _candidates(result, batch)
            found.append(candidates.cpu().nan_to_num(0.0, 0.0, 0.0))
            doubts.append(own.cpu().nan_to_num(torch.inf, torch.inf))
        bar.close()
        lost = int((~torch.cat(doubts).isfinite().any(dim=1)).sum())
        if lost:
            raise InputError(
                f"every chain diverged in {lost} of {len(mixes)} windows; use another sampler, seed or gain"
            )
        return torch.cat(found), torch.cat(doubts)

    def _silence(self, mixes: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """The one candidate (N, 1, K, W) of silent windows, silence; other windows do not have it."""
        candidates = mixes.new_zeros(len(mixes), 1, len(self.sources), mixes.shape[1])
        doubts = torch.where(active, torch.inf, rms(mixes))
        return candidates, doubts[:, None]

    def _doubtful(self, joined: Joined) -> Tensor:
        """The windows that disagree with a neighbour, (N,)."""
        differs = joined.disagreement.amax(dim=1) > self.config.threshold
        padded = torch.nn.functional.pad(differs, (1, 1))
        return padded[1:] | padded[:-1]

    def _windows(
        self, joined: Joined, mixes: Tensor, doubts: Tensor, starts: Sequence[int], active: Tensor
    ) -> list[dict[str, Any]]:
        """What to report of every window; `disagreement` is with the one before."""
        kept = doubts[torch.arange(len(mixes)), joined.chosen] / rms(mixes).clamp_min(1e-12)
        gaps = [0.0, *joined.disagreement.amax(dim=1).tolist()]
        return [
            {
                "start_s": start / self.heard.sample_rate,
                "silent": not bool(active[n]),
                "doubt_db": round(20 * math.log10(max(float(kept[n]), 1e-10)), 2),
                "restarts": int(doubts[n, 1:].isfinite().sum()),
                "disagreement": round(gaps[n], 4),
            }
            for n, start in enumerate(starts)
        ]


def _append(candidates: Tensor, doubts: Tensor, rows: Tensor, new: Tensor, new_doubts: Tensor) -> tuple[Tensor, Tensor]:
    """Candidates (N, C + R, K, W) and their doubts: R new ones in the `rows` (N,), infinite in others."""
    wide = candidates.new_zeros(len(candidates), new.shape[1], *candidates.shape[2:])
    costs = doubts.new_full((len(doubts), new.shape[1]), torch.inf)
    wide[rows], costs[rows] = new.to(wide), new_doubts.to(costs)
    return torch.cat([candidates, wide], dim=1), torch.cat([doubts, costs], dim=1)


def _candidates(result: Separation, mix: Tensor) -> tuple[Tensor, Tensor]:
    """The chains (B, R, K, W) and their doubts (B, R); without chains the estimate and what it leaves of the mix."""
    if result.doubts.shape[1]:
        return result.restarts, result.doubts
    return result.sources[:, None], rms(mix[:, 0] - result.sources.mean(dim=1))[:, None]


class _Bar:
    """Progress over batches of which each may end early."""

    def __init__(self, batches: int, title: str, show: bool) -> None:
        self.batches, self.title, self.show = batches, title, show
        self.bar: Progress | None = None
        self.batch = 0

    def step(self, state: State) -> None:
        """Count a noise level."""
        if self.bar is None:
            self.bar = Progress(self.batches * state.steps, self.title, show=self.show)
        while self.bar.done < self.batch * state.steps + state.step + 1:
            self.bar.advance(f"batch {self.batch + 1} of {self.batches}")

    def next(self) -> None:
        """The next batch begins."""
        self.batch += 1

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
