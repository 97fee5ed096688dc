"""The oracle prior: the exact density of one toy source in Gaussian noise.

p_sigma(x) is the mean of Normal(x; amplitude * wave, sigma^2 I) over the toy's law of frequency, amplitude and phase.
No prior can do better on such data, so it tells a prior's failure from a sampler's and from what the noise destroys.
The amplitude is integrated analytically; frequency and phase are summed over (`oracle_grid`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from srcsep_core.checks import check_waveform
from srcsep_core.data.toy import ToyWorld, draw_sources
from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import register_oracle
from srcsep_core.priors.oracle_grid import ModePlan, OracleGrid
from srcsep_core.priors.oracle_modes import ModeBlock
from srcsep_core.priors.sets import index_of

_LIGHT = 60.0  # nats below the heaviest mode
_NEGLIGIBLE = 1e-16  # posterior weight of a frequency that the denoiser leaves out


class OraclePrior:
    """The noisy density of `source` under the toy law `data`; `sigma` is the default noise level (std).

    All sums are in float64. Nothing here is differentiable by autograd: `score` is the gradient, in closed form.
    `whole_periods` is exact to rounding; `piano_keys` and `uniform_hz` carry the quadrature error that `OracleGrid`
    describes and get slow beyond some thousand samples. Every method raises `InputError` on a bad signal or sigma.
    """

    def __init__(
        self, source: str, data: ToyWorld, sigma: float | None = None, *, grid: OracleGrid | None = None
    ) -> None:
        low, high = data.amplitude
        if not -math.inf < low <= high < math.inf:
            raise InputError(f"the amplitude range {data.amplitude} is not (low, high); give two ordered numbers")
        self.source = source
        self.data = ToyWorld(data.variant, (source,), data.amplitude)
        self.sigma = None if sigma is None else _check_sigma(sigma)
        self.grid = grid or OracleGrid()
        self._plan: tuple[tuple[int, float], ModePlan] | None = None

    @torch.no_grad()
    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density in nats, summed over time: (B, 1, T) to (B,), float64."""
        noise = self._noise(sigma)
        rows = self._rows(x)
        evidence, _ = self._evidence(rows, noise)
        normal = rows.square().sum(dim=1) / (2 * noise**2) + rows.shape[1] * math.log(noise * math.sqrt(2 * math.pi))
        return evidence.logsumexp(dim=1) - normal

    @torch.no_grad()
    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Gradient of the log-density at `x`, (denoise(x) - x) / sigma^2 (Tweedie; Efron 2011): (B, 1, T)."""
        noise = self._noise(sigma)
        rows = self._rows(x)
        return ((self._posterior_mean(rows, noise) - rows) / noise**2)[:, None].to(x.dtype)

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """The posterior mean of the clean signal given the noisy `x`: (B, 1, T), in the precision of `x`."""
        return self._posterior_mean(self._rows(x), self._noise(sigma))[:, None].to(x.dtype)

    @torch.no_grad()
    def posterior_sample(self, x: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        """Draw the clean signal given the noisy `x`, exactly (up to the grid): (B, 1, T), in the precision of `x`.

        The frequency by its evidence, then the phase, then the amplitude from its truncated normal distribution.
        """
        noise, rows = self._noise(sigma), self._rows(x)
        evidence, _ = self._evidence(rows, noise)
        total = evidence.logsumexp(dim=1)
        chosen = torch.multinomial((evidence - total[:, None]).exp(), 1, generator=generator)[:, 0]
        clean = torch.zeros_like(rows)
        for frequency in chosen.unique().tolist():
            mine = chosen == frequency
            keep = torch.arange(evidence.shape[1], device=rows.device) == frequency
            for block in self._modes(rows.shape[1], noise).blocks(int(mine.sum()), rows.device, keep):
                clean[mine] = self._draw(block, rows[mine], noise, total[mine], generator)
        return clean[:, None].to(x.dtype)

    def _draw(self, block: ModeBlock, rows: Tensor, sigma: float, best: Tensor, generator: torch.Generator) -> Tensor:
        """A wave for every row, (B, T), from a block of one frequency."""
        log_weight, _ = self._weights(block, rows, sigma, best)
        share = (log_weight - log_weight.amax(dim=(1, 2), keepdim=True)).exp().flatten(1)
        phase = torch.multinomial(share, 1, generator=generator)
        correlation = block.correlate(rows).flatten(1).gather(1, phase)[:, 0]
        energy = block.energy.flatten()[phase[:, 0]]
        uniform = torch.rand(len(rows), generator=generator, device=rows.device, dtype=rows.dtype)
        amplitude = draw_amplitude(correlation, energy, sigma, *self.data.amplitude, uniform)
        weights = torch.zeros_like(share).scatter_(1, phase, amplitude[:, None])
        return block.combine(weights[:, None])

    @torch.no_grad()
    def mode_entropy(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Entropy in nats of the posterior of the mode (period, phase) given `x`: (B, 1, T) to (B,), float64.

        For `piano_keys` and `uniform_hz` the modes are the points of the grid, so the value depends on its spacing,
        which follows sigma, and need not tend to 0 with sigma.
        """
        evidence, mean_log_weight = self._evidence(self._rows(x), self._noise(sigma))
        total = evidence.logsumexp(dim=1)
        share = (evidence - total[:, None]).exp()
        return (share * (total[:, None] - mean_log_weight)).sum(dim=1).clamp(min=0)

    @torch.no_grad()
    def sample(
        self, shape: tuple[int, int, int], generator: torch.Generator | None = None, sigma: float | None = None
    ) -> Tensor:
        """Draw noisy signals of shape (B, 1, T), float32; without any sigma, or with sigma 0, clean waves."""
        batch, channels, length = shape
        if batch < 1 or channels != 1 or length < 1:
            raise InputError(f"cannot draw signals of shape {tuple(shape)}; ask for (B, 1, T) with B, T >= 1")
        generator = generator or torch.default_generator
        clean = draw_sources(self.data, batch, length, generator)
        noise = self.sigma if sigma is None else sigma
        if not noise:
            return clean
        return clean + _check_sigma(noise) * torch.randn(shape, generator=generator, device=clean.device)

    def _noise(self, sigma: float | None) -> float:
        value = self.sigma if sigma is None else sigma
        if value is None:
            raise InputError("the oracle has no noise level; pass sigma > 0 to it or to the call")
        return _check_sigma(value)

    @staticmethod
    def _rows(x: Tensor) -> Tensor:
        check_waveform(x)
        return x[:, 0].detach().double()

    def _modes(self, length: int, sigma: float) -> ModePlan:
        """The plan for a length and noise level; the last one is kept."""
        key = (length, sigma)
        if self._plan is None or self._plan[0] != key:
            self._plan = key, ModePlan.of(self.source, self.data, length, sigma, self.grid)
        return self._plan[1]

    def _weights(self, block: ModeBlock, rows: Tensor, sigma: float, best: Tensor) -> tuple[Tensor, Tensor]:
        """Log of prior times likelihood of every mode, up to exp(-|x|^2 / 2 sigma^2), and mean amplitude (B, G, Q).

        Modes whose weight at their best amplitude is e^-60 of the `best` weight known (B,), or less, are left at
        that bound: they are too light to count, and the integral over the amplitude is what costs time.
        """
        low, high = self.data.amplitude
        correlation = block.correlate(rows)
        energy, log_prior = block.energy.expand_as(correlation), block.log_prior.expand_as(correlation)
        amplitude = (correlation / energy.clamp(min=1e-300)).clamp(low, high)
        log_weight = amplitude * (2 * correlation - amplitude * energy) / (2 * sigma**2) + log_prior

        def settle(where: Tensor) -> None:
            mass, mean = amplitude_posterior(correlation[where], energy[where], sigma, low, high)
            log_weight[where] = mass + log_prior[where]
            amplitude[where] = mean

        top = log_weight.flatten(1).argmax(dim=1, keepdim=True)
        first = torch.zeros_like(log_weight, dtype=torch.bool)
        first.view(len(rows), -1).scatter_(1, top, True)
        settle(first)
        known = torch.maximum(best, log_weight.flatten(1).gather(1, top)[:, 0])
        settle((log_weight > known[:, None, None] - _LIGHT) & ~first)
        return log_weight, amplitude

    def _evidence(self, rows: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """By frequency, (B, F): log of the summed weights of its phases, and their posterior mean log-weight."""
        totals, means = [], []
        best = rows.new_full((len(rows),), -math.inf)
        for block in self._modes(rows.shape[1], sigma).blocks(len(rows), rows.device):
            log_weight, _ = self._weights(block, rows, sigma, best)
            total = log_weight.logsumexp(dim=2)
            best = torch.maximum(best, total.amax(dim=1))
            totals.append(total)
            means.append(((log_weight - total[..., None]).exp() * log_weight).sum(dim=2))
        return torch.cat(totals, dim=1), torch.cat(means, dim=1)

    def _posterior_mean(self, rows: Tensor, sigma: float) -> Tensor:
        """E[clean | rows], (B, T): every wave times its posterior weight and mean amplitude."""
        evidence, _ = self._evidence(rows, sigma)
        total = evidence.logsumexp(dim=1)
        keep = ((evidence - total[:, None]).exp() > _NEGLIGIBLE).any(dim=0)
        estimate = torch.zeros_like(rows)
        for block in self._modes(rows.shape[1], sigma).blocks(len(rows), rows.device, keep):
            log_weight, amplitude = self._weights(block, rows, sigma, total)
            estimate += block.combine((log_weight - total[:, None, None]).exp() * amplitude)
        return estimate


def amplitude_posterior(
    correlation: Tensor, energy: Tensor, sigma: float, low: float, high: float
) -> tuple[Tensor, Tensor]:
    """Log-likelihood and mean of an amplitude A uniform on [low, high].

    The log of the mean over A of exp((2 A c - A^2 w) / (2 sigma^2)), for the inner product c of signal and wave and
    the wave's energy w, and the mean of A under that weight; shapes broadcast. Equal ends: a point mass.
    """
    width = high - low
    log_mass = low * (2 * correlation - low * energy) / (2 * sigma**2)
    if width == 0:
        return log_mass, torch.full_like(log_mass, low)
    slope = width * (correlation - low * energy) / sigma**2
    curvature = (width**2 / sigma**2 * energy).expand_as(slope)
    tilt, mean = tilted_uniform(slope, curvature)
    return log_mass + tilt, low + width * mean


def draw_amplitude(
    correlation: Tensor, energy: Tensor, sigma: float, low: float, high: float, uniform: Tensor
) -> Tensor:
    """Amplitudes from the posterior of `amplitude_posterior`, all (B,), by inverting its distribution at `uniform`.

    The distribution is summed on 512 points of the part of [low, high] within eight standard deviations of its peak.
    """
    width = sigma / energy.clamp(min=1e-300).sqrt()
    peak = (correlation / energy.clamp(min=1e-300)).clamp(low, high)
    start, end = (peak - 8 * width).clamp(min=low), (peak + 8 * width).clamp(max=high)
    points = start[:, None] + (end - start)[:, None] * torch.linspace(0, 1, 512, dtype=peak.dtype, device=peak.device)
    exponent = points * (2 * correlation[:, None] - points * energy[:, None]) / (2 * sigma**2)
    mass = (exponent - exponent.amax(dim=1, keepdim=True)).exp().cumsum(dim=1)
    index = torch.searchsorted(mass, (uniform * mass[:, -1])[:, None]).clamp(max=511)
    return points.gather(1, index)[:, 0]


def tilted_uniform(slope: Tensor, curvature: Tensor) -> tuple[Tensor, Tensor]:
    """Log of I = integral over u in [0, 1] of exp(slope u - curvature u^2 / 2), and the mean of u; curvature >= 0.

    A normal distribution cut to an interval, float64. The mirror u -> 1 - u brings the peak to the left half.
    A peak inside is a difference of erf of opposite signs. A peak at the left of the interval is a difference of
    erfcx, the CDF scaled by its own tail, because logarithms of the CDF (log_ndtr) lose all digits when the curvature
    is tiny. A nearly flat integrand has a series. At tiny curvature the mean has few digits, but so has its wave little
    energy: their product is right.
    """
    mirrored = slope > curvature / 2
    slope_here = torch.where(mirrored, curvature - slope, slope)
    drop = slope_here - curvature / 2  # log of the integrand at 1; never positive
    safe = curvature.clamp(min=1e-300)
    root = safe.sqrt()
    near = -slope_here / root
    far = near + root
    inside = slope_here > 0
    tail = torch.special.erfcx(near.clamp(min=0) / math.sqrt(2))
    tail = tail - drop.exp() * torch.special.erfcx(far / math.sqrt(2))
    middle = torch.erf(far / math.sqrt(2)) - torch.erf(near / math.sqrt(2))
    mass = torch.where(inside, middle, tail).clamp(min=1e-300)
    log_mass = mass.log() + 0.5 * math.log(math.pi / 2) - root.log()
    log_mass = log_mass + torch.where(inside, slope_here.square() / (2 * safe), 0.0)
    mean = ((slope_here - drop.expm1() * (-log_mass).exp()) / safe).clamp(0, 1)

    flat = torch.maximum(curvature, slope_here.abs()) < 1e-5
    second = slope_here.square() / 6 - slope_here * curvature / 8 + curvature.square() / 40
    log_mass = torch.where(flat, torch.log1p(slope_here / 2 - curvature / 6 + second), log_mass)
    mean = torch.where(flat, 0.5 + slope_here / 12 - curvature / 24, mean)
    return log_mass + torch.where(mirrored, slope - curvature / 2, 0.0), torch.where(mirrored, 1 - mean, mean)


def _check_sigma(sigma: float) -> float:
    if not 0 < sigma < math.inf:
        raise InputError(
            f"sigma is {sigma:g}, and the noise-free toy density lies on a curve and has no value; use sigma > 0"
        )
    return float(sigma)


@dataclass(frozen=True)
class OracleSet:
    """The true densities of the toy sources, at one noise level or (None) at whichever they are asked for."""

    data: ToyWorld
    sigma: float | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of the data."""
        return self.data.sources

    @property
    def multiple_of(self) -> int:
        """Any length will do."""
        return 1

    def at(self, sigma: float) -> OracleSet:
        """The same densities at another level."""
        return replace(self, sigma=sigma)

    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        """The true noisy log-density."""
        values = [self.prior(name).log_prob(x[:, g : g + 1]) for g, name in enumerate(self.sources)]
        return {"oracle": torch.stack(values, dim=1) / x.shape[2]}

    def prior(self, source: str) -> OraclePrior:
        """One source's prior."""
        index_of(self.sources, source)
        return OraclePrior(source, self.data, self.sigma)


register_oracle(ToyWorld, OracleSet)
