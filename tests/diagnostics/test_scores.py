"""Measures of a score: right on Gaussians, where score, denoiser and least error are known in closed form."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import pytest
import torch
from torch import Tensor

from srcsep_core.diagnostics.scores import QUANTITIES, score_table, summarise_scores
from srcsep_core.errors import InputError
from srcsep_core.priors.base import ScorePrior
from srcsep_core.priors.flow import FlowPrior
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.flowavenet import flowavenet

SCALE, SIGMA, SIGNALS, LENGTH = 0.6, 0.3, 200, 400
VARIANCE = SCALE**2 + SIGMA**2
MSE = SCALE**2 * SIGMA**2 / VARIANCE


@dataclass(frozen=True)
class Gaussian:
    """The prior N(0, scale^2 I), its score times `wrong`, tilted by adding `tilt` times the signal reversed."""

    scale: float = SCALE
    wrong: float = 1.0
    tilt: float = 0.0

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        exact = -x / (self.scale**2 + (sigma or 0.0) ** 2)
        return self.wrong * exact + self.tilt * x.flip(2)

    def sample(self, shape: tuple[int, int, int], generator: torch.Generator | None = None) -> Tensor:
        return self.scale * torch.randn(shape, generator=generator)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def clean() -> Tensor:
    return Gaussian().sample((SIGNALS, 1, LENGTH), seeded(1))


def means(table: pd.DataFrame) -> pd.Series:
    return table[list(QUANTITIES)].mean()


# Sampling errors of the means over 200 x 400 values: 0.5 % of squares, 2 % of the identity (a difference), 0.8 %
# of cosines with x0 - x. The bounds are about five times that.


def test_exact_score_has_the_numbers_of_theory(clean: Tensor) -> None:
    found = means(score_table(Gaussian(), clean, SIGMA, seeded(), oracle=Gaussian()))
    assert found["gradient_norm_squared_per_sample"] == pytest.approx(1 / VARIANCE, rel=0.025)
    assert found["identity"] == pytest.approx(1 / VARIANCE, rel=0.1)
    assert found["denoising_mse"] == pytest.approx(MSE, rel=0.025)
    assert found["alignment_optimum"] == pytest.approx(math.sqrt(1 - MSE / SIGMA**2), rel=0.02)
    assert found["alignment_clean"] == pytest.approx(math.sqrt(1 - MSE / SIGMA**2), rel=0.04)


def test_exact_score_is_its_own_oracle(clean: Tensor) -> None:
    table = score_table(Gaussian(), clean, SIGMA, seeded(), oracle=Gaussian())
    assert table["alignment_oracle"].to_numpy() == pytest.approx(1.0)
    assert (table["denoising_mse"] == table["oracle_mse"]).all()


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
def test_identity_holds_at_every_noise_level(sigma: float, clean: Tensor) -> None:
    found = means(score_table(Gaussian(), clean, sigma, seeded(), oracle=Gaussian()))
    assert found["gradient_norm_squared_per_sample"] == pytest.approx(1 / (SCALE**2 + sigma**2), rel=0.025)
    deviation = 5 * math.sqrt(2 / (SIGNALS * LENGTH)) / sigma**2
    assert found["identity"] == pytest.approx(found["gradient_norm_squared_per_sample"], abs=deviation)


def test_mean_square_of_the_optimal_alignment_is_that_of_theory(clean: Tensor) -> None:
    table = score_table(Gaussian(), clean, SIGMA, seeded(), oracle=Gaussian())
    assert (table["alignment_optimum"] ** 2).mean() == pytest.approx(1 - MSE / SIGMA**2, rel=0.025)


def test_doubled_score_is_too_long_and_denoises_worse_but_points_right(clean: Tensor) -> None:
    exact, doubled = (
        means(score_table(Gaussian(wrong=w), clean, SIGMA, seeded(), oracle=Gaussian())) for w in (1.0, 2.0)
    )
    name = "gradient_norm_squared_per_sample"
    assert doubled[name] == pytest.approx(4 * exact[name])
    assert doubled[name] > 3.5 * doubled["identity"]
    # D = x (s^2 - sigma^2) / v has the error (s^2 (2 sigma^2)^2 + sigma^2 (s^2 - sigma^2)^2) / v^2.
    expected = (4 * SCALE**2 * SIGMA**4 + SIGMA**2 * (SCALE**2 - SIGMA**2) ** 2) / VARIANCE**2
    assert doubled["denoising_mse"] == pytest.approx(expected, rel=0.025)
    assert doubled["denoising_mse"] > 1.1 * doubled["oracle_mse"]
    for same in ("identity", "alignment_clean", "alignment_optimum", "alignment_oracle"):
        assert doubled[same] == pytest.approx(exact[same])


def test_a_score_that_points_astray_falls_below_the_optimum(clean: Tensor) -> None:
    tilt = 1 / VARIANCE  # As long as the exact score, and orthogonal to it: 45 degrees.
    found = means(score_table(Gaussian(tilt=tilt), clean, SIGMA, seeded(), oracle=Gaussian()))
    assert found["alignment_oracle"] == pytest.approx(math.sqrt(0.5), rel=0.02)
    assert found["alignment_clean"] == pytest.approx(found["alignment_optimum"] * math.sqrt(0.5), rel=0.04)


def test_no_denoiser_beats_the_oracle(clean: Tensor) -> None:
    """So the prior's own denoiser gives a lower bound of the identity where there is no oracle."""
    for wrong in (Gaussian(scale=0.3), Gaussian(scale=1.2), Gaussian(wrong=0.5)):
        found = means(score_table(wrong, clean, SIGMA, seeded(), oracle=Gaussian()))
        assert found["oracle_mse"] < found["denoising_mse"]
        assert 1 / SIGMA**2 - found["denoising_mse"] / SIGMA**4 < found["identity"]


def test_two_priors_are_measured_on_the_same_noisy_signals(clean: Tensor) -> None:
    seen: list[Tensor] = []

    class Recorder(Gaussian):
        def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
            seen.append(x)
            return super().score(x, sigma)

    for _ in range(2):
        score_table(Recorder(), clean, SIGMA, seeded(), batch_size=SIGNALS)
    score_table(Recorder(), clean, SIGMA, seeded(6), batch_size=SIGNALS)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert float((seen[0] - clean).std()) == pytest.approx(SIGMA, rel=0.02)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batch_size_does_not_change_the_table(batch_size: int, clean: Tensor) -> None:
    whole, parts = (
        score_table(Gaussian(), clean[:20], SIGMA, seeded(), oracle=Gaussian(), batch_size=size)
        for size in (20, batch_size)
    )
    pd.testing.assert_frame_equal(parts, whole, rtol=1e-6)
    assert parts["signal"].tolist() == list(range(20))
    assert parts.columns.tolist() == ["signal", "sigma", *QUANTITIES]


def test_without_an_oracle_its_columns_are_empty(clean: Tensor) -> None:
    table = score_table(Gaussian(), clean[:5], SIGMA, seeded())
    empty = ["identity", "oracle_mse", "alignment_optimum", "alignment_oracle"]
    assert table.columns[table.isna().any()].tolist() == empty
    summary = summarise_scores(table)
    assert summary["quantity"].tolist() == [name for name in QUANTITIES if name not in empty]


def test_zero_score_aligns_with_nothing(clean: Tensor) -> None:
    table = score_table(Gaussian(wrong=0.0), clean[:5], SIGMA, seeded(), oracle=Gaussian())
    assert table["alignment_clean"].eq(0).all() and table["alignment_oracle"].eq(0).all()
    assert table["denoising_mse"].mean() == pytest.approx(SIGMA**2, rel=0.2)


def test_a_flow_can_be_measured(tiny_flow: FlowConfig, perturb: Callable[..., None]) -> None:
    flow = flowavenet(tiny_flow).eval()
    perturb(flow)
    prior = FlowPrior(flow, sigma=0.1)
    assert isinstance(prior, ScorePrior) and isinstance(Gaussian(), ScorePrior)
    table = score_table(prior, torch.zeros(3, 1, 16), 0.1, seeded(), batch_size=2)
    assert table["gradient_norm_squared_per_sample"].gt(0).all()
    with pytest.raises(InputError, match=r"trained at sigma 0.1, not 0.2"):
        score_table(prior, torch.zeros(3, 1, 16), 0.2, seeded())


# Summary


def test_summary_has_the_mean_the_median_and_their_intervals(clean: Tensor) -> None:
    table = score_table(Gaussian(), clean, SIGMA, seeded(), oracle=Gaussian())
    summary = summarise_scores(table).set_index("quantity")
    assert summary.index.tolist() == list(QUANTITIES)
    first = summary.loc["denoising_mse"]
    assert first["n"] == SIGNALS
    assert first["mean"] == pytest.approx(table["denoising_mse"].mean())
    assert first["median"] == pytest.approx(table["denoising_mse"].median())
    error = table["denoising_mse"].std() / math.sqrt(SIGNALS)
    assert first["mean_high"] - first["mean_low"] == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert first["median_low"] < first["median"] < first["median_high"]
    assert first["mean_low"] < first["mean"] < first["mean_high"]


# Bad input


@pytest.mark.parametrize("sigma", [0.0, -0.1, math.nan, math.inf])
def test_noise_level_must_be_positive(sigma: float, clean: Tensor) -> None:
    with pytest.raises(InputError, match=f"noise level is {sigma:g}"):
        score_table(Gaussian(), clean, sigma, seeded())


def test_batch_size_must_be_positive(clean: Tensor) -> None:
    with pytest.raises(InputError, match="batch size is 0"):
        score_table(Gaussian(), clean, SIGMA, seeded(), batch_size=0)


def test_signals_must_be_finite_and_of_one_channel(clean: Tensor) -> None:
    with pytest.raises(InputError, match="NaN"):
        score_table(Gaussian(), clean * math.nan, SIGMA, seeded())
    with pytest.raises(InputError, match="channel"):
        score_table(Gaussian(), clean.expand(-1, 2, -1), SIGMA, seeded())


def test_a_score_of_another_shape_is_refused(clean: Tensor) -> None:
    class Flat(Gaussian):
        def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
            return x[:, 0]

    with pytest.raises(InputError, match="score has shape"):
        score_table(Flat(), clean, SIGMA, seeded())
