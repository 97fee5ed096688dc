"""The kinds of labelled recordings: what is done to sources that follow the law of a world (`KINDS`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from srcsep_core.data.base import Split, World, world_of
from srcsep_core.data.excerpt import ExcerptWorld
from srcsep_core.data.toy import ToyParameters, ToyWorld, draw_parameters, synthesise

OTHER = "other sound"


@dataclass(frozen=True)
class Draw:
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
class Scene:
    """What a kind of case makes: the sources (K, T) of the classes `true`, the classes `named`, and what comes on top.

    `extra` (T,) is added to the sum; `clip`: the share of its peak that the mix is cut at.
    """

    true: tuple[str, ...]
    named: tuple[str, ...]
    sources: Tensor
    extra: Tensor | None = None
    clip: float | None = None


def _right(draw: Draw) -> Scene:
    """One to four sources, in a fifth of the cases of toy waves two of them of one class."""
    names = draw.some(draw.integer(1, 4))
    if draw.world.steady and draw.integer(1, 5) == 1:
        names = (names[0], *names[:3])
    return Scene(names, names, draw.waves(names))


def _wrong(draw: Draw) -> Scene:
    count = draw.integer(1, 3)
    true = draw.some(count)
    while (named := draw.some(count)) == true:
        pass
    return Scene(true, named, draw.waves(true))


def _few(draw: Draw) -> Scene:
    true = draw.some(draw.integer(2, 4))
    return Scene(true, draw.some(draw.integer(1, len(true) - 1), true), draw.waves(true))


def _many(draw: Draw) -> Scene:
    named = draw.some(draw.integer(2, 4))
    true = draw.some(draw.integer(1, len(named) - 1), named)
    return Scene(true, named, draw.waves(true))


def _no_source(draw: Draw, sound: Tensor) -> Scene:
    """A sound that is none of the classes, at the loudness of a source."""
    return Scene((OTHER,), draw.some(draw.integer(1, 4)), (draw.loud * sound / sound.square().mean().sqrt())[None])


def _noise(draw: Draw) -> Scene:
    """White noise, or noise that falls by 3 dB an octave."""
    white = draw.noise()
    if draw.integer(0, 1):
        return _no_source(draw, white)
    spectrum = torch.fft.rfft(white)
    falling = torch.arange(1, len(spectrum) + 1).rsqrt()
    return _no_source(draw, torch.fft.irfft(spectrum * falling, draw.length))


def _speech(draw: Draw) -> Scene:
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


def _music(draw: Draw) -> Scene:
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


def _near(draw: Draw) -> Scene:
    """Two sources, of one class or two, with pitches at most 8 Hz, or an octave or a twelfth apart."""
    names = (draw.some(1)[0],) * 2 if draw.integer(0, 2) == 0 else draw.some(2)
    base = draw.uniform(100, 1390)
    other = base + draw.uniform(0.5, 8) if draw.integer(0, 1) else base * draw.integer(2, 3)
    return Scene(names, names, draw.waves(names, (base, other)))


def _levels(draw: Draw) -> Scene:
    """Sources of unequal levels: one of them 3 to 12 dB lower."""
    names = draw.some(draw.integer(2, 3))
    gains = torch.ones(len(names), 1)
    gains[draw.integer(0, len(names) - 1)] = 10 ** (-draw.uniform(3, 12) / 20)
    return Scene(names, names, gains * draw.waves(names))


def _stereo(draw: Draw) -> Scene:
    """The average of two channels, between which every source is panned and delayed by up to 0.6 ms."""
    names = draw.some(2)
    waves, out = draw.waves(names), []
    for wave in waves:
        pan, late = draw.uniform(0.2, 0.8), draw.integer(0, round(6e-4 * draw.world.sample_rate))
        out.append(pan * wave + (1 - pan) * wave.roll(late))
    return Scene(names, names, torch.stack(out))


def _change(draw: Draw) -> Scene:
    """One of the sources changes its note at a sample in the middle half."""
    names = draw.some(draw.integer(2, 3))
    before, after = draw.waves(names), draw.waves(names)
    which, at = draw.integer(0, len(names) - 1), draw.integer(draw.length // 4, 3 * draw.length // 4)
    before[which, at:] = after[which, at:]
    return Scene(names, names, before)


def _clipped(draw: Draw) -> Scene:
    names = draw.some(draw.integer(1, 4))
    return Scene(names, names, draw.waves(names), clip=draw.uniform(0.4, 0.95))


def _noisy(draw: Draw) -> Scene:
    """White noise 5 to 35 dB below the sum."""
    names = draw.some(draw.integer(1, 4))
    waves, noise = draw.waves(names), draw.noise()
    level = waves.sum(dim=0).square().mean().sqrt() * 10 ** (-draw.uniform(5, 35) / 20)
    return Scene(names, names, waves, extra=level * noise)


def _passing(draw: Draw) -> Scene:
    """Another source, or white noise, sounds for as long as a window and spoils one or two of them."""
    order, noisy = draw.shuffled(), draw.integer(0, 1) == 1
    names = tuple(sorted(order[: draw.integer(2, 4 if noisy else 3)], key=draw.world.sources.index))
    extra = draw.loud * draw.noise() if noisy else draw.waves(order[-1:])[0]
    span = round(draw.passing_s * draw.world.sample_rate)
    start = draw.integer(0, max(0, draw.length - span))
    heard = torch.zeros(draw.length)
    heard[start : start + span] = extra[start : start + span]
    return Scene(names, names, draw.waves(names), extra=heard)


def _unseen(draw: Draw) -> Scene:
    """Two to four stems of instruments that no prior was trained on."""
    names = draw.some(draw.integer(2, 4))
    variant = draw.world.variant.replace("songs", "instruments")
    return Scene(names, names, replace(draw, world=world_of(variant)).waves(names))


def _real(draw: Draw) -> Scene:
    """Two to four stems of the one real song there is an excerpt of; no longer than that is."""
    names = draw.some(draw.integer(2, 4))
    world = world_of(draw.world.variant.replace("songs", "excerpt"))
    assert isinstance(world, ExcerptWorld)
    length = min(draw.length, world.whole.shape[-1])
    return Scene(names, names, replace(draw, world=world, length=length).waves(names))


KINDS: dict[str, Callable[[Draw], Scene]] = {
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
