"""The world of single notes: recorded notes of all instruments that have pitch, each from where it begins.

| variant    | sample rate |
|------------|-------------|
| `notes_5k` | 5 500 Hz    |

Every recording is in one split, with all keys that it is played at: a soundfont plays one sample at neighbouring keys
(`data/notes/shared.csv`, made by `scripts/shared_recordings.py`). Of each instrument's recordings, in the order of
their lowest keys, the last of every four is for testing, the sixth of every eight for validation. Those to train on are
also played up to four semitones higher and lower; of the others no pitch is changed.

Neri, Badeau & Depalle 2021 (EUSIPCO) take the McGill University Master Samples at this rate, which are not free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from scipy.signal import resample as stretched
from torch import Tensor
from torch.nn.functional import pad

from srcsep_core.config import check_choice
from srcsep_core.data.base import Split, World, distinct, register_world
from srcsep_core.data.notes import RATE, Instrument, Wave, note_bank
from srcsep_core.errors import InputError

RATES = {"notes_5k": 5_500}
NOTE, COLOUR = "note", "#556B2F"
RMS = 0.1
GAIN_DB = 3.0  # either way
SHIFTS = range(-4, 5)  # semitones, of what is trained on
LONGEST = 8192  # samples: a second and a half
TOY_RMS = 0.65
SHARED = "shared.csv"

Recording = tuple[str, int]
"""An instrument and a key."""


@dataclass(frozen=True)
class NoteWorld(World):
    """Single notes: `variant` is one of `RATES`, and every one of the `sources` a note."""

    name: ClassVar[str] = "notes"
    aligned: ClassVar[bool] = True
    steady: ClassVar[bool] = False

    variant: str = "notes_5k"
    sources: tuple[str, ...] = (NOTE,)

    def __post_init__(self) -> None:
        check_choice("notes variant", self.variant, RATES)
        if set(self.sources) != {NOTE}:
            raise InputError(f"every source of the notes is a {NOTE}, not {', '.join(self.sources)}; name them so")

    @property
    def sample_rate(self) -> int:
        """Samples per second (Hz)."""
        return RATES[self.variant]

    @property
    def typical_rms(self) -> Mapping[str, float]:
        """The root mean square of a note."""
        return {NOTE: RMS}

    @property
    def unit(self) -> float:
        """The ratio of a note to a source of the toy world (root mean squares)."""
        return RMS / TOY_RMS

    @property
    def colours(self) -> Mapping[str, str]:
        """The colour of notes in figures."""
        return {NOTE: COLOUR}

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train") -> Tensor:
        """The first `length` samples of notes, (batch, K, length), silent where a note is over.

        Every recording of the split is as likely as another, and no row has one twice, unless at another pitch (`train`
        alone). A note's root mean square is `RMS`, times a gain drawn evenly between 3 dB less and 3 dB more; peaks
        beyond 1 are then cut.
        """
        return self.draw_named(batch, length, generator, split=split)[0]

    def draw_named(
        self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train"
    ) -> tuple[Tensor, list[list[Recording]]]:
        """The same, and the recordings of each row."""
        if not 1 <= length <= LONGEST:
            raise InputError(f"the length is {length} samples; notes have 1 to {LONGEST}")
        recordings, sounds = _sounds(self.sample_rate, split)
        chosen = distinct(batch, len(self.sources), len(sounds), generator)
        gain = torch.rand(batch, len(self.sources), 1, generator=generator, device=generator.device)
        x = sounds.to(generator.device)[chosen, :length]
        loudness = x.square().mean(dim=2, keepdim=True).sqrt().clamp(min=1e-9)
        scale = RMS * 10 ** (GAIN_DB * (2 * gain - 1) / 20)
        named = [[recordings[index] for index in row] for row in chosen.tolist()]
        return (x / loudness * scale).clamp(-1, 1), named

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What signals depend on, and that splits are those of recordings."""
        return {**super().fingerprint, "splits": SHARED}

    def only(self, sources: Sequence[str]) -> NoteWorld:
        """As many notes at a time."""
        return NoteWorld(self.variant, tuple(sources))


def recordings(split: Split) -> list[Recording]:
    """The recordings of a split with the keys they are played at; no two splits share one."""
    return [note for note, own in _splits().items() if own == split]


def pitched() -> list[Instrument]:
    """The instruments that have notes."""
    return [one for one in note_bank(RATE).instruments.values() if one.source != "drums"]


def played(instrument: str, key: int, sample_rate: int, shift: int = 0) -> Wave:
    """A recorded note (samples,) at a sample rate, so many semitones higher."""
    recorded = note_bank(RATE).note(instrument, key)
    samples = round(len(recorded) * sample_rate / RATE / 2 ** (shift / 12))  # fewer of them sound higher
    return np.asarray(stretched(recorded, samples))


@cache
def _splits() -> dict[Recording, Split]:
    """The split of every note, in the order of the bank."""
    shared = pd.read_csv(note_bank(RATE).folder / SHARED)
    notes = zip(shared["instrument"].tolist(), shared["key"].tolist(), strict=True)
    number: dict[Recording, int] = dict(zip(notes, shared["recording"].tolist(), strict=True))
    found: dict[int, Split] = {}
    for one in pitched():
        new = dict.fromkeys(n for key in one.keys if (n := number[one.name, key]) not in found)
        found |= {recording: _split(place) for place, recording in enumerate(new)}
    return {note: found[recording] for note, recording in number.items()}


def _split(place: int) -> Split:
    if place % 4 == 3:
        return "test"
    return "validation" if place % 8 == 5 else "train"


@cache
def _sounds(sample_rate: int, split: Split) -> tuple[list[Recording], Tensor]:
    """The notes of a split, a row a recording and pitch: what each is of, and (notes, LONGEST)."""
    named, sounds = [], []
    for instrument, key in recordings(split):
        for shift in SHIFTS if split == "train" else (0,):
            sound = torch.from_numpy(played(instrument, key, sample_rate, shift)[:LONGEST]).float()
            named.append((instrument, key))
            sounds.append(pad(sound, (0, LONGEST - len(sound))))
    return named, torch.stack(sounds)


register_world(NoteWorld.name, NoteWorld, tuple(RATES))
