"""Recorded notes of instruments: what rendered songs are made of.

They lie in `data/notes`, one FLAC file an instrument (mono, 16 kHz) and a table of where each note begins;
`scripts/record_notes.py` made them. `known` instruments are for training; no other instrument shares a recording with
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import resample as stretched

from srcsep_core.audio import read_audio, resample
from srcsep_core.errors import InputError
from srcsep_core.paths import project_root

RATE = 16_000
FULL_VELOCITY = 112
LOUDNESS = 0.1  # root mean square of the first second of a note, of the mean over an instrument's notes

Wave = np.ndarray


@dataclass(frozen=True)
class Instrument:
    """A recorded instrument, or a kit of drums: the source it plays, the keys (MIDI) and velocities that there are."""

    name: str
    source: str
    family: str
    known: bool
    keys: tuple[int, ...]
    velocities: tuple[int, ...]

    @property
    def loop(self) -> bool:
        """Whether it is a recorded loop, its key the number of beats."""
        return self.name.startswith("loop_")


class NoteBank:
    """The notes of a folder at a sample rate, which divides 16 kHz; read and shifted when first asked for."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        table = folder / "notes.csv"
        if not table.exists():
            raise InputError(f"{table} is missing; clone the project, its data/notes holds the recorded notes")
        if sample_rate < 1 or RATE % sample_rate:
            raise InputError(f"notes are recorded at {RATE} Hz and {sample_rate} does not divide it; use {RATE // 2}")
        self.folder, self.sample_rate = folder, sample_rate
        self.table = pd.read_csv(table)
        self._files: dict[str, dict[tuple[int, int], Wave]] = {}
        self._notes: dict[tuple[str, int, int], Wave] = {}

    @cached_property
    def instruments(self) -> dict[str, Instrument]:
        """All instruments by name, in the order of the table."""
        found = {}
        for name, rows in self.table.groupby("instrument", sort=False):
            about = rows.to_dict("records")
            found[str(name)] = Instrument(
                str(name),
                about[0]["source"],
                about[0]["family"],
                about[0]["known"],
                tuple(sorted({row["key"] for row in about})),
                tuple(sorted({row["velocity"] for row in about})),
            )
        return found

    def of(self, source: str, known: bool) -> Sequence[Instrument]:
        """The instruments that play a source."""
        return [one for one in self.instruments.values() if (one.source, one.known) == (source, known)]

    def note(self, instrument: str, key: int, velocity: int = FULL_VELOCITY) -> Wave:
        """One note (samples,) as it sounds at a velocity: the nearest recording, shifted to the key, and its level.

        Drums are not shifted. A key far from what was recorded is folded into its range by octaves.
        """
        about = self.instruments[instrument]
        layer = min(about.velocities, key=lambda recorded: abs(recorded - velocity))
        if (instrument, key, layer) not in self._notes:
            self._notes[instrument, key, layer] = self._shifted(about, key, layer)
        return self._notes[instrument, key, layer] * np.float32((velocity / layer) ** 1.5)

    def _shifted(self, about: Instrument, key: int, layer: int) -> Wave:
        notes = self._file(about.name)
        if about.source == "drums":
            return notes[key, layer]
        while key < about.keys[0] - 2:
            key += 12
        while key > about.keys[-1] + 2:
            key -= 12
        nearest = min(about.keys, key=lambda recorded: abs(recorded - key))
        recorded = notes[nearest, layer]
        if key == nearest:
            return recorded
        length = round(len(recorded) * 2 ** ((nearest - key) / 12))
        return np.asarray(stretched(recorded, length), np.float32)

    def _file(self, name: str) -> dict[tuple[int, int], Wave]:
        """The notes of an instrument at the bank's rate by key and velocity, at the usual loudness."""
        if name not in self._files:
            whole = read_audio(self.folder / f"{name}.flac").samples
            notes = {}
            for row in self.table[self.table["instrument"] == name].to_dict("records"):
                note = whole[:, row["start"] : row["start"] + row["length"]]
                lower = resample(note, from_rate=RATE, to_rate=self.sample_rate)
                notes[row["key"], row["velocity"]] = lower[0].numpy()
            levels = [float(np.square(note[: self.sample_rate]).mean()) for note in notes.values()]
            scale = np.float32(LOUDNESS / np.sqrt(np.mean(levels)))
            self._files[name] = {which: note * scale for which, note in notes.items()}
        return self._files[name]


@cache
def note_bank(sample_rate: int) -> NoteBank:
    """The project's recorded notes at a sample rate."""
    return NoteBank(project_root() / "data" / "notes", sample_rate)
