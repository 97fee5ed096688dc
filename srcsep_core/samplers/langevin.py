"""Langevin dynamics on the joint posterior of the sources: corrected, annealed, and as released.

The posterior at noise level sigma is p(s) N(y; sum s, gamma^2). Its Langevin step is

    s_k <- s_k + eta [ score_k(s_k) + (w / sigma^2) (y - sum s) ] + sqrt(2 eta) eps

Sources: Frank & Ilse 2020, Eq. 3, and Frank 2020 (thesis), Eqs. 46-49 and Algorithm 2; Welling & Teh 2011 (SGLD); Song
& Ermon 2019 (arXiv 1907.05600), Algorithm 1, for the annealing; Jayaram & Thickstun 2020 (BASIS, arXiv 2002.07942),
Algorithm 1, for the constraint; Song & Ermon 2020 (arXiv 2006.09011) for the last denoising step.

Deviates from print: the residual's norm comes with a minus in Eq. 3 and its gradient with a plus in Algorithm 2; the
noise is sqrt(2 eta) for 2 sqrt(eta); the constraint is on the sum y = N * mix, which is N^2 times as strong as the
mean's with the same weight (`mean_constraint` gives the printed one, factor 1 / N and all).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.config import check_least
from srcsep_core.errors import InputError
from srcsep_core.nn.levels import geometric_levels
from srcsep_core.samplers.asking import denoise_each, posterior_score, score_each
from srcsep_core.samplers.base import (
    Callback,
    Chains,
    Priors,
    Separation,
    State,
    Trace,
    check_mix,
    keep_best,
    residual_of,
    rms,
    sampler,
)

LARGEST_STEP = 2.0


@dataclass(frozen=True)
class LangevinConfig:
    """How the chains are run.

    `levels` noise levels fall geometrically from `sigma_max` to `sigma_min`, with `steps` steps each; one level is the
    plain dynamics of Eq. 3. The step is eta = `step_scale` * sigma^2 (BASIS: 3e-5 (sigma / 0.01)^2, a scale of 0.3) and
    the constraint's weight `constraint_weight` / sigma^2. `denoise`: the result is the posterior mean at sigma_min.
    `max_chains` chains start from N(0, sigma_max^2).
    """

    sigma_max: float = 1.0
    sigma_min: float = 0.01
    levels: int = 10
    steps: int = 100
    step_scale: float = 0.3
    constraint_weight: float = 1.0
    mean_constraint: bool = False
    denoise: bool = True
    max_chains: int = 1

    def __post_init__(self) -> None:
        geometric_levels(self.sigma_max, self.sigma_min, self.levels)
        check_least(self, 1, "steps", "max_chains")
        if self.step_scale <= 0 or self.constraint_weight < 0:
            raise InputError(
                f"LangevinConfig has step_scale {self.step_scale} and constraint_weight {self.constraint_weight}; "
                "use a positive step and a weight of 0 or more"
            )


@sampler("langevin", LangevinConfig, windows={})
@torch.no_grad()
def langevin(
    mix: Tensor,
    priors: Priors,
    *,
    config: LangevinConfig | None = None,
    generator: torch.Generator,
    callback: Callback | None = None,
) -> Separation:
    """Separate mixes (B, 1, T) into one source a prior, projected; the trace has residual and change by level.

    Raises `InputError` for a bad mix, and where the steps are too large to be stable: a prior as narrow as the noise
    and the constraint together contract by step_scale * (1 + N w), which must stay below 2.
    """
    config = config or LangevinConfig()
    total = check_mix(mix, priors)
    count = len(priors)
    pull = config.constraint_weight / (count**2 if config.mean_constraint else 1)
    _check_stable(config.step_scale * (1 + count * pull), count)
    chains = Chains(total, config.max_chains, callback)
    noise = torch.empty(len(chains.y), count, mix.shape[2], device=mix.device, dtype=mix.dtype)
    state = config.sigma_max * noise.normal_(generator=generator)
    for step, sigma in enumerate(geometric_levels(config.sigma_max, config.sigma_min, config.levels)):
        eta, before = config.step_scale * sigma**2, state
        for _ in range(config.steps):
            drift = posterior_score(priors, state, chains.y, sigma, pull)
            state = state + eta * drift + (2 * eta) ** 0.5 * noise.normal_(generator=generator)
        figures = {"residual": rms(residual_of(chains.y, state)), "change": rms((state - before).flatten(1))}
        chains.record(step, config.levels, sigma, state, **figures)
    if config.denoise:
        state = denoise_each(priors, state, config.sigma_min)
    return chains.keep(state, rms(residual_of(chains.y, state)))


@torch.no_grad()
def unconstrained_langevin(
    sources: Tensor,
    priors: Priors,
    *,
    sigma: float = 0.1,
    steps: int = 300,
    start_noise: float = 0.3,
    generator: torch.Generator,
    callback: Callback | None = None,
) -> Separation:
    """What the authors' released code runs: no constraint at all, started at the true `sources` (B, K, T) plus noise.

    The code is github.com/morris-frank/unnamed-source-separation, which Frank 2020 (thesis) names.

    eta = 3e-5 (sigma / 0.01)^2, sigma = 0.1, 300 steps, lambda = 0, start at the truth + N(0, 0.3^2), clamped to
    [-1, 1] after every step. It is no separation: the mix enters nowhere, and the result is not projected. The trace
    has the residual and the distance to the truth (both root mean squares) every tenth step.
    """
    if sources.ndim != 3 or sources.shape[1] != len(priors):
        raise InputError(f"the sources have shape {tuple(sources.shape)}; pass (B, {len(priors)}, T), one a prior")
    total = sources.sum(dim=1, keepdim=True)[:, None]
    eta = 3e-5 * (sigma / 0.01) ** 2
    noise = torch.empty_like(sources)
    state = sources + start_noise * noise.normal_(generator=generator)
    trace = Trace()
    for step in range(steps):
        state = state + eta * score_each(priors, state, sigma) + (2 * eta) ** 0.5 * noise.normal_(generator=generator)
        state = state.clamp(-1, 1)
        if step % 10 == 9:
            distance = rms((state - sources).flatten(1))
            trace.add(step, sigma, 0, residual=rms(residual_of(total[:, 0], state)), distance=distance)
            if callback is not None:
                callback(State(step, steps, sigma, state))
    residuals = rms(residual_of(total[:, 0], state))[:, None]
    return keep_best(total, state[:, None], residuals, trace, projected=False)


def _check_stable(contraction: float, count: int) -> None:
    if contraction >= LARGEST_STEP:
        raise InputError(
            f"the Langevin step contracts by {contraction:.3g}, and 2 or more diverges; lower step_scale or "
            f"constraint_weight so that step_scale * (1 + N * weight) < 2 for N = {count}"
        )
