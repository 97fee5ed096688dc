"""Sets of toy mixes to separate, drawn by the toy's own law; classes may repeat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.data.base import World
from srcsep_core.errors import InputError

TEST_SEED = 20_200
VALIDATION_SEED = 77
BLOCK = 100  # mixes that are drawn at once


@dataclass(frozen=True)
class MixConfig:
    """Which mixes: the classes of their sources in order, how many, how long (samples), and their seed.

    Amplitudes are the toy's, U[0.8, 1], times a gain drawn log-uniformly from `gains` for each source; `noise` is the
    standard deviation of Gaussian noise added to the sum of the sources.
    """

    sources: tuple[str, ...]
    mixes: int
    length: int = 1024
    seed: int = TEST_SEED
    gains: tuple[float, float] = (1.0, 1.0)
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not self.sources:
            raise InputError("a mix of 0 sources was asked for; name at least one")
        for name in ("mixes", "length"):
            if getattr(self, name) < 1:
                raise InputError(f"MixConfig.{name} is {getattr(self, name)}; use at least 1")
        if not 0 < self.gains[0] <= self.gains[1] or self.noise < 0:
            raise InputError(f"gains {self.gains} or noise {self.noise} is out of range; use positive, ordered gains")


@dataclass(frozen=True)
class Mixes:
    """Drawn mixes: mix (B, 1, T), the mean of the sources plus noise; sources (B, K, T); gains (B, K)."""

    mix: Tensor
    sources: Tensor
    gains: Tensor


def draw_mixes(data: World, config: MixConfig) -> Mixes:
    """The deterministic set, on the CPU.

    Its k-th source does not depend on the other ones, and a smaller set is the start of a larger one.
    """
    low, high = config.gains
    columns, gain_columns = [], []
    for k, name in enumerate(config.sources):
        generator = torch.Generator().manual_seed(config.seed + 1000 * k)
        own = data.only((name,))
        waves, gains = [], []
        for _ in range(0, config.mixes, BLOCK):
            waves.append(own.draw(BLOCK, config.length, generator, split="test"))
            gains.append(low * (high / low) ** torch.rand(BLOCK, 1, generator=generator))
        columns.append(torch.cat(waves)[: config.mixes])
        gain_columns.append(torch.cat(gains)[: config.mixes])
    scale = torch.cat(gain_columns, dim=1)
    sources = torch.cat(columns, dim=1) * scale[..., None]
    generator = torch.Generator().manual_seed(config.seed - 1)
    noise = config.noise * torch.randn(config.mixes, 1, config.length, generator=generator)
    return Mixes((sources.sum(dim=1, keepdim=True) + noise) / len(config.sources), sources, scale)
