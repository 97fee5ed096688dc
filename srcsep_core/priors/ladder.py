"""A score at every noise level from density priors that were trained at a few: the ladder that samplers anneal down.

Jayaram & Thickstun 2020 (BASIS, arXiv 2002.07942) and Frank & Ilse 2020 fine-tune one flow for each noise level;
between them the nearest is used, and beyond them the outermost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.priors.flow import FlowPrior

CLIP = 1.5


class NoiseLadder:
    """Flow priors of one source by the noise level they were trained at (0: noise-free), used as one prior.

    A noise-conditional flow covers its whole range by itself. The score is limited so that the posterior mean that it
    implies, x + sigma^2 score, stays within [-`clip`, `clip`] (the clean signals lie in [-1, 1]): far from its data a
    flow's gradient has no bound, and a chain would leave the finite numbers. The released code of Ho et al. 2020
    (arXiv 2006.11239) clips likewise.
    """

    def __init__(self, levels: Mapping[float, FlowPrior], *, clip: float = CLIP) -> None:
        if not levels:
            raise InputError("a noise ladder needs at least one prior; there are 0")
        self.levels = dict(sorted(levels.items()))
        self.clip = clip

    def nearest(self, sigma: float) -> tuple[float, FlowPrior]:
        """The level used for `sigma`, by ratio, and its prior; a noise-conditional one is asked within its range."""

        def distance(level: float) -> float:
            return abs(math.log(max(level, 1e-3) / sigma))

        level = min(self.levels, key=distance)
        prior = self.levels[level]
        levels = prior.flow.levels
        if levels is not None:
            level = min(max(sigma, levels.low), levels.high)
        return level, prior

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """The score of the nearest level at `x` (B, 1, T), limited as the class says."""
        value = _positive(sigma)
        level, prior = self.nearest(value)
        gradient = torch.nan_to_num(prior.score(x, level))
        return ((x + value**2 * gradient).clamp(-self.clip, self.clip) - x) / value**2

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density of the nearest level in nats, (B, 1, T) to (B,)."""
        level, prior = self.nearest(_positive(sigma))
        with torch.no_grad():
            return prior.log_prob(x, level)

    def sample(self, shape: tuple[int, int, int], generator: torch.Generator | None = None) -> Tensor:
        """Draw from the lowest level."""
        return next(iter(self.levels.values())).sample(shape, generator)


def _positive(sigma: float | None) -> float:
    if sigma is None or not 0 < sigma < math.inf:
        raise InputError(f"sigma is {sigma}; ask a noise ladder for a level above 0")
    return sigma
