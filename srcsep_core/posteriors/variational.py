"""Variational separation: a factorised posterior over the sources of a mix, fitted by its evidence lower bound.

For a mix m, the mean of K sources in noise of std gamma (thesis Eq. 50), and a posterior q that is independent from
sample to sample, the bound is

    ELBO = E_q log N(m; mean of the sources, gamma^2) + beta (sum_k E_q log p_k(s_k) + H(q)).

The thesis prints Eqs. 53 to 55 with p(m given s) for its logarithm, and the squared norm with the wrong sign; here they
are as above. Its priors are peaked and their gradient is of little use far from a source, so the
priors here are those of noisy sources: log p_k,sigma(s_k + sigma e) in the mean over the noise e, with a level that
falls. Its gradient by s_k is the score at the noisy place, by Tweedie's formula from the denoiser; it is the gradient
of minus the divergence of N(s_k, sigma^2) from p_k,sigma. So a prior without a density will do: the gradient is known,
the value of the bound is not (NaN).

Sources: Frank 2020, "Modeling the posteriors", Eqs. 50-55; Kingma and Welling 2014 (arXiv 1312.6114); Kim et al. 2018
(arXiv 1802.02550) for refining what an encoder proposes, mix by mix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.config import check_least
from srcsep_core.errors import DivergenceError, InputError
from srcsep_core.nn.levels import geometric_levels
from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.priors.base import has_noisy_density
from srcsep_core.samplers.asking import score_each
from srcsep_core.samplers.base import Priors, check_mix


@dataclass(frozen=True)
class Bound:
    """The terms of the evidence lower bound of B mixes, in nats, each (B,).

    `prior` is NaN where a prior has no density; its gradient is right all the same.
    """

    likelihood: Tensor
    prior: Tensor
    entropy: Tensor

    def value(self, beta: float = 1.0) -> Tensor:
        """The bound, with the divergence from the priors weighed by `beta` (Higgins et al. 2017)."""
        return self.likelihood + beta * (self.prior + self.entropy)


def bound(
    mix: Tensor, posterior: TruncatedNormal, priors: Priors, *, gamma: float, sigma: float, generator: torch.Generator
) -> Bound:
    """One draw's estimate of the bound for mixes (B, 1, T) under posteriors of the sources, (B, K, T).

    `gamma` is the std of the noise on the mean of the sources and `sigma` the level of the priors. The derivatives by
    location and scale are without bias. Raises `DivergenceError` where a prior's gradient is not finite.
    """
    drawn = posterior.rsample(generator)
    left = mix - drawn.mean(dim=1, keepdim=True)
    length = mix.shape[2]
    likelihood = -left.square().sum(dim=(1, 2)) / (2 * gamma**2) - length * math.log(gamma * math.sqrt(2 * math.pi))
    entropy = posterior.entropy.sum(dim=(1, 2)).to(mix)
    return Bound(likelihood, prior_term(drawn, priors, sigma, generator), entropy)


def prior_term(sources: Tensor, priors: Priors, sigma: float, generator: torch.Generator) -> Tensor:
    """The sum over sources (B, K, T) of log p_k,sigma(s_k + sigma e) for one draw of the noise e, (B,).

    Differentiable in the sources by the priors' scores; NaN where a prior has no density. Raises `DivergenceError` for
    a score that is not finite.
    """
    noise = torch.randn(sources.shape, generator=generator, device=sources.device, dtype=sources.dtype)
    noisy = (sources + sigma * noise).detach()
    score = score_each(priors, noisy, sigma)
    for k, own in enumerate(score.unbind(dim=1)):
        if not bool(own.isfinite().all()):
            raise DivergenceError(
                f"the gradient of prior {k + 1} at level {sigma:g} is not finite; start at a higher one"
            )
    value = sources.new_full((len(sources),), torch.nan)
    if all(has_noisy_density(prior) for prior in priors):
        with torch.no_grad():
            rows = [
                prior.log_prob(own[:, None], sigma)
                for prior, own in zip(priors, noisy.unbind(dim=1), strict=True)
                if has_noisy_density(prior)
            ]
            value = torch.stack(rows).sum(dim=0).to(sources)
    return value + (score * (sources - sources.detach())).sum(dim=(1, 2))


@dataclass(frozen=True)
class RefineConfig:
    """How a posterior is fitted to one mix by gradient steps.

    `steps` steps of Adam with `learning_rate` (of the location; log-scales take the same) while the priors' level falls
    geometrically from `sigma_max` to `sigma_min`. The sum of the sources has noise of `slack` times the level, and the
    divergence from the priors the weight `beta`. A posterior that is not given starts at the mix with `scale`;
    `bound` is where it is cut off, either way.
    """

    steps: int = 300
    learning_rate: float = 0.03
    sigma_max: float = 1.0
    sigma_min: float = 0.03
    slack: float = 1.0
    beta: float = 1.0
    scale: float = 0.3
    bound: float = 1.0

    def __post_init__(self) -> None:
        check_least(self, 1, "steps")
        geometric_levels(self.sigma_max, self.sigma_min, self.steps)
        for name in ("learning_rate", "slack", "scale", "bound"):
            if not getattr(self, name) > 0:
                raise InputError(f"RefineConfig.{name} is {getattr(self, name)}; use a number above 0")
        check_least(self, 0, "beta")


Watch = Callable[[int, float, Bound], None]


def refine(
    mix: Tensor,
    priors: Priors,
    *,
    config: RefineConfig | None = None,
    generator: torch.Generator,
    start: TruncatedNormal | None = None,
    watch: Watch | None = None,
) -> TruncatedNormal:
    """Fit posteriors of the sources, (B, K, T), to mixes (B, 1, T), from `start` if there is one (an encoder's).

    `watch` is called with every step, its level and the terms. Raises `InputError` for a bad mix or a start of another
    shape, and `DivergenceError` as `bound` does.
    """
    config = config or RefineConfig()
    check_mix(mix, priors)
    shape = (len(mix), len(priors), mix.shape[2])
    if start is not None and tuple(start.location.shape) != shape:
        raise InputError(f"the posterior to start from has the shape {tuple(start.location.shape)}; it must be {shape}")
    limits = {"low": -config.bound, "high": config.bound}
    location = mix.expand(shape).clone() if start is None else start.location.detach().clone()
    log_scale = torch.full_like(location, math.log(config.scale)) if start is None else start.scale.detach().log()
    location.requires_grad_(True)
    log_scale = log_scale.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([location, log_scale], lr=config.learning_rate)
    levels = geometric_levels(config.sigma_max, config.sigma_min, config.steps)
    with torch.enable_grad():
        for step, sigma in enumerate(levels):
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * (1 - step / len(levels))
            posterior = TruncatedNormal(location, log_scale.exp(), **limits)
            gamma = config.slack * sigma / len(priors)
            terms = bound(mix, posterior, priors, gamma=gamma, sigma=sigma, generator=generator)
            optimiser.zero_grad()
            (-terms.value(config.beta).sum()).backward()
            optimiser.step()
            if watch is not None:
                watch(step, sigma, terms)
    return TruncatedNormal(location.detach(), log_scale.detach().exp(), **limits)
