"""The recorded notes: all there, in tune, and known instruments apart from the others."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from srcsep_core.data.notes import LOUDNESS, Instrument, NoteBank, note_bank
from srcsep_core.data.stem_classes import SOURCES
from srcsep_core.errors import InputError
from srcsep_core.paths import project_root

FOLDER = project_root() / "data" / "notes"
BANK = note_bank(16_000)
PITCHED = [one for one in BANK.instruments.values() if one.source != "drums"]


def cents_off(note: np.ndarray, key: int, rate: int) -> float:
    """How far the partials of a note lie from the multiples of its key's frequency: the best comb near it, in cents."""
    spectrum = np.abs(np.fft.rfft(note * np.hanning(len(note)), 1 << 17))
    bins = np.fft.rfftfreq(1 << 17, 1 / rate)
    offsets = np.arange(-600, 601, 5)

    def strength(offset: int) -> float:
        base = 440 * 2 ** ((key - 69 + offset / 100) / 12)
        places = [np.argmin(np.abs(bins - base * k)) for k in range(1, 9) if base * k < rate / 2]
        return float(np.sum(np.log(spectrum[places] + 1e-4)))

    return float(offsets[int(np.argmax([strength(int(offset)) for offset in offsets]))])


def test_every_source_has_instruments_that_are_known_and_others() -> None:
    for source in SOURCES:
        known, others = BANK.of(source, known=True), BANK.of(source, known=False)
        assert len(known) >= 3 and len(others) >= 1
        assert not {one.name for one in known} & {one.name for one in others}


def test_every_family_comes_with_its_licence() -> None:
    for family in {one.family for one in BANK.instruments.values()}:
        assert len((FOLDER / "licences" / f"{family}.txt").read_text()) > 300


def test_table_covers_every_file_to_its_last_sample() -> None:
    table = pd.read_csv(FOLDER / "notes.csv")
    assert {f"{name}.flac" for name in table["instrument"]} == {file.name for file in FOLDER.glob("*.flac")}
    for name, rows in table.groupby("instrument"):
        ends = rows["start"] + rows["length"]
        assert rows["start"].tolist() == [0, *ends[:-1]]
        assert soundfile.info(FOLDER / f"{name}.flac").frames == ends.iloc[-1]


@pytest.mark.parametrize("one", PITCHED, ids=lambda one: one.name)
def test_notes_are_in_tune_as_recorded_and_shifted(one: Instrument) -> None:
    middle = one.keys[len(one.keys) // 2]
    for key in (middle, middle + 1):
        assert abs(cents_off(BANK.note(one.name, key), key, BANK.sample_rate)) <= 30


def test_keys_out_of_range_are_folded_by_octaves() -> None:
    np.testing.assert_array_equal(BANK.note("flute", 30), BANK.note("flute", 66))


def test_velocity_changes_the_level_and_kits_the_recording() -> None:
    loud, soft = BANK.note("piano", 60, 112), BANK.note("piano", 60, 56)
    np.testing.assert_allclose(soft, loud * 0.5**1.5, rtol=1e-5)
    assert len(BANK.note("kit_recorded", 38, 112)) != len(BANK.note("kit_recorded", 38, 50))


def test_instruments_are_equally_loud() -> None:
    for one in BANK.instruments.values():
        levels = [np.square(BANK.note(one.name, key)[: BANK.sample_rate]).mean() for key in one.keys]
        assert 0.5 * LOUDNESS < np.sqrt(np.mean(levels)) < 2 * LOUDNESS


def test_lower_rate_keeps_the_notes_length() -> None:
    for name, key in (("piano", 61), ("kit_jazz", 36)):
        assert abs(2 * len(note_bank(8_000).note(name, key)) - len(BANK.note(name, key))) <= 3


@pytest.mark.parametrize("rate", [0, 44_100, 5_000])
def test_rate_that_does_not_divide_is_refused(rate: int) -> None:
    with pytest.raises(InputError, match=str(rate)):
        NoteBank(FOLDER, rate)


def test_folder_without_notes_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"notes\.csv is missing; clone"):
        NoteBank(tmp_path, 8_000)


def test_recordings_are_those_that_the_version_of_the_songs_means() -> None:
    """Whoever changes a recording raises `data.rendered.VERSION` and this digest with it."""
    digest = hashlib.sha256()
    for file in sorted([*FOLDER.glob("*.flac"), FOLDER / "notes.csv"]):
        digest.update(file.read_bytes())
    assert digest.hexdigest()[:16] == "4f65a7bc0661f5bc"
