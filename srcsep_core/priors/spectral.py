"""Spectral priors: flows whose density is that of a signal's log-spectrum, and what such a density is good for.

A feature map takes a signal x of T samples to bands by frames, s(x); a flow has the density of s. What it gives is
log p(s(x)), in nats for each value of the spectrum under the protocol `spectral`, and that is all:

- It is no density of the waveform. The map is not injective (a power spectrum knows no phase, a mel band sums its
  bins), so that no change of variables leads back, and exp(log p(s(x))) has no finite integral over x: x and -x have
  the same value, and so have signals that differ by more than their sign.
- Its gradient in x, pulled back through the map by automatic differentiation, is that of log p(s(x)). It is no score of
  signals in noise, of any level, and no denoiser follows from it (Tweedie's formula is about densities of x).
- Signals that differ by phase alone are equal to it, but for what the two ends of the signal and the overlap of frames
  betray.

The numbers of two spaces (mel, short-time Fourier, time) are of different quantities in different units of volume: they
are compared by what they tell apart, never with each other.

Every band and frame carries Gaussian noise of standard deviation `jitter` in training, and the power a floor below
which nothing counts: toy waves leave bands empty, and the density of a value that never changes would grow without
end. The noise bounds the density that is learned: no value of it can be worth more than -log(jitter sqrt(2 pi)) nats.

Source: Dinh et al. 2014 (NICE, arXiv 1410.8516), Kingma & Dhariwal 2018 (Glow, arXiv 1807.03039) and Kim et al. 2019
(FloWaveNet, arXiv 1811.02155) for the flow; Theis et al. 2016 (arXiv 1511.01844), section 3.1, for noise that keeps a
density from growing, which is uniform there. Deviates from print: a flow of frames, whose channels are the bands. The
even ones and the odd ones, which is what squeezes make of the halves, transform each other by a WaveNet over frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from srcsep_core.checks import check_waveform
from srcsep_core.config import check_least, check_positive
from srcsep_core.errors import InputError
from srcsep_core.flows.base import Transform
from srcsep_core.flows.layers import SwapHalves
from srcsep_core.flows.multiscale import nest
from srcsep_core.nn.spectra import log_floored, mel_power, power_spectrum
from srcsep_core.priors.base import check_single, gradient_of
from srcsep_core.priors.flow import Flow
from srcsep_core.priors.flow_kind import flow_task
from srcsep_core.priors.flow_parts import FlowConfig, affine_steps, built
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained

UNIT = "nats/value"


@dataclass(frozen=True)
class SpectralConfig(FlowConfig, ABC):
    """A flow of spectra of 2**blocks bands: of Hann windows of `fft` samples every `hop`, in log power.

    `floor_db` is added to the power (dB of a sine of amplitude 1), `jitter` is the noise on every value in training
    (standard deviation, nats of log power). Nothing leaves between squeezes: `split_every` is 0.
    """

    split_every: int = 0
    fft: int = 256
    hop: int = 160
    floor_db: float = -60.0
    jitter: float = 0.1

    space: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        check_least(self, 1, "hop")
        check_positive(self, "jitter")
        if self.split_every:
            raise InputError(f"{name}.split_every is {self.split_every}; a flow of spectra has one scale, use 0")
        if self.fft % 2 or self.fft < self.hop or (self.fft - self.hop) % 2:
            raise InputError(
                f"{name} has windows of {self.fft} every {self.hop}; use even numbers, the hop below the window"
            )

    @property
    def bands(self) -> int:
        """How many values a frame has."""
        return self.squeeze_factor

    @abstractmethod
    def power(self, x: Tensor) -> Tensor:
        """The power of signals (rows, 1, T) in every band, (rows, bands, T / hop)."""

    def features(self, x: Tensor) -> Tensor:
        """The log-spectrum of signals (rows, 1, T), T a multiple of `hop`: (rows, bands, T / hop) in nats."""
        return log_floored(self.power(x), self.floor_db)

    def values(self, x: Tensor) -> Tensor:
        """The log-spectra of signals (B, G, T) as the flow takes them, frame after frame: (B, G, bands * T / hop)."""
        rows = self.features(x.reshape(-1, 1, x.shape[2]))
        return rows.transpose(1, 2).reshape(*x.shape[:2], -1)


@dataclass(frozen=True)
class StftConfig(SpectralConfig):
    """Bins of a short-time Fourier transform, from 0 Hz on; the last one, at half the rate, is left out."""

    blocks: int = 7

    space: ClassVar[str] = "log-stft"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fft != 2 * self.bands:
            raise InputError(f"StftConfig.fft is {self.fft}, but 2**blocks is {self.bands} bins; use {2 * self.bands}")

    def power(self, x: Tensor) -> Tensor:
        return power_spectrum(x, window=self.fft, hop=self.hop)[:, :-1]


@dataclass(frozen=True)
class MelConfig(SpectralConfig):
    """Bands on the mel scale of `sample_rate` (Hz); of signals at another rate they lie where its bins do."""

    blocks: int = 5
    fft: int = 512
    sample_rate: int = 14_700

    space: ClassVar[str] = "log-mel"

    def power(self, x: Tensor) -> Tensor:
        return mel_power(power_spectrum(x, window=self.fft, hop=self.hop), self.bands, self.sample_rate)


def spectral_flow(config: FlowConfig, groups: int = 1) -> Flow:
    """The flow of the spectra of `groups` sources, whose rows are (rows, 1, bands * frames), frame after frame."""
    steps = affine_steps(config, groups, lambda channels: SwapHalves())

    def of_frames(index: int, channels: int) -> list[Transform]:
        return steps(index, channels) if index == config.blocks else []

    return built(spectral_flow, config, nest(of_frames, blocks=config.blocks), groups)


class SpectralPrior(nn.Module):
    """The density of the log-spectrum of one source's signals; none of the signals, and no denoiser (see the module).

    For that reason it has none of the names by which samplers and evaluations know a density of the waveform.
    """

    def __init__(self, flow: Flow, config: SpectralConfig) -> None:
        super().__init__()
        check_single(flow.groups)
        self.flow = flow
        self.config = config

    def check(self, x: Tensor) -> None:
        """Raise `InputError` unless this prior can take the signals `x` (B, 1, T): whole hops of its own precision."""
        check_waveform(x, multiple_of=self.config.hop, dtype=next(self.parameters()).dtype)

    def features(self, x: Tensor) -> Tensor:
        """The log-spectra of signals (B, 1, T): (B, bands, T / hop) in nats of power; raises as `check`."""
        self.check(x)
        return self.config.features(x)

    def feature_log_prob(self, x: Tensor) -> Tensor:
        """Log-density of the spectra of signals (B, 1, T) in nats, summed over bands and frames: (B,)."""
        features = self.features(x)
        return self.flow.log_prob(features.transpose(1, 2).reshape(len(x), 1, -1))[:, 0]

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient of `feature_log_prob` at `x` (B, 1, T), pulled back to the samples; same shape. No score."""
        self.check(x)
        return gradient_of(self.feature_log_prob, x)


@dataclass(frozen=True)
class SpectralSet(Trained):
    """Trained spectral priors, in one grouped network."""

    flow: Flow
    config: SpectralConfig

    @property
    def multiple_of(self) -> int:
        """What the length of a signal must be a multiple of."""
        return self.config.hop

    def at(self, sigma: float) -> SpectralSet:
        """The set itself; raises `InputError` for a level that it was not trained at."""
        return self.other_level(sigma)

    @torch.no_grad()
    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        """`spectral`: the log-density of the spectra in nats for each of their values, without the jitter."""
        own = next(self.flow.parameters())
        check_waveform(x, multiple_of=self.multiple_of, channels=len(self.sources), dtype=own.dtype)
        terms = self.flow.source_terms(self.config.values(x.to(own.device)))
        return {"spectral": (terms.log_pz.double() + terms.log_det.double()).mean(dim=2)}

    def prior(self, source: str) -> SpectralPrior:
        """One source's prior, cut out of the grouped network."""
        return SpectralPrior(self.flow.extract(self.index(source)), self.config)


def spectral_task(config: SpectralConfig, groups: int, objective: str) -> Task:
    """Train flows for the likelihood of jittered log-spectra; losses and terms in nats for each value."""
    task = flow_task(lambda: spectral_flow(config, groups), objective, config.hop)

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        values = config.values(x)
        noise = torch.randn(values.shape, generator=generator, device=x.device, dtype=x.dtype)
        return task.losses(network, values + config.jitter * noise, generator)

    return replace(task, name=f"flow of {config.space}", losses=losses, unit=UNIT)


def spectral_kind(name: str, config: type[SpectralConfig]) -> Kind:
    """The kind of flows of one kind of spectrum: evaluated, and no prior that samplers can use."""

    def load(size: SpectralConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device) -> SpectralSet:
        flow = restored(spectral_flow(size, len(about.sources)), weights, device)
        return SpectralSet(**vars(about), flow=flow, config=size)

    return Kind(name, name, name, config, spectral_task, load, density=True, scored=False)


STFT_FLOW = register(spectral_kind("stft-flow", StftConfig))
MEL_FLOW = register(spectral_kind("mel-flow", MelConfig))
