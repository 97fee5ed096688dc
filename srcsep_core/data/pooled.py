"""All sources of a world as one: what a background model, which is to know no class, is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from srcsep_core.data.base import Split, World
from srcsep_core.errors import InputError

POOLED = "any"


@dataclass(frozen=True)
class PooledWorld(World):
    """One source, `any`: each of its signals is of some source of the world `of`, all equally often."""

    name: ClassVar[str] = "pooled"

    of: World
    sources: tuple[str, ...] = (POOLED,)

    @property
    def variant(self) -> str:  # type: ignore[override]
        """Named after the world's."""
        return f"any-{self.of.variant}"

    @property
    def trained_on(self) -> str:
        """The world's: its plans have the background."""
        return self.of.trained_on

    @property
    def sample_rate(self) -> int:
        """That of the world."""
        return self.of.sample_rate

    @property
    def unit(self) -> float:
        """That of the world."""
        return self.of.unit

    @property
    def typical_rms(self) -> Mapping[str, float]:
        """The root mean square over the world's sources."""
        squares = [rms**2 for rms in self.of.typical_rms.values()]
        return {POOLED: (sum(squares) / len(squares)) ** 0.5}

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train") -> Tensor:
        """Signals (batch, 1, length), of as many draws of the world."""
        every = self.of.draw(batch, length, generator, split=split)
        chosen = torch.randint(every.shape[1], (batch,), generator=generator, device=every.device)
        return every[torch.arange(batch, device=every.device), chosen][:, None]

    def only(self, sources: Sequence[str]) -> PooledWorld:
        """Itself: it has one source."""
        if tuple(sources) != self.sources:
            raise InputError(f"the sources {', '.join(sources)} are not there; all are one, {POOLED!r}")
        return self

    @property
    def fingerprint(self) -> dict[str, Any]:
        """That of the world whose sources it has."""
        return {"pooled": self.of.fingerprint}
