"""What every sampler takes and gives.

A sampler is a function `(mix, priors, *, config, generator, callback) -> Separation`. The mix is the mean of its
sources
(Frank & Ilse 2020, Eq. 8), (B, 1, T); `priors` has one prior a source, in order, and one class may come more than once.
Inside, samplers use the sum y = N * mix as their constraint, with the noise level as its standard deviation: with the
mean it would be N^2 times weaker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.errors import InputError, check_waveform
from srcsep_core.priors.score import ClassScorePrior, Denoiser
from srcsep_core.types import ScorePrior

Priors = Sequence[ScorePrior]
P = TypeVar("P")

ROWS = 64  # of one call of a denoiser


@runtime_checkable
class PosteriorPrior(Protocol):
    """A prior that can draw the clean signal given a noisy one exactly."""

    def posterior_sample(self, x: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        """Draws from p(clean | clean + N(0, sigma^2) = x): (B, 1, T) to the same shape."""
        ...


@dataclass(frozen=True)
class State:
    """Where a chain is, for callbacks: `step` of `steps`, at noise level `sigma`, sources (B, R, K, T).

    R counts restarts; samplers without restarts have one.
    """

    step: int
    steps: int
    sigma: float
    sources: Tensor


Callback = Callable[[State], None]


@dataclass(frozen=True)
class Separation:
    """The result of a sampler for B mixes of K sources with R restarts each.

    sources (B, K, T): the kept estimates, projected so that their mean is the mix where the sampler says so;
    residual (B,): root mean square of the mix minus the mean of the estimates, before projection;
    chosen (B,): which restart was kept; restart_residuals (B, R); restarts (B, R, K, T): all of them, projected;
    trace: one row per noise level (or recorded step) and restart, averaged over mixes: step, sigma, restart, residual,
    and what the sampler adds (accepted: share of proposals accepted; change: root mean square of the last move).
    """

    sources: Tensor
    residual: Tensor
    chosen: Tensor
    restart_residuals: Tensor
    restarts: Tensor
    trace: pd.DataFrame


@dataclass
class Trace:
    """Collects the rows of `Separation.trace`."""

    total: Tensor
    rows: list[dict[str, float]] = field(default_factory=list)

    def add(self, step: int, sigma: float, sources: Tensor, **more: Tensor) -> None:
        """Record sources (B, R, K, T); `more` are figures of shape (B, R), averaged over mixes."""
        residual = rms(residual_of(self.total, sources))
        for restart in range(sources.shape[1]):
            extra = {name: float(value[:, restart].float().mean()) for name, value in more.items()}
            mean = float(residual[:, restart].mean())
            self.rows.append({"step": step, "sigma": sigma, "restart": restart, "residual": mean, **extra})

    def frame(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame(self.rows)


def check_mix(mix: Tensor, priors: Priors) -> Tensor:
    """The constraint y = N * mix, (B, 1, 1, T); raises `InputError` for a bad mix or no priors."""
    check_waveform(mix)
    if not priors:
        raise InputError("there are 0 priors; pass one for every source in the mix")
    return len(priors) * mix[:, None]


def residual_of(total: Tensor, sources: Tensor) -> Tensor:
    """Mix minus mean of the sources: y (B, 1, 1, T) and (B, R, K, T) to (B, R, T)."""
    return (total[:, :, 0] - sources.sum(dim=2)) / sources.shape[2]


def rms(x: Tensor) -> Tensor:
    """Root mean square over the last axis."""
    return x.square().mean(dim=-1).sqrt()


def project(total: Tensor, sources: Tensor) -> Tensor:
    """The nearest sources whose sum is y: every source takes an equal share of what is missing."""
    return sources + residual_of(total, sources)[:, :, None]


def finish(total: Tensor, sources: Tensor, trace: Trace, *, projected: bool = True) -> Separation:
    """Keep of every mix the restart with the lowest residual before projection."""
    residuals = rms(residual_of(total, sources))
    chosen = residuals.argmin(dim=1)
    restarts = project(total, sources) if projected else sources
    rows = torch.arange(len(chosen), device=chosen.device)
    return Separation(restarts[rows, chosen], residuals[rows, chosen], chosen, residuals, restarts, trace.frame())


@torch.no_grad()
def denoise_each(priors: Priors, which: Tensor, x: Tensor, sigma: float) -> Tensor:
    """The posterior mean of rows (M, T) at level `sigma`, row m under prior number `which[m]`.

    Priors that share one denoiser are called once for all their rows.
    """
    shared = shared_denoiser(priors)
    if shared is not None:
        labels = torch.tensor([prior.label for prior in priors if isinstance(prior, ClassScorePrior)], device=x.device)
        parts = [
            shared(rows[:, None], rows.new_full((len(rows),), sigma), own)[:, 0]
            for rows, own in zip(x.split(ROWS), labels[which].split(ROWS), strict=True)
        ]
        return torch.cat(parts)
    return _by_prior(priors, which, x, lambda prior, rows: rows + sigma**2 * prior.score(rows, sigma))


def shared_denoiser(priors: Priors) -> Denoiser | None:
    """The one denoiser behind all `priors`, if they are score priors that share it."""
    found = [prior.denoiser for prior in priors if isinstance(prior, ClassScorePrior)]
    return found[0] if len(found) == len(priors) and all(other is found[0] for other in found) else None


def score_each(priors: Priors, x: Tensor, sigma: float) -> Tensor:
    """The score of sources (..., K, T) at level `sigma`, source k under prior k; same shape."""
    count, length = x.shape[-2:]
    rows = x.reshape(-1, length)
    which = torch.arange(count, device=x.device).repeat(len(rows) // count)
    return ((denoise_each(priors, which, rows, sigma) - rows) / sigma**2).view_as(x)


@torch.no_grad()
def posterior_each(
    priors: Priors, which: Tensor, x: Tensor, sigma: float, *, steps: int, generator: torch.Generator
) -> Tensor:
    """Draws of the clean signals given noisy rows (M, T) at level `sigma`, row m under prior number `which[m]`.

    Exact where the prior can (`PosteriorPrior`); elsewhere by a reverse diffusion of `steps` ancestral steps (Song et
    al. 2021, arXiv 2011.13456, Appendix F, variance exploding), whose levels fall geometrically to sigma / 30 and then
    to 0. One step gives the posterior mean.
    """
    exact = [prior for prior in priors if isinstance(prior, PosteriorPrior)]
    if len(exact) == len(priors):
        return _by_prior(exact, which, x, lambda prior, rows: prior.posterior_sample(rows, sigma, generator))
    levels = [sigma * 30 ** (-i / max(steps - 1, 1)) for i in range(steps)]
    for here, there in zip(levels, [*levels[1:], 0.0], strict=True):
        clean = denoise_each(priors, which, x, here)
        shrink = (there / here) ** 2
        fresh = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        x = clean + shrink * (x - clean) + there * (1 - shrink) ** 0.5 * fresh
    return x


def _by_prior(priors: Sequence[P], which: Tensor, x: Tensor, function: Callable[[P, Tensor], Tensor]) -> Tensor:
    """`function(prior, rows (M, 1, T))` of every prior on its own rows of x (M, T)."""
    result = torch.empty_like(x)
    for index, prior in enumerate(priors):
        mine = which == index
        if bool(mine.any()):
            result[mine] = function(prior, x[mine][:, None])[:, 0].to(x.dtype)
    return result
