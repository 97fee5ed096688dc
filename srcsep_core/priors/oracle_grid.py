"""The discrete modes (frequency or period, phase) that the oracle prior sums over.

A mode is a noise-free wave of amplitude one. The `whole_periods` variant has finitely many, whole periods times whole
shifts, so its sum is exact. The frequency of `uniform_hz` and the phase of `uniform_hz` and `piano_keys` are
continuous: there the sum is a midpoint rule whose spacing follows the noise level (`OracleGrid`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.data.toy import _BAND_HZ, _KEYS, ToyWorld, key_to_frequency, waveform
from srcsep_core.errors import InputError
from srcsep_core.priors.oracle_modes import EvenPhases, JumpPhases, ModeBlock, WholePeriods

_CHUNK = 2**18  # numbers in one (signals, frequencies, phases) array
_JUMPING = ("square", "saw")
_LIKE = 1.25  # the longest of the whole periods in a block over the shortest
_POINTS_PER_CELL = 8  # frequencies per 1 / T cycles per sample, whatever the noise
_FEWEST_PHASES = 64


@dataclass(frozen=True)
class OracleGrid:
    """How fine the quadrature over a continuous frequency and phase is.

    per_width: points per standard deviation of the posterior of phase and frequency, for a sine of amplitude one all
    of whose samples lie on its steepest slope. It sets the error of the smooth waves, sine and triangle, which falls
    like 2 exp(-2 (pi per_width)^2) times the density: 0.2 % at 0.6, for most signals far less. The corners of the
    triangle add some 0.02 nats (measured). A signal several times as loud as the toy's has a narrower posterior and
    needs more points.
    per_sample: for square and saw, which jump. The sum over the phase takes every interval between two jumps, so for
    `piano_keys` the square is exact. For `uniform_hz` their posterior is made of small polygons in (frequency, phase),
    and between two frequencies of the grid an edge at the end of the signal moves by 1 / per_sample of the mean
    interval: the error falls only in proportion to the spacing (measured at sigma 0.1: below 0.06 nats in each of 100
    signals).
    max_modes: refuse grids of more points.
    """

    per_width: float = 0.6
    per_sample: float = 4.0
    max_modes: int = 2_000_000_000

    def __post_init__(self) -> None:
        for name in ("per_width", "per_sample", "max_modes"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{name} of the oracle grid is {value}; use a positive number")


def whole_periods(sample_rate: int) -> tuple[Tensor, Tensor]:
    """The whole periods (samples) of the `whole_periods` variant and their exact probabilities, (F,) each, float64.

    Period p is drawn when p <= rate / frequency(key) < p + 1, with the key uniform: a probability is the length of
    an interval of keys.
    """
    low, high = _KEYS
    longest, shortest = (float(sample_rate / key_to_frequency(torch.tensor(key).double())) for key in (low, high))
    edges = torch.arange(math.floor(shortest), math.floor(longest) + 2, dtype=torch.float64)
    keys = (49 + 12 * torch.log2(sample_rate / (440 * edges))).clamp(low, high)
    probability = (keys[:-1] - keys[1:]) / (high - low)
    possible = probability > 0
    return edges[:-1][possible].long(), probability[possible]


@dataclass(frozen=True)
class ModePlan:
    """Which modes there are for signals of `length` samples of one source.

    frequency (F,): cycles per sample; probability (F,): sums to one; phases: even phases per frequency, 0 for one per
    sample of a whole period, which starts at `offset` (periods).
    """

    source: str
    length: int
    frequency: Tensor
    probability: Tensor
    phases: int = 0

    @classmethod
    def of(cls, source: str, data: ToyWorld, length: int, sigma: float, grid: OracleGrid) -> ModePlan:
        """The modes at noise level `sigma`; raises `InputError` where the grid would be too large."""
        if data.variant == "whole_periods":
            periods, probability = whole_periods(data.sample_rate)
            return cls(source, length, 1.0 / periods.double(), probability)
        low, high = (edge / data.sample_rate for edge in _BAND_HZ)
        phases, step = _grid_steps(source, length, sigma, grid)
        count = math.ceil((high - low) / step) if data.variant == "uniform_hz" else 88
        modes = count * _phases_in_all(source, length, phases)
        if modes > grid.max_modes:
            raise InputError(
                f"the oracle of the {data.variant} {source} needs {modes:.1e} modes for {length} samples at sigma "
                f"{sigma:g}, more than the {grid.max_modes:.1e} allowed; use shorter signals, a larger sigma or a "
                "coarser grid"
            )
        if data.variant == "uniform_hz":
            frequency = low + (high - low) * (torch.arange(count, dtype=torch.float64) + 0.5) / count
        else:
            frequency = key_to_frequency(torch.arange(1, 89, dtype=torch.float64)) / data.sample_rate
        return cls(source, length, frequency, torch.full_like(frequency, 1.0 / count), phases)

    def blocks(self, batch: int, device: torch.device, keep: Tensor | None = None) -> Iterator[ModeBlock]:
        """The modes in blocks that suit `batch` signals; `keep` (F,) selects frequencies."""
        frequency, probability = self.frequency.to(device), self.probability.to(device)
        if keep is not None:
            frequency, probability = frequency[keep], probability[keep]
        if not self.phases:
            periods = (1.0 / frequency).round().long()
            sizes = _alike(periods.tolist(), batch)
            for some, share in zip(periods.split(sizes), probability.split(sizes), strict=True):
                yield WholePeriods(self.source, some, self.length, share)
            return
        size = max(1, _CHUNK // (batch * _phases_in_all(self.source, self.length, self.phases)))
        for some, share in zip(frequency.split(size), probability.split(size), strict=True):
            yield self._block(some, share)

    def _block(self, frequency: Tensor, probability: Tensor) -> ModeBlock:
        time = torch.arange(self.length, device=frequency.device)
        # The phase is that of the middle of the signal, where it does not correlate with the frequency.
        cycles = torch.remainder(frequency[:, None] * (time.double() - (self.length - 1) / 2), 1.0)
        if self.source in _JUMPING:
            return JumpPhases(self.source, cycles, self.phases, probability)
        index = (cycles * self.phases).floor().clamp(max=self.phases - 1)
        within = cycles * self.phases - index
        edges = torch.arange(self.phases, device=frequency.device, dtype=torch.float64) / self.phases
        wave = waveform(self.source, edges)
        if self.source == "sine":
            angle = 2 * math.pi * within / self.phases
            parts = ((angle.cos(), wave), (angle.sin(), waveform("sine", edges + 0.25)))
        else:
            parts = ((torch.ones_like(within), wave), (within, wave.roll(-1) - wave))
        return EvenPhases(index.long(), parts, probability)


def _grid_steps(source: str, length: int, sigma: float, grid: OracleGrid) -> tuple[int, float]:
    """Even phases per frequency, and the spacing of frequencies (cycles per sample).

    The widths are the Cramer-Rao bounds for samples of slope 2 pi per period, with the phase taken at mid-signal:
    sigma / (2 pi sqrt(T)) cycles, and sigma sqrt(12 / T^3) / (2 pi) cycles per sample (Rife & Boorstyn 1974, whose
    whole sine, of half the mean squared slope, has twice the variances).
    """
    slope = 2 if source == "saw" else 2 * math.pi
    width = sigma / (slope * math.sqrt(length))
    phase_step = width / grid.per_width
    step = min(width * math.sqrt(12) / length / grid.per_width, 1 / (_POINTS_PER_CELL * length))
    if source in _JUMPING:
        # A sample that an edge passes costs 2 / sigma^2 nats: large noise blurs the edges over sigma^2 / 2 samples.
        step = min(step, 2 * max(1.0, sigma**2) / (grid.per_sample * length**2))
    if source == "square":
        return 1, step
    # An even number, so that the corners of the triangle lie on the edges of bins.
    return 2 * math.ceil(max(_FEWEST_PHASES, 1 / phase_step) / 2), step


def _phases_in_all(source: str, length: int, even: int) -> int:
    """Phases per frequency, those between jumps included."""
    return 2 * (length + even) if source in _JUMPING else max(length, even)


def _alike(periods: list[int], batch: int) -> list[int]:
    """How many periods, in ascending order, make each block: of like length, and not too many for `batch` signals."""
    sizes, first = [1], periods[0]
    for period in periods[1:]:
        if period <= _LIKE * first and batch * (sizes[-1] + 1) * 2 * period <= _CHUNK:
            sizes[-1] += 1
        else:
            first = period
            sizes.append(1)
    return sizes
