"""Draws from the oracle's posterior: their mean is the denoiser, their amplitude a truncated normal."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from srcsep_core.data.toy import SOURCES, ToyParameters, ToyWorld, synthesise
from srcsep_core.priors.oracle import OraclePrior, amplitude_posterior, draw_amplitude

DRAWS = 64


def noisy(prior: OraclePrior, sigma: float, batch: int, length: int, seed: int = 0) -> Tensor:
    """Signals (batch, 1, length) of the noisy toy law, float64."""
    return prior.sample((batch, 1, length), torch.Generator().manual_seed(seed), sigma).double()


def draws_of(prior: OraclePrior, x: Tensor, sigma: float, seed: int = 0) -> Tensor:
    """Draws (DRAWS, T) for the one signal `x` (1, 1, T)."""
    generator = torch.Generator().manual_seed(seed)
    return prior.posterior_sample(x.expand(DRAWS, 1, -1), sigma, generator)[:, 0]


def misfit(draws: Tensor, mean: Tensor) -> float:
    """Distance of the mean of the draws from `mean` (T,), in what is expected of it (root mean square)."""
    expected = (draws.var(dim=0) / len(draws)).sum().sqrt()
    return float((draws.mean(dim=0) - mean).norm() / (expected + 1e-6))


# The wave


@pytest.mark.parametrize(
    ("source", "variant", "length", "sigma"),
    [
        ("saw", "whole_periods", 24, 1.5),
        ("sine", "whole_periods", 48, 0.05),
        *((source, "piano_keys", 12, 1.0) for source in SOURCES),
        ("triangle", "piano_keys", 48, 0.1),
        ("square", "uniform_hz", 12, 1.0),
    ],
)
def test_mean_of_the_draws_is_the_denoiser(source: str, variant: str, length: int, sigma: float) -> None:
    """A broad posterior, and a sharp one, whose draws are all close to the clean wave."""
    prior = OraclePrior(source, ToyWorld(variant))
    x = noisy(prior, sigma, 1, length, seed=3)
    draws = draws_of(prior, x, sigma)
    spread = float(draws.std(dim=0).square().mean().sqrt())
    assert spread > 0.2 if sigma >= 1 else spread < 0.8 * sigma
    assert misfit(draws, prior.denoise(x, sigma)[0, 0]) < 2


def test_draws_vary_as_the_posterior_does() -> None:
    """The covariance of the clean signal is sigma^2 times the gradient of the denoiser (Tweedie, second order)."""
    sigma, prior = 1.0, OraclePrior("saw", ToyWorld("piano_keys"))
    x = noisy(prior, sigma, 1, 8)
    shifts = 1e-3 * torch.eye(8, dtype=torch.float64)[:, None]
    gradient = (prior.denoise(x + shifts, sigma) - prior.denoise(x - shifts, sigma)) / 2e-3
    expected = sigma**2 * gradient[:, 0]
    found = torch.cov(torch.cat([draws_of(prior, x, sigma, seed) for seed in range(8)]).T)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.2 * float(expected.diagonal().mean()))


def test_draws_are_waves_of_the_toy_law() -> None:
    prior = OraclePrior("square", ToyWorld())
    draws = prior.posterior_sample(noisy(prior, 1.0, 10, 48), 1.0, torch.Generator().manual_seed(0)).abs()
    torch.testing.assert_close(draws.amin(dim=2), draws.amax(dim=2))
    assert draws.min() >= 0.8 - 1e-9 and draws.max() <= 1 + 1e-9 and len(draws[:, 0, 0].unique()) == 10
    loud = OraclePrior("square", ToyWorld(amplitude=(1.0, 1.0)))
    found = loud.posterior_sample(noisy(loud, 1.0, 5, 48), 1.0, torch.Generator().manual_seed(0)).abs()
    torch.testing.assert_close(found, torch.ones_like(found))


def test_each_row_gets_a_draw_of_its_own_signal() -> None:
    """Rows of two frequencies, several rows and phases each: a draw is near its own clean wave and far from others."""
    period = torch.tensor([50.0, 31.0, 50.0, 50.0, 31.0, 31.0], dtype=torch.float64)[:, None]
    phase = torch.tensor([0.0, 0.0, 0.3, 0.6, 0.4, 0.8], dtype=torch.float64)[:, None]
    law = ToyParameters(14_700 / period, torch.full_like(phase, 0.9), phase)
    clean = synthesise(ToyWorld(sources=("saw",)), law, 200).double()
    x = clean + 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    draws = OraclePrior("saw", ToyWorld()).posterior_sample(x, 0.05, torch.Generator().manual_seed(0))
    distance = (draws - clean.transpose(0, 1)).square().mean(dim=2).sqrt()
    assert distance.diagonal().max() < 0.05 and distance[~torch.eye(6, dtype=torch.bool)].min() > 0.3


# The amplitude

CASES = {
    "inside": (9.0, 10.0, 0.1),
    "inside and narrow": (9.1, 10.0, 0.005),
    "peak below": (7.0, 10.0, 0.3),
    "peak above": (11.0, 10.0, 0.3),
    "far below": (-20.0, 10.0, 1.0),
    "broad": (5.0, 10.0, 30.0),
    "no energy": (0.0, 0.0, 0.5),
}
LOW, HIGH = 0.8, 1.0


def quantiles(correlation: float, energy: float, sigma: float, uniform: Tensor) -> Tensor:
    """Those of the normal distribution with peak c / w and width sigma / sqrt(w), cut to [LOW, HIGH]."""
    if energy == 0:
        return LOW + (HIGH - LOW) * uniform
    peak, width = correlation / energy, sigma / math.sqrt(energy)
    law = stats.truncnorm((LOW - peak) / width, (HIGH - peak) / width, loc=peak, scale=width)
    return torch.from_numpy(np.asarray(law.ppf(uniform.numpy())))


def drawn(correlation: float, energy: float, sigma: float, uniform: Tensor) -> Tensor:
    full = torch.ones_like(uniform)
    return draw_amplitude(correlation * full, energy * full, sigma, LOW, HIGH, uniform)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_amplitude_has_the_truncated_normal_distribution(case: tuple[float, float, float]) -> None:
    """Quantile by quantile, within the spacing of the 512 points."""
    correlation, energy, sigma = case
    uniform = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    found, expected = drawn(*case, uniform), quantiles(*case, uniform)
    width = min(16 * sigma / math.sqrt(max(energy, 1e-300)), HIGH - LOW)
    assert (found - expected).abs().max() < 1.5 * width / 511
    assert (found.diff() >= 0).all() and found.min() >= LOW and found.max() <= HIGH
    peak, weight = (torch.tensor([value], dtype=torch.float64) for value in (correlation, energy))
    _, mean = amplitude_posterior(peak, weight, sigma, LOW, HIGH)
    assert found.mean().item() == pytest.approx(mean.item(), abs=width / 511)


def test_random_amplitudes_pass_the_test_of_kolmogorov_and_smirnov() -> None:
    uniform = torch.rand(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    correlation, energy, sigma = CASES["inside"]
    peak, width = correlation / energy, sigma / math.sqrt(energy)
    law = stats.truncnorm((LOW - peak) / width, (HIGH - peak) / width, loc=peak, scale=width)
    assert stats.kstest(drawn(correlation, energy, sigma, uniform).numpy(), law.cdf).pvalue > 0.01


def test_amplitude_of_an_empty_range_is_that_point() -> None:
    values = torch.tensor([3.0, -5.0], dtype=torch.float64), torch.tensor([10.0, 0.0], dtype=torch.float64)
    uniform = torch.tensor([0.1, 0.9], dtype=torch.float64)
    torch.testing.assert_close(draw_amplitude(*values, 0.2, 0.9, 0.9, uniform), torch.full_like(uniform, 0.9))


@pytest.mark.parametrize("uniform", [0.0, 1e-300, 1 - 1e-16, 1.0])
def test_ends_of_the_unit_interval_stay_within_the_range(uniform: float) -> None:
    for case in CASES.values():
        found = drawn(*case, torch.tensor([uniform], dtype=torch.float64))
        assert LOW <= found.item() <= HIGH
