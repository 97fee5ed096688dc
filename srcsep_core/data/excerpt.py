"""The world of one real excerpt: six seconds of The Easton Ellises' "Falcon 69", which come with the package stempeg.

It is the one real song that every machine has. All of it is for testing: nothing may be trained on it. Where the
song was cut, at both ends of the file, all stems click at once: its first and last `CUT_S` are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from srcsep_core.config import resolved
from srcsep_core.data.base import Split, register_world
from srcsep_core.data.frames import Cut
from srcsep_core.data.musdb18 import stems_at
from srcsep_core.data.stem_classes import StemWorld
from srcsep_core.data.tracks import excerpt
from srcsep_core.errors import InputError

CUT_S = 0.1
TRAINED_ON = {"excerpt_16k": "songs_16k", "excerpt_8k": "songs_8k", "excerpt_released": "musdb18_released"}
CUTS = {
    "excerpt_16k": Cut(16_000, 16_000),
    "excerpt_8k": Cut(8_000, 8_000),
    "excerpt_released": Cut(14_700, 16_384, channel="left", normalised=True),
}


@dataclass(frozen=True)
class ExcerptWorld(StemWorld):
    """Stretches of the excerpt: `variant` is one of `CUTS`."""

    name: ClassVar[str] = "excerpt"
    rates: ClassVar[Mapping[str, int]] = {variant: cut.sample_rate for variant, cut in CUTS.items()}

    variant: str = "excerpt_16k"

    @property
    def trained_on(self) -> str:
        """Songs at the same rate."""
        return TRAINED_ON[self.variant]

    @property
    def typical_rms(self) -> Mapping[str, float]:
        """That of each stem."""
        return dict(zip(self.sources, self.whole.square().mean(dim=1).sqrt().tolist(), strict=True))

    @property
    def whole(self) -> Tensor:
        """All of it, (K, T)."""
        return self.own(_stems(self.variant))

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

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Its fields, the size of the file, and what is left out."""
        return {**resolved(self), "bytes": excerpt().size, "cut_s": CUT_S}


@cache
def _stems(variant: str) -> Tensor:
    cut = CUTS[variant]
    stems, _ = stems_at(excerpt(), cut)
    edge = round(CUT_S * cut.sample_rate)
    end = min(map(len, stems)) - edge
    return torch.stack([cut.prepared(stem[edge:end]) for stem in stems])


register_world(ExcerptWorld.name, ExcerptWorld, tuple(CUTS))
