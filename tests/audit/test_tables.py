"""The tables of results: rows chosen as said, and the tables of a tiny profile from one end to the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import StringIO
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from srcsep_core.audit.claims import Results, ledger
from srcsep_core.audit.claims.measures import AS_RELEASED, FAILS, HOLDS, UNDECIDED
from srcsep_core.audit.comparison import NO_ORACLE, PENDING, PENDING_INPUTS, QUANTITIES, compare
from srcsep_core.audit.published import published_cells
from srcsep_core.audit.tables import (
    FACTS,
    SIGNALS,
    cross_likelihood_tables,
    input_tables,
    likelihood_summary,
    noise_curve_table,
    papers_own,
    select,
)
from srcsep_core.data.base import EvalConfig
from srcsep_core.data.toy import SOURCES
from srcsep_core.diagnostics.inputs import CONSTANT_LEVELS, DATA_SIGMAS, PRINTED_CONSTANTS, RANDOM_SIGMAS
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.oracle import OracleSet
from srcsep_core.priors.wavenet import WaveNetPriorConfig
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.plans import EvalPlan
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import subjects_of
from srcsep_core.run.store import Store
from srcsep_core.training.config import NOISE_LEVELS

# The tables are made once, by the worker that gets all of these tests.
pytestmark = pytest.mark.xdist_group("tables")

# Choosing rows

OWN = {
    "flow without noise": ("flowavenet", "likelihood", "noise-free", "", 0.0),
    "released flow without noise": ("flowavenet", "quarter_log_det", "noise-free", "", 0.0),
    "flow": ("flowavenet", "likelihood", "fine-tuned", "gaussian", 0.077),
    "released flow": ("flowavenet", "quarter_log_det", "fine-tuned", "scaled_clamped", 0.077),
    "wavenet": ("wavenet", "likelihood", "fine-tuned", "gaussian", 0.077),
    "released wavenet": ("wavenet", "sigmoid", "fine-tuned", "scaled_clamped", 0.077),
    "oracle": ("oracle", "", "", "", 0.077),
}
OTHERS = {
    "scratch": ("flowavenet", "likelihood", "scratch", "gaussian", 0.077),
    "conditional": ("flowavenet", "likelihood", "conditional", "gaussian", 0.077),
    "likelihood, scaled and clamped noise": ("flowavenet", "likelihood", "fine-tuned", "scaled_clamped", 0.077),
    "quarter of the log-det, Gaussian noise": ("flowavenet", "quarter_log_det", "fine-tuned", "gaussian", 0.077),
    "sigmoid, Gaussian noise": ("wavenet", "sigmoid", "fine-tuned", "gaussian", 0.077),
}


def sets(**signals: Any) -> pd.DataFrame:
    """One row for every set of priors, named in `name`, and the columns `signals`."""
    rows = [
        dict(zip(("name", "model", "objective", "training", "noise", "prior_sigma"), (name, *case), strict=True))
        for name, case in (OWN | OTHERS).items()
    ]
    return pd.DataFrame(rows).assign(**signals)


def test_papers_own_sets_are_noise_free_or_fine_tuned_with_their_own_noise() -> None:
    assert papers_own(sets())["name"].tolist() == list(OWN)


def test_papers_own_signals_are_clean_at_the_amplitude_of_test_signals_and_their_likelihood_is_no_ratio() -> None:
    kinds = product(("evaluation", "training"), (False, True), (0.0, 0.077, 0.001))
    parts = [sets(source="saw", prior="sine", amplitude=a, ratio=r, data_sigma=s) for a, r, s in kinds]
    found = papers_own(pd.concat(parts, ignore_index=True))
    assert found["name"].tolist() == list(OWN)
    assert set(found["amplitude"]) == {"evaluation"}
    assert not found["ratio"].any() and (found["data_sigma"] == 0).all()
    assert found.index.tolist() == list(range(len(OWN)))


def test_papers_own_noise_curve_has_every_noise_of_the_data() -> None:
    found = papers_own(pd.concat([sets(prior="sine", data_sigma=s) for s in (0.0, 0.077, 0.3)]))
    assert found["name"].tolist() == 3 * list(OWN)


def as_read(table: pd.DataFrame) -> pd.DataFrame:
    """The table after a round trip through a file, where an empty text is missing."""
    return pd.read_csv(StringIO(table.to_csv(index=False)))


def test_papers_own_rows_are_the_same_in_a_table_read_from_a_file() -> None:
    table = sets(source="saw", prior="sine", amplitude="evaluation", ratio=False, data_sigma=0.0)
    read = as_read(table)
    assert read["training"].isna().any()
    assert papers_own(read)["name"].tolist() == list(OWN)
    oracle = as_read(table[table["model"] == "oracle"])
    assert oracle["objective"].dtype == float, "nothing but missing texts"
    assert papers_own(oracle)["name"].tolist() == ["oracle"]
    assert select(oracle, objective="", training="")["name"].tolist() == ["oracle"]
    assert select(oracle, objective="likelihood").empty
    assert papers_own(table[:0]).empty


TABLE = pd.DataFrame(
    {
        "ratio": [False, True, False, True],
        "sigma": [0.0, 0.359, 0.3590000001, math.nan],
        "text": ["", "a", math.nan, None],
        "n": [0, 1, 2, 3],
    }
)


@pytest.mark.parametrize(
    ("facts", "rows"),
    [
        ({}, [0, 1, 2, 3]),
        ({"ratio": True}, [1, 3]),
        ({"ratio": False}, [0, 2]),
        ({"ratio": np.True_}, [1, 3]),
        ({"sigma": 0.359}, [1, 2]),
        ({"sigma": 0.359 + 5e-10}, [1, 2]),
        ({"sigma": 0.359 + 2e-9}, []),
        ({"sigma": np.float64(0.0)}, [0]),
        ({"sigma": 0}, [0]),
        ({"n": 1.0}, [1]),
        ({"text": ""}, [0, 2, 3]),
        ({"text": "a"}, [1]),
        ({"text": "b"}, []),
        ({"ratio": False, "text": "", "n": 2}, [2]),
    ],
)
def test_selected_rows_have_the_values(facts: dict[str, Any], rows: list[int]) -> None:
    found = select(TABLE, **facts)
    assert found.index.tolist() == rows
    assert list(found) == list(TABLE)


def test_true_and_one_are_not_mixed_up_and_the_table_stays_as_it_is() -> None:
    before = TABLE.copy()
    assert select(TABLE, ratio=True).index.tolist() != select(TABLE, n=1).index.tolist()
    pd.testing.assert_frame_equal(TABLE, before)


def test_column_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError, match="colour"):
        select(TABLE, colour="red")


# The tables of a tiny profile

SMOKE = get_profile("smoke")
STEPS: dict[str, Any] = {"steps": 2, "batch_size": 1, "crop": 32, "warmup_steps": 0, "checkpoint_every": 2}
FLOW, WAVENET = SMOKE.plan_of("flowavenet"), SMOKE.plan_of("wavenet")
SIZE = FlowConfig(blocks=2, flows=1, layers=1, width=2)
TINY = (
    replace(
        SMOKE,
        name="tiny",
        evaluation=EvalConfig(signals=3, length=16),
        plan=EvalPlan(
            oracle=EvalConfig(signals=2, length=16),
            noisy=EvalConfig(signals=2, length=16),
            long=EvalConfig(signals=2, length=32),
            curve=EvalConfig(signals=2, length=16),
            long_curve=EvalConfig(signals=2, length=32),
            input_lengths=(16, 32),
            draws=(2, 2),
        ),
    )
    .with_plan(
        "flowavenet",
        network=SIZE,
        train=replace(FLOW.train, **STEPS),
        fine_tune=replace(FLOW.fine_tune, **STEPS),
        scratch=replace(FLOW.scratch, **STEPS),
        conditional=replace(FLOW.conditional, **STEPS),
        conditional_networks=(ConditionalFlowConfig(blocks=2, flows=1, layers=1, width=2),),
    )
    .with_plan(
        "wavenet",
        network=WaveNetPriorConfig(layers=2, width=2, head_width=4),
        train=replace(WAVENET.train, **STEPS),
        fine_tune=replace(WAVENET.fine_tune, **STEPS),
    )
)
WORLD = ["model", "objective", "training", "initial", "noise", "world", "variant", "prior_sigma"]
CELL = {
    "likelihood": [*FACTS, *SIGNALS, "source", "prior"],
    "discrimination": [*FACTS, *SIGNALS, "ratio", "source", "prior"],
    "noise": [*FACTS, "length", "prior", "data_sigma"],
    "constant": [*FACTS, "length", "prior", "level"],
    "random": [*FACTS, "length", "prior", "input_sigma"],
}
SUMMARY = ["n", "mean", "median", "q05", "q95", "median_low", "median_high"]
FOUND = dict.fromkeys(CELL, SUMMARY) | {
    "discrimination": ["auroc", "auroc_low", "auroc_high", "accuracy", "accuracy_low", "accuracy_high", "n"]
}
each_table = pytest.mark.parametrize("name", CELL)


@dataclass(frozen=True)
class Made:
    """The tables by name, and the pipeline that made them."""

    pipeline: Pipeline
    tables: dict[str, pd.DataFrame]


def normal_density(oracle: OracleSet, x: Tensor) -> dict[str, Tensor]:
    """In place of the oracle, whose own tests hold it and whose sums take minutes: normal densities of some width."""
    scale = oracle.sigma + 0.5 + 0.1 * torch.arange(x.shape[1])[:, None]
    return {"oracle": torch.distributions.Normal(0.0, scale).log_prob(x).double().mean(dim=2)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Every table of the tiny profile, from an empty cache and nothing shipped."""
    pipeline = Pipeline(Store(tmp_path_factory.mktemp("results") / "cache"), train=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OracleSet, "likelihoods", normal_density)
        crossed = cross_likelihood_tables(pipeline, TINY)
        tables = [*crossed, noise_curve_table(pipeline, TINY), *input_tables(pipeline, TINY)]
        yield Made(pipeline, dict(zip(CELL, tables, strict=True)))


def present(table: pd.DataFrame) -> set[tuple[Any, ...]]:
    """The sets of priors that a table is about."""
    return set(table[WORLD].itertuples(index=False, name=None))


@pytest.mark.slow
@each_table
def test_columns_say_which_priors_which_signals_and_what_was_found(name: str, made: Made) -> None:
    assert list(made.tables[name]) == [*CELL[name], *FOUND[name]]


@pytest.mark.slow
@each_table
def test_no_cell_has_two_rows(name: str, made: Made) -> None:
    table = made.tables[name]
    assert table[table.duplicated(CELL[name])].empty
    assert table[CELL[name]].notna().all(axis=None)


@pytest.mark.slow
@each_table
def test_every_number_is_there(name: str, made: Made) -> None:
    table = made.tables[name]
    if name == "discrimination":
        own = table["source"] == table["prior"]
        pair, single = FOUND[name][:3], FOUND[name][3:6]
        assert table.loc[own, single].notna().all(axis=None) and table.loc[own, pair].isna().all(axis=None)
        assert table.loc[~own, pair].notna().all(axis=None) and table.loc[~own, single].isna().all(axis=None)
    else:
        assert np.isfinite(table[SUMMARY]).all(axis=None)
        assert (table["median_low"] <= table["median"]).all() and (table["median"] <= table["median_high"]).all()


@pytest.mark.slow
@each_table
def test_every_set_is_there_that_is_to_be_measured(name: str, made: Made) -> None:
    full = {tuple(s.facts[c] for c in WORLD) for s in subjects_of(TINY) if s.in_full and s.sigma < 1}
    everything = {tuple(s.facts[c] for c in WORLD) for s in subjects_of(TINY)}
    assert {(*fact[:3], fact[4]) for fact in full} == {tuple(case[:4]) for case in OWN.values()} | {
        ("wavenet", "likelihood", "noise-free", ""),
        ("wavenet", "sigmoid", "noise-free", ""),
    }
    assert present(made.tables[name]) == (everything if name in ("likelihood", "discrimination") else full)
    assert present(papers_own(made.tables[name])) == full


@pytest.mark.slow
@each_table
def test_protocols_are_those_of_the_model(name: str, made: Made) -> None:
    table = made.tables[name]
    found = set(table[["model", "objective", "protocol"]].itertuples(index=False, name=None))
    assert found == {
        ("flowavenet", "likelihood", "log_pz"),
        ("flowavenet", "likelihood", "log_prob"),
        ("flowavenet", "quarter_log_det", "log_pz"),
        ("flowavenet", "quarter_log_det", "log_prob"),
        ("wavenet", "likelihood", "log_prob"),
        ("wavenet", "sigmoid", "mean_sigmoid"),
        ("oracle", "", "oracle"),
    }


@pytest.mark.slow
def test_every_set_in_full_has_every_cell_at_both_lengths(made: Made) -> None:
    levels = {"noise": ("data_sigma", DATA_SIGMAS), "constant": ("level", CONSTANT_LEVELS)}
    levels |= {"random": ("input_sigma", RANDOM_SIGMAS)}
    for name, (column, values) in levels.items():
        for _, part in made.tables[name].groupby([*FACTS]):
            cells = set(part[["length", "prior", column]].itertuples(index=False, name=None))
            long = PRINTED_CONSTANTS if name == "constant" else values
            assert cells == {*product((16,), SOURCES, values), *product((32,), SOURCES, long)}
    for name in ("likelihood", "discrimination"):
        for _, part in papers_own(made.tables[name]).groupby([*FACTS]):
            cells = set(part[["length", "source", "prior"]].itertuples(index=False, name=None))
            assert cells == set(product((16, 32), SOURCES, SOURCES))


@pytest.mark.slow
def test_discrimination_is_about_the_signals_of_the_likelihood_plain_and_as_a_ratio(made: Made) -> None:
    cells = CELL["likelihood"]
    expected = made.tables["likelihood"][cells].sort_values(cells, ignore_index=True)
    for ratio in (False, True):
        found = select(made.tables["discrimination"], ratio=ratio)[cells]
        pd.testing.assert_frame_equal(found.sort_values(cells, ignore_index=True), expected)
        pairs = select(made.tables["discrimination"].dropna(subset="auroc"), ratio=ratio)
        there = pairs.set_index(cells)["auroc"].sort_index()
        back = pairs.rename(columns={"source": "prior", "prior": "source"}).set_index(cells)["auroc"].sort_index()
        assert np.allclose(there, back) == ratio, "a ratio tells two sources apart alike, whichever prior is asked"
    own = made.tables["discrimination"].dropna(subset="accuracy").drop(columns="ratio")
    assert len(own) == 2 * len(own.drop_duplicates()), "the accuracy compares priors, ratio or not"


@pytest.mark.slow
def test_tables_are_made_once(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    def made_again(*_: object) -> None:
        raise AssertionError("computed a second time")

    monkeypatch.setattr(Pipeline, "_make", made_again)
    pd.testing.assert_frame_equal(likelihood_summary(made.pipeline, TINY), made.tables["likelihood"])
    pd.testing.assert_frame_equal(noise_curve_table(made.pipeline, TINY), made.tables["noise"])


@pytest.mark.slow
@pytest.mark.parametrize("length", [None, 32])
def test_every_published_number_has_ours_beside_it_or_a_reason(length: int | None, made: Made) -> None:
    names = ("likelihood", "noise", "constant", "random")
    ours = {q: papers_own(made.tables[name]) for q, name in zip(QUANTITIES, names, strict=True)}
    cells = published_cells()
    result = compare(cells, ours, length=length)
    assert (result["ours_median"].isna() == (result["missing"] != "")).all()
    elsewhere = {f"not evaluated at prior sigma {s:g}" for s in NOISE_LEVELS if s not in TINY.noise_levels}
    if length == 32:
        long = {level for level in CONSTANT_LEVELS if level not in PRINTED_CONSTANTS}
        elsewhere |= {f"not evaluated at level {level:g}" for level in long}
    pending = (PENDING, PENDING_INPUTS)
    assert set(result["missing"]) == {"", *pending, NO_ORACLE, *elsewhere}
    assert result["missing"].isin(pending).sum() == (cells["world"] != "toy").sum()
    here = result[(result["world"] == "toy") & result["prior_sigma"].isin((0.0, *TINY.noise_levels))]
    if length == 32:
        here = here[(here["quantity"] != "constant_input") | here["level"].isin(PRINTED_CONSTANTS)]
    assert set(here.loc[here["missing"] != "", "protocol"]) == {"oracle"}
    keys = ["document", "item", "model", "source", "prior", "prior_sigma", "level", "statistic"]
    for _, part in here.groupby(keys):
        flow = part["model"].iloc[0] != "wavenet"
        assert set(part["objective"]) == {"quarter_log_det" if flow else "sigmoid", "likelihood", ""}
        assert len(part) == (5 if flow else 3)
    assert set(here["length"].dropna()) == {16 if length is None else length}


@pytest.mark.slow
def test_ledger_reads_the_tables(made: Made) -> None:
    claims = ledger(Results(**made.tables))
    assert set(claims["verdict"]) <= {HOLDS, AS_RELEASED, FAILS, UNDECIDED}
    decided = claims[claims["number"] != ""]
    assert len(decided) == len(claims)
    assert np.isfinite(decided[["value", "low", "high"]]).all(axis=None) and (decided["n"] > 0).all()
    assert not decided[["released", "exact", "oracle"]].isin(["", "-"]).any(axis=None)
