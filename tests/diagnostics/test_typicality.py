"""Typicality and the complexity correction, on values made by hand and on codes of known signals."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from srcsep_core import diagnostics
from srcsep_core.diagnostics.typicality import (
    FLAC_SCALE,
    complexity_corrected,
    flac_bits_per_sample,
    flac_nats_per_sample,
    typicality,
    typicality_table,
)
from srcsep_core.errors import InputError

RATE, LENGTH = 14_700, 4096


def noise(sigma: float, signals: int = 4) -> torch.Tensor:
    return sigma * torch.randn(signals, LENGTH, generator=torch.Generator().manual_seed(3))


# Typicality


def test_gaussian_draws_are_typical_and_their_mode_is_not() -> None:
    """The mode of N(0, I) is likelier than any draw and yet is no draw: log p(0) - E log p is 1/2 a sample."""
    rng = np.random.default_rng(0)
    draws = -0.5 * math.log(2 * math.pi) - 0.5 * (rng.normal(size=(400, 1000)) ** 2).mean(axis=1)
    mode = -0.5 * math.log(2 * math.pi)
    found = typicality(np.append(draws[:200], mode), draws[200:])
    assert found[-1] == pytest.approx(0.5, abs=0.01)
    assert found[:-1].max() < 0.1
    assert (draws < mode).all()


def values(seed: int, n: int = 200) -> pd.DataFrame:
    """Prior a: own values around 0, b's far above it and thus likelier. Prior b: own around 5, a's below."""
    rng = np.random.default_rng(seed)
    centres = {("a", "a"): 0.0, ("b", "a"): 10.0, ("a", "b"): 0.0, ("b", "b"): 5.0}
    parts = [
        pd.DataFrame({"source": s, "prior": p, "signal": range(n), "value": centre + rng.normal(size=n)})
        for (s, p), centre in centres.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_typicality_finds_outliers_that_are_likelier_than_the_class() -> None:
    found = typicality_table(values(0), values(1)).set_index(["source", "prior"])
    plain = diagnostics.discriminate(values(0)).set_index(["source", "prior"])
    assert plain.loc[("b", "a"), "auroc"] < 0.01
    assert found.loc[("b", "a"), "auroc"] > 0.99
    assert found.loc[("a", "b"), "auroc"] > 0.95
    assert found.loc[("a", "a"), "accuracy"] > 0.95
    assert found.columns.tolist() == plain.columns.tolist()


def test_typicality_does_not_tell_a_source_from_its_equal() -> None:
    same = pd.concat([values(seed).query("source == 'a' and prior == 'a'") for seed in (0, 1)])
    same = same.assign(source=["a"] * 200 + ["c"] * 200)
    table = pd.concat([same, same.assign(prior="c")])
    found = typicality_table(table, table).set_index(["source", "prior"]).loc[("c", "a")]
    assert found["auroc_low"] < 0.5 < found["auroc_high"]
    assert found["n"] == 400


def test_a_prior_without_reference_is_named() -> None:
    with pytest.raises(InputError, match="no signals of source 'b'"):
        typicality_table(values(0), values(1).query("source == 'a'"))


@pytest.mark.parametrize(
    ("log_likelihood", "reference", "message"),
    [
        ([1.0], [], "0 reference"),
        ([1.0], [1.0, math.inf], "1 of 2 reference"),
        ([1.0, math.nan, 2.0], [1.0], "1 of 3 log-likelihoods"),
    ],
)
def test_values_that_are_no_numbers_are_refused(
    log_likelihood: list[float], reference: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        typicality(log_likelihood, reference)


# Code length


def test_silence_and_constants_cost_nothing_and_noise_costs_its_entropy() -> None:
    levels = torch.tensor([0.0, 0.5, -1.0])[:, None].expand(-1, LENGTH)
    assert flac_bits_per_sample(levels, RATE) == pytest.approx(0.0, abs=0.01)
    # White noise rounded to steps d has the entropy log(sigma / d) + log(2 pi e) / 2; Rice codes lose 0.1 nats.
    step = 2**-15 / FLAC_SCALE
    entropy = math.log(0.1 / step) + 0.5 * math.log(2 * math.pi * math.e)
    found = flac_nats_per_sample(noise(0.1), RATE)
    assert found.shape == (4,)
    assert ((found > entropy - 0.05) & (found < entropy + 0.2)).all()


def test_a_louder_copy_of_noise_costs_the_log_ratio() -> None:
    quiet, loud, loudest = (flac_nats_per_sample(noise(sigma), RATE) for sigma in (0.02, 0.04, 0.32))
    assert loud - quiet == pytest.approx(math.log(2), abs=0.02)
    assert loudest - quiet == pytest.approx(math.log(16), abs=0.05)


def test_a_predictable_signal_is_cheaper_than_noise_of_its_power() -> None:
    sine = torch.sin(2 * math.pi * 440 / RATE * torch.arange(LENGTH))[None]
    assert flac_nats_per_sample(sine, RATE)[0] < flac_nats_per_sample(noise(0.707), RATE).min() - 3


def test_the_scale_shifts_the_length_of_noise_by_its_logarithm() -> None:
    fine, coarse = (flac_bits_per_sample(noise(0.1), RATE, scale=scale) for scale in (0.25, 0.125))
    assert fine - coarse == pytest.approx(1.0, abs=0.03)


def test_noisy_signals_are_not_clipped() -> None:
    """Clipping at 1 would make noise of standard deviation 0.8 cheaper by more than this."""
    found = flac_nats_per_sample(noise(0.8), RATE) - flac_nats_per_sample(noise(0.2), RATE)
    assert float(noise(0.8).abs().max()) > 2
    assert found == pytest.approx(math.log(4), abs=0.03)


def test_each_signal_is_coded_by_itself() -> None:
    both = torch.cat([noise(0.1), noise(0.3)])
    parts = [flac_bits_per_sample(part, RATE) for part in (noise(0.1), noise(0.3))]
    assert flac_bits_per_sample(both, RATE).tolist() == np.concatenate(parts).tolist()


@pytest.mark.parametrize("length", [1, 16, 4097])
def test_every_length_can_be_coded(length: int) -> None:
    found = flac_bits_per_sample(noise(0.5)[:, :1].repeat(1, length), RATE)
    assert (found >= 0).all()


@pytest.mark.parametrize(
    ("signals", "scale", "message"),
    [
        (torch.zeros(2, 1, 8), 0.25, r"shape \(N, T\), got \(2, 1, 8\)"),
        (torch.zeros(0, 8), 0.25, "shape"),
        (torch.full((2, 8), 4.5), 0.25, "peak at 4.5, above 1/scale = 4"),
        (torch.full((2, 8), math.nan), 0.25, "NaN"),
        (torch.zeros(2, 8), 0.0, "scale is 0"),
    ],
)
def test_signals_that_cannot_be_coded_are_named(signals: torch.Tensor, scale: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        flac_bits_per_sample(signals, RATE, scale=scale)


# The correction


def test_correction_undoes_the_preference_for_simple_signals() -> None:
    """Under N(0, 0.3^2) silence is likelier than draws; less what a codec finds easy, it is not."""
    signals = torch.cat([noise(0.3), torch.zeros(4, LENGTH)])
    log_prob = torch.distributions.Normal(0.0, 0.3).log_prob(signals).mean(dim=1).numpy()
    corrected = complexity_corrected(log_prob, flac_nats_per_sample(signals, RATE))
    assert log_prob[:4].max() < log_prob[4:].min()
    assert corrected[:4].min() > corrected[4:].max()


def test_correction_pairs_values_with_codes() -> None:
    with pytest.raises(InputError, match=r"shape \(2,\) but code lengths of shape \(1,\)"):
        complexity_corrected([1.0, 2.0], [1.0])
