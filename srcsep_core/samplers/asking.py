"""What samplers ask of priors, for many chains at once: rows of signals, each under a prior of its own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.nn.levels import geometric_levels
from srcsep_core.priors.base import DenoisingPrior, JointDenoiser, PosteriorPrior, SharingPrior, has_noisy_density
from srcsep_core.samplers.base import Priors, residual_of, rms


@torch.no_grad()
def denoise_each(priors: Priors, x: Tensor, sigma: float) -> Tensor:
    """The posterior mean of sources (M, K, T) at level `sigma`, source k under prior k; same shape.

    Priors that share one denoiser are called once for all.
    """
    which = torch.arange(len(priors), device=x.device).repeat(len(x))
    return denoise_rows(priors, which, x.reshape(-1, 1, x.shape[2]), sigma).view_as(x)


@torch.no_grad()
def denoise_rows(priors: Priors, which: Tensor, x: Tensor, sigma: float) -> Tensor:
    """The posterior mean of rows (M, 1, T) at level `sigma`, row m under prior number `which[m]`; same shape."""
    shared = shared_denoiser(priors)
    if shared is not None:
        labels = torch.tensor([prior.label for prior in priors if isinstance(prior, SharingPrior)], device=x.device)
        return shared.denoise_rows(x, sigma, labels[which])
    result = torch.empty_like(x)
    for rows, prior in _turns(priors, which):
        result[rows] = prior.denoise(x[rows], sigma).to(result)
    return result


def shared_denoiser(priors: Priors) -> JointDenoiser | None:
    """The one denoiser behind all `priors`, if they share it."""
    found = [prior.shared for prior in priors if isinstance(prior, SharingPrior)]
    return found[0] if len(found) == len(priors) and all(other is found[0] for other in found) else None


def score_each(priors: Priors, x: Tensor, sigma: float) -> Tensor:
    """The score of sources (M, K, T) at level `sigma`, source k under prior k; same shape."""
    return (denoise_each(priors, x, sigma) - x) / sigma**2


def doubt_of(
    priors: Priors,
    total: Tensor,
    sources: Tensor,
    sigma: float,
    generator: torch.Generator,
    gains: Tensor | float = 1.0,
) -> Tensor:
    """What sources (M, K, T) leave of their sum (M, 1, T), as of the mix, once noised at `sigma` and denoised: (M,).

    Root mean square. `gains` (M, K, 1) are taken off before and put on again. With `sigma` 0 it is the plain residual.
    """
    if not sigma:
        return rms(residual_of(total, sources))
    unit = sources / gains
    noise = torch.empty_like(unit).normal_(generator=generator)
    return rms(residual_of(total, gains * denoise_each(priors, unit + sigma * noise, sigma)))


def posterior_score(priors: Priors, x: Tensor, y: Tensor, sigma: float, weight: float) -> Tensor:
    """The score of sources (M, K, T) given their sum y (M, 1, T): `score_each` + (weight / sigma^2) (y - sum x)."""
    return score_each(priors, x, sigma) + weight / sigma**2 * (y - x.sum(dim=1, keepdim=True))


@torch.no_grad()
def posterior_rows(
    priors: Priors, which: Tensor, x: Tensor, sigma: float, *, steps: int, generator: torch.Generator
) -> Tensor:
    """Draws of the clean signals given noisy ones (M, 1, T) at level `sigma`, row m under prior `which[m]` (M,).

    Exact where the priors can (`PosteriorPrior`); elsewhere by a reverse diffusion of `steps` ancestral steps (Song et
    al. 2021, arXiv 2011.13456, Appendix F, variance exploding), whose levels fall geometrically to sigma / 30 (or to
    the lowest level of a prior, if it names one as its `sigma_min`) and then to 0. One step gives the posterior mean.
    """
    result = torch.empty_like(x)
    inexact = torch.zeros_like(which, dtype=torch.bool)
    for rows, prior in _turns(priors, which):
        if isinstance(prior, PosteriorPrior):
            result[rows] = prior.posterior_sample(x[rows], sigma, generator).to(result)
        else:
            inexact[rows] = True
    if bool(inexact.any()):
        result[inexact] = _reverse_diffusion(priors, which[inexact], x[inexact], sigma, steps, generator)
    return result


def _reverse_diffusion(
    priors: Priors, which: Tensor, x: Tensor, sigma: float, steps: int, generator: torch.Generator
) -> Tensor:
    lowest = max(sigma / 30, *(getattr(prior, "sigma_min", 0.0) for prior in priors))
    levels = geometric_levels(sigma, min(lowest, sigma), steps)
    for here, there in zip(levels, [*levels[1:], 0.0], strict=True):
        clean = denoise_rows(priors, which, x, here)
        shrink = (there / here) ** 2
        fresh = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        x = clean + shrink * (x - clean) + there * (1 - shrink) ** 0.5 * fresh
    return x


def log_prob_rows(priors: Priors, which: Tensor, x: Tensor, sigma: float) -> Tensor:
    """Log-density in nats of rows (M, 1, T) at level `sigma`, row m under prior number `which[m]`: (M,), float64.

    Raises `InputError` as `check_densities` does.
    """
    check_densities(priors)
    result = x.new_empty(len(x), dtype=torch.float64)
    for rows, prior in _turns(priors, which):
        assert has_noisy_density(prior)
        result[rows] = prior.log_prob(x[rows], sigma).double()
    return result


def check_densities(priors: Priors) -> None:
    """Raise `InputError` unless every prior has a density at a noise level, which Metropolis steps need."""
    for prior in priors:
        if not hasattr(prior, "log_prob"):
            raise InputError(
                f"Metropolis steps need priors with a density; use swap='refit' and no proposals with a "
                f"{type(prior).__name__}"
            )
        if not has_noisy_density(prior):
            raise InputError(
                f"the log_prob of a {type(prior).__name__} takes no noise level, and Metropolis steps ask for the "
                "density at each; use swap='refit' and no proposals"
            )


def _turns(priors: Priors, which: Tensor) -> Iterator[tuple[Tensor, DenoisingPrior]]:
    """Every prior that has rows, after the numbers of its rows."""
    for k, prior in enumerate(priors):
        rows = (which == k).nonzero()[:, 0]
        if len(rows):
            yield rows, prior
