"""Sets of mixes to separate, drawn by the law of a world; classes may repeat.

Sets of different classes are different draws: their frequencies, amplitudes and phases have nothing to do with each
other, so that results over several sets of classes may be pooled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

import torch
from torch import Tensor

from srcsep_core.config import check_least
from srcsep_core.data.base import Split, World
from srcsep_core.errors import InputError

TEST_SEED = 31_415
"""Of the mixes that results are reported on. Nothing was tuned on them."""
VALIDATION_SEED = 77
"""Of the mixes that samplers are tuned on."""
BLOCK = 100
"""How many mixes are drawn at once."""


@dataclass(frozen=True)
class MixConfig:
    """Which mixes: the classes of their sources in order, how many, how long (samples), and their seed.

    Amplitudes are the world's, times a gain drawn log-uniformly from `gains` for each source; `noise` is the standard
    deviation of Gaussian noise added to the sum of the sources.
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
        check_least(self, 1, "mixes", "length")
        if not 0 < self.gains[0] <= self.gains[1] or self.noise < 0:
            raise InputError(f"gains {self.gains} or noise {self.noise} is out of range; use positive, ordered gains")


@dataclass(frozen=True)
class Mixes:
    """Drawn mixes: mix (B, 1, T), the mean of the sources plus noise; sources (B, K, T); gains (B, K)."""

    mix: Tensor
    sources: Tensor
    gains: Tensor

    def over(self, unit: float) -> Mixes:
        """The same in another unit (`World.unit`)."""
        return self if unit == 1.0 else replace(self, mix=self.mix / unit, sources=self.sources / unit)


def draw_mixes(data: World, config: MixConfig, *, split: Split = "test") -> Mixes:
    """The deterministic set, on the CPU; what is tuned on is of the split `validation`.

    Every source is drawn with a seed made of the set's own, the names of all its classes in order, and its place among
    them: another set of classes, or another order, is another draw, and so are two sources of one class. Sources that
    belong together (`World.aligned`) are drawn at once. A smaller set is the start of a larger one.
    """
    low, high = config.gains
    columns, gain_columns = [], []
    for k, names in enumerate([config.sources] if data.aligned else [(name,) for name in config.sources]):
        generator = _generator(config, str(k))
        own = data.only(names)
        waves, gains = [], []
        for _ in range(0, config.mixes, BLOCK):
            waves.append(own.draw(BLOCK, config.length, generator, split=split))
            gains.append(low * (high / low) ** torch.rand(BLOCK, len(names), generator=generator))
        columns.append(torch.cat(waves)[: config.mixes])
        gain_columns.append(torch.cat(gains)[: config.mixes])
    scale = torch.cat(gain_columns, dim=1)
    sources = torch.cat(columns, dim=1) * scale[..., None]
    generator = _generator(config, "noise")
    noise = config.noise * torch.randn(config.mixes, 1, config.length, generator=generator)
    return Mixes((sources.sum(dim=1, keepdim=True) + noise) / len(config.sources), sources, scale)


def _generator(config: MixConfig, part: str) -> torch.Generator:
    """The generator of one part of a set: a source, by its place, or the noise. The CPU's keeps 32 bits of a seed."""
    digest = sha256(f"{'+'.join(config.sources)} {part} {config.seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
