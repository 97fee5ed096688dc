"""A score at every noise level from priors that have one at a few: the ladder that samplers anneal down.

Jayaram & Thickstun 2020 (BASIS, arXiv 2002.07942) and Frank & Ilse 2020 fine-tune one flow for each noise level;
between them the nearest is used, and beyond them the outermost. Above its level tau a prior's score is too steep by
about (sigma / tau)^2, as that of any signal in noise is, and taken as it is it moves a signal by more than the noise
in it. So there it is scaled by (tau / sigma)^2: the move x + sigma^2 score is that of the prior at its own level. Below
its level the score is taken as it is, and moves a signal by less than the prior would. The scaling is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.priors.base import (
    DenoisingPrior,
    ScorePrior,
    denoised_from_score,
    has_noisy_density,
    score_of,
)

CLIP = 1.5
NOISE_FREE = 1e-3  # the level that a noise-free prior stands for when the nearest is looked for


class NoiseLadder:
    """Priors of one source by the noise level they are asked at (0: noise-free), used as one prior.

    A prior that says by its `sigma_range` that it covers a range is asked within it, whatever level it stands at, but
    for a `pinned` ladder, which asks every prior at its own level alone. A noise-free prior has no level to scale from,
    and its score is taken as it is. The score is limited so that the posterior mean that it implies, x + sigma^2 score,
    stays within [-`clip`, `clip`] (the clean signals lie in [-1, 1]): far from its data a flow's gradient has no bound,
    and a chain would leave the finite numbers. The released code of Ho et al. 2020 (arXiv 2006.11239) clips likewise.
    """

    def __init__(
        self, levels: Mapping[float, DenoisingPrior | ScorePrior], *, clip: float = CLIP, pinned: bool = False
    ) -> None:
        if not levels:
            raise InputError("a noise ladder needs at least one prior; there are 0")
        self.levels = dict(sorted(levels.items()))
        self.clip = clip
        self.pinned = pinned

    def nearest(self, sigma: float) -> tuple[float, DenoisingPrior | ScorePrior]:
        """The prior used for `sigma`, the nearest by ratio, after the level (std) that it is asked at."""

        def distance(level: float) -> float:
            return abs(math.log(max(level, NOISE_FREE) / sigma))

        level = min(self.levels, key=distance)
        prior = self.levels[level]
        span: tuple[float, float] | None = None if self.pinned else getattr(prior, "sigma_range", None)
        if span is not None:
            level = min(max(sigma, span[0]), span[1])
        return level, prior

    def denoise(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """The posterior mean at `x` (B, 1, T) that the nearest level implies, limited as the class says."""
        value = _positive(sigma)
        level, prior = self.nearest(value)
        score = prior.score(x, level) if isinstance(prior, ScorePrior) else score_of(prior, x, level)
        reach = min(level, value) if level else value
        return denoised_from_score(x, torch.nan_to_num(score), reach).clamp(-self.clip, self.clip)

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """The score at `x` (B, 1, T) that `denoise` implies, same shape."""
        return score_of(self, x, _positive(sigma))

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density of the nearest level in nats, (B, 1, T) to (B,); raises `InputError` if it has none."""
        level, prior = self.nearest(_positive(sigma))
        if not has_noisy_density(prior):
            raise InputError(
                f"the prior of level {level:g} is a {type(prior).__name__}, which has no density at a noise level; "
                "use it for what needs a score alone"
            )
        with torch.no_grad():
            return prior.log_prob(x, level)

    def sample(self, shape: tuple[int, int, int], generator: torch.Generator | None = None) -> Tensor:
        """Draw from the prior of the lowest level; raises `InputError` if it cannot be drawn from."""
        lowest = next(iter(self.levels.values()))
        if not isinstance(lowest, ScorePrior):
            raise InputError(f"a {type(lowest).__name__} cannot be drawn from; use a prior with sample()")
        return lowest.sample(shape, generator)


def _positive(sigma: float | None) -> float:
    if sigma is None or not 0 < sigma < math.inf:
        raise InputError(f"sigma is {sigma}; ask a noise ladder for a level above 0")
    return sigma
