"""The log-evidence of a mix of two sources, by importance sampling with priors whose densities are exact.

What a variational bound falls short of. For the model of `variational`, noisy sources at level sigma whose mean m has
noise of std gamma, the sum y = 2 m of the clean ones has noise of variance 2 sigma^2 + 4 gamma^2, so that

    p(m) = 2^T E p_2(y - s_1)   over clean s_1 from the first prior,

p_2 being the density of the second source in that noise. The draws of s_1 are those given a guess of it, as if that had
been seen in noise of its own, and are weighed by the prior's share: the mean is right for any guess, and a good one
needs few draws.

Source: Owen 2013, Monte Carlo theory, methods and examples, chapter 9, for the weights and the effective number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.posteriors.truncated_normal import LOG_ROOT_2PI
from srcsep_core.priors.base import DensityPrior, PosteriorPrior


class ExactPrior(DensityPrior, PosteriorPrior, Protocol):
    """A prior with a noisy density and exact draws of the clean signal."""


@dataclass(frozen=True)
class Evidence:
    """Log-evidence (nats) of B mixes, and how many equally weighted draws those of each were worth; (B,) float64."""

    value: Tensor
    effective: Tensor


@torch.no_grad()
def log_evidence(
    mix: Tensor,
    first: ExactPrior,
    second: DensityPrior,
    guess: Tensor,
    *,
    gamma: float,
    sigma: float,
    draws: int,
    generator: torch.Generator,
    spread: float | None = None,
) -> Evidence:
    """The log-evidence of mixes (B, 1, T) with a `guess` of their first source, of the same shape.

    `spread` is the std of the noise in which the guess is taken to be (that of the sum). Raises `InputError` for a bad
    mix, a guess of another shape, and levels or a number of draws that are not positive.
    """
    check_waveform(mix)
    if guess.shape != mix.shape:
        raise InputError(
            f"the guess has the shape {tuple(guess.shape)}; it must be that of the mix, {tuple(mix.shape)}"
        )
    if not (sigma > 0 and gamma > 0 and draws >= 1):
        raise InputError(f"gamma is {gamma:g}, sigma {sigma:g} and draws {draws}; use positive ones")
    total, length = 2 * mix.double(), mix.shape[2]
    level = math.sqrt(2 * sigma**2 + 4 * gamma**2)
    wide = level if spread is None else spread
    place = guess.double()
    around = first.log_prob(place, wide).double()
    rows = []
    for _ in range(draws):
        drawn = first.posterior_sample(place, wide, generator).double()
        normal = -(place - drawn).square().sum(dim=(1, 2)) / (2 * wide**2) - length * (math.log(wide) + LOG_ROOT_2PI)
        rows.append(around - normal + second.log_prob(total - drawn, level).double())
    weights = torch.stack(rows)
    value = weights.logsumexp(dim=0) - math.log(draws) + length * math.log(2)
    share = weights.softmax(dim=0)
    return Evidence(value, 1 / share.square().sum(dim=0))
