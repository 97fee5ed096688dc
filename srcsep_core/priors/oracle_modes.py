"""Blocks of modes of the oracle prior: noise-free waves of amplitude one, and sums over many of them at once."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from srcsep_core.data.toy import waveform

_COINCIDENT = 1e-12  # two jumps closer than this, in periods, are one; rounding alone parts them
_IMPOSSIBLE = -1e30  # log-probability of what lies between them, finite so that its product with 0 is 0


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


def _fold(index: Tensor, values: Tensor, bins: int) -> Tensor:
    """Sums of values (..., G, T) by bin: (..., G, bins)."""
    folded = values.new_zeros(*values.shape[:-1], bins)
    return folded.scatter_add_(-1, index.expand(values.shape), values)


def _correlate(folded: Tensor, wave: Tensor) -> Tensor:
    """Circular correlation: sum over n of folded[..., n] * wave[..., (n + j) mod N] for every j < Q <= N, (..., Q)."""
    size = wave.shape[-1]
    spectrum = torch.fft.rfft(folded, n=size).conj() * torch.fft.rfft(wave)
    return torch.fft.irfft(spectrum, n=size)[..., : folded.shape[-1]]
