"""What every sampler takes and gives.

A sampler is a function `(mix, priors, *, config, generator, callback) -> Separation`. The mix is the mean of the
sources, (B, 1, T) (Frank & Ilse 2020, Eq. 8); `priors` has one prior a source, in order, and one class may come more
than once. A prior is anything that can denoise (`priors.base.DenoisingPrior`). Inside, samplers use the sum
y = N * mix as their constraint, with the noise level as its standard deviation: with the mean it would be N^2 times
weaker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.priors.base import DenoisingPrior

Priors = Sequence[DenoisingPrior]


@dataclass(frozen=True)
class State:
    """Where chains are, for callbacks: `step` of at most `steps`, at noise level `sigma`, sources (M, K, T).

    M counts the chains that are running: mixes times chains, or the mixes that are not done yet.
    """

    step: int
    steps: int
    sigma: float
    sources: Tensor


Callback = Callable[[State], None]


@dataclass(frozen=True)
class Separation:
    """The result of a sampler for B mixes of K sources with up to R chains each.

    sources (B, K, T): the kept estimates, whose mean is the mix where the sampler projects;
    residual (B,): root mean square of the mix minus the mean of the estimates, before projection;
    chosen (B,): which chain was kept; doubts (B, R): the lowest was kept; the residual, or what the sampler has
    instead (root mean square), infinite where a chain was not needed;
    chains (B, R, K, T): all of them, before projection;
    trace: one row per chain (`restart`) and noise level (or recorded step), averaged over mixes: step, sigma, residual,
    and what the sampler adds (accepted: share of proposals accepted; change: root mean square of the last move).

    What works without chains has R = 0, a residual of NaN and an empty trace (`without_chains`).
    """

    sources: Tensor
    residual: Tensor
    chosen: Tensor
    doubts: Tensor
    chains: Tensor
    trace: pd.DataFrame


def without_chains(estimates: Tensor) -> Separation:
    """The result of a separator that runs no chains, from its estimates (B, K, T)."""
    batch, count, length = estimates.shape
    nothing = estimates.new_full((batch,), torch.nan)
    none, no_chains = estimates.new_empty(batch, 0), estimates.new_empty(batch, 0, count, length)
    chosen = torch.zeros(batch, dtype=torch.long, device=estimates.device)
    return Separation(estimates, nothing, chosen, none, no_chains, pd.DataFrame())


@dataclass
class Trace:
    """Collects the rows of `Separation.trace`."""

    rows: list[dict[str, float]] = field(default_factory=list)

    def add(self, step: int, sigma: float, restart: int, **figures: Tensor) -> None:
        """Record figures of one chain, each (B,), averaged over mixes."""
        means = {name: float(value.float().mean()) for name, value in figures.items()}
        self.rows.append({"restart": restart, "step": step, "sigma": sigma, **means})

    def add_all(self, step: int, sigma: float, **figures: Tensor) -> None:
        """Record figures of all chains at once, each (B, R)."""
        for restart in range(next(iter(figures.values())).shape[1]):
            self.add(step, sigma, restart, **{name: value[:, restart] for name, value in figures.items()})

    def frame(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame(self.rows)


@dataclass(frozen=True)
class Sampler:
    """A sampler by name: the function, its configuration's class, and what it is given in windows of a recording.

    Windows have neighbours to tell a wrong one by, so that fewer chains will do there than for a mix on its own.
    `windows` None: recordings are not separated with it.
    """

    run: Callable[..., Separation]
    config: Any
    windows: Mapping[str, float] | None

    def __call__(self, mix: Tensor, priors: Priors, **choices: Any) -> Separation:
        """Separate mixes (B, 1, T); `config`, `generator` and `callback` as the function takes them."""
        return self.run(mix, priors, **choices)


SAMPLERS: dict[str, Sampler] = {}
Run = TypeVar("Run", bound=Callable[..., Separation])


def sampler(name: str, config: Any, *, windows: Mapping[str, float] | None = None) -> Callable[[Run], Run]:
    """Register the decorated function as the sampler `name` (see `Sampler`); the function stays what it is."""

    def known(run: Run) -> Run:
        SAMPLERS[name] = Sampler(run, config, windows)
        return run

    return known


def check_mix(mix: Tensor, priors: Priors) -> Tensor:
    """The constraint y = N * mix, (B, 1, 1, T); raises `InputError` for a bad mix or no priors."""
    check_waveform(mix)
    if not priors:
        raise InputError("there are 0 priors; pass one for every source in the mix")
    return len(priors) * mix[:, None]


class Chains:
    """Chains that run side by side, `count` for each of B mixes: mix by mix, M = B * count rows.

    `y` is the constraint of every chain, (M, 1, T), made of that of the mixes, `total` (B, 1, 1, T).
    """

    def __init__(self, total: Tensor, count: int, callback: Callback | None) -> None:
        self.total, self.callback = total, callback
        self.shape = len(total), count
        self.y = total[:, 0].repeat_interleave(count, dim=0)
        self.trace = Trace()

    def record(self, step: int, steps: int, sigma: float, sources: Tensor, **figures: Tensor) -> None:
        """Put figures (M,) into the trace, and tell the callback where the chains are (see `State`)."""
        self.trace.add_all(step, sigma, **{name: value.view(self.shape) for name, value in figures.items()})
        if self.callback is not None:
            self.callback(State(step, steps, sigma, sources))

    def keep(self, sources: Tensor, residual: Tensor, doubt: Tensor | None = None) -> Separation:
        """The best chain of every mix, from sources (M, K, T), residuals and doubts (M,); see `keep_best`."""
        chains = sources.view(*self.shape, *sources.shape[1:])
        doubts = None if doubt is None else doubt.view(self.shape)
        return keep_best(self.total, chains, residual.view(self.shape), self.trace, doubts=doubts)


def residual_of(total: Tensor, sources: Tensor) -> Tensor:
    """Mix minus mean of the sources: y (..., 1, T) and (..., K, T) to (..., T)."""
    return (total[..., 0, :] - sources.sum(dim=-2)) / sources.shape[-2]


def rms(x: Tensor) -> Tensor:
    """Root mean square over the last axis."""
    return x.square().mean(dim=-1).sqrt()


def keep_best(
    total: Tensor,
    chains: Tensor,
    residuals: Tensor,
    trace: Trace,
    *,
    doubts: Tensor | None = None,
    projected: bool = True,
) -> Separation:
    """Of every mix the chain with the lowest of `doubts` (B, R), from chains (B, R, K, T).

    Without `doubts` it is the lowest of the residuals (B, R) before projection. The projection gives every source an
    equal share of what is missing from y (B, 1, 1, T).
    """
    doubts = residuals if doubts is None else doubts
    chosen = doubts.argmin(dim=1)
    rows = torch.arange(len(chosen), device=chosen.device)
    kept = chains[rows, chosen]
    if projected:
        kept = kept + residual_of(total[:, 0], kept)[:, None]
    return Separation(kept, residuals[rows, chosen], chosen, doubts, chains, trace.frame())
