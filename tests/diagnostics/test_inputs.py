"""Artificial inputs and their tables, on closed-form priors; and the two noise levels of `windows`."""

import math
from collections.abc import Mapping

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from srcsep_core.diagnostics.discrimination import summarise
from srcsep_core.diagnostics.inputs import (
    CONSTANT_LEVELS,
    RANDOM_SIGMAS,
    constant_table,
    random_table,
)
from srcsep_core.diagnostics.windows import discrimination_window, mobility_onset
from srcsep_core.errors import InputError

SOURCES = ("narrow", "wide")
LENGTH, DRAWS = 500, 9


def evaluate(x: Tensor) -> Mapping[str, Tensor]:
    """White Gaussian priors of standard deviation 0.1 and 1; `log_pz` drops the scale, a flow's log |det|."""
    exact = torch.stack([Normal(0.0, s).log_prob(x).mean(dim=(1, 2)) for s in (0.1, 1.0)], dim=1)
    return {"log_prob": exact, "log_pz": exact + torch.tensor([0.1, 1.0]).log()}


def test_constant_table_holds_the_value_of_every_level() -> None:
    table = constant_table(evaluate, SOURCES, LENGTH)
    assert table.columns.tolist() == ["prior", "protocol", "level", "value"]
    assert len(table) == 31 * 2 * 2
    for prior, scale in (("narrow", 0.1), ("wide", 1.0)):
        rows = table[(table["prior"] == prior) & (table["protocol"] == "log_prob")]
        assert rows["level"].tolist() == list(CONSTANT_LEVELS)
        expected = Normal(0.0, scale).log_prob(torch.tensor(CONSTANT_LEVELS)).numpy()
        assert rows["value"].to_numpy() == pytest.approx(expected, rel=1e-4)


def test_random_table_has_each_draw_at_each_level_and_silence_once() -> None:
    table = random_table(evaluate, SOURCES, LENGTH, draws=DRAWS, seed=0)
    assert table.columns.tolist() == ["prior", "protocol", "input_sigma", "draw", "value"]
    counts = table.groupby(["prior", "protocol", "input_sigma"]).size()
    assert counts.xs(0.0, level="input_sigma").eq(1).all()
    assert counts.drop(0.0, level="input_sigma").eq(DRAWS).all()
    assert set(table["input_sigma"]) == set(RANDOM_SIGMAS)


def test_the_same_draws_are_scaled_to_every_level() -> None:
    """Under N(0, s^2) the value is c - sigma^2 m / (2 s^2), m the mean square of the unit draw."""
    table = random_table(evaluate, SOURCES, LENGTH, draws=DRAWS, seed=0)
    wide = table[(table["prior"] == "wide") & (table["protocol"] == "log_prob") & (table["input_sigma"] > 0)]
    power = -2 * (wide["value"] + 0.5 * math.log(2 * math.pi))
    loud = wide["input_sigma"] >= 0.1
    unit = (power[loud] / wide["input_sigma"][loud] ** 2).groupby(wide["draw"][loud])
    assert (unit.max() - unit.min()).max() < 1e-3
    assert unit.mean().nunique() == DRAWS
    assert unit.mean().mean() == pytest.approx(1.0, abs=0.1)


def test_seed_determines_the_draws() -> None:
    tables = [random_table(evaluate, SOURCES, LENGTH, draws=2, seed=seed)["value"].tolist() for seed in (0, 0, 1)]
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_batches_have_the_size_asked_for_and_change_nothing(batch_size: int) -> None:
    sizes = []

    def recorded(x: Tensor) -> Mapping[str, Tensor]:
        assert x.shape[1:] == (1, LENGTH)
        sizes.append(len(x))
        return evaluate(x)

    whole = random_table(evaluate, SOURCES, LENGTH, draws=DRAWS, seed=0)
    parts = random_table(recorded, SOURCES, LENGTH, draws=DRAWS, seed=0, batch_size=batch_size)
    assert max(sizes) == min(batch_size, sum(sizes))
    pd.testing.assert_frame_equal(parts, whole, rtol=1e-5)
    found, expected = (constant_table(evaluate, SOURCES, LENGTH, batch_size=size) for size in (batch_size, 8))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)


def test_summary_has_one_row_a_group() -> None:
    table = random_table(evaluate, SOURCES, LENGTH, draws=DRAWS, seed=0)
    summary = summarise(table, ["prior", "protocol", "input_sigma"])
    names = ["n", "mean", "median", "q05", "q95", "median_low", "median_high"]
    assert summary.columns.tolist() == ["prior", "protocol", "input_sigma", *names]
    assert len(summary) == 2 * 2 * len(RANDOM_SIGMAS)
    row = summary.set_index(["prior", "protocol", "input_sigma"]).loc[("narrow", "log_prob", 1.0)]
    group = table[(table["prior"] == "narrow") & (table["protocol"] == "log_prob") & (table["input_sigma"] == 1.0)]
    assert row["n"] == DRAWS
    assert row["mean"] == pytest.approx(group["value"].mean())
    assert row["median"] == group["value"].median()
    assert row["q05"] <= row["median_low"] <= row["median"] <= row["median_high"] <= row["q95"]


def test_columns_that_are_not_there_are_named() -> None:
    table = constant_table(evaluate, SOURCES, LENGTH)
    with pytest.raises(InputError, match="'draw'"):
        summarise(table, ["prior", "draw"])
    with pytest.raises(InputError, match="no column"):
        summarise(table, [])


def test_sizes_must_be_positive() -> None:
    with pytest.raises(InputError, match="length is 0"):
        constant_table(evaluate, SOURCES, 0)
    with pytest.raises(InputError, match="draws is 0"):
        random_table(evaluate, SOURCES, LENGTH, draws=0, seed=0)
    with pytest.raises(InputError, match="batch_size is -1"):
        constant_table(evaluate, SOURCES, LENGTH, batch_size=-1)


def test_values_must_match_inputs_and_priors() -> None:
    with pytest.raises(InputError, match=r"'log_prob' have shape \(8, 2\) for 8 inputs and 3 priors"):
        constant_table(evaluate, ("a", "b", "c"), LENGTH)


# Windows


def test_discrimination_window_is_the_largest_level_that_passes() -> None:
    assert discrimination_window([0.01, 0.1, 0.3, 1.0], [1.0, 0.95, 0.9, 0.6]) == 0.3
    assert discrimination_window([1.0, 0.3, 0.1], [0.5, 0.8, 0.95]) == 0.1
    assert discrimination_window([0.01, 0.1, 0.3], [1.0, 0.7, 0.95]) == 0.3
    assert discrimination_window([0.01, 0.1], [1.0, 0.8], threshold=0.75) == 0.1


def test_mobility_onset_is_the_smallest_level_that_passes() -> None:
    assert mobility_onset([0.1, 0.3, 1.0], [1.0, 10.0, 400.0]) == 0.3
    assert mobility_onset([1.0, 0.3, 0.1], [400.0, 12.0, 1.0]) == 0.3
    assert mobility_onset([0.1, 1.0], [2.0, 5.0], threshold=4) == 1.0


def test_where_no_level_passes_there_is_no_window() -> None:
    assert math.isnan(discrimination_window([0.1, 0.3], [0.8, 0.7]))
    assert math.isnan(mobility_onset([0.1, 0.3], [1.0, 9.9]))


@pytest.mark.parametrize(
    ("sigmas", "values", "message"),
    [
        ([], [], "0 noise levels"),
        ([0.1], [0.5, 0.6], "1 noise levels and 2 values"),
        ([-0.1], [0.5], "noise level -0.1"),
        ([math.nan], [0.5], "noise level nan"),
        ([0.1], [math.nan], "at noise level 0.1 is NaN"),
    ],
)
def test_levels_that_cannot_be_used_are_named(sigmas: list[float], values: list[float], message: str) -> None:
    for window in (discrimination_window, mobility_onset):
        with pytest.raises(InputError, match=message):
            window(sigmas, values)


def test_swapped_arguments_are_noticed() -> None:
    with pytest.raises(InputError, match=r"AUROC 2 is outside \[0, 1\]"):
        discrimination_window([0.9, 0.5], [0.1, 2.0])
