"""The world of one real excerpt: six seconds of The Easton Ellises' "Falcon 69", which come with the package stempeg.

It is the one real song that every machine has. All of it is for testing: nothing may be trained on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from srcsep_core.config import check_choice, resolved
from srcsep_core.data.base import Split, World, register_world
from srcsep_core.data.frames import Cut
from srcsep_core.data.musdb18 import stems_at
from srcsep_core.data.stem_classes import COLOURS, SOURCES, check_stems
from srcsep_core.data.tracks import excerpt
from srcsep_core.errors import InputError

CUTS = {
    "excerpt_16k": Cut(16_000, 16_000),
    "excerpt_8k": Cut(8_000, 8_000),
    "excerpt_released": Cut(14_700, 16_384, channel="left", normalised=True),
}


@dataclass(frozen=True)
class ExcerptWorld(World):
    """Stretches of the excerpt: `variant` is one of `CUTS`; `sources` some of drums, bass, other and vocals."""

    name: ClassVar[str] = "excerpt"
    aligned: ClassVar[bool] = True

    variant: str = "excerpt_16k"
    sources: tuple[str, ...] = SOURCES

    def __post_init__(self) -> None:
        check_choice("excerpt variant", self.variant, tuple(CUTS))
        check_stems(self.name, self.sources)

    @property
    def sample_rate(self) -> int:
        """Samples per second (Hz)."""
        return CUTS[self.variant].sample_rate

    @property
    def typical_rms(self) -> Mapping[str, float]:
        """That of each stem."""
        return dict(zip(self.sources, self.whole.square().mean(dim=1).sqrt().tolist(), strict=True))

    @property
    def colours(self) -> Mapping[str, str]:
        """Those of the stems in all figures."""
        return COLOURS

    @property
    def whole(self) -> Tensor:
        """All of it, (K, T)."""
        return _stems(self.variant)[[SOURCES.index(source) for source in self.sources]]

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "test") -> Tensor:
        """Stretches (batch, K, length) that begin anywhere; raises `InputError` for any split but `test`."""
        if split != "test":
            raise InputError(f"the excerpt is for testing and {split} signals were asked for; use another world")
        whole = self.whole
        if not 1 <= length <= whole.shape[-1]:
            raise InputError(f"the excerpt has {whole.shape[-1]} samples; ask for a length of 1 to that, not {length}")
        places = torch.rand(batch, generator=generator, device=generator.device, dtype=torch.float64)
        starts = (places * (whole.shape[-1] - length + 1)).long().tolist()
        return torch.stack([whole[:, start : start + length] for start in starts]).to(generator.device)

    def only(self, sources: Sequence[str]) -> ExcerptWorld:
        """The same world with some of its stems."""
        return replace(self, sources=tuple(sources))

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Its fields, and the size of the file."""
        return {**resolved(self), "bytes": excerpt().size}


@cache
def _stems(variant: str) -> Tensor:
    cut = CUTS[variant]
    stems, _ = stems_at(excerpt(), cut)
    shortest = min(map(len, stems))
    whole = torch.stack([stem[:shortest] for stem in stems])
    if cut.normalised:
        whole = whole - whole.mean(dim=1, keepdim=True)
        whole = whole / whole.abs().amax(dim=1, keepdim=True)
    return whole


register_world(ExcerptWorld.name, ExcerptWorld, tuple(CUTS))
