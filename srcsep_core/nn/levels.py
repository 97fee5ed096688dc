"""Noise levels as the input of a network: drawn log-uniformly, presented as cosines of the scaled logarithm."""

from __future__ import annotations

import math

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
