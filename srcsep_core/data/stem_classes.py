"""The four classes of stems that songs are made of, as musdb18 has them (Rafii et al. 2017), and worlds of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from srcsep_core.config import check_choice
from srcsep_core.data.base import World
from srcsep_core.errors import InputError

SOURCES = ("drums", "bass", "other", "vocals")
COLOURS = {"drums": "#4D2A0E", "bass": "#00796B", "other": "#8E7CC3", "vocals": "#E8B4B8"}
USUAL_RMS = 0.075  # of a stem of a song, about, over all classes
TOY_RMS = 0.65


@dataclass(frozen=True)
class StemWorld(World):
    """A world of songs: its `sources` are some of the classes, and the stems of a draw are of one place in one song.

    `rates` has the sample rate (Hz) of each of its variants, the default first.
    """

    aligned: ClassVar[bool] = True
    steady: ClassVar[bool] = False
    rates: ClassVar[Mapping[str, int]]

    variant: str
    sources: tuple[str, ...] = SOURCES

    def __post_init__(self) -> None:
        check_choice(f"{self.name} variant", self.variant, tuple(self.rates))
        if not self.sources or set(self.sources) - set(SOURCES) or len(set(self.sources)) < len(self.sources):
            raise InputError(
                f"the {self.name} sources {', '.join(self.sources) or 'none given'} are not some of "
                f"{', '.join(SOURCES)}, each once; name them so"
            )

    @property
    def sample_rate(self) -> int:
        """Samples per second (Hz)."""
        return self.rates[self.variant]

    @property
    def unit(self) -> float:
        """The ratio of its usual stem to a source of the toy world (root mean squares)."""
        return USUAL_RMS / TOY_RMS

    @property
    def colours(self) -> Mapping[str, str]:
        """Those of the stems in all figures."""
        return COLOURS

    def only(self, sources: Sequence[str]) -> Self:
        """The same world with some of its stems."""
        return replace(self, sources=tuple(sources))

    def own(self, stems: Tensor) -> Tensor:
        """Of all four stems (..., 4, T) those of this world, in its order: (..., K, T)."""
        return stems.index_select(-2, torch.tensor([SOURCES.index(name) for name in self.sources], device=stems.device))
