"""The world of rendered songs: recorded notes of real instruments, played from scores drawn without end.

| variant           | sample rate | instruments                                              |
|-------------------|-------------|----------------------------------------------------------|
| `songs_8k`        | 8 000 Hz    | known: those that priors are trained on                  |
| `songs_16k`       | 16 000 Hz   | the same                                                 |
| `instruments_8k`  | 8 000 Hz    | others, no recording of which was heard in training      |
| `instruments_16k` | 16 000 Hz   | the same                                                 |

Songs are split by number: no song of a test set is one of training or validation. The stems of a draw are of one song,
at one place in it. The classes are musdb18's, and nothing here is musdb18.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from srcsep_core.config import resolved
from srcsep_core.data.base import Split, register_world
from srcsep_core.data.notes import NoteBank, note_bank
from srcsep_core.data.songs import compose, play
from srcsep_core.data.stem_classes import StemWorld
from srcsep_core.errors import InputError

RATES = {"songs_8k": 8_000, "songs_16k": 16_000, "instruments_8k": 8_000, "instruments_16k": 16_000}
VERSION = 1
"""Raised when the same numbers give other songs."""
SONG_S = 180.0
PLACES = {"train": tuple(range(8)), "validation": (8,), "test": (9,)}  # last digits of a song's number
TYPICAL_RMS = {"drums": 0.055, "bass": 0.07, "other": 0.085, "vocals": 0.08}
SILENT_RMS = 2e-3
TRIES = 20


@dataclass(frozen=True)
class RenderedWorld(StemWorld):
    """Songs of recorded notes: `variant` is one of `RATES`."""

    name: ClassVar[str] = "rendered"
    rates: ClassVar[Mapping[str, int]] = RATES

    variant: str = "songs_8k"

    @property
    def known(self) -> bool:
        """Whether its instruments are those that priors are trained on."""
        return self.variant.startswith("songs")

    @property
    def trained_on(self) -> str:
        """The known instruments at the same rate."""
        return self.variant.replace("instruments", "songs")

    @property
    def typical_rms(self) -> Mapping[str, float]:
        """The median root mean square of each stem over stretches of two seconds of known instruments."""
        return {source: TYPICAL_RMS[source] for source in self.sources}

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train") -> Tensor:
        """Stretches of songs (batch, K, length), all stems of a row of one song; hardly ever a silent one."""
        if length < 1:
            raise InputError(f"the length is {length} samples; use at least 1")
        bank = note_bank(self.sample_rate)
        draws = torch.rand(batch, TRIES, 2, generator=generator, device=generator.device, dtype=torch.float64)
        rows = [self._stretch(bank, row, length, split) for row in draws.cpu().numpy()]
        return torch.from_numpy(np.stack(rows)).to(generator.device)

    def _stretch(self, bank: NoteBank, draws: np.ndarray, length: int, split: Split) -> np.ndarray:
        """The first stretch whose stems all sound, else the last one tried: (K, length)."""
        stems = np.zeros((len(self.sources), length), np.float32)
        for song_draw, place in draws:
            ends = PLACES[split]
            number = 10 * int(song_draw * 2**26) + ends[int(place * 2**20) % len(ends)]
            song = compose(number, bank, known=self.known)
            start = int(place * SONG_S * self.sample_rate)
            for k, source in enumerate(self.sources):
                stems[k] = play(song, source, bank, start, length)
            if np.sqrt(np.square(stems).mean(axis=1)).min() > SILENT_RMS:
                break
        return stems

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Its fields, and the version of the songs."""
        return {**resolved(self), "songs": VERSION}


register_world(RenderedWorld.name, RenderedWorld, tuple(RATES))
