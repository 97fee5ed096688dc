"""Annealed posterior means: every source at once becomes what its prior makes of its share of what is left.

At noise level sigma source k becomes D_k(x_k + w r + noise), where r is what all sources leave of their sum y, and w is
1 / (K - 1), or 1 for one source: with larger steps four sources overshoot together. No source comes first, so that none
takes what is another's because it was asked before it. The noise added is `noise` times sigma; without any and at one
level the sources settle at the mean of the posterior for Gaussian priors, whose sum has the noise sigma^2 / w. It is a
search for one good separation and no sampler of the posterior: for that see `gibbs`, which asks several times as often.

Sources: Venkatakrishnan et al. 2013 and Ryu et al. 2019 (arXiv 1905.05406) for denoisers as plug-in priors; Shi et al.
2025 (arXiv 2512.07226) start from the mix plus noise, as this does: at first every source is given w y and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.config import check_least
from srcsep_core.nn.levels import geometric_levels
from srcsep_core.samplers.asking import denoise_each, doubt_of
from srcsep_core.samplers.base import Callback, Chains, Priors, Separation, check_mix, residual_of, rms, sampler


@dataclass(frozen=True)
class MeansConfig:
    """How the search is run.

    `levels` noise levels fall geometrically from `sigma_max` to `sigma_min`; `noise`: its part that is added afresh at
    each. Of `max_chains` chains the one is kept that survives noising at `judge_sigma` best (see `GibbsConfig`).
    """

    sigma_max: float = 1.75
    sigma_min: float = 0.1
    levels: int = 20
    noise: float = 0.5
    max_chains: int = 1
    judge_sigma: float = 0.1

    def __post_init__(self) -> None:
        geometric_levels(self.sigma_max, self.sigma_min, self.levels)
        check_least(self, 1, "max_chains")
        check_least(self, 0, "noise", "judge_sigma")


@sampler("means", MeansConfig, windows={})
@torch.no_grad()
def means(
    mix: Tensor,
    priors: Priors,
    *,
    config: MeansConfig | None = None,
    generator: torch.Generator,
    callback: Callback | None = None,
) -> Separation:
    """Separate mixes (B, 1, T) into one source a prior, projected; the trace has the residual by level.

    Raises `InputError` for a bad mix.
    """
    config = config or MeansConfig()
    total = check_mix(mix, priors)
    chains = Chains(total, config.max_chains, callback)
    weight = 1 / max(1, len(priors) - 1)
    x = mix.new_zeros(len(chains.y), len(priors), mix.shape[2])
    noise = torch.empty_like(x)
    for step, sigma in enumerate(geometric_levels(config.sigma_max, config.sigma_min, config.levels)):
        left = x + weight * (chains.y - x.sum(dim=1, keepdim=True))
        x = denoise_each(priors, left + config.noise * sigma * noise.normal_(generator=generator), sigma)
        residual = rms(residual_of(chains.y, x))
        chains.record(step, config.levels, sigma, x, residual=residual)
    doubt = doubt_of(priors, chains.y, x, config.judge_sigma, generator)
    return chains.keep(x, residual, doubt)
