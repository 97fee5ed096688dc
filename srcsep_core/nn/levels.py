"""Noise levels: as the input of a network, drawn log-uniformly, and as the falling ladders that samplers go down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from srcsep_core.errors import InputError


def level_features(sigma: Tensor | float, rows: int, *, channels: int, low: float, high: float, like: Tensor) -> Tensor:
    """The features (rows, channels, 1) of noise levels: one for all, or one a row, of shape (rows,).

    The channels are cos(k pi u), k = 0, 1, .., with u the logarithm of sigma scaled to [0, 1] over `low`..`high`, the
    range that the network was trained on. `like` gives device and precision. Raises `InputError` for a level out of
    range by more than a thousandth.
    """
    level = torch.as_tensor(sigma, dtype=like.dtype, device=like.device).expand(rows)
    if not bool(((level >= low * 0.999) & (level <= high * 1.001)).all()):
        raise InputError(
            f"sigma spans {float(level.min()):g}..{float(level.max()):g} but this network was trained on "
            f"{low:g}..{high:g}; use a level in that range"
        )
    position = (level.log() - math.log(low)) / (math.log(high) - math.log(low))
    harmonics = torch.arange(channels, dtype=like.dtype, device=like.device)
    return torch.cos(math.pi * harmonics * position[:, None])[..., None]


def draw_levels(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Noise levels (count,), uniform in their logarithm between `low` and `high`."""
    uniform = torch.rand(count, generator=generator, device=generator.device)
    return torch.exp(math.log(low) + uniform * (math.log(high) - math.log(low)))


@dataclass(frozen=True)
class NoiseRange:
    """The noise levels (standard deviations) that a network is told, and the channels of its condition."""

    low: float
    high: float
    features: int

    def condition(self, sigma: Tensor | float, rows: int, *, like: Tensor) -> Tensor:
        """What the network is told of levels: see `level_features`."""
        return level_features(sigma, rows, channels=self.features, low=self.low, high=self.high, like=like)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Levels to train at, (count,): see `draw_levels`."""
        return draw_levels(count, self.low, self.high, generator)


def check_range(config: Any) -> None:
    """Raise `InputError` unless the `sigma_min` and `sigma_max` of a configuration span a range above 0."""
    if not 0 < config.sigma_min < config.sigma_max:
        raise InputError(
            f"{type(config).__name__} spans sigma {config.sigma_min}..{config.sigma_max}; use 0 < sigma_min < sigma_max"
        )


def geometric_levels(sigma_max: float, sigma_min: float, levels: int) -> list[float]:
    """`levels` noise levels from `sigma_max` down to `sigma_min`, each the same factor below the one before."""
    _check_span(sigma_max, sigma_min, levels)
    ratio = (sigma_min / sigma_max) ** (1 / max(levels - 1, 1))
    return [sigma_max * ratio**i for i in range(levels)]


def karras_levels(sigma_max: float, sigma_min: float, steps: int, rho: float = 7.0) -> list[float]:
    """`steps` noise levels from `sigma_max` down to `sigma_min` (Karras et al. 2022, arXiv 2206.00364, Eq. 5)."""
    _check_span(sigma_max, sigma_min, steps)
    if steps == 1:
        return [sigma_max]
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return [float((high + i / (steps - 1) * (low - high)) ** rho) for i in range(steps)]


def _check_span(sigma_max: float, sigma_min: float, levels: int) -> None:
    if levels < 1 or not 0 < sigma_min <= sigma_max:
        raise InputError(
            f"cannot space {levels} levels from sigma {sigma_max} to {sigma_min}; use 1 or more, falling to above 0"
        )
