"""The oracle's density, score and denoiser against enumeration, Monte Carlo and finite differences."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from srcsep_core.data import toy
from srcsep_core.data.toy import SOURCES, VARIANTS, ToyParameters, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.priors.oracle import OraclePrior, amplitude_posterior, tilted_uniform
from srcsep_core.priors.oracle_grid import ModePlan, OracleGrid, whole_periods
from srcsep_core.priors.oracle_modes import EvenPhases, JumpPhases, WholePeriods

POINT = (1.0, 1.0)
CPU = torch.device("cpu")


def oracle(source: str, variant: str = "whole_periods", amplitude: tuple[float, float] = (0.8, 1.0)) -> OraclePrior:
    return OraclePrior(source, ToyWorld(variant, amplitude=amplitude))


def noisy(prior: OraclePrior, sigma: float, batch: int, length: int, seed: int = 0) -> Tensor:
    """Signals (batch, 1, length) of the noisy toy law, float64."""
    return prior.sample((batch, 1, length), torch.Generator().manual_seed(seed), sigma).double()


def waves_of_whole_periods(source: str, length: int) -> tuple[Tensor, Tensor]:
    """Every wave of whole periods and amplitude one, (modes, length), and its log-probability, one by one."""
    waves, log_prior = [], []
    time = torch.arange(length)
    for period, probability in zip(*whole_periods(14_700), strict=True):
        shift = torch.arange(int(period))[:, None]
        cycles = ((time + shift) % period).double() / period
        waves.append(toy.waveform(source, cycles))
        log_prior.append((probability / period).log().expand(int(period)))
    return torch.cat(waves), torch.cat(log_prior)


def log_normal(x: Tensor, means: Tensor, sigma: float) -> Tensor:
    """Log-density of signals (B, 1, T) around means (M, T), (B, M)."""
    squares = x[:, 0].square().sum(dim=1, keepdim=True) - 2 * x[:, 0] @ means.T + means.square().sum(dim=1)
    return -squares / (2 * sigma**2) - x.shape[2] * math.log(sigma * math.sqrt(2 * math.pi))


each_law = pytest.mark.parametrize(("variant", "source"), [(v, source) for v in VARIANTS for source in SOURCES])

# The law of the modes


def test_the_whole_periods_have_the_probabilities_of_the_toy_law() -> None:
    periods, probability = whole_periods(14_700)
    assert probability.sum() == pytest.approx(1, abs=1e-12) and periods.min() == 13 and periods.max() == 563
    drawn = toy.draw_parameters(ToyWorld(), 20_000, torch.Generator().manual_seed(0)).frequency
    counts = torch.bincount((14_700 / drawn).round().long().flatten(), minlength=564)
    assert counts.sum() == counts[periods].sum()
    expected = probability * drawn.numel()
    often = expected > 20
    observed = torch.cat([counts[periods][often], counts[periods][~often].sum()[None]])
    expected = torch.cat([expected[often], expected[~often].sum()[None]])
    assert stats.chisquare(observed.numpy(), expected.numpy()).pvalue > 0.01


@each_law
def test_the_mode_probabilities_sum_to_one(variant: str, source: str) -> None:
    plan = ModePlan.of(source, ToyWorld(variant), 33, 0.3, OracleGrid())
    blocks = plan.blocks(1, CPU)
    total = sum(float(block.log_prior.exp().expand(block.energy.shape).sum()) for block in blocks)
    assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("source", SOURCES)
def test_the_waves_of_whole_periods_are_the_toy_signals(source: str) -> None:
    period, length = 29, 77  # not a multiple
    plan = ModePlan.of(source, ToyWorld(), length, 0.1, OracleGrid())
    (block,) = plan.blocks(1, CPU, keep=plan.frequency == 1 / period)
    shift = torch.arange(period, dtype=torch.float64)[:, None]
    law = ToyParameters(torch.full_like(shift, 14_700 / period), torch.ones_like(shift), shift / period)
    expected = toy.synthesise(ToyWorld(sources=(source,)), law, length)[:, 0]
    assert torch.allclose(block.combine(torch.eye(period).double()[:, None]).float(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("source", SOURCES)
def test_whole_periods_of_several_lengths_in_one_block_are_those_of_each_alone(source: str) -> None:
    periods, share = torch.tensor([29, 30, 36]), torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    together = WholePeriods(source, periods, 77, share)
    x = torch.randn(2, 77, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(2, 3, 36, dtype=torch.float64) * together.log_prior.exp()
    combined = torch.zeros(2, 77, dtype=torch.float64)
    for g, period in enumerate(periods.tolist()):
        alone = WholePeriods(source, periods[g : g + 1], 77, share[g : g + 1])
        combined += alone.combine(weights[:, g : g + 1, :period])
        pairs = [(together.correlate(x), alone.correlate(x)), (together.energy[None], alone.energy[None])]
        pairs.append((together.log_prior[None], alone.log_prior[None]))
        for ours, expected in pairs:
            torch.testing.assert_close(ours[:, g, :period], expected[:, 0], rtol=0, atol=1e-10)
        assert float(together.log_prior[g, period:].exp().sum()) == 0
    torch.testing.assert_close(together.combine(weights), combined, rtol=0, atol=1e-10)


@pytest.mark.parametrize("length", [1, 33, 64])
@pytest.mark.parametrize("source", SOURCES)
def test_the_waves_of_a_continuous_phase_are_exact(source: str, length: int) -> None:
    """Correlation, combination and energy are those of the waveform at the block's own phases."""
    plan = ModePlan.of(source, ToyWorld("piano_keys"), length, 0.3, OracleGrid())
    (block,) = plan.blocks(1, CPU, keep=torch.arange(88) == 50)
    phases = block.energy.shape[1]
    if isinstance(block, JumpPhases):
        phase = torch.cat([block.node.flatten() + half for half in ((0, 0.5) if source == "square" else (0,))])
    else:
        assert isinstance(block, EvenPhases)
        phase = torch.arange(phases).double() / phases
    cycles = plan.frequency[50] * (torch.arange(length).double() - (length - 1) / 2)
    waves = toy.waveform(source, cycles + phase[:, None])
    possible = block.log_prior.expand(1, phases)[0] > -1e29
    x = torch.randn(2, length, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert possible.sum() >= length
    combined = block.combine(torch.eye(phases).double()[:, None])
    assert torch.allclose(combined[possible], waves[possible], rtol=0, atol=1e-10)
    assert torch.allclose(block.correlate(x)[:, 0, possible], (x @ waves.T)[:, possible], rtol=0, atol=1e-10)
    assert torch.allclose(block.energy[0, possible], waves.square().sum(dim=1)[possible], rtol=0, atol=1e-10)


# The amplitude


def test_the_amplitude_integral_is_stable_in_both_tails() -> None:
    sizes = [0.0, 1e-12, 1e-7, 1e-4, 0.03, 1.0, 20.0, 1e3, 1e6]
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(400))
    for curvature in sizes:
        for slope in [sign * size for size in [*sizes, curvature / 3] for sign in (1, -1)]:
            if abs(slope) > 1e5 * math.sqrt(curvature):  # no signal has that slope: its norm would be 1e5 sigma
                continue
            peak = min(max(slope / curvature, 0), 1) if curvature else float(slope > 0)
            steep = max(math.sqrt(curvature), abs(slope - curvature * peak), 1.0)
            low, high = max(0.0, peak - 45 / steep), min(1.0, peak + 45 / steep)
            u = low + (high - low) * (nodes + 1) / 2
            height = slope * peak - curvature * peak**2 / 2
            mass = weights * torch.exp(slope * u - curvature * u**2 / 2 - height) * (high - low) / 2
            values = (torch.tensor([value], dtype=torch.float64) for value in (slope, curvature))
            log_mass, mean = tilted_uniform(*values)
            expected = float(mass.sum().log()) + height
            assert float(log_mass) == pytest.approx(expected, rel=1e-10, abs=1e-10), (slope, curvature)
            # The square root of the curvature stands for the norm of the wave that the mean multiplies.
            error = abs(float(mean) - float((mass * u).sum() / mass.sum()))
            assert error * min(1.0, math.sqrt(curvature)) < 1e-9, (slope, curvature)


def test_a_narrow_amplitude_range_tends_to_a_point() -> None:
    correlation, energy = torch.tensor([3.0, -5.0, 40.0]).double(), torch.tensor([10.0, 0.0, 50.0]).double()
    point, at = amplitude_posterior(correlation, energy, 0.2, 0.9, 0.9)
    narrow, near = amplitude_posterior(correlation, energy, 0.2, 0.9 - 1e-7, 0.9 + 1e-7)
    assert torch.allclose(point, narrow, rtol=1e-7) and torch.allclose(at, near, rtol=1e-6)


# The density


@pytest.mark.parametrize("amplitude", [(0.8, 1.0), POINT])
@pytest.mark.parametrize("source", SOURCES)
def test_log_prob_is_the_sum_over_every_wave_of_whole_periods(source: str, amplitude: tuple[float, float]) -> None:
    sigma, length = 0.05, 24
    prior = oracle(source, amplitude=amplitude)
    x = torch.cat([noisy(prior, sigma, 1, length), noisy(oracle("square"), 0.5, 1, length)])
    waves, log_prior = waves_of_whole_periods(source, length)
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(80))
    level = (sum(amplitude) + (amplitude[1] - amplitude[0]) * nodes) / 2
    correlation, energy = x[:, 0] @ waves.T, waves.square().sum(dim=1)
    terms = [
        ((2 * at * correlation - at**2 * energy) / (2 * sigma**2) + log_prior).logsumexp(dim=1) + (weight / 2).log()
        for at, weight in zip(level, weights, strict=True)
    ]
    silence = log_normal(x, torch.zeros(1, length, dtype=torch.float64), sigma)[:, 0]
    expected = torch.stack(terms).logsumexp(dim=0) + silence
    assert torch.allclose(prior.log_prob(x, sigma), expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("source", SOURCES)
def test_log_prob_of_piano_keys_is_that_of_a_dense_phase_grid(source: str) -> None:
    sigma, length, phases = 0.1, 33, 4000
    prior = oracle(source, "piano_keys", POINT)
    x = noisy(prior, sigma, 4, length)
    frequency = toy.key_to_frequency(torch.arange(1, 89).double())[:, None, None] / 14_700
    phase = (torch.arange(phases).double()[:, None] + 0.5) / phases
    waves = toy.waveform(source, frequency * torch.arange(length) + phase).flatten(0, 1)
    expected = log_normal(x, waves, sigma).logsumexp(dim=1) - math.log(len(waves))
    tolerance = 2e-3 if source == "sine" else 0.05
    assert torch.allclose(prior.log_prob(x, sigma), expected, rtol=0, atol=tolerance)


@each_law
def test_log_prob_agrees_with_monte_carlo(variant: str, source: str) -> None:
    config = ToyWorld(variant, (source,))
    length = 9
    draws = toy.draw_sources(config, 200_000, length, torch.Generator().manual_seed(1))[:, 0].double()
    for sigma in (0.3, 0.5, 1.0):
        prior = OraclePrior(source, config, sigma)
        x = noisy(prior, sigma, 3, length)
        density = log_normal(x, draws, sigma)
        top = density.amax(dim=1, keepdim=True)
        share = (density - top).exp()
        error = share.std(dim=1) / share.mean(dim=1) / math.sqrt(len(draws))
        assert error.max() < 0.2
        expected = share.mean(dim=1).log() + top[:, 0]
        assert ((prior.log_prob(x) - expected).abs() < 4 * error + 1e-3).all()


@each_law
def test_the_density_integrates_to_one(variant: str, source: str) -> None:
    """A trapezoid rule as coarse as sigma is exact to 1e-8 for a mixture of Gaussians."""
    whole = variant == "whole_periods"
    prior, sigma = oracle(source, variant, POINT if whole else (0.8, 1.0)), 0.5
    line = torch.arange(-8, 9, dtype=torch.float64) * sigma
    one = prior.log_prob(line[:, None, None], sigma).exp().sum() * sigma
    assert one.item() == pytest.approx(1, abs=1e-7)
    if whole and source != "square":
        return  # the same code
    plane = torch.cartesian_prod(line, line)[:, None]
    two = prior.log_prob(plane, sigma).exp().sum() * sigma**2
    assert two.item() == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("source", SOURCES)
def test_halving_the_spacing_changes_little(source: str) -> None:
    """In nats for the whole signal, at sigma 0.1; the noise alone spreads log_prob by sqrt(T / 2), 11 nats."""
    half = OracleGrid(per_width=1.5, per_sample=8.0)
    for variant, length, allowed in (("piano_keys", 256, 0.01), ("uniform_hz", 48, 0.05)):
        prior = oracle(source, variant)
        x = noisy(prior, 0.1, 3, length)
        fine = OraclePrior(source, ToyWorld(variant), grid=half)
        assert torch.allclose(prior.log_prob(x, 0.1), fine.log_prob(x, 0.1), rtol=0, atol=allowed)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["sine", "square"])
def test_halving_the_spacing_changes_little_at_256_samples_of_uniform_hz(source: str) -> None:
    prior = oracle(source, "uniform_hz")
    x = noisy(prior, 0.1, 1, 256)
    fine = OraclePrior(source, ToyWorld("uniform_hz"), grid=OracleGrid(per_width=0.9, per_sample=8.0))
    assert torch.allclose(prior.log_prob(x, 0.1), fine.log_prob(x, 0.1), rtol=0, atol=0.05)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_source_is_likeliest_under_its_own_prior(variant: str) -> None:
    length = 48 if variant == "uniform_hz" else 256
    x = torch.cat([noisy(oracle(source, variant), 0.1, 2, length) for source in SOURCES])
    log_prob = torch.stack([oracle(source, variant).log_prob(x, 0.1) for source in SOURCES])
    assert torch.equal(log_prob.argmax(dim=0), torch.arange(4).repeat_interleave(2))


# The score and the denoiser


@each_law
def test_score_is_the_derivative_of_log_prob(variant: str, source: str) -> None:
    """Along random directions, by the five-point difference."""
    generator = torch.Generator().manual_seed(0)
    length = {"piano_keys": 65, "uniform_hz": 20}.get(variant, 100)
    prior = oracle(source, variant)
    for sigma in (0.1, 3.0):
        x = noisy(prior, sigma, 1, length)
        direction = torch.randn(3, 1, length, dtype=torch.float64, generator=generator)
        direction /= direction.norm(dim=2, keepdim=True)
        step = 3e-3 * sigma
        points = torch.cat([x + steps * step * direction for steps in (-2, -1, 1, 2)])
        far_low, low, high, far_high = prior.log_prob(points, sigma).chunk(4)
        numeric = (far_low - 8 * low + 8 * high - far_high) / (12 * step)
        score = prior.score(x, sigma)
        assert score.shape == x.shape
        error = numeric - (score * direction).sum(dim=(1, 2))
        assert error.abs().max() < 1e-6 * score.norm() / math.sqrt(length)


@pytest.mark.parametrize("source", SOURCES)
def test_score_and_denoiser_are_those_of_autograd(source: str) -> None:
    """Tweedie's identity, on the enumerated density of a point amplitude."""
    sigma = 0.4
    prior = oracle(source, amplitude=POINT)
    waves, log_prior = waves_of_whole_periods(source, 16)
    x = noisy(prior, sigma, 2, 16).requires_grad_(True)
    log_prob = (log_normal(x, waves, sigma) + log_prior).logsumexp(dim=1).sum()
    (expected,) = torch.autograd.grad(log_prob, x)
    assert torch.allclose(prior.score(x, sigma), expected, rtol=1e-8, atol=1e-9)
    assert torch.allclose(prior.denoise(x, sigma), (x + sigma**2 * expected).detach(), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("variant", "length"), [("whole_periods", 500), ("piano_keys", 256), ("uniform_hz", 32)])
def test_the_denoiser_finds_the_clean_wave(variant: str, length: int, source: str) -> None:
    prior = oracle(source, variant)
    clean = noisy(prior, 0.0, 4, length)
    for sigma in (0.1, 0.02):
        noise = sigma * torch.randn(clean.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        error = prior.denoise(clean + noise, sigma) - clean
        gain_db = 20 * math.log10(float(noise.norm() / error.norm()))
        assert gain_db > (8 if variant == "uniform_hz" else 15)


def test_mode_entropy_grows_from_zero_to_that_of_the_prior() -> None:
    prior = oracle("sine")
    clean = noisy(prior, 0.0, 2, 500)
    noise = torch.randn(clean.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    entropy = torch.stack([prior.mode_entropy(clean + sigma * noise, sigma) for sigma in (0.1, 3.0, 10.0)])
    assert entropy[0].max() < 1e-3 and (entropy.diff(dim=0) > 0).all()
    periods, probability = whole_periods(14_700)
    highest = float(-(probability * (probability / periods).log()).sum())
    assert (entropy <= highest).all()
    assert prior.mode_entropy(clean, 1e5).tolist() == pytest.approx([highest] * 2, abs=1e-4)


@pytest.mark.parametrize("variant", ["piano_keys", "uniform_hz"])
def test_mode_entropy_of_a_grid_grows_too(variant: str) -> None:
    x = noisy(oracle("square", variant), 0.0, 2, 32)
    entropy = oracle("square", variant).mode_entropy
    assert (entropy(x, 0.1) >= 0).all() and (entropy(x, 3.0) > entropy(x, 0.1)).all()


# Use


def test_single_precision_goes_in_and_out() -> None:
    prior = OraclePrior("saw", ToyWorld(), 0.2)
    x = noisy(prior, 0.2, 2, 64).float()
    assert torch.equal(prior.log_prob(x), prior.log_prob(x.double())) and prior.log_prob(x).dtype == torch.float64
    for method in (prior.score, prior.denoise):
        assert torch.equal(method(x), method(x.double()).float()) and method(x).dtype == torch.float32


def test_loud_and_silent_signals_have_a_finite_density() -> None:
    x = torch.stack([torch.zeros(1, 32), 100 * torch.ones(1, 32), -100 * torch.ones(1, 32)])
    for source, variant in zip(SOURCES, ("whole_periods", "piano_keys", "piano_keys", "piano_keys"), strict=True):
        for sigma in (1e-2, 1e3):
            prior = OraclePrior(source, ToyWorld(variant), sigma)
            assert prior.log_prob(x).isfinite().all() and prior.score(x).isfinite().all()
            assert prior.mode_entropy(x).isfinite().all() and prior.denoise(x).abs().max() <= 1 + 1e-9


def test_sample_is_a_clean_wave_plus_noise() -> None:
    prior = OraclePrior("square", ToyWorld(amplitude=POINT), 0.1)
    first, second = (prior.sample((50, 1, 100), torch.Generator().manual_seed(3)) for _ in range(2))
    clean = prior.sample((50, 1, 100), torch.Generator().manual_seed(3), sigma=0.0)
    assert torch.equal(first, second) and first.dtype == torch.float32 and set(clean.unique().tolist()) == {-1, 1}
    assert (first - clean).std().item() == pytest.approx(0.1, rel=0.05)
    assert prior.sample((1, 1, 8)).shape == (1, 1, 8)
    assert torch.equal(clean, oracle("square", amplitude=POINT).sample((50, 1, 100), torch.Generator().manual_seed(3)))


def test_a_grid_that_is_too_large_is_refused() -> None:
    grid = replace(OracleGrid(), max_modes=1000)
    with pytest.raises(InputError, match=r"the uniform_hz saw needs .* modes for 64 samples .* use shorter signals"):
        OraclePrior("saw", ToyWorld("uniform_hz"), 0.1, grid=grid).log_prob(torch.zeros(1, 1, 64))


@pytest.mark.parametrize("sigma", [0.0, -0.1, math.nan, math.inf])
def test_a_sigma_that_is_not_positive_is_refused(sigma: float) -> None:
    message = "the noise-free toy density lies on a curve and has no value; use sigma > 0"
    with pytest.raises(InputError, match=re.escape(message)):
        OraclePrior("sine", ToyWorld(), sigma)
    prior = OraclePrior("sine", ToyWorld(), 0.1)
    for method in (prior.log_prob, prior.score, prior.denoise, prior.mode_entropy):
        with pytest.raises(InputError, match=re.escape(message)):
            method(torch.zeros(1, 1, 8), sigma)
    if sigma:
        with pytest.raises(InputError, match=re.escape(message)):
            prior.sample((1, 1, 8), sigma=sigma)


def test_bad_arguments_get_one_clear_sentence() -> None:
    with pytest.raises(InputError, match="unknown toy source"):
        oracle("organ")
    with pytest.raises(InputError, match="no noise level"):
        oracle("sine").log_prob(torch.zeros(1, 1, 8))
    with pytest.raises(InputError, match="amplitude range"):
        oracle("sine", amplitude=(1.0, 0.8))
    with pytest.raises(InputError, match="per_width of the oracle grid is 0"):
        OracleGrid(per_width=0)
    for shape in ((0, 1, 8), (1, 2, 8), (1, 1, 0)):
        with pytest.raises(InputError, match="cannot draw signals of shape"):
            oracle("sine").sample(shape)
