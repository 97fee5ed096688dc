"""Songs made of recorded notes: a score by a few rules of popular music, and its stems played from a bank of notes.

A song is determined by its number, without end in time, and any stretch of any stem can be played by itself: every bar
is drawn from the song's number, its section and its place in it. All stems of a song share tempo, key and chords. The
sources are musdb18's four classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.signal import fftconvolve

from srcsep_core.data.notes import Instrument, NoteBank, Wave
from srcsep_core.data.stem_classes import SOURCES

T = TypeVar("T")
STEPS = 16  # of a bar of four beats
SECTION = 8  # bars
LONGEST_S = 2.6  # of a note, and what sounds before a stretch for it to sound into it
FADE_S = 0.05
ROOM_S = 0.4  # longer than any room
TAPS = 8
LEVELS = {"drums": 0.4, "bass": 1.0, "other": 1.0, "vocals": 1.0}  # drums peak ten times above their mean

MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
PROGRESSIONS = (
    (0, 4, 5, 3),
    (0, 5, 3, 4),
    (5, 3, 0, 4),
    (0, 3, 4, 4),
    (0, 0, 3, 4),
    (1, 4, 0, 5),
    (0, 2, 3, 4),
    (0, 6, 5, 4),
)
RHYTHMS = {
    "drums": ((0, 8), (0, 6, 8), (0, 7, 10), (0, 4, 8, 12), (0, 3, 8, 11), (0, 10)),
    "bass": ((0, 8), (0, 4, 8, 12), tuple(range(0, 16, 2)), (0, 3, 6, 8, 11, 14), (0, 6, 8, 14), (0, 7, 8, 12)),
    "vocals": ((0, 4, 8), (0, 6, 8, 12), (0, 3, 6, 8, 12), (2, 4, 8, 14), (0, 8), (0, 2, 4, 8, 10)),
    "other": ((0, 8), (0, 4, 8, 12), (0, 6, 12), (2, 6, 10, 14), (0, 3, 6, 10, 12)),
}
LEADS = ("alto_sax", "clarinet", "flute", "trumpet")
KICK, STICK, SNARE, HAT, TOMS, OPEN_HAT, CRASH, RIDE = 36, 37, 38, 42, (50, 47, 45), 46, 49, 51


class Dice:
    """Draws from whole numbers that say what for; of the generator only its uniform doubles are used."""

    def __init__(self, *what_for: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(list(what_for)))

    def between(self, low: float, high: float) -> float:
        """Uniform."""
        return low + (high - low) * float(self._generator.random())

    def among(self, choices: Sequence[T]) -> T:
        """One of them, each as likely."""
        return choices[int(self._generator.random() * len(choices))]

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return float(self._generator.random()) < probability


@dataclass(frozen=True)
class Note:
    """When a note begins in its bar (s), its key (MIDI), velocity, and when it is let go (s after its beginning)."""

    start_s: float
    key: int
    velocity: int
    held_s: float


@dataclass(frozen=True)
class Song:
    """What all its stems share, and who plays them.

    `tuning`: the ratio of its frequencies to the usual; `gains` and `wet`, the share of the room, by source.
    """

    number: int
    beat_s: float
    root: int
    scale: tuple[int, ...]
    sections: tuple[tuple[int, ...], tuple[int, ...]]
    swing: float
    tuning: float
    room_s: float
    players: Mapping[str, Instrument]
    gains: Mapping[str, float]
    wet: Mapping[str, float]

    @property
    def bar_s(self) -> float:
        """The length of a bar."""
        return 4 * self.beat_s

    def chord(self, bar: int) -> int:
        """The degree of the scale that the chord of a bar is built on."""
        progression = self.sections[self.section(bar)]
        return progression[bar % len(progression)]

    def section(self, bar: int) -> int:
        """Which of the two sections a bar belongs to."""
        return bar // SECTION % 2

    def key(self, degree: int, above: int) -> int:
        """The key (MIDI) of a degree of the scale, the first one at or above `above` plus its octaves."""
        octave, step = divmod(degree, len(self.scale))
        base = above + (self.root - above) % 12
        return base + 12 * octave + self.scale[step]


def compose(number: int, bank: NoteBank, *, known: bool = True) -> Song:
    """The song of a number, played by known instruments or by the others."""
    dice = Dice(number, 0)
    players = {source: dice.among(bank.of(source, known)) for source in SOURCES}
    beat = 60 / dice.between(76, 148)
    if players["drums"].loop:
        beat = len(bank.note(players["drums"].name, *_loop(players["drums"]))) / bank.sample_rate
        beat /= players["drums"].keys[0]
    return Song(
        number=number,
        beat_s=beat,
        root=int(dice.between(0, 12)),
        scale=dice.among((MAJOR, MINOR)),
        sections=(dice.among(PROGRESSIONS), dice.among(PROGRESSIONS)),
        swing=dice.among((0.0, 0.0, 0.15, 0.3)),
        tuning=2 ** (dice.between(-20, 20) / 1200),
        room_s=dice.between(0.05, 0.35),
        players=players,
        gains={source: LEVELS[source] * 10 ** (dice.between(-6, 6) / 20) for source in SOURCES},
        wet={source: dice.between(0.0, 0.3) for source in SOURCES},
    )


def _loop(player: Instrument) -> tuple[int, int]:
    return player.keys[0], player.velocities[0]


def bar_of(song: Song, source: str, bar: int) -> list[Note]:
    """The notes of one bar of a stem. What a section repeats is drawn once for it, small deviations for every bar."""
    repeated = Dice(song.number, 1 + SOURCES.index(source), song.section(bar), bar % 4)
    here = Dice(song.number, 5 + SOURCES.index(source), bar)
    pattern = Dice(song.number, 9 + SOURCES.index(source), song.section(bar))
    rhythm = pattern.among(RHYTHMS[source])
    notes = _PARTS[source](song, bar, rhythm, pattern, repeated, here)
    return [
        Note(
            max(0.0, note.start_s + here.between(-0.008, 0.008)),
            note.key,
            min(127, max(20, note.velocity + int(here.between(-10, 10)))),
            note.held_s,
        )
        for note in notes
    ]


def _at(song: Song, step: int) -> float:
    """When a step of a bar begins (s); every second one late by the swing."""
    late = song.swing * 0.5 if step % 2 == 1 else 0.0
    return (step + late) * song.bar_s / STEPS


def _lengths(rhythm: Sequence[int]) -> list[tuple[int, int]]:
    """The steps of a rhythm, each with how many steps it lasts."""
    return [(step, after - step) for step, after in zip(rhythm, [*rhythm[1:], STEPS], strict=True)]


def _drums(song: Song, bar: int, rhythm: Sequence[int], pattern: Dice, repeated: Dice, here: Dice) -> list[Note]:
    if song.players["drums"].loop:
        key, velocity = _loop(song.players["drums"])
        return [Note(0.0, key, velocity, song.bar_s)] if bar % (key // 4) == 0 else []
    cymbal, every = pattern.among((HAT, HAT, RIDE)), pattern.among((1, 2, 2, 4))
    snare = pattern.among((SNARE, SNARE, STICK))
    hits = [(step, KICK, 105) for step in rhythm] + [(4, snare, 108), (12, snare, 112)]
    hits += [(step, cymbal, 92 if step % 4 == 0 else 70) for step in range(0, STEPS, every)]
    hits += [(step, snare, 45) for step in (7, 9, 15) if repeated.chance(0.15)]
    if bar % SECTION == 0 and here.chance(0.7):
        hits.append((0, CRASH, 105))
    if bar % SECTION == SECTION - 1 and here.chance(0.6):
        hits = [hit for hit in hits if hit[0] < 12]
        hits += [(12 + index, TOMS[min(index, 2)], 100) for index in range(4)]
    elif pattern.chance(0.3):
        hits.append((14, OPEN_HAT, 80))
    return [Note(_at(song, step), key, velocity, LONGEST_S) for step, key, velocity in hits]


def _bass(song: Song, bar: int, rhythm: Sequence[int], pattern: Dice, repeated: Dice, here: Dice) -> list[Note]:
    root = song.chord(bar)
    tight = pattern.between(0.6, 1.0)
    notes = []
    for step, steps in _lengths(rhythm):
        degree = root if step == 0 else root + repeated.among((0, 0, 0, 4, 7, 2))
        if step >= 14 and repeated.chance(0.4):
            degree = song.chord(bar + 1) - 1
        key = song.key(degree, 28)
        notes.append(Note(_at(song, step), key - 12 if key > 52 else key, 100, tight * steps * song.bar_s / STEPS))
    return notes


def _vocals(song: Song, bar: int, rhythm: Sequence[int], pattern: Dice, repeated: Dice, here: Dice) -> list[Note]:
    centre, third = pattern.among((52, 55, 60, 64)), pattern.chance(0.35)
    sung = _lengths(rhythm)
    if bar % 4 == 3 and repeated.chance(0.6):
        sung = sung[:-1]
    degree = song.chord(bar) + repeated.among((0, 2, 4))
    notes = []
    for step, steps in sung:
        for up in (0, 2) if third else (0,):
            key = song.key(degree + up, centre)
            notes.append(Note(_at(song, step), key, 95, 0.97 * steps * song.bar_s / STEPS))
        degree += repeated.among((-2, -1, -1, 1, 1, 2))
        degree = min(max(degree, -2), 9)
    return notes


def _other(song: Song, bar: int, rhythm: Sequence[int], pattern: Dice, repeated: Dice, here: Dice) -> list[Note]:
    root, low = song.chord(bar), pattern.among((48, 52, 55))
    if song.players["other"].name in LEADS:
        return _vocals(song, bar, rhythm, pattern, repeated, here)
    chord = [root, root + 2, root + 4] + ([root + 6] if pattern.chance(0.25) else [])
    if pattern.chance(0.4):
        every = pattern.among((1, 2))
        order = [chord[index % len(chord)] + 7 * (index // len(chord) % 2) for index in range(STEPS // every)]
        return [
            Note(_at(song, index * every), song.key(degree, low), 90, 2 * every * song.bar_s / STEPS)
            for index, degree in enumerate(order)
        ]
    tight = pattern.between(0.5, 1.0)
    return [
        Note(_at(song, step), song.key(degree, low), 84, tight * steps * song.bar_s / STEPS)
        for step, steps in _lengths(rhythm)
        for degree in chord
    ]


Part = Callable[[Song, int, Sequence[int], Dice, Dice, Dice], list[Note]]
_PARTS: Mapping[str, Part] = {"drums": _drums, "bass": _bass, "vocals": _vocals, "other": _other}


def play(song: Song, source: str, bank: NoteBank, start: int, length: int) -> Wave:
    """`length` samples of a stem from sample `start` on, at the bank's rate, in [-1, 1]: (length,), float32.

    A stretch of a stem is the same whatever else of it is played.
    """
    room = int(ROOM_S * bank.sample_rate)
    first = math.floor((start - room) * song.tuning) - TAPS
    count = math.ceil((length + room) * song.tuning) + 3 * TAPS
    dry = _dry(song, source, bank, first, count)
    tuned = _interpolated(dry, np.arange(start - room, start + length) * song.tuning - first)
    wet = fftconvolve(tuned, _response(song, source, bank.sample_rate))[room : room + length]
    stem = song.gains[source] * ((1 - song.wet[source]) * tuned[room:] + song.wet[source] * wet)
    return np.clip(stem, -1, 1).astype(np.float32)


def _dry(song: Song, source: str, bank: NoteBank, first: int, count: int) -> Wave:
    """The stem before tuning and room, samples `first` to `first + count`."""
    rate, player = bank.sample_rate, song.players[source]
    sounding, out = int(LONGEST_S * rate), np.zeros(count)
    begin = max(0, math.floor((first - sounding) / rate / song.bar_s))
    for bar in range(begin, math.floor((first + count) / rate / song.bar_s) + 1):
        for note in bar_of(song, source, bar):
            at = round((bar * song.bar_s + note.start_s) * rate) - first
            wave = bank.note(player.name, note.key, note.velocity)
            held = len(wave) if player.source == "drums" else min(len(wave), int((note.held_s + FADE_S) * rate))
            low, high = max(at, 0), min(at + held, count)
            if low >= high:
                continue
            sound = wave[low - at : high - at]
            fade = int(FADE_S * rate)
            if held < len(wave) and high - at > held - fade:
                gone = np.clip((held - np.arange(low - at, high - at)) / fade, 0, 1)
                sound = sound * gone
            out[low:high] += sound
    return out


def _interpolated(signal: Wave, places: Wave) -> Wave:
    """The signal between its samples, by a windowed sinc of `TAPS` samples."""
    whole = np.floor(places).astype(np.int64)
    reach = np.arange(1 - TAPS // 2, TAPS // 2 + 1)
    distance = (places - whole)[:, None] - reach
    weights = np.sinc(distance) * np.cos(np.pi * distance / (TAPS + 1)) ** 2
    return np.asarray((signal[whole[:, None] + reach] * weights).sum(axis=1))


def _response(song: Song, source: str, rate: int) -> Wave:
    """The room's response: noise that dies away, without the direct sound, of the energy of one."""
    length = int(song.room_s * rate)
    generator = np.random.Generator(np.random.PCG64([song.number, 20 + SOURCES.index(source)]))
    noise = generator.random(length) - 0.5
    decay = noise * np.exp(-6.9 * np.arange(length) / length)
    return np.asarray(decay / np.sqrt(np.square(decay).sum()))
