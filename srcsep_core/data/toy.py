"""The four toy waveforms and their mixes, generated on the fly.

Three variants of the same idea are in circulation, and they differ in more than the sample rate:

| variant    | sample rate | frequency                                      | amplitude             | phase            |
|------------|-------------|------------------------------------------------|-----------------------|------------------|
| `paper`    | 16 000 Hz   | uniform in 27..4186 Hz                         | U[0.8, 1]             | U[0, 2 pi)       |
| `thesis`   | 14 700 Hz   | one of the 88 piano keys                       | U[0.8, 1]             | U[0, 2 pi)       |
| `released` | 14 700 Hz   | key ~ U(0.1, 64.9), period cut to whole samples| U[0.8, 1], tests: 1.0 | whole samples    |

`whole_periods` is `released` with the triangle of the authors' generator, which rises from -1 at phase 0. Ours falls
from +1 in the other variants. With a continuous phase that is the same law; with whole odd periods it is the mirrored
signal. The shipped priors of `released` know the mirrored one; `whole_periods` takes its place once it has priors.

Sources: Frank & Ilse 2020, section 3.1; Frank 2020 (thesis), "ToyData"; the authors' released code. The
thesis says "uniformly picked from the frequency bounds of the 88 keys", which also admits a continuous
uniform law; we draw a key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.config import SOURCES, VARIANTS, EvalConfig
from srcsep_core.errors import InputError

SAMPLE_RATES = {"released": 14_700, "paper": 16_000, "thesis": 14_700, "whole_periods": 14_700}
WHOLE = ("released", "whole_periods")
_PAPER_BAND_HZ = (27.0, 4186.0)
_RELEASED_KEYS = (0.1, 64.9)


@dataclass(frozen=True)
class ToyConfig:
    """Which toy world: `variant` is one of `config.VARIANTS`; `sources` name the waveforms."""

    variant: str = "released"
    sources: tuple[str, ...] = SOURCES
    amplitude: tuple[float, float] = (0.8, 1.0)

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise InputError(f"unknown toy variant {self.variant!r}; use one of {', '.join(VARIANTS)}")
        unknown = [name for name in self.sources if name not in SOURCES]
        if len(set(self.sources)) < len(self.sources):
            raise InputError(f"the toy sources {', '.join(self.sources)} repeat one; name each once")
        if unknown or not self.sources:
            raise InputError(f"unknown toy source(s) {unknown or 'none given'}; use some of {', '.join(SOURCES)}")

    @property
    def sample_rate(self) -> int:
        """Samples per second (Hz)."""
        return SAMPLE_RATES[self.variant]


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


def phase_offset(source: str, variant: str) -> float:
    """Where in its period (periods) a wave of phase 0 starts: the falling triangle half a period on."""
    return 0.5 if source == "triangle" and variant != "whole_periods" else 0.0


@dataclass(frozen=True)
class ToyParameters:
    """What a draw of toy signals is determined by, each of shape (B, K), float64.

    frequency (Hz), amplitude, phase (periods at sample 0).
    """

    frequency: Tensor
    amplitude: Tensor
    phase: Tensor


def draw_parameters(config: ToyConfig, batch: int, generator: torch.Generator) -> ToyParameters:
    """Draw frequency, amplitude and phase for `batch` signals of every source, independently."""
    device = generator.device
    shape = (batch, len(config.sources))

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, device=device, dtype=torch.float64)

    if config.variant == "paper":
        frequency = uniform(*_PAPER_BAND_HZ)
        phase = uniform(0.0, 1.0)
    elif config.variant == "thesis":
        keys = torch.randint(1, 89, shape, generator=generator, device=device)
        frequency = key_to_frequency(keys.double())
        phase = uniform(0.0, 1.0)
    else:
        period = (config.sample_rate / key_to_frequency(uniform(*_RELEASED_KEYS))).floor()
        frequency = config.sample_rate / period
        phase = (uniform(0.0, 1.0) * period).floor() / period
    return ToyParameters(frequency, uniform(*config.amplitude), phase)


def synthesise(config: ToyConfig, parameters: ToyParameters, length: int) -> Tensor:
    """Signals of `length` samples at `config.sample_rate` for given parameters: (B, K, T), float32.

    The phase is accumulated in float64, and whole-number periods repeat to the last bit.
    """
    if length < 1:
        raise InputError(f"the length is {length} samples; use at least 1")
    time = torch.arange(length, device=parameters.frequency.device, dtype=torch.float64)
    cycles_per_sample = parameters.frequency / config.sample_rate
    if config.variant in WHOLE:
        period = (1.0 / cycles_per_sample).round()[..., None]
        offset = (parameters.phase[..., None] * period).round()
        cycles = torch.remainder(time + offset, period) / period
    else:
        cycles = cycles_per_sample[..., None] * time + parameters.phase[..., None]
    waves = [
        waveform(source, cycles[:, k] + phase_offset(source, config.variant)) for k, source in enumerate(config.sources)
    ]
    return (torch.stack(waves, dim=1) * parameters.amplitude[..., None]).float()


def draw_sources(config: ToyConfig, batch: int, length: int, generator: torch.Generator) -> Tensor:
    """Fresh source signals on the generator's device: (B, K, T), values in [-1, 1]."""
    return synthesise(config, draw_parameters(config, batch, generator), length)


def evaluation_config(config: ToyConfig) -> ToyConfig:
    """The configuration of the test set: the released code fixes the amplitude at 1.0 for evaluation."""
    if config.variant not in WHOLE:
        return config
    return ToyConfig(config.variant, config.sources, amplitude=(1.0, 1.0))


def draw_test_set(config: ToyConfig, signals: int, length: int, seed: int) -> Tensor:
    """The deterministic test set: (`signals`, K, T) on the CPU, the same for the same arguments."""
    return draw_evaluation_set(config, EvalConfig(signals=signals, length=length, seed=seed))


def draw_evaluation_set(config: ToyConfig, evaluation: EvalConfig, *, sigma: float | None = None) -> Tensor:
    """The deterministic test set of an evaluation: (signals, K, T) on the CPU, with its noise, uncapped.

    `sigma` overrides the evaluation's noise level; the clean signals and the unit noise stay the same.
    """
    generator = torch.Generator().manual_seed(evaluation.seed)
    chosen = evaluation_config(config) if evaluation.amplitude == "released" else config
    clean = draw_sources(chosen, evaluation.signals, evaluation.length, generator)
    return add_noise(clean, evaluation.data_sigma if sigma is None else sigma, generator)


def add_noise(x: Tensor, sigma: float, generator: torch.Generator, *, kind: str = "thesis") -> Tensor:
    """Signals (B, K, T) plus Gaussian noise of standard deviation `sigma`.

    `thesis`: that noise, uncapped. `released`: times U(0, 1) per example, and the sum clamped to [-1, 1].
    """
    if kind not in ("thesis", "released"):
        raise InputError(f"unknown noise {kind!r}; use thesis or released")
    if not sigma:
        return x
    noise = sigma * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    if kind == "thesis":
        return x + noise
    share = torch.rand(x.shape[0], 1, 1, generator=generator, device=x.device, dtype=x.dtype)
    return (x + share * noise).clamp(-1, 1)


def mix(sources: Tensor) -> Tensor:
    """The mix of source signals (B, K, T): their mean over K, (B, 1, T) (Frank & Ilse 2020, Eq. 8)."""
    if sources.ndim != 3:
        raise InputError(f"expected sources of shape (B, K, T), got {tuple(sources.shape)}")
    return sources.mean(dim=1, keepdim=True)
