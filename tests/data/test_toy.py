"""The toy signals follow the law of their variant, sample by sample."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import signal, stats
from torch import Tensor

from srcsep_core.data import base, toy
from srcsep_core.data.toy import SOURCES, VARIANTS, ToyParameters, ToyWorld
from srcsep_core.errors import InputError

ALPHA = 0.01  # of the tests of a law; the draws are seeded, so they pass or fail for good


def draw(variant: str, batch: int = 1000, seed: int = 0) -> ToyParameters:
    return toy.draw_parameters(ToyWorld(variant), batch, torch.Generator().manual_seed(seed))


def one_signal(source: str, variant: str, frequency: float, phase: float, length: int) -> Tensor:
    """A signal (length,) of amplitude 0.9 with known parameters."""
    values = (torch.tensor([[value]], dtype=torch.float64) for value in (frequency, 0.9, phase))
    return toy.synthesise(ToyWorld(variant, (source,)), ToyParameters(*values), length)[0, 0]


def p_value_of_uniform(values: Tensor, low: float, high: float) -> float:
    return float(stats.kstest(values.flatten().numpy(), stats.uniform(low, high - low).cdf).pvalue)


def test_uniform_hz_frequencies_are_uniform_between_27_and_4186_hz() -> None:
    assert p_value_of_uniform(draw("uniform_hz").frequency, 27, 4186) > ALPHA


def test_piano_keys_frequencies_are_those_of_the_88_piano_keys_equally_often() -> None:
    keys = 49 + 12 * torch.log2(draw("piano_keys").frequency / 440)
    assert torch.allclose(keys, keys.round(), atol=1e-9)
    counts = torch.bincount(keys.round().long().flatten(), minlength=89)
    assert len(counts) == 89 and counts[0] == 0
    assert stats.chisquare(counts[1:].numpy()).pvalue > ALPHA


def test_whole_periods_are_whole_numbers_between_13_and_563() -> None:
    periods = 14_700 / draw("whole_periods", batch=5000).frequency
    assert torch.allclose(periods, periods.round(), rtol=0, atol=1e-9)
    assert periods.min().round() == 13
    assert 550 < periods.max().round() <= 563


def test_keys_of_whole_periods_are_uniform_which_makes_periods_log_uniform() -> None:
    """A period n stands for every key with a true period in [n, n + 1): spread it over that range again."""
    periods = (14_700 / draw("whole_periods", batch=50_000).frequency).round().flatten().numpy()
    longest, shortest = (14_700 / (440 * 2 ** ((key - 49) / 12)) for key in (0.1, 64.9))

    def share_below(period: np.ndarray) -> np.ndarray:
        return np.clip(np.log(period / shortest) / np.log(longest / shortest), 0, 1)

    spread = np.random.default_rng(0).uniform(share_below(periods), share_below(periods + 1))
    assert stats.kstest(spread, "uniform").pvalue > ALPHA


@pytest.mark.parametrize("variant", ["uniform_hz", "piano_keys"])
def test_phase_is_uniform_over_the_period(variant: str) -> None:
    assert p_value_of_uniform(draw(variant).phase, 0, 1) > ALPHA


def test_phase_of_whole_periods_is_a_whole_number_of_samples() -> None:
    drawn = draw("whole_periods")
    offset = drawn.phase * 14_700 / drawn.frequency
    assert torch.allclose(offset, offset.round(), rtol=0, atol=1e-9)
    assert drawn.phase.min() >= 0 and drawn.phase.max() < 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_amplitude_is_uniform_between_0_8_and_1(variant: str) -> None:
    assert p_value_of_uniform(draw(variant).amplitude, 0.8, 1.0) > ALPHA


def test_evaluation_amplitude_of_whole_periods_is_one() -> None:
    square = toy.draw_test_set(ToyWorld("whole_periods", ("square",)), signals=8, length=64, seed=0)
    assert set(square.abs().flatten().tolist()) == {1.0}


@pytest.mark.parametrize("variant", ["uniform_hz", "piano_keys"])
def test_evaluation_amplitude_of_the_other_variants_is_as_in_training(variant: str) -> None:
    square = toy.draw_test_set(ToyWorld(variant, ("square",)), signals=50, length=1, seed=0)
    amplitudes = square.abs().flatten()
    assert 0.8 <= amplitudes.min() < 0.85
    assert 0.95 < amplitudes.max() <= 1.0


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_of_different_sources_are_independent(variant: str) -> None:
    drawn = draw(variant, batch=4000)
    columns = torch.cat([drawn.frequency, drawn.amplitude, drawn.phase], dim=1)
    correlation = np.corrcoef(columns.T.numpy()) - np.eye(12)
    # Under independence |r| exceeds 4 / sqrt(n) once in 16 000 pairs; there are 66.
    assert np.abs(correlation).max() < 4 / math.sqrt(4000)


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("sine", [0, math.sqrt(0.5), 1, 0, -1]),
        ("square", [1, 1, 1, -1, -1]),
        ("saw", [-1, -0.75, -0.5, 0, 0.5]),
        ("triangle", [-1, -0.5, 0, 1, 0]),
    ],
)
@pytest.mark.parametrize("whole_periods", [0, 3, -2])
def test_waveform_at_known_phases(source: str, values: list[float], whole_periods: int) -> None:
    cycles = torch.tensor([0, 0.125, 0.25, 0.5, 0.75], dtype=torch.float64) + whole_periods
    expected = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(toy.waveform(source, cycles), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("period", [13, 50, 101])
def test_waves_of_whole_periods_are_those_of_the_authors_generator(period: int) -> None:
    """Sample by sample, as its description has them: saw and triangle rise from -1, the square begins at +1."""
    angle = 2 * np.pi * (np.arange(3 * period) % period) / period
    theirs = {
        "sine": np.sin(angle),
        "square": signal.square(angle),
        "saw": signal.sawtooth(angle),
        "triangle": signal.sawtooth(angle, width=0.5),
    }
    for source, wave in theirs.items():
        ours = one_signal(source, "whole_periods", 14_700 / period, 0.0, 3 * period).numpy() / 0.9
        assert np.abs(ours - wave).max() < 1e-6, source


def test_a_mirrored_triangle_of_an_odd_period_is_another_signal() -> None:
    wave = one_signal("triangle", "whole_periods", 14_700 / 13, 0.0, 13)
    assert not any((wave + wave.roll(shift)).abs().max() < 0.01 for shift in range(13))


def test_square_takes_two_values_half_of_the_period_each() -> None:
    x = one_signal("square", "whole_periods", 14_700 / 50, 0.0, 500)
    values, counts = x.unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([-0.9, 0.9]))
    assert counts.tolist() == [250, 250]


def test_saw_rises_by_the_same_amount_and_falls_once_a_period() -> None:
    steps = one_signal("saw", "whole_periods", 14_700 / 50, 0.0, 501).diff()
    falls = steps < 0
    assert falls.sum() == 10
    torch.testing.assert_close(steps[~falls], torch.full((490,), 0.9 * 2 / 50), rtol=0, atol=1e-6)


def test_triangle_falls_and_rises_at_one_slope_without_a_jump() -> None:
    steps = one_signal("triangle", "whole_periods", 14_700 / 50, 0.0, 501).diff()
    torch.testing.assert_close(steps.abs(), torch.full((500,), 0.9 * 4 / 50), rtol=0, atol=1e-6)
    assert (steps > 0).sum() == (steps < 0).sum()


@pytest.mark.parametrize("variant", VARIANTS)
def test_sine_has_the_frequency_and_phase_that_it_is_given(variant: str) -> None:
    rate = ToyWorld(variant).sample_rate
    frequency, phase = rate / 40, 0.25
    expected = 0.9 * np.sin(2 * np.pi * (frequency * np.arange(200) / rate + phase))
    assert np.abs(one_signal("sine", variant, frequency, phase, 200).numpy() - expected).max() < 1e-6


def test_signals_of_whole_periods_are_periodic_to_the_last_bit() -> None:
    config = ToyWorld("whole_periods")
    drawn = toy.draw_parameters(config, 20, torch.Generator().manual_seed(0))
    signals = toy.synthesise(config, drawn, 48_000)
    periods = (14_700 / drawn.frequency).round().long()
    for row, row_periods in zip(signals, periods, strict=True):
        for x, period in zip(row, row_periods.tolist(), strict=True):
            assert torch.equal(x[period:], x[:-period])


@pytest.mark.parametrize("variant", VARIANTS)
def test_signals_stay_between_minus_one_and_one(variant: str, generator: torch.Generator) -> None:
    assert toy.draw_sources(ToyWorld(variant), 20, 500, generator).abs().max() <= 1


def test_channels_come_in_the_order_of_the_sources() -> None:
    x = toy.draw_test_set(ToyWorld("whole_periods", ("saw", "square")), signals=4, length=600, seed=0)
    assert set(x[:, 1].abs().flatten().tolist()) == {1.0}
    assert len(set(x[:, 0].flatten().tolist())) > 100


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_seed_gives_the_same_test_set_and_another_seed_another(variant: str) -> None:
    config = ToyWorld(variant)
    first, again, other = (toy.draw_test_set(config, 3, 64, seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (
            "whole_periods",
            [
                [0.6382442, 0.6175246, 0.5963674],
                [1.0, 1.0, 1.0],
                [-0.6122449, -0.5918368, -0.5714286],
                [-0.09243698, -0.05882353, -0.02521008],
            ],
        ),
        (
            "uniform_hz",
            [
                [0.5424234, 0.2515912, -0.07688069],
                [0.9820094, 0.9820094, 0.9820094],
                [-0.5794747, -0.3429798, -0.1064849],
                [-0.05099923, 0.3024089, 0.6558171],
            ],
        ),
        (
            "piano_keys",
            [
                [0.1759403, -0.4018467, -0.7854043],
                [0.8468426, 0.8468426, 0.8468426],
                [-0.187086, -0.1757011, -0.1643162],
                [0.07724234, 0.1019592, 0.1266761],
            ],
        ),
    ],
)
def test_test_set_is_the_one_that_stored_results_were_computed_on(variant: str, expected: list[list[float]]) -> None:
    x = toy.draw_test_set(ToyWorld(variant), signals=1, length=3, seed=1234)[0]
    torch.testing.assert_close(x, torch.tensor(expected), rtol=0, atol=1e-6)


def test_drawing_leaves_the_global_random_state_alone(generator: torch.Generator) -> None:
    before = torch.get_rng_state()
    toy.draw_sources(ToyWorld(), 2, 16, generator)
    toy.draw_test_set(ToyWorld(), 2, 16, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_gaussian_noise_has_the_standard_deviation_and_is_not_capped(generator: torch.Generator) -> None:
    x = torch.full((20, 2, 500), 0.9)
    noisy = base.add_noise(x, 0.359, generator)
    assert noisy.max() > 1
    assert stats.kstest((noisy - x).flatten().numpy(), stats.norm(0, 0.359).cdf).pvalue > ALPHA


def test_scaled_clamped_noise_has_a_uniform_share_of_the_standard_deviation_in_every_example(
    generator: torch.Generator,
) -> None:
    noisy = base.add_noise(torch.zeros(500, 2, 1000), 0.1, generator, kind="scaled_clamped")
    assert stats.kstest((noisy.std(dim=(1, 2)) / 0.1).numpy(), "uniform").pvalue > ALPHA


def test_scaled_clamped_noise_is_clamped(generator: torch.Generator) -> None:
    noisy = base.add_noise(torch.full((20, 2, 500), 0.9), 0.359, generator, kind="scaled_clamped")
    assert noisy.max() == 1
    assert noisy.min() < 0.5


def test_mix_is_the_mean_of_the_sources(generator: torch.Generator) -> None:
    sources = toy.draw_sources(ToyWorld(), 3, 32, generator)
    expected = (sources[:, 0] + sources[:, 1] + sources[:, 2] + sources[:, 3]) / 4
    torch.testing.assert_close(toy.mix(sources)[:, 0], expected)


@pytest.mark.parametrize(
    ("act", "value"),
    [
        (lambda: ToyWorld("relased"), "relased"),
        (lambda: ToyWorld(sources=("sine", "cello")), "cello"),
        (lambda: ToyWorld(sources=()), "none given"),
        (lambda: toy.waveform("cello", torch.zeros(1)), "cello"),
        (lambda: toy.draw_sources(ToyWorld(), 1, 0, torch.Generator()), "0 samples"),
        (lambda: toy.draw_sources(ToyWorld(), 1, -3, torch.Generator()), "-3 samples"),
        (lambda: toy.draw_test_set(ToyWorld(), 1, 0, seed=0), "length is 0; use at least 1"),
        (lambda: toy.draw_test_set(ToyWorld(), 1, -3, seed=0), "length is -3; use at least 1"),
        (lambda: toy.mix(torch.zeros(4, 10)), r"\(4, 10\)"),
    ],
    ids=[
        "variant",
        "source",
        "no source",
        "waveform",
        "length 0",
        "length -3",
        "test set of 0",
        "test set of -3",
        "shape",
    ],
)
def test_bad_input_is_named(act: Callable[[], object], value: str) -> None:
    with pytest.raises(InputError, match=value):
        act()


def test_errors_tell_the_choices() -> None:
    with pytest.raises(InputError, match=", ".join(SOURCES)):
        ToyWorld(sources=("cello",))
    with pytest.raises(InputError, match=", ".join(VARIANTS)):
        ToyWorld("relased")
