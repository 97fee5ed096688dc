"""Which of the recorded notes are one recording at several pitches: data/notes/shared.csv.

    python scripts/shared_recordings.py

A soundfont plays one sample at neighbouring keys. Two notes of one recording are told by the highest value of their
cross-correlation, once one is brought to the other's pitch; whoever splits notes keeps those together.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd

from srcsep_core.data.single_notes import RATES, SHARED, SHIFTS, pitched, played
from srcsep_core.paths import project_root

ALIKE = 0.9
"""From here on two notes are of one recording. Of notes of one instrument few lie between 0.8 and 0.95."""
SAMPLES = 6000
RATE = RATES["notes_5k"]


@click.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), default=project_root() / "data" / "notes" / SHARED)
def main(out: Path) -> None:
    """Compare all notes at most four semitones apart, and number the recordings."""
    shared_recordings().to_csv(out, index=False)
    click.echo(out)


def shared_recordings() -> pd.DataFrame:
    """Columns instrument, key, recording: a number, the same for notes of which each is like another."""
    notes = [(one.name, key) for one in pitched() for key in one.keys]
    heads = {note: note for note in notes}

    def head(note: tuple[str, int]) -> tuple[str, int]:
        while heads[note] != note:
            note = heads[note]
        return note

    for first, second in alike(notes):
        early, late = sorted((head(first), head(second)), key=notes.index)
        heads[late] = early
    numbers = {note: place for place, note in enumerate(dict.fromkeys(map(head, notes)))}
    rows = [{"instrument": name, "key": key, "recording": numbers[head((name, key))]} for name, key in notes]
    return pd.DataFrame(rows)


def alike(notes: list[tuple[str, int]]) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    """The pairs of notes that are of one recording."""
    size = 1 << int(np.ceil(np.log2(2 * SAMPLES)))
    found = []
    for shift in SHIFTS:
        moved = {note: _spectrum(*note, shift, size) for note in notes}
        still = {note: _spectrum(*note, 0, size) for note in notes} if shift else moved
        for first in notes:
            for second in notes:
                if second != first and second[1] == first[1] + shift:
                    correlation = np.fft.irfft(np.conj(moved[first]) * still[second], size)
                    if np.abs(correlation).max() > ALIKE:
                        found.append((first, second))
    return found


def _spectrum(instrument: str, key: int, shift: int, size: int) -> np.ndarray:
    """Of the beginning of a note, of unit energy, so many semitones higher."""
    beginning = played(instrument, key, RATE, shift)[:SAMPLES]
    return np.asarray(np.fft.rfft(beginning / np.linalg.norm(beginning), size))


if __name__ == "__main__":
    main()
