"""Variational separation: a factorised posterior over the sources of a mix, fitted by its evidence lower bound.

For a mix m, the mean of K sources in noise of std gamma (thesis Eq. 50), and a posterior q that is independent from
sample to sample, the bound is

    ELBO = E_q log N(m; mean of the sources, gamma^2) + beta (sum_k E_q log p_k(s_k) + H(q)).

The thesis prints Eqs. 53 to 55 with p(m given s) for its logarithm, and the squared norm with the wrong sign; here they
are as above. Its priors are peaked and their gradient is of little use far from a source. Here the sources s_k are
noisy ones and p_k is the density of source k in noise of std sigma, a level that falls; q is as wide as the level, so
that priors are asked about signals as noisy as they were told. At any level this is a bound on the evidence of that
model.

A prior that denoises and has no density gives the gradient all the same. In place of log p_k(s) stands the surrogate
log N(s; D_k(s), sigma^2) with the denoised D_k(s) held fixed: its gradient by s is (D_k(s) - s) / sigma^2, the score by
Tweedie's formula, and so is right; its value is that of a signal known to be D_k(s), and is no bound.

Sources: Frank 2020, "Modeling the posteriors", Eqs. 50-55; Kingma and Welling 2014 (arXiv 1312.6114); Kim et al. 2018
(arXiv 1802.02550) for refining what an encoder proposes, mix by mix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.config import check_least, check_positive
from srcsep_core.errors import DivergenceError, InputError
from srcsep_core.nn.levels import geometric_levels
from srcsep_core.posteriors.truncated_normal import LOG_ROOT_2PI, TruncatedNormal
from srcsep_core.priors.base import has_noisy_density
from srcsep_core.samplers.asking import denoise_rows, log_prob_rows
from srcsep_core.samplers.base import Priors, check_mix

REACH = 4.0  # levels beyond the bounds of clean sources, where those of noisy ones are


@dataclass(frozen=True)
class Bound:
    """The terms of the evidence lower bound of B mixes of K sources, in nats.

    likelihood (B,): of the mix given its sources; prior (B, K): of every source under its prior, or the surrogate
    (see the module's text); entropy (B, K): of every source's posterior.
    """

    likelihood: Tensor
    prior: Tensor
    entropy: Tensor

    def value(self, beta: float = 1.0) -> Tensor:
        """The bound (B,), with the divergence from the priors weighed by `beta` (Higgins et al. 2017)."""
        return self.likelihood + beta * (self.prior + self.entropy).sum(dim=1)


def bound(
    mix: Tensor,
    posterior: TruncatedNormal,
    priors: Priors,
    *,
    gamma: float,
    sigma: float,
    generator: torch.Generator,
    which: Tensor | None = None,
    exact: bool = False,
) -> Bound:
    """One draw's estimate of the bound for mixes (B, 1, T) under posteriors of the sources, (B, K, T).

    `gamma` is the std of the noise on the mean of the sources and `sigma` the level of the priors; source k of mix b is
    under prior number `which[b, k]` (k). The derivatives by location and scale are without bias. With `exact` values
    are those of the densities, else the surrogate's. Raises `DivergenceError` where a prior's gradient is not finite,
    and `InputError` with `exact` for priors that have no density.
    """
    drawn = posterior.rsample(generator)
    left = mix - drawn.mean(dim=1, keepdim=True)
    likelihood = -left.square().sum(dim=(1, 2)) / (2 * gamma**2) - mix.shape[2] * (math.log(gamma) + LOG_ROOT_2PI)
    prior = prior_term(drawn, priors, sigma, which=which, exact=exact)
    return Bound(likelihood, prior, posterior.entropy.sum(dim=2).to(mix))


def prior_term(
    sources: Tensor, priors: Priors, sigma: float, *, which: Tensor | None = None, exact: bool = False
) -> Tensor:
    """The log-density of sources (B, K, T) at level `sigma`, (B, K), or its surrogate; see `bound`."""
    batch, count, length = sources.shape
    rows = sources.reshape(-1, 1, length)
    which = torch.arange(count, device=rows.device).repeat(batch) if which is None else which.reshape(-1)
    place = rows.detach()
    means = denoise_rows(priors, which, place, sigma)
    failed = which[~means.isfinite().all(dim=2)[:, 0]]
    if len(failed):
        raise DivergenceError(
            f"the gradient of prior {int(failed[0]) + 1} at level {sigma:g} is not finite; start at a higher one"
        )
    value = -(rows - means).square().sum(dim=(1, 2)) / (2 * sigma**2) - length * (math.log(sigma) + LOG_ROOT_2PI)
    if exact:
        for k, prior_of in enumerate(priors):
            if not has_noisy_density(prior_of):
                raise InputError(f"prior {k + 1}, a {type(prior_of).__name__}, has no density; ask with exact=False")
        with torch.no_grad():
            true = log_prob_rows(priors, which, place, sigma).to(rows)
        value = value + (true - value.detach())
    return value.view(batch, count)


def sum_noise(sigma: float, count: int, slack: float = 1.0) -> float:
    """The std of the noise on the mean of `count` sources where their sum has `slack` times the level `sigma`."""
    return slack * sigma / count


def posterior_at(location: Tensor, log_share: Tensor, sigma: float, limit: float = 1.0) -> TruncatedNormal:
    """The posterior of sources in noise of `sigma`: its scale is a share of the level, exp(log_share).

    It is cut off at `limit`, the largest value of a clean source, and four levels beyond.
    """
    reach = limit + REACH * sigma
    return TruncatedNormal(location, sigma * log_share.exp(), low=-reach, high=reach)


def at_level(posterior: TruncatedNormal, before: float, sigma: float, limit: float = 1.0) -> TruncatedNormal:
    """A posterior of sources in noise of `before`, for those in noise of `sigma`: as far, and the same share wide."""
    return posterior_at(posterior.location, (posterior.scale / before).log(), sigma, limit)


@dataclass(frozen=True)
class RefineConfig:
    """How a posterior is fitted to one mix by gradient steps.

    `steps` steps of Adam while the priors' level falls geometrically from `sigma_max` to `sigma_min`; those of the
    location are `learning_rate` levels large, those of the log-scale `learning_rate`, and they fall to 0 in the last
    third. The sum of the sources has noise of `slack` times the level, and the divergence from the priors the weight
    `beta`. A posterior that is not given starts at the mix with a scale of `share` levels; `limit` is the largest
    value of a clean source.
    """

    steps: int = 200
    learning_rate: float = 0.1
    sigma_max: float = 1.5
    sigma_min: float = 0.03
    slack: float = 1.0
    beta: float = 1.0
    share: float = 0.7
    limit: float = 1.0

    def __post_init__(self) -> None:
        check_least(self, 1, "steps")
        geometric_levels(self.sigma_max, self.sigma_min, self.steps)
        check_positive(self, "learning_rate", "slack", "share", "limit")
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
    """Fit posteriors of the sources, (B, K, T), to mixes (B, 1, T), from the location of `start` if given (an
    encoder's).

    `watch` is called with every step, its level and the terms. Raises `InputError` for a bad mix or a start of another
    shape, and `DivergenceError` as `bound` does.
    """
    config = config or RefineConfig()
    check_mix(mix, priors)
    shape = (len(mix), len(priors), mix.shape[2])
    if start is not None and tuple(start.location.shape) != shape:
        raise InputError(f"the posterior to start from has the shape {tuple(start.location.shape)}; it must be {shape}")
    location = mix.expand(shape).clone() if start is None else start.location.detach().clone()
    location.requires_grad_(True)
    log_share = torch.full_like(location, math.log(config.share)).requires_grad_(True)
    optimiser = torch.optim.Adam([{"params": [location]}, {"params": [log_share]}], lr=config.learning_rate)
    with torch.enable_grad():
        for step, sigma in enumerate(geometric_levels(config.sigma_max, config.sigma_min, config.steps)):
            rate = config.learning_rate * min(1.0, 3 * (1 - step / config.steps))
            for group, unit in zip(optimiser.param_groups, (sigma, 1.0), strict=True):
                group["lr"] = rate * unit
            posterior = posterior_at(location, log_share, sigma, config.limit)
            gamma = sum_noise(sigma, len(priors), config.slack)
            terms = bound(mix, posterior, priors, gamma=gamma, sigma=sigma, generator=generator)
            optimiser.zero_grad()
            (-terms.value(config.beta).sum()).backward()
            optimiser.step()
            if watch is not None:
                watch(step, sigma, terms)
    return posterior_at(location.detach(), log_share.detach(), config.sigma_min, config.limit)
