"""Parallel and flexible sampling: annealed Langevin dynamics of all samples of all sources at once.

At noise level sigma the chain targets prod_k p_sigma(s_k) exp(-w |y - sum_k s_k|^2 / 2 sigma^2), with the priors'
smoothed densities. An update moves every source along its score and the pull of the mix, plus noise:

    s_k += eta (score_k(s_k) + (w / sigma^2) (y - sum_j s_j)) + sqrt(2 eta) N(0, 1),    eta = step_scale sigma^2.

It was made for autoregressive priors (`priors.pnf`), which need not be sampled in order for it; any score will do.

Source: Jayaram & Thickstun 2021 (PnF, arXiv 2105.08164), Algorithm 1: step_scale 0.05, w = 15, 256 updates a level, and
asynchronous updates of blocks. Deviates from print:

- w = 15 at two sources, and 2/N of that at N. The smoothed density curves by at most 1/sigma^2 and the constraint by
  N w / sigma^2 along the sum, so an update is stable where step_scale (1 + N w) < 2: 1.55 in print, which is fine for
  two sources, and 3.05, which diverges, if four kept w = 15. Scaled, it is 1.55 for every N.
- Blocks are moved one after the other, not by several machines at once, and an update of a block costs as much as
  that of the whole signal. So blocks test the claim that they may be moved apart; they save nothing here.
- A last step takes the posterior mean at sigma_min (Tweedie's formula) and makes up what is missing to the mix.

As in print the step's own error is not corrected: in a Gaussian direction of curvature h the variance comes out
1 / (1 - eta h / 2) times too large, 4.4 times along the sum and up to 3 % across it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.config import check_least
from srcsep_core.errors import DivergenceError, InputError
from srcsep_core.nn.levels import geometric_levels
from srcsep_core.samplers.asking import denoise_each, posterior_score
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

PRINTED_SOURCES = 2


@dataclass(frozen=True)
class PnFSamplerConfig:
    """How the chain is run.

    `levels` noise levels fall geometrically from `sigma_max` to `sigma_min`, each with `updates` updates. `step_scale`
    is eta / sigma^2; `constraint_weight` is w for two sources (see the module's text). An update moves the whole signal
    or, if `block` is set, `block` successive samples of all sources at a random place, another one in every chain.
    `max_chains` chains start from independent draws of N(0, sigma_max^2). Raises `InputError` where updates diverge.
    """

    sigma_max: float = 3.0
    sigma_min: float = 0.01
    levels: int = 10
    updates: int = 256
    step_scale: float = 0.05
    constraint_weight: float = 15.0
    block: int | None = None
    max_chains: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min <= self.sigma_max:
            raise InputError(f"sigma falls from {self.sigma_max} to {self.sigma_min}; use 0 < sigma_min <= sigma_max")
        check_least(self, 1, "levels", "updates", "max_chains")
        if self.block is not None and self.block < 1:
            raise InputError(f"the block has {self.block} samples; use at least 1, or None for the whole signal")
        if not self.step_scale > 0 or not self.constraint_weight >= 0:
            raise InputError(
                f"step_scale is {self.step_scale} and constraint_weight {self.constraint_weight}; "
                "use a positive step and a weight of 0 or more"
            )
        curvature = 1 + PRINTED_SOURCES * self.constraint_weight
        if self.step_scale * curvature >= 2:
            raise InputError(
                f"step_scale {self.step_scale:g} with constraint_weight {self.constraint_weight:g} diverges: "
                f"step_scale * (1 + {PRINTED_SOURCES} * constraint_weight) is {self.step_scale * curvature:.3g} and "
                f"must stay below 2; use a step_scale below {2 / curvature:.3g}"
            )

    def weight(self, count: int) -> float:
        """w for `count` sources: such that count * w, which stability depends on, is that of print."""
        return self.constraint_weight * PRINTED_SOURCES / count


@sampler("pnf", PnFSamplerConfig)  # slow, and it does not separate: not for recordings
@torch.no_grad()
def pnf(
    mix: Tensor,
    priors: Priors,
    *,
    config: PnFSamplerConfig | None = None,
    generator: torch.Generator,
    callback: Callback | None = None,
) -> Separation:
    """Separate mixes (B, 1, T) into one source a prior; see the module's text and `Separation`.

    The trace and the callback have the state at the end of every level, chains side by side: residual, change (root
    mean square of the last update's move). Raises `InputError` for a bad mix, for a block longer than it, and where a
    prior has no score at a level; `DivergenceError` if the chain leaves the finite numbers.
    """
    config = config or PnFSamplerConfig()
    total = check_mix(mix, priors)
    length = total.shape[3]
    if config.block is not None and config.block > length:
        raise InputError(
            f"the block of {config.block} samples is longer than the mix of {length}; use None for the whole signal"
        )
    chains = Chains(total, config.max_chains, callback)
    state = config.sigma_max * _normal(mix.new_empty(len(chains.y), len(priors), length), generator)
    for step, sigma in enumerate(geometric_levels(config.sigma_max, config.sigma_min, config.levels)):
        for _ in range(config.updates):
            move = _update(chains.y, priors, state, sigma, config, generator)
            state = state + move
            if not bool(state.isfinite().all()):
                raise DivergenceError(
                    f"the chain left the finite numbers at sigma {sigma:g}; lower step_scale ({config.step_scale:g}) "
                    "or look for what is wrong with the priors' score"
                )
        figures = {"residual": rms(residual_of(chains.y, state)), "change": rms(move.flatten(1))}
        chains.record(step, config.levels, sigma, state, **figures)
    clean = denoise_each(priors, state, sigma)
    return chains.keep(clean, rms(residual_of(chains.y, clean)))


def _update(
    total: Tensor, priors: Priors, state: Tensor, sigma: float, config: PnFSamplerConfig, generator: torch.Generator
) -> Tensor:
    """The move of one Langevin update of the chains `state` (M, K, T) whose sums are `total` (M, 1, T)."""
    eta = config.step_scale * sigma**2
    drift = posterior_score(priors, state, total, sigma, config.weight(len(priors)))
    move = eta * drift + (2 * eta) ** 0.5 * _normal(state, generator)
    return move if config.block is None else move * _block(state, config.block, generator)


def _block(state: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Ones at `size` successive samples, zeros elsewhere, (M, 1, T).

    The block may begin before the signal or end after it, so that every sample is met equally often.
    """
    chains, _, length = state.shape
    last = torch.randint(length + size - 1, (chains, 1, 1), generator=generator, device=state.device)
    place = torch.arange(length, device=state.device)
    return ((place <= last) & (place > last - size)).to(state.dtype)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
