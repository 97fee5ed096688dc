"""The four toy waveforms and their mixes, generated on the fly.

Three variants of the same idea are in circulation, and they differ in more than the sample rate:

| variant         | sample rate | frequency                                    | amplitude             | phase         |
|-----------------|-------------|----------------------------------------------|-----------------------|---------------|
| `uniform_hz`    | 16 000 Hz   | uniform in 27..4186 Hz                       | U[0.8, 1]             | U[0, 2 pi)    |
| `piano_keys`    | 14 700 Hz   | one of the 88 piano keys                     | U[0.8, 1]             | U[0, 2 pi)    |
| `whole_periods` | 14 700 Hz   | key ~ U(0.1, 64.9), period in whole samples  | U[0.8, 1], tests: 1.0 | whole samples |

`uniform_hz` is the paper's (Frank & Ilse 2020, section 3.1), `piano_keys` the thesis' (Frank 2020, "ToyData"), and
`whole_periods` that of the authors' released code, sample by sample. The thesis says "uniformly picked from the
frequency bounds of the 88 keys", which also admits a continuous uniform law; we draw a key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from srcsep_core.config import check_choice
from srcsep_core.data.base import EvalConfig, Split, World, register_world
from srcsep_core.errors import InputError

SOURCES = ("sine", "square", "saw", "triangle")
VARIANTS = ("whole_periods", "uniform_hz", "piano_keys")

SAMPLE_RATES = {"whole_periods": 14_700, "uniform_hz": 16_000, "piano_keys": 14_700}
TYPICAL_AMPLITUDE = 0.9
COLOURS = {"sine": "#0072B2", "square": "#D55E00", "saw": "#CC79A7", "triangle": "#56B4E9"}
WAVE_RMS = {"sine": 0.5**0.5, "square": 1.0, "saw": 3**-0.5, "triangle": 3**-0.5}  # at amplitude 1
_BAND_HZ = (27.0, 4186.0)
_KEYS = (0.1, 64.9)


@dataclass(frozen=True)
class ToyWorld(World):
    """The toy world: `variant` is one of `VARIANTS`; `sources` name the waveforms."""

    name: ClassVar[str] = "toy"

    variant: str = "whole_periods"
    sources: tuple[str, ...] = SOURCES
    amplitude: tuple[float, float] = (0.8, 1.0)

    def __post_init__(self) -> None:
        check_choice("toy variant", self.variant, VARIANTS)
        strange = [name for name in self.sources if name not in SOURCES]
        if len(set(self.sources)) < len(self.sources):
            raise InputError(f"the toy sources {', '.join(self.sources)} repeat one; name each once")
        if strange or not self.sources:
            raise InputError(f"unknown toy source(s) {strange or 'none given'}; use some of {', '.join(SOURCES)}")

    @property
    def sample_rate(self) -> int:
        """Samples per second (Hz)."""
        return SAMPLE_RATES[self.variant]

    @property
    def typical_rms(self) -> Mapping[str, float]:
        """The root mean square of each wave at amplitude 0.9."""
        return {source: TYPICAL_AMPLITUDE * WAVE_RMS[source] for source in self.sources}

    @property
    def colours(self) -> Mapping[str, str]:
        """Those of the waves in all figures."""
        return COLOURS

    @property
    def flat_topped(self) -> frozenset[str]:
        """The square."""
        return frozenset({"square"})

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train") -> Tensor:
        """Fresh source signals (batch, K, length), drawn without end; `split` changes nothing."""
        return draw_sources(self, batch, length, generator)

    def only(self, sources: Sequence[str]) -> ToyWorld:
        """The same world with some of its waves."""
        return replace(self, sources=tuple(sources))

    def for_evaluation(self, amplitude: str) -> ToyWorld:
        """The law of test signals: with amplitude `evaluation` that of `evaluation_config`."""
        return evaluation_config(self) if amplitude == "evaluation" else self


def key_to_frequency(key: Tensor) -> Tensor:
    """Frequency (Hz) of piano key number `key` in equal temperament; key 49 is A4 = 440 Hz."""
    return 440.0 * torch.exp2((key - 49.0) / 12.0)


def waveform(source: str, cycles: Tensor) -> Tensor:
    """The waveform `source` at phase `cycles` (periods, any real number), values in [-1, 1].

    sine: sin(2 pi c); square: +1 on the first half of the period, else -1; saw: rises from -1 to 1;
    triangle: rises from -1 to 1 and falls back.
    """
    c = cycles - cycles.floor()
    if source == "sine":
        return torch.sin(2 * math.pi * c)
    if source == "square":
        return torch.where(c < 0.5, 1.0, -1.0).to(c.dtype)
    if source == "saw":
        return 2 * c - 1
    if source == "triangle":
        return 1 - 4 * (c - 0.5).abs()
    raise InputError(f"unknown toy source {source!r}; use one of {', '.join(SOURCES)}")


@dataclass(frozen=True)
class ToyParameters:
    """What a draw of toy signals is determined by, each of shape (B, K), float64.

    frequency (Hz), amplitude, phase (periods at sample 0).
    """

    frequency: Tensor
    amplitude: Tensor
    phase: Tensor


def draw_parameters(config: ToyWorld, batch: int, generator: torch.Generator) -> ToyParameters:
    """Draw frequency, amplitude and phase for `batch` signals of every source, independently."""
    device = generator.device
    shape = (batch, len(config.sources))

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, device=device, dtype=torch.float64)

    if config.variant == "uniform_hz":
        frequency = uniform(*_BAND_HZ)
        phase = uniform(0.0, 1.0)
    elif config.variant == "piano_keys":
        keys = torch.randint(1, 89, shape, generator=generator, device=device)
        frequency = key_to_frequency(keys.double())
        phase = uniform(0.0, 1.0)
    else:
        period = (config.sample_rate / key_to_frequency(uniform(*_KEYS))).floor()
        frequency = config.sample_rate / period
        phase = (uniform(0.0, 1.0) * period).floor() / period
    return ToyParameters(frequency, uniform(*config.amplitude), phase)


def synthesise(config: ToyWorld, parameters: ToyParameters, length: int) -> Tensor:
    """Signals of `length` samples at `config.sample_rate` for given parameters: (B, K, T), float32.

    The phase is accumulated in float64, and whole-number periods repeat to the last bit.
    """
    if length < 1:
        raise InputError(f"the length is {length} samples; use at least 1")
    time = torch.arange(length, device=parameters.frequency.device, dtype=torch.float64)
    cycles_per_sample = parameters.frequency / config.sample_rate
    if config.variant == "whole_periods":
        period = (1.0 / cycles_per_sample).round()[..., None]
        offset = (parameters.phase[..., None] * period).round()
        cycles = torch.remainder(time + offset, period) / period
    else:
        cycles = cycles_per_sample[..., None] * time + parameters.phase[..., None]
    waves = [waveform(source, cycles[:, k]) for k, source in enumerate(config.sources)]
    return (torch.stack(waves, dim=1) * parameters.amplitude[..., None]).float()


def draw_sources(config: ToyWorld, batch: int, length: int, generator: torch.Generator) -> Tensor:
    """Fresh source signals on the generator's device: (B, K, T), values in [-1, 1]."""
    return synthesise(config, draw_parameters(config, batch, generator), length)


def evaluation_config(config: ToyWorld) -> ToyWorld:
    """The configuration of the test set: the released code fixes the amplitude at 1.0 for evaluation."""
    if config.variant != "whole_periods":
        return config
    return ToyWorld(config.variant, config.sources, amplitude=(1.0, 1.0))


def draw_test_set(config: ToyWorld, signals: int, length: int, seed: int) -> Tensor:
    """The deterministic test set: (`signals`, K, T) on the CPU, the same for the same arguments."""
    return config.test_set(EvalConfig(signals=signals, length=length, seed=seed))


def mix(sources: Tensor) -> Tensor:
    """The mix of source signals (B, K, T): their mean over K, (B, 1, T) (Frank & Ilse 2020, Eq. 8)."""
    if sources.ndim != 3:
        raise InputError(f"expected sources of shape (B, K, T), got {tuple(sources.shape)}")
    return sources.mean(dim=1, keepdim=True)


register_world(ToyWorld.name, ToyWorld, VARIANTS, default=True)
