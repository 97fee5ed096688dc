"""The summaries of a cross-likelihood: right on hand-made tables, and honest about their uncertainty."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from srcsep_core import diagnostics
from srcsep_core.data.toy import ToyWorld
from srcsep_core.diagnostics.discrimination import auroc_draws, resample, worst_by_prior
from srcsep_core.errors import InputError
from srcsep_core.priors.flow import FlowPrior
from srcsep_core.priors.flow_kind import FlowSet
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.flowavenet import flowavenet

SOURCES = ("sine", "square", "saw")


def table(cells: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """Rows of single values from (source, prior) cells."""
    rows = [
        {"source": source, "prior": prior, "signal": i, "value": value}
        for (source, prior), values in cells.items()
        for i, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def row(frame: pd.DataFrame, source: str, prior: str) -> pd.Series:
    (found,) = [r for _, r in frame.iterrows() if (r["source"], r["prior"]) == (source, prior)]
    return found


# AUROC


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        ([3, 4], [1, 2], 1.0),
        ([1, 2], [3, 4], 0.0),
        ([1, 1, 1], [1, 1], 0.5),
        ([1, 4], [2, 3], 0.5),
        ([2, 3], [1, 2], 0.875),
        ([math.inf], [0.0, 1e300], 1.0),
    ],
)
def test_auroc_of_known_cases(positive: list[float], negative: list[float], expected: float) -> None:
    assert diagnostics.auroc(np.array(positive, float), np.array(negative, float)) == expected


@pytest.mark.parametrize("values", [3, 10, 1000], ids="from {} values".format)
def test_auroc_counts_the_pairs_in_the_right_order_and_half_of_the_ties(values: int) -> None:
    rng = np.random.default_rng(values)
    positive, negative = rng.integers(values, size=40).astype(float), rng.integers(values, size=25).astype(float)
    pairs = [(p > n) + 0.5 * (p == n) for p, n in itertools.product(positive, negative)]
    assert diagnostics.auroc(positive, negative) == pytest.approx(np.mean(pairs), abs=1e-12)


@pytest.mark.parametrize("values", [2, 5, 10_000], ids="from {} values".format)
def test_auroc_of_every_resample_is_that_of_the_resampled_values(values: int) -> None:
    rng = np.random.default_rng(values)
    positive, negative = rng.integers(values, size=12).astype(float), rng.integers(values, size=7).astype(float)
    positive[0] = negative[0] = -math.inf
    expected = diagnostics.auroc(positive[resample(12, seed=0)], negative[resample(7, seed=1)])
    assert expected.std() > 0.01
    np.testing.assert_allclose(auroc_draws(positive, negative), expected, rtol=0, atol=1e-12)


# Discrimination

# Under prior "sine": sine signals 5, 6, 7, 8, square signals 1, 2, 3, 6.
CELLS = {
    ("sine", "sine"): [5.0, 6.0, 7.0, 8.0],
    ("sine", "square"): [4.0, 7.0, 1.0, 8.0],
    ("square", "sine"): [1.0, 2.0, 3.0, 6.0],
    ("square", "square"): [9.0, 9.0, 9.0, 9.0],
}


def test_accuracy_is_the_share_of_signals_that_their_own_prior_finds_likeliest() -> None:
    found = diagnostics.discriminate(table(CELLS))
    assert row(found, "sine", "sine")["accuracy"] == 2 / 4  # 5 > 4 and 7 > 1; 6 < 7; the tie 8, 8 is no success
    assert row(found, "square", "square")["accuracy"] == 1.0


def test_accuracy_needs_the_own_prior_to_beat_every_other() -> None:
    cells = {(s, p): [float(s == p)] for s in SOURCES for p in SOURCES} | {("sine", "saw"): [2.0]}
    found = diagnostics.discriminate(table(cells))
    assert [row(found, s, s)["accuracy"] for s in SOURCES] == [0.0, 1.0, 1.0]


def test_auroc_of_a_pair_compares_two_sources_under_one_prior() -> None:
    found = diagnostics.discriminate(table(CELLS))
    # Of 16 pairs under "sine", 5 < 6 is wrong and 6 = 6 counts half.
    assert row(found, "square", "sine")["auroc"] == (16 - 1 - 0.5) / 16
    assert row(found, "sine", "square")["auroc"] == 1.0


def test_discrimination_has_one_row_a_pair_and_leaves_open_what_does_not_apply() -> None:
    found = diagnostics.discriminate(table(CELLS))
    assert len(found) == 4
    own = found["source"] == found["prior"]
    assert found.loc[own, "auroc"].isna().all() and found.loc[own, "accuracy"].notna().all()
    assert found.loc[~own, "accuracy"].isna().all() and found.loc[~own, "auroc"].notna().all()
    assert found.loc[own, "n"].tolist() == [4, 4]
    assert found.loc[~own, "n"].tolist() == [8, 8]


def test_signals_are_compared_with_themselves_under_the_other_priors() -> None:
    """Each signal beats its own rival by a little, though another signal's rival is higher."""
    cells = CELLS | {("sine", "sine"): [1.0, 5.0, 3.0, 7.0], ("sine", "square"): [0.0, 4.0, 2.0, 6.0]}
    assert row(diagnostics.discriminate(table(cells)), "sine", "sine")["accuracy"] == 1.0


def test_intervals_of_perfect_discrimination_have_no_width() -> None:
    found = diagnostics.discriminate(
        table({(s, p): [10.0 * (s == p) + i for i in range(5)] for s in "ab" for p in "ab"})
    )
    pair, own = row(found, "a", "b"), row(found, "a", "a")
    assert (pair["auroc_low"], pair["auroc_high"]) == (1.0, 1.0)
    assert (own["accuracy_low"], own["accuracy_high"]) == (1.0, 1.0)


def test_intervals_cover_the_true_auroc_of_two_gaussians_nineteen_times_in_twenty() -> None:
    """AUROC of Normal(d, 1) against Normal(0, 1) is Phi(d / sqrt(2)) (100 sets of 2 x 60 signals)."""
    rng = np.random.default_rng(0)
    truth = stats.norm.cdf(1.0 / math.sqrt(2))
    covered = 0
    for _ in range(100):
        cells = {("a", "a"): rng.normal(1.0, 1.0, 60).tolist(), ("b", "a"): rng.normal(0.0, 1.0, 60).tolist()}
        rest = {("a", "b"): [0.0] * 60, ("b", "b"): [0.0] * 60}
        pair = row(diagnostics.discriminate(table(cells | rest)), "b", "a")
        assert pair["auroc_low"] <= pair["auroc"] <= pair["auroc_high"]
        covered += pair["auroc_low"] <= truth <= pair["auroc_high"]
    assert 88 <= covered <= 99


def test_the_two_sides_of_a_pair_are_resampled_independently() -> None:
    """Resampled alike, equal values on both sides would give 0.5 every time."""
    values = [float(v) for v in range(30)]
    pair = row(diagnostics.discriminate(table({(s, p): values for s in "ab" for p in "ab"})), "a", "b")
    assert pair["auroc"] == 0.5
    assert pair["auroc_low"] < 0.45
    assert pair["auroc_high"] > 0.55


def test_interval_is_the_central_95_percent() -> None:
    assert diagnostics.interval(np.arange(1001.0)) == pytest.approx((25, 975))


# Summaries


def test_summary_has_the_numbers_of_every_cell() -> None:
    values = [float(v) for v in range(101)]
    summary = diagnostics.summarise(table({("a", "a"): values, ("a", "b"): [2.0, 4.0, 9.0]}))
    assert summary[["source", "prior"]].to_numpy().tolist() == [["a", "a"], ["a", "b"]]
    first = summary.iloc[0]
    assert [first[name] for name in ("n", "mean", "median", "q05", "q95")] == [101, 50, 50, 5, 95]
    assert (summary.iloc[1]["mean"], summary.iloc[1]["median"]) == (5, 4)


def test_interval_of_the_median_is_that_of_theory() -> None:
    """For 101 draws the 95 % interval of the median has its ends at about the ranks 51 -+ 0.98 sqrt(101)."""
    first = diagnostics.summarise(table({("a", "a"): [float(v) for v in range(101)]})).iloc[0]
    assert first["median_low"] == pytest.approx(50 - 9.85, abs=2.5)
    assert first["median_high"] == pytest.approx(50 + 9.85, abs=2.5)


def test_summary_is_the_same_every_time() -> None:
    values = table(CELLS)
    pd.testing.assert_frame_equal(diagnostics.summarise(values), diagnostics.summarise(values))


# Protocols

TERMS = pd.DataFrame({"source": "a", "prior": "b", "signal": [0, 1], "log_pz": [-1.0, -2.0], "log_prob": [4.0, -1.5]})


@pytest.mark.parametrize(("protocol", "values"), [("log_prob", [4.0, -1.5]), ("log_pz", [-1.0, -2.0])])
def test_values_of_a_protocol_take_the_place_of_all(protocol: str, values: list[float]) -> None:
    found = diagnostics.protocol_values(TERMS, protocol)
    assert found["value"].tolist() == values
    assert list(found) == ["source", "prior", "signal", "value"]


@pytest.mark.parametrize("protocol", ["exakt", "oracle"])
def test_protocol_without_values_is_named(protocol: str) -> None:
    with pytest.raises(InputError, match=f"protocol '{protocol}'; use one of log_pz, log_prob"):
        diagnostics.protocol_values(TERMS, protocol)


# The table of single likelihoods


@pytest.fixture
def priors(tiny_flow: FlowConfig, perturb: Callable[..., None]) -> FlowSet:
    """Three priors that differ."""
    flow = flowavenet(tiny_flow, groups=3).double().eval()
    perturb(flow)
    about = {"curve": pd.DataFrame(), "folder": Path()}
    return FlowSet(flow=flow, sources=SOURCES, data=ToyWorld(sources=SOURCES), sigma=0.0, **about)


@pytest.fixture
def signals(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(5, 3, 16, generator=generator, dtype=torch.float64)


def test_every_cell_of_the_table_is_the_log_prob_of_one_prior(priors: FlowSet, signals: torch.Tensor) -> None:
    found = diagnostics.likelihood_table(priors, signals)
    exact = diagnostics.protocol_values(found, "log_prob")
    for (k, source), (g, prior) in itertools.product(enumerate(SOURCES), enumerate(SOURCES)):
        cell = exact[(exact["source"] == source) & (exact["prior"] == prior)].sort_values("signal")
        expected = FlowPrior(priors.flow.extract(g)).log_prob(signals[:, k : k + 1]) / 16
        assert cell["signal"].tolist() == [0, 1, 2, 3, 4]
        assert cell["value"].to_numpy() == pytest.approx(expected.detach().numpy(), abs=1e-10)


def test_log_pz_of_the_table_is_without_the_log_determinant(priors: FlowSet, signals: torch.Tensor) -> None:
    found = diagnostics.likelihood_table(priors, signals)
    expected = FlowPrior(priors.flow.extract(2)).terms(signals[:, :1]).log_pz.mean(dim=(1, 2))
    cell = found[(found["source"] == "sine") & (found["prior"] == "saw")]
    assert cell["log_pz"].to_numpy() == pytest.approx(expected.detach().numpy(), abs=1e-10)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_batch_size_does_not_change_the_table(batch_size: int, priors: FlowSet, signals: torch.Tensor) -> None:
    whole, parts = (diagnostics.likelihood_table(priors, signals, batch_size=size) for size in (5, batch_size))
    assert len(parts) == 3 * 3 * 5
    pd.testing.assert_frame_equal(parts, whole, rtol=0, atol=1e-10)


def test_the_table_refuses_signals_that_are_not_finite(priors: FlowSet, signals: torch.Tensor) -> None:
    signals[2, 1, 3] = math.nan
    with pytest.raises(InputError, match="NaN"):
        diagnostics.likelihood_table(priors, signals)


def test_noise_curve_has_every_signal_under_its_own_prior(priors: FlowSet, signals: torch.Tensor) -> None:
    levels = {0.0: signals, 0.2: 1.5 * signals[:3]}
    found = diagnostics.noise_curve_table(priors, levels, batch_size=2)
    assert list(found) == ["data_sigma", "prior", "signal", "log_pz", "log_prob"]
    assert len(found) == (5 + 3) * 3
    for (sigma, x), (g, prior) in itertools.product(levels.items(), enumerate(SOURCES)):
        cell = found[(found["data_sigma"] == sigma) & (found["prior"] == prior)].sort_values("signal")
        expected = priors.prior(prior).log_prob(x[:, g : g + 1]) / 16
        assert cell["signal"].tolist() == list(range(len(x)))
        assert cell["log_prob"].to_numpy() == pytest.approx(expected.detach().numpy(), abs=1e-10)


def test_file_is_cut_to_what_the_priors_can_take(priors: FlowSet, signals: torch.Tensor) -> None:
    found = diagnostics.file_likelihood(priors, signals[:1, :1, :15])
    expected = [priors.prior(name).log_prob(signals[:1, :1, :12]).item() / 12 for name in SOURCES]
    assert found["prior"].tolist() == list(SOURCES)
    assert found["log_likelihood"].tolist() == pytest.approx(expected, abs=1e-10)


def test_ratio_cancels_what_both_priors_share() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for source in ("a", "b"):
        easy = 10 * rng.normal(size=50)
        for prior in ("a", "b"):
            value = easy + (source == prior)
            rows.append(pd.DataFrame({"source": source, "prior": prior, "signal": range(50), "value": value}))
    values = pd.concat(rows)
    plain = diagnostics.discriminate(values).set_index(["source", "prior"])["auroc"]
    ratio = diagnostics.discriminate(values, ratio=True).set_index(["source", "prior"])["auroc"]
    assert plain["a", "b"] < 0.8
    assert ratio["a", "b"] == ratio["b", "a"] == 1


def test_each_prior_has_its_worst_pair_and_its_accuracy() -> None:
    means = {("a", "a"): 3, ("b", "a"): 0, ("c", "a"): 3, ("a", "b"): 0, ("b", "b"): 9, ("c", "b"): 0}
    means |= {("a", "c"): 0, ("b", "c"): 0, ("c", "c"): 9}
    rows = [
        {"source": s, "prior": p, "signal": i, "value": mean + 0.1 * i}
        for (s, p), mean in means.items()
        for i in range(4)
    ]
    table = worst_by_prior(diagnostics.discriminate(pd.DataFrame(rows))).set_index("prior")
    assert table.loc["a", "against"] == "c" and table.loc["a", "auroc"] == pytest.approx(0.5)
    assert table.loc["b", "auroc"] == 1 and (table["accuracy"] == 1).all()
