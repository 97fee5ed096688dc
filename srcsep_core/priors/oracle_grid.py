"""The discrete modes (frequency or period, phase) that the oracle prior sums over.

A mode is a noise-free wave of amplitude one. The `whole_periods` variant has finitely many, whole periods times whole
shifts, so its sum is exact. The frequency of `uniform_hz` and the phase of `uniform_hz` and `piano_keys` are
continuous: there the sum is a midpoint rule whose spacing follows the noise level (`OracleGrid`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.data.toy import _BAND_HZ, _KEYS, ToyWorld, key_to_frequency, waveform
from srcsep_core.errors import InputError

_CHUNK = 2**18  # numbers in one (signals, frequencies, phases) array
_JUMPING = ("square", "saw")
_LIKE = 1.25  # the longest of the whole periods in a block over the shortest
_POINTS_PER_CELL = 8  # frequencies per 1 / T cycles per sample, whatever the noise
_FEWEST_PHASES = 64
_COINCIDENT = 1e-12  # two jumps closer than this, in periods, are one; rounding alone parts them
_IMPOSSIBLE = -1e30  # log-probability of what lies between them, finite so that its product with 0 is 0


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


class ModeBlock(ABC):
    """Some modes: Q phases of each of G frequencies, for signals of T samples.

    log_prior: log-probability of each mode, (G, Q) or (G, 1); energy (G, Q): squared norm of its wave.
    """

    log_prior: Tensor
    energy: Tensor

    @abstractmethod
    def correlate(self, rows: Tensor) -> Tensor:
        """Inner products of signals (B, T) with every wave: (B, G, Q)."""

    @abstractmethod
    def combine(self, weights: Tensor) -> Tensor:
        """The sum of all waves with weights (B, G, Q): (B, T)."""


class WholePeriods(ModeBlock):
    """Every shift, in whole samples, of the waves of G whole periods (G,): the very samples of `toy.synthesise`.

    Q is the longest of the periods; what a shorter one has no shift for is impossible. Sums over samples are folds into
    a period and circular correlations, as in `EvenPhases`; these are cut out of longer ones without end effects, so
    that periods of different lengths are one array.
    """

    def __init__(self, source: str, periods: Tensor, length: int, probability: Tensor) -> None:
        longest = int(periods.max())
        own = periods[:, None]
        time = torch.arange(max(length, 2 * longest), device=periods.device) % own
        self.index = time[:, :length]
        self.wave = waveform(source, time[:, : 2 * longest].double() / own)
        possible = torch.arange(longest, device=periods.device) < own
        self.log_prior = torch.where(possible, (probability / periods).log()[:, None], _IMPOSSIBLE)
        counts = _fold(self.index, torch.ones_like(self.index, dtype=torch.float64), longest)
        self.energy = _correlate(counts, self.wave.square()).clamp(min=0)

    def correlate(self, rows: Tensor) -> Tensor:
        every = rows[:, None].expand(-1, len(self.index), -1)
        return _correlate(_fold(self.index, every, self.energy.shape[1]), self.wave)

    def combine(self, weights: Tensor) -> Tensor:
        return _correlate(weights, self.wave).gather(2, self.index.expand(len(weights), -1, -1)).sum(dim=1)


class EvenPhases(ModeBlock):
    """Q evenly spaced phases of equal weight.

    Sample t lies in phase bin `index[g, t]` at phase 0, and the wave is, at phase j / Q, the sum over the parts
    (coefficient, wave) of coefficient[g, t] * wave[(index[g, t] + j) mod Q], two parts to be exact inside a bin. So a
    sum over samples is a fold into bins and a circular correlation.
    """

    def __init__(self, index: Tensor, parts: tuple[tuple[Tensor, Tensor], ...], probability: Tensor) -> None:
        phases = parts[0][1].shape[0]
        self.index, self.parts = index, parts
        self.log_prior = (probability / phases).log()[:, None]
        energy = torch.zeros(len(index), phases, dtype=torch.float64, device=index.device)
        for first, wave in parts:
            for second, other in parts:
                energy += _correlate(_fold(index, first * second, phases), wave * other)
        self.energy = energy.clamp(min=0)

    def correlate(self, rows: Tensor) -> Tensor:
        result = torch.zeros(len(rows), *self.energy.shape, dtype=rows.dtype, device=rows.device)
        for coefficient, wave in self.parts:
            result += _correlate(_fold(self.index, rows[:, None] * coefficient, len(wave)), wave)
        return result

    def combine(self, weights: Tensor) -> Tensor:
        index = self.index.expand(len(weights), -1, -1)
        result = weights.new_zeros(len(weights), index.shape[2])
        for coefficient, wave in self.parts:
            result += (_correlate(weights, wave).gather(2, index) * coefficient).sum(dim=1)
        return result


class JumpPhases(ModeBlock):
    """Every phase interval between two jumps of a wave that jumps: square or saw.

    At sample t and phase p the wave is base[g, t] + slope p, less 2 jump[g, t] once p has passed that sample's jump
    at v[g, t]. Between neighbouring edges, the jumps and `extra` even ones, there is one node for the square, which
    is constant there, and two Gauss-Legendre nodes for the saw. The square runs over half a period and is mirrored.
    """

    def __init__(self, source: str, cycles: Tensor, extra: int, probability: Tensor) -> None:
        square = source == "square"
        span = 0.5 if square else 1.0
        self.mirrored = square
        self.slope = 0.0 if square else 2.0
        self.base = waveform(source, cycles)
        self.jump = self.base if square else torch.ones_like(self.base)
        even = torch.arange(extra, dtype=torch.float64, device=cycles.device) / extra * span
        edges = torch.cat([span - torch.remainder(cycles, span), even.expand(len(cycles), -1)], dim=1)
        edges, self.order = edges.sort(dim=1)
        self.rank = self.order.argsort(dim=1)[:, : cycles.shape[1]]
        length = torch.diff(edges, dim=1, append=torch.full_like(edges[:, :1], span))
        inside = (0.5,) if square else (0.5 - 0.5 / math.sqrt(3), 0.5 + 0.5 / math.sqrt(3))
        self.node = edges[..., None] + length[..., None] * torch.tensor(inside, dtype=torch.float64).to(edges)
        share = probability[:, None] * length  # of the nodes of an interval: two, or one and its mirror image
        log_share = torch.where(length > _COINCIDENT, (share / (2 * span if square else 2)).log(), _IMPOSSIBLE)
        self.log_prior = self._both(log_share[..., None].expand(self.node.shape).flatten(1), 1)
        steps = self._passed(torch.stack([torch.ones_like(self.base), self.base]))
        count, sums = steps[..., None]
        first, second = self.base.sum(dim=1)[:, None, None], self.base.square().sum(dim=1)[:, None, None]
        if square:
            energy = second.expand(self.node.shape)
        else:
            level = 2 * self.node
            energy = second + 2 * level * first + level**2 * self.base.shape[1] - 4 * (sums + (level - 1) * count)
        self.energy = self._both(energy.flatten(1), 1).clamp(min=0)

    def _both(self, values: Tensor, sign: int) -> Tensor:
        """Values (..., Q / 2) of the first half period, and those of the second when it mirrors the first."""
        return torch.cat([values, sign * values], dim=-1) if self.mirrored else values

    def _passed(self, values: Tensor) -> Tensor:
        """By interval, the sum over the samples whose jump has passed: (..., G, T) to (..., G, edges)."""
        extra = self.order.shape[1] - values.shape[-1]
        padded = torch.nn.functional.pad(values, (0, extra))
        return padded.gather(-1, self.order.expand(padded.shape)).cumsum(dim=-1)

    def correlate(self, rows: Tensor) -> Tensor:
        start = rows @ self.base.T
        drift = self.slope * rows.sum(dim=1)[:, None, None, None] * self.node
        passed = self._passed(rows[:, None] * self.jump)
        return self._both((start[..., None, None] + drift - 2 * passed[..., None]).flatten(2), -1)

    def combine(self, weights: Tensor) -> Tensor:
        if self.mirrored:
            first, second = weights.chunk(2, dim=2)
            weights = first - second
        weights = weights.unflatten(2, self.node.shape[1:])
        start = weights.sum(dim=(2, 3)) @ self.base
        drift = self.slope * (weights * self.node).sum(dim=(1, 2, 3))[:, None]
        left = weights.sum(dim=3).flip(2).cumsum(dim=2).flip(2)
        passed = (left.gather(2, self.rank.expand(len(weights), -1, -1)) * self.jump).sum(dim=1)
        return start + drift - 2 * passed


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


def _fold(index: Tensor, values: Tensor, bins: int) -> Tensor:
    """Sums of values (..., G, T) by bin: (..., G, bins)."""
    folded = values.new_zeros(*values.shape[:-1], bins)
    return folded.scatter_add_(-1, index.expand(values.shape), values)


def _correlate(folded: Tensor, wave: Tensor) -> Tensor:
    """Circular correlation: sum over n of folded[..., n] * wave[..., (n + j) mod N] for every j < Q <= N, (..., Q)."""
    size = wave.shape[-1]
    spectrum = torch.fft.rfft(folded, n=size).conj() * torch.fft.rfft(wave)
    return torch.fft.irfft(spectrum, n=size)[..., : folded.shape[-1]]
