"""What every sampler takes and gives.

A sampler is a function `(mix, priors, *, config, generator, callback) -> Separation`. The mix is the mean of the
sources, (B, 1, T) (Frank & Ilse 2020, Eq. 8); `priors` has one prior a source, in order, and one class may come more
than once. Inside, samplers use the sum y = N * mix as their constraint, with the noise level as its standard deviation:
with the mean it would be N^2 times weaker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.errors import InputError, check_waveform
from srcsep_core.priors.base import ScorePrior
from srcsep_core.priors.denoiser import ClassScorePrior, Denoiser

Priors = Sequence[ScorePrior]

ROWS = 64  # of one call of a denoiser


@runtime_checkable
class PosteriorPrior(Protocol):
    """A prior that can draw the clean signal given a noisy one exactly."""

    def posterior_sample(self, x: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        """Draws from p(clean | clean + N(0, sigma^2) = x): (B, 1, T) to the same shape."""
        ...


@runtime_checkable
class NoisyDensity(Protocol):
    """A prior whose density can be had at a noise level: enough for Metropolis swaps."""

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density of signals in noise of level `sigma`, in nats: (B, 1, T) to (B,)."""
        ...


@dataclass(frozen=True)
class State:
    """Where chains are, for callbacks: `step` of at most `steps`, at noise level `sigma`, sources (M, K, T).

    M counts the chains that are running: mixes times restarts, or the mixes that are not done yet.
    """

    step: int
    steps: int
    sigma: float
    sources: Tensor


Callback = Callable[[State], None]


@dataclass(frozen=True)
class Separation:
    """The result of a sampler for B mixes of K sources with up to R restarts each.

    sources (B, K, T): the kept estimates, whose mean is the mix where the sampler projects;
    residual (B,): root mean square of the mix minus the mean of the estimates, before projection;
    chosen (B,): which restart was kept; doubts (B, R): the lowest was kept; the residual, or what the sampler has
    instead (root mean square), infinite where a restart was not needed;
    restarts (B, R, K, T): all of them, before projection;
    trace: one row per restart and noise level (or recorded step), averaged over mixes: step, sigma, restart, residual,
    and what the sampler adds (accepted: share of proposals accepted; change: root mean square of the last move).
    """

    sources: Tensor
    residual: Tensor
    chosen: Tensor
    doubts: Tensor
    restarts: Tensor
    trace: pd.DataFrame


@dataclass
class Trace:
    """Collects the rows of `Separation.trace`."""

    rows: list[dict[str, float]] = field(default_factory=list)

    def add(self, step: int, sigma: float, restart: int, **figures: Tensor) -> None:
        """Record figures of one restart, each (B,), averaged over mixes."""
        means = {name: float(value.float().mean()) for name, value in figures.items()}
        self.rows.append({"restart": restart, "step": step, "sigma": sigma, **means})

    def add_all(self, step: int, sigma: float, **figures: Tensor) -> None:
        """Record figures of all restarts at once, each (B, R)."""
        for restart in range(next(iter(figures.values())).shape[1]):
            self.add(step, sigma, restart, **{name: value[:, restart] for name, value in figures.items()})

    def frame(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame(self.rows)


def check_mix(mix: Tensor, priors: Priors) -> Tensor:
    """The constraint y = N * mix, (B, 1, 1, T); raises `InputError` for a bad mix or no priors."""
    check_waveform(mix)
    if not priors:
        raise InputError("there are 0 priors; pass one for every source in the mix")
    return len(priors) * mix[:, None]


def geometric_levels(sigma_max: float, sigma_min: float, levels: int) -> list[float]:
    """`levels` noise levels from `sigma_max` down to `sigma_min`, each the same factor below the one before."""
    if levels < 1 or not 0 < sigma_min <= sigma_max:
        raise InputError(
            f"cannot space {levels} levels from sigma {sigma_max} to {sigma_min}; use 1 or more, falling to above 0"
        )
    ratio = (sigma_min / sigma_max) ** (1 / max(levels - 1, 1))
    return [sigma_max * ratio**i for i in range(levels)]


def residual_of(total: Tensor, sources: Tensor) -> Tensor:
    """Mix minus mean of the sources: y (..., 1, T) and (..., K, T) to (..., T)."""
    return (total[..., 0, :] - sources.sum(dim=-2)) / sources.shape[-2]


def rms(x: Tensor) -> Tensor:
    """Root mean square over the last axis."""
    return x.square().mean(dim=-1).sqrt()


def keep_best(
    total: Tensor,
    restarts: Tensor,
    residuals: Tensor,
    trace: Trace,
    *,
    doubts: Tensor | None = None,
    projected: bool = True,
) -> Separation:
    """Of every mix the restart with the lowest of `doubts` (B, R), from restarts (B, R, K, T).

    Without `doubts` it is the lowest of the residuals (B, R) before projection. The projection gives every source an
    equal share of what is missing from y (B, 1, 1, T).
    """
    doubts = residuals if doubts is None else doubts
    chosen = doubts.argmin(dim=1)
    rows = torch.arange(len(chosen), device=chosen.device)
    kept = restarts[rows, chosen]
    if projected:
        kept = kept + residual_of(total[:, 0], kept)[:, None]
    return Separation(kept, residuals[rows, chosen], chosen, doubts, restarts, trace.frame())


@torch.no_grad()
def denoise_each(priors: Priors, x: Tensor, sigma: float) -> Tensor:
    """The posterior mean of sources (M, K, T) at level `sigma`, source k under prior k; same shape.

    Priors that share one denoiser are called once for all.
    """
    shared = shared_denoiser(priors)
    if shared is None:
        parts = [x[:, k : k + 1] + sigma**2 * prior.score(x[:, k : k + 1], sigma) for k, prior in enumerate(priors)]
        return torch.cat(parts, dim=1)
    if x.shape[2] != shared.config.window:
        raise InputError(
            f"the signals have {x.shape[2]} samples but these score priors work on {shared.config.window}; cut them"
        )
    labels = torch.tensor([prior.label for prior in priors if isinstance(prior, ClassScorePrior)], device=x.device)
    rows = x.reshape(-1, 1, x.shape[2])
    parts = [
        shared(some, some.new_full((len(some),), sigma), own)
        for some, own in zip(rows.split(ROWS), labels.repeat(len(x)).split(ROWS), strict=True)
    ]
    return torch.cat(parts).view_as(x)


def shared_denoiser(priors: Priors) -> Denoiser | None:
    """The one denoiser behind all `priors`, if they are score priors that share it."""
    found = [prior.denoiser for prior in priors if isinstance(prior, ClassScorePrior)]
    return found[0] if len(found) == len(priors) and all(other is found[0] for other in found) else None


def score_each(priors: Priors, x: Tensor, sigma: float) -> Tensor:
    """The score of sources (M, K, T) at level `sigma`, source k under prior k; same shape."""
    return (denoise_each(priors, x, sigma) - x) / sigma**2


@torch.no_grad()
def posterior_each(priors: Priors, x: Tensor, sigma: float, *, steps: int, generator: torch.Generator) -> Tensor:
    """Draws of the clean sources given noisy ones (M, K, T) at level `sigma`, source k under prior k; same shape.

    Exact where the priors can (`PosteriorPrior`); elsewhere by a reverse diffusion of `steps` ancestral steps (Song et
    al. 2021, arXiv 2011.13456, Appendix F, variance exploding), whose levels fall geometrically to sigma / 30 (or to
    the lowest level of a prior, if it names one as its `sigma_min`) and then to 0. One step gives the posterior mean.
    """
    exact = [prior for prior in priors if isinstance(prior, PosteriorPrior)]
    if len(exact) == len(priors):
        draws = [prior.posterior_sample(x[:, k : k + 1], sigma, generator) for k, prior in enumerate(exact)]
        return torch.cat(draws, dim=1)
    lowest = max(sigma / 30, *(getattr(prior, "sigma_min", 0.0) for prior in priors))
    levels = geometric_levels(sigma, min(lowest, sigma), steps)
    for here, there in zip(levels, [*levels[1:], 0.0], strict=True):
        clean = denoise_each(priors, x, here)
        shrink = (there / here) ** 2
        fresh = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        x = clean + shrink * (x - clean) + there * (1 - shrink) ** 0.5 * fresh
    return x
