"""Labelled recordings to judge verdicts with: what they are called to hold, what they truly hold, and the references.

Sources follow the law of a world, songs those of its validation split, and what is special about a kind of case is done
to them: see `KINDS`. `BOOKS` has what differs between the worlds that verdicts are calibrated for. Calibration and
held-out cases have seeds of their own, apart from those of training, validation and tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import torch
from torch import Tensor

from srcsep_core.config import check_choice
from srcsep_core.data.base import Split, World, world_of
from srcsep_core.data.excerpt import ExcerptWorld
from srcsep_core.data.rendered import RenderedWorld
from srcsep_core.data.toy import ToyParameters, ToyWorld, draw_parameters, synthesise
from srcsep_core.metrics import best_permutation, si_sdr

FIT_SEED, HELD_OUT_SEED = 161_803, 271_828
FLOOR_DB = -30.0  # that the worst SI-SDR is clipped to; that of a source which is not there
OTHER = "other sound"


@dataclass(frozen=True)
class Case:
    """A recording: mix (1, T) at `sample_rate` Hz, said to be a mix of the classes `named`, in truth of `true`.

    references (K, T): the true source of every class named, silent where there is none.
    """

    kind: str
    number: int
    mix: Tensor
    sample_rate: int
    named: tuple[str, ...]
    true: tuple[str, ...]
    references: Tensor

    @property
    def answerable(self) -> bool:
        """Whether the classes named are those that are there."""
        return sorted(self.named) == sorted(self.true)


@dataclass(frozen=True)
class _Draw:
    """A generator and the world that a case is drawn from, with its length in samples."""

    world: World
    length: int
    generator: torch.Generator
    passing_s: float

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def integer(self, low: int, high: int) -> int:
        """One of low..high."""
        return low + int(torch.randint(high - low + 1, (), generator=self.generator))

    def shuffled(self, of: Sequence[str] | None = None) -> list[str]:
        """Classes in any order, of all or of those given."""
        of = of or self.world.sources
        return [of[k] for k in torch.randperm(len(of), generator=self.generator).tolist()]

    def some(self, count: int, of: Sequence[str] | None = None) -> tuple[str, ...]:
        """So many different classes, in their usual order."""
        return tuple(sorted(self.shuffled(of)[:count], key=self.world.sources.index))

    def waves(self, names: Sequence[str], frequencies: Sequence[float] | None = None) -> Tensor:
        """A source of every class, (K, T), by the world's law; `frequencies` (Hz) replace those drawn of toy waves."""
        if not isinstance(self.world, ToyWorld):
            split: Split = "test" if self.world.name == ExcerptWorld.name else "validation"
            return self.world.only(names).draw(1, self.length, self.generator, split=split)[0]
        rows = []
        for k, name in enumerate(names):
            own = self.world.only((name,))
            drawn = draw_parameters(own, 1, self.generator)
            if frequencies is not None:
                drawn = ToyParameters(torch.full_like(drawn.frequency, frequencies[k]), drawn.amplitude, drawn.phase)
            rows.append(synthesise(own, drawn, self.length)[0, 0])
        return torch.stack(rows)

    def noise(self) -> Tensor:
        return torch.randn(self.length, generator=self.generator)

    @property
    def loud(self) -> float:
        """The root mean square of a source of about the usual loudness."""
        return 0.6 * self.world.unit


@dataclass(frozen=True)
class _Scene:
    """What a kind of case makes: the sources (K, T) of the classes `true`, the classes `named`, and what comes on top.

    `extra` (T,) is added to the sum; `clip`: the share of its peak that the mix is cut at.
    """

    true: tuple[str, ...]
    named: tuple[str, ...]
    sources: Tensor
    extra: Tensor | None = None
    clip: float | None = None


def _right(draw: _Draw) -> _Scene:
    """One to four sources, in a fifth of the cases of toy waves two of them of one class."""
    names = draw.some(draw.integer(1, 4))
    if draw.world.steady and draw.integer(1, 5) == 1:
        names = (names[0], *names[:3])
    return _Scene(names, names, draw.waves(names))


def _wrong(draw: _Draw) -> _Scene:
    count = draw.integer(1, 3)
    true = draw.some(count)
    while (named := draw.some(count)) == true:
        pass
    return _Scene(true, named, draw.waves(true))


def _few(draw: _Draw) -> _Scene:
    true = draw.some(draw.integer(2, 4))
    return _Scene(true, draw.some(draw.integer(1, len(true) - 1), true), draw.waves(true))


def _many(draw: _Draw) -> _Scene:
    named = draw.some(draw.integer(2, 4))
    true = draw.some(draw.integer(1, len(named) - 1), named)
    return _Scene(true, named, draw.waves(true))


def _no_source(draw: _Draw, sound: Tensor) -> _Scene:
    """A sound that is none of the classes, at the loudness of a source."""
    return _Scene((OTHER,), draw.some(draw.integer(1, 4)), (draw.loud * sound / sound.square().mean().sqrt())[None])


def _noise(draw: _Draw) -> _Scene:
    """White noise, or noise that falls by 3 dB an octave."""
    white = draw.noise()
    if draw.integer(0, 1):
        return _no_source(draw, white)
    spectrum = torch.fft.rfft(white)
    falling = torch.arange(1, len(spectrum) + 1).rsqrt()
    return _no_source(draw, torch.fft.irfft(spectrum * falling, draw.length))


def _speech(draw: _Draw) -> _Scene:
    """A voice-like sound: pulses at a gliding pitch through resonances that move from syllable to syllable."""
    rate, time = draw.world.sample_rate, torch.arange(draw.length, dtype=torch.float64) / draw.world.sample_rate
    pitch = draw.uniform(90, 240) * (1 + 0.1 * torch.sin(2 * math.pi * draw.uniform(1, 3) * time))
    phase = (pitch / rate).cumsum(0)
    formants = [draw.uniform(300, 800), draw.uniform(900, 2300), draw.uniform(2400, 3200)]
    sway = 0.25 * torch.sin(2 * math.pi * draw.uniform(3, 6) * time + draw.uniform(0, 6))
    sound = torch.zeros_like(time)
    for harmonic in range(1, 40):
        frequency = harmonic * pitch
        gain = sum(1 / (1 + ((frequency - f * (1 + sway)) / (80 + 0.05 * f)) ** 2) for f in formants)
        sound += gain * (frequency < rate / 2) * torch.sin(2 * math.pi * harmonic * phase)
    syllables = 0.5 - 0.45 * torch.cos(2 * math.pi * draw.uniform(3, 6) * time + draw.uniform(0, 6))
    return _no_source(draw, (sound * syllables).float() + 0.02 * draw.noise())


def _music(draw: _Draw) -> _Scene:
    """Two decaying tones with inharmonic partials, as of strings or bells."""
    time = torch.arange(draw.length, dtype=torch.float64) / draw.world.sample_rate
    sound = torch.zeros_like(time)
    for _ in range(2):
        pitch, stiffness, decay = draw.uniform(110, 660), draw.uniform(0, 2e-3), draw.uniform(2, 12)
        for partial in range(1, 13):
            frequency = partial * pitch * math.sqrt(1 + stiffness * partial**2)
            if frequency < draw.world.sample_rate / 2:
                wave = torch.sin(2 * math.pi * frequency * time + draw.uniform(0, 6))
                sound += wave * torch.exp(-decay * partial**0.5 * time) / partial
    return _no_source(draw, sound.float())


def _near(draw: _Draw) -> _Scene:
    """Two sources, of one class or two, with pitches at most 8 Hz, or an octave or a twelfth apart."""
    names = (draw.some(1)[0],) * 2 if draw.integer(0, 2) == 0 else draw.some(2)
    base = draw.uniform(100, 1390)
    other = base + draw.uniform(0.5, 8) if draw.integer(0, 1) else base * draw.integer(2, 3)
    return _Scene(names, names, draw.waves(names, (base, other)))


def _levels(draw: _Draw) -> _Scene:
    """Sources of unequal levels: one of them 3 to 12 dB lower."""
    names = draw.some(draw.integer(2, 3))
    gains = torch.ones(len(names), 1)
    gains[draw.integer(0, len(names) - 1)] = 10 ** (-draw.uniform(3, 12) / 20)
    return _Scene(names, names, gains * draw.waves(names))


def _stereo(draw: _Draw) -> _Scene:
    """The average of two channels, between which every source is panned and delayed by up to 0.6 ms."""
    names = draw.some(2)
    waves, out = draw.waves(names), []
    for wave in waves:
        pan, late = draw.uniform(0.2, 0.8), draw.integer(0, round(6e-4 * draw.world.sample_rate))
        out.append(pan * wave + (1 - pan) * wave.roll(late))
    return _Scene(names, names, torch.stack(out))


def _change(draw: _Draw) -> _Scene:
    """One of the sources changes its note at a sample in the middle half."""
    names = draw.some(draw.integer(2, 3))
    before, after = draw.waves(names), draw.waves(names)
    which, at = draw.integer(0, len(names) - 1), draw.integer(draw.length // 4, 3 * draw.length // 4)
    before[which, at:] = after[which, at:]
    return _Scene(names, names, before)


def _clipped(draw: _Draw) -> _Scene:
    names = draw.some(draw.integer(1, 4))
    return _Scene(names, names, draw.waves(names), clip=draw.uniform(0.4, 0.95))


def _noisy(draw: _Draw) -> _Scene:
    """White noise 5 to 35 dB below the sum."""
    names = draw.some(draw.integer(1, 4))
    waves, noise = draw.waves(names), draw.noise()
    level = waves.sum(dim=0).square().mean().sqrt() * 10 ** (-draw.uniform(5, 35) / 20)
    return _Scene(names, names, waves, extra=level * noise)


def _passing(draw: _Draw) -> _Scene:
    """Another source, or white noise, sounds for as long as a window and spoils one or two of them."""
    order, noisy = draw.shuffled(), draw.integer(0, 1) == 1
    names = tuple(sorted(order[: draw.integer(2, 4 if noisy else 3)], key=draw.world.sources.index))
    extra = draw.loud * draw.noise() if noisy else draw.waves(order[-1:])[0]
    span = round(draw.passing_s * draw.world.sample_rate)
    start = draw.integer(0, max(0, draw.length - span))
    heard = torch.zeros(draw.length)
    heard[start : start + span] = extra[start : start + span]
    return _Scene(names, names, draw.waves(names), extra=heard)


def _unseen(draw: _Draw) -> _Scene:
    """Two to four stems of instruments that no prior was trained on."""
    names = draw.some(draw.integer(2, 4))
    variant = draw.world.variant.replace("songs", "instruments")
    return _Scene(names, names, replace(draw, world=world_of(variant)).waves(names))


def _real(draw: _Draw) -> _Scene:
    """Two to four stems of the one real song there is an excerpt of."""
    names = draw.some(draw.integer(2, 4))
    variant = draw.world.variant.replace("songs", "excerpt")
    return _Scene(names, names, replace(draw, world=world_of(variant)).waves(names))


KINDS: dict[str, Callable[[_Draw], _Scene]] = {
    "right classes": _right,
    "wrong classes": _wrong,
    "too few named": _few,
    "too many named": _many,
    "noise": _noise,
    "speech-like": _speech,
    "musical": _music,
    "near pitches": _near,
    "unequal levels": _levels,
    "stereo average": _stereo,
    "note change": _change,
    "clipped": _clipped,
    "noise added": _noisy,
    "passing sound": _passing,
    "unseen instruments": _unseen,
    "real song": _real,
}


@dataclass(frozen=True)
class CaseBook:
    """What the cases of a world are like, and what is right there.

    `variant`: of the world; `kinds`: of `KINDS`, and `unfitted` those that a model is only checked on. A separation is
    right with every source above `right_db` (SI-SDR). `lengths_s`: of the cases in turn (s); `passing_s`: of a passing
    sound (s).
    """

    variant: str
    kinds: tuple[str, ...]
    right_db: float
    lengths_s: tuple[float, ...]
    passing_s: float
    unfitted: tuple[str, ...] = ()


_TOY_ALONE = ("near pitches", "stereo average", "note change")  # which ask for single waves
_SONGS_ALONE = ("unseen instruments", "real song")
BOOKS: Mapping[str, CaseBook] = {
    ToyWorld.name: CaseBook(
        "uniform_hz",
        kinds=tuple(kind for kind in KINDS if kind not in _SONGS_ALONE),
        right_db=10.0,
        lengths_s=(0.2, 0.1, 0.2, 0.4),  # four windows, two, four, eight
        passing_s=0.064,
    ),
    RenderedWorld.name: CaseBook(
        "songs_8k",
        kinds=tuple(kind for kind in KINDS if kind not in (*_TOY_ALONE, "real song")),
        right_db=5.0,
        lengths_s=(4.1, 8.2),
        passing_s=2.0,
        unfitted=("real song",),
    ),
}
"""By world: those that verdicts are calibrated for."""


def draw_case(world: World, kind: str, number: int, seed: int, seconds: float) -> Case:
    """Case `number` of a kind (`KINDS`), the same for the same arguments. Raises `InputError` for one that
    the world has not.

    The mix peaks at a level drawn from 0.1 to 0.95.
    """
    check_choice("world of cases", world.name, tuple(BOOKS))
    book = BOOKS[world.name]
    check_choice("kind of case", kind, (*book.kinds, *book.unfitted))
    digest = sha256(f"{seed} {kind} {number}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    draw = _Draw(world, round(seconds * world.sample_rate), generator, book.passing_s)
    scene = KINDS[kind](draw)
    total = scene.sources.sum(dim=0)
    total = total if scene.extra is None else total + scene.extra
    level = draw.uniform(0.1, 0.95) / float(total.abs().max())
    if scene.clip is not None:
        peak = scene.clip * float(total.abs().max())
        total = total.clamp(-peak, peak)
    left = list(zip(scene.true, scene.sources, strict=True))
    references = []
    for name in scene.named:
        found = next((pair for pair in left if pair[0] == name), None)
        references.append(torch.zeros(draw.length) if found is None else found[1])
        if found is not None:
            left = [pair for pair in left if pair[1] is not found[1]]
    return Case(
        kind, number, level * total[None], world.sample_rate, scene.named, scene.true, level * torch.stack(references)
    )


def worst_by_window(case: Case, estimates: Tensor, starts: Sequence[int], window: int) -> tuple[float, list[float]]:
    """The lowest SI-SDR (dB) among the estimates (K, T) of the whole recording, and in every window.

    Sources of one class are matched over the whole recording. A class that is named and not there, or there and not
    named, makes it -30 dB, which is also the least there is.
    """
    count = len(starts)
    if not case.answerable:
        return FLOOR_DB, [FLOOR_DB] * count
    matched = estimates[None].double()
    references = case.references[None].double()
    if len(set(case.named)) < len(case.named):
        matched, _ = best_permutation(estimate=matched, reference=references, groups=case.named)

    def worst(part: slice) -> float:
        ratio = si_sdr(estimate=matched[0, :, part], reference=references[0, :, part])
        return max(FLOOR_DB, float(ratio.nan_to_num(FLOOR_DB).min()))

    return worst(slice(None)), [worst(slice(start, start + window)) for start in starts]
