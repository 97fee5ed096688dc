"""Songs: determined by their number, any stretch of any stem by itself, in key, and in time with one another."""

from dataclasses import replace

import numpy as np
import pytest

from srcsep_core.data.notes import note_bank
from srcsep_core.data.songs import SECTION, Song, bar_of, compose, play
from srcsep_core.data.stem_classes import SOURCES

RATE = 8_000
BANK = note_bank(RATE)
NUMBERS = (3, 12, 40, 71)


@pytest.fixture(params=NUMBERS)
def song(request: pytest.FixtureRequest) -> Song:
    return compose(request.param, BANK)


@pytest.mark.parametrize("source", SOURCES)
def test_stretch_is_the_same_whatever_surrounds_it(song: Song, source: str) -> None:
    whole = play(song, source, BANK, 5 * RATE, 4 * RATE)
    part = play(song, source, BANK, 6 * RATE + 123, RATE)
    np.testing.assert_allclose(whole[RATE + 123 : 2 * RATE + 123], part, atol=2e-6)


def test_song_begins_without_what_would_be_before_it(song: Song) -> None:
    assert all(np.isfinite(play(song, source, BANK, 0, 100)).all() for source in SOURCES)


def test_numbers_give_other_songs() -> None:
    first = [play(compose(number, BANK), "bass", BANK, 0, RATE) for number in NUMBERS]
    assert all(np.abs(one - other).max() > 0.01 for k, one in enumerate(first) for other in first[:k])


def test_stems_share_the_scale(song: Song) -> None:
    """All keys but the bass' passing notes are of the song's scale, and so are those."""
    scale = {(song.root + step) % 12 for step in song.scale}
    for source in ("bass", "other", "vocals"):
        keys = {note.key for bar in range(16) for note in bar_of(song, source, bar)}
        assert keys and {key % 12 for key in keys} <= scale


def test_beat_is_heard_in_the_drums(song: Song) -> None:
    """The kick falls on the beginning of every bar but of none that a fill cut short."""
    for bar in range(SECTION):
        starts = [note.start_s for note in bar_of(song, "drums", bar)]
        assert min(starts) < 0.02 and max(starts) < song.bar_s * 1.05


def test_sections_repeat_and_differ(song: Song) -> None:
    def keys(bar: int) -> list[int]:
        return [note.key for note in bar_of(song, "bass", bar)]

    same = [keys(bar) for bar in range(4)]
    assert same == [keys(bar + 2 * SECTION) for bar in range(4)]
    assert same[:3] == [keys(bar + 4) for bar in range(3)], "the fourth leads to the next section"
    assert any(same[bar] != keys(bar + SECTION) for bar in range(4)) or song.sections[0] == song.sections[1]


def test_notes_played_are_notes_heard() -> None:
    """A stem without room and tuning is the sum of its notes, each at its time."""
    song = compose(12, BANK)
    plain = replace(song, tuning=1.0, wet=dict.fromkeys(SOURCES, 0.0), gains=dict.fromkeys(SOURCES, 1.0))
    heard = play(plain, "bass", BANK, 0, RATE)
    expected = np.zeros(RATE)
    for note in bar_of(plain, "bass", 0):
        wave = BANK.note(song.players["bass"].name, note.key, note.velocity)
        at = round(note.start_s * RATE)
        held = min(int(note.held_s * RATE), len(wave), RATE - at)
        if held > 0:
            expected[at : at + held] += wave[:held]
    first = round(min(note.held_s for note in bar_of(plain, "bass", 0)) * RATE)
    np.testing.assert_allclose(heard[:first], expected[:first], atol=1e-6)


def test_tuning_is_that_ratio() -> None:
    """A long note's strongest frequency moves by the tuning."""
    song = replace(compose(12, BANK), wet=dict.fromkeys(SOURCES, 0.0))

    def peak(tuning: float) -> float:
        stem = play(replace(song, tuning=tuning), "bass", BANK, 0, 2 * RATE)
        return float(np.argmax(np.abs(np.fft.rfft(stem * np.hanning(len(stem)), 1 << 18))))

    assert peak(1.01) / peak(1.0) == pytest.approx(1.01, abs=0.002)
