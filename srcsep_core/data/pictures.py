"""Worlds of pictures: what separates sounds from their spectrograms separates pictures that lie on each other too.

A picture is its pixels in a row, values in [0, 1], rows of the picture one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from srcsep_core.data.base import World
from srcsep_core.errors import InputError


@dataclass(frozen=True)
class PictureWorld(World):
    """A world whose signals are pictures of `height` x `width` pixels."""

    variant: str
    sources: tuple[str, ...]

    @property
    def height(self) -> int:
        """Rows of a picture."""
        return self.size[0]

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.size[1]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        raise NotImplementedError

    @property
    def sample_rate(self) -> int:
        """There is none; raises `InputError`."""
        raise InputError(f"{self.variant} is a world of pictures, which have no sample rate; name a variant of sounds")

    @property
    def typical_rms(self) -> Mapping[str, float]:
        """The root mean square of a source's pixels, about."""
        return dict.fromkeys(self.sources, 0.45)

    def check_length(self, length: int) -> None:
        """Raise `InputError` unless `length` is that of a whole picture."""
        if length != self.height * self.width:
            raise InputError(
                f"the length is {length} but a picture of {self.variant} has {self.height * self.width} pixels; "
                f"use {self.height * self.width}"
            )
