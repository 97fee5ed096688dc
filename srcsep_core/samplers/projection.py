"""Diffusion separation with a Dirac constraint: the last source is what the others leave of the sum.

Sources: Mariani et al. 2023 (MSDM and ISDM, arXiv 2302.02257), Eqs. 13-15 and Algorithm 1, with priors of single
sources (ISDM); Karras et al. 2022 (EDM, arXiv 2206.00364), Eq. 5 for the levels and Algorithm 2 for the churn.
The estimates sum to the mix by construction, so that their residual is zero whatever happens and hides a failure. We
report that of their posterior means instead, and compare chains by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.config import check_least
from srcsep_core.errors import InputError
from srcsep_core.nn.levels import karras_levels
from srcsep_core.samplers.asking import denoise_each, score_each
from srcsep_core.samplers.base import (
    Callback,
    Chains,
    Priors,
    Separation,
    check_mix,
    residual_of,
    rms,
    sampler,
)


@dataclass(frozen=True)
class ProjectionConfig:
    """How the reverse diffusion is run.

    `levels` Karras levels from `sigma_max` to `sigma_min` with exponent `rho`, then 0; before each Euler step the noise
    is raised by `churn` / levels of itself (at most sqrt(2) - 1); after it come `corrector` Langevin rounds with steps
    of 2 (`corrector_snr` sigma)^2 (Song et al. 2021, arXiv 2011.13456, Algorithm 5; Mariani et al. re-noise instead).
    `pivot` is the source that the constraint determines. `max_chains` chains start from N(0, sigma_max^2).
    """

    sigma_max: float = 3.0
    sigma_min: float = 0.01
    levels: int = 150
    rho: float = 7.0
    churn: float = 20.0
    corrector: int = 0
    corrector_snr: float = 0.1
    pivot: int = -1
    max_chains: int = 1

    def __post_init__(self) -> None:
        karras_levels(self.sigma_max, self.sigma_min, self.levels, self.rho)
        check_least(self, 1, "max_chains")
        check_least(self, 0, "churn", "corrector", "corrector_snr")


@sampler("projection", ProjectionConfig, windows={})
@torch.no_grad()
def projection(
    mix: Tensor,
    priors: Priors,
    *,
    config: ProjectionConfig | None = None,
    generator: torch.Generator,
    callback: Callback | None = None,
) -> Separation:
    """Separate mixes (B, 1, T) into one source a prior; the trace has the residual (see the module) by level.

    Raises `InputError` for a bad mix or pivot.
    """
    config = config or ProjectionConfig()
    total = check_mix(mix, priors)
    count = len(priors)
    if not -count <= config.pivot < count:
        raise InputError(f"the pivot {config.pivot} is not among the {count} sources; use 0 to {count - 1}")
    pivot = config.pivot % count
    free = [k for k in range(count) if k != pivot]
    chains = Chains(total, config.max_chains, callback)
    levels = karras_levels(config.sigma_max, config.sigma_min, config.levels, config.rho)
    noise = torch.empty(len(chains.y), len(free), mix.shape[2], device=mix.device, dtype=mix.dtype)
    x = config.sigma_max * noise.normal_(generator=generator)
    gamma = min(config.churn / config.levels, 2**0.5 - 1)

    def constrained(x: Tensor) -> Tensor:
        """All sources, (M, K, T), from the free ones."""
        sources = x.new_empty(len(x), count, x.shape[2])
        sources[:, free] = x
        sources[:, pivot] = chains.y[:, 0] - x.sum(dim=1)
        return sources

    def drift(x: Tensor, sigma: float) -> Tensor:
        """The score of the free sources under the constraint: their own less the pivot's."""
        score = score_each(priors, constrained(x), sigma)
        return score[:, free] - score[:, pivot : pivot + 1]

    for step, (here, there) in enumerate(zip(levels, [*levels[1:], 0.0], strict=True)):
        raised = here * (1 + gamma)
        x = x + (raised**2 - here**2) ** 0.5 * noise.normal_(generator=generator)
        x = x + (raised - there) * raised * drift(x, raised)
        for _ in range(config.corrector if there else 0):
            slope = drift(x, there)
            size = 2 * (config.corrector_snr * there) ** 2
            x = x + size * slope + (2 * size) ** 0.5 * noise.normal_(generator=generator)
        if step % 10 == 9 or not there:
            sources = constrained(x)
            clean = denoise_each(priors, sources, max(there, config.sigma_min))
            residual = rms(residual_of(chains.y, clean))
            chains.record(step, config.levels, there, sources, residual=residual)
    return chains.keep(sources, residual)
