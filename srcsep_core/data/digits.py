"""The world of handwritten digits of 8 x 8 pixels, which come with scikit-learn.

| variant         | sources                          |
|-----------------|----------------------------------|
| `digits`        | `digit`: any of the ten          |
| `digits_halves` | `low`: 0 to 4; `high`: 5 to 9    |

Source: Alpaydin & Kaynak 1998, "Optical recognition of handwritten digits" (UCI), the 1 797 pictures of its test part.
Every picture is in one split: 1 200 to train on, 200 to validate, 397 to test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor

from srcsep_core.config import check_choice
from srcsep_core.data.base import Split, distinct, register_world
from srcsep_core.data.pictures import PictureWorld
from srcsep_core.errors import InputError

SOURCES = {"digits": ("digit",), "digits_halves": ("low", "high")}
DIGITS = {"digit": tuple(range(10)), "low": (0, 1, 2, 3, 4), "high": (5, 6, 7, 8, 9)}
COLOURS = {"digit": "#7B3294", "low": "#A6761D", "high": "#C2A5CF"}
FULL = 16.0
SPLIT_SEED = 6
ENDS = {"train": (0, 1200), "validation": (1200, 1400), "test": (1400, 1797)}


@dataclass(frozen=True)
class DigitWorld(PictureWorld):
    """Handwritten digits: `variant` is one of `SOURCES`, `sources` some of its sources."""

    name: ClassVar[str] = "digits"
    aligned: ClassVar[bool] = True

    variant: str = "digits"
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("digits variant", self.variant, SOURCES)
        known = SOURCES[self.variant]
        object.__setattr__(self, "sources", self.sources or known)
        if set(self.sources) - set(known):
            raise InputError(f"{self.variant} has the sources {', '.join(known)}, not {', '.join(self.sources)}")

    @property
    def size(self) -> tuple[int, int]:
        """8 x 8 pixels."""
        return 8, 8

    @property
    def trained_on(self) -> str:
        """Its own variant for the halves: one of them is seen there, and the other is not."""
        return self.variant

    @property
    def colours(self) -> Mapping[str, str]:
        """The colour of each source in figures."""
        return {name: COLOURS[name] for name in SOURCES[self.variant]}

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train") -> Tensor:
        """Pictures (batch, K, 64) of a split, each drawn among all of its source; no row has one twice."""
        return self.draw_named(batch, length, generator, split=split)[0]

    def draw_named(
        self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train"
    ) -> tuple[Tensor, Tensor]:
        """The same, and which digit each picture is of, (batch, K)."""
        self.check_length(length)
        pictures, digits = (part[slice(*ENDS[split])].to(generator.device) for part in _pictures())
        chosen = torch.empty(batch, len(self.sources), dtype=torch.long, device=generator.device)
        for source in dict.fromkeys(self.sources):
            places = [k for k, name in enumerate(self.sources) if name == source]
            own = torch.isin(digits, torch.tensor(DIGITS[source], device=digits.device)).nonzero()[:, 0]
            chosen[:, places] = own[distinct(batch, len(places), len(own), generator)]
        return pictures[chosen], digits[chosen]

    def only(self, sources: Sequence[str]) -> DigitWorld:
        """The same world with some of its sources."""
        return replace(self, sources=tuple(sources))


@cache
def _pictures() -> tuple[Tensor, Tensor]:
    """All pictures (1797, 64) with values in [0, 1], and their digits (1797,), in an order drawn once."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = torch.randperm(len(found.data), generator=torch.Generator().manual_seed(SPLIT_SEED))
    return torch.from_numpy(found.data / FULL).float()[order], torch.from_numpy(found.target)[order]


register_world(DigitWorld.name, DigitWorld, tuple(SOURCES))
