"""The table of kinds compared with each other, from tiny sets made on the spot."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from srcsep_core.audit.families import family_inputs, family_matrices, family_noise, family_table, space_of
from srcsep_core.diagnostics import DATA_SIGMAS
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.plans import KindPlan
from srcsep_core.run.profiles import Profile, get_profile
from srcsep_core.run.steps import CrossLikelihood, Subject, family_priors_of, prior_step, priors_of, steps_of
from srcsep_core.run.store import Store
from srcsep_core.run.untrained import command, cost

SMOKE = get_profile("smoke")
PLAN = KindPlan(FlowConfig(blocks=1, flows=1, layers=1, width=4), replace(SMOKE.plan_of("flowavenet").train, steps=10))


@pytest.fixture(scope="module")
def profile() -> Profile:
    return replace(SMOKE, families={"flowavenet": PLAN, "nice": replace(PLAN, step_seconds=6.0)})


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(Store(tmp_path_factory.mktemp("store")), train=True)


def test_a_row_a_kind_says_what_its_own_evaluation_says(pipeline: Pipeline, profile: Profile) -> None:
    table = family_table(pipeline, profile).set_index("family")
    assert list(table.index) == ["flowavenet", "nice"]
    assert set(table["space"]) == {"time"} and set(table["protocol"]) == {"log_prob"}
    step = prior_step(profile, "nice")
    values = pipeline.values(CrossLikelihood(Subject(step, step.data, 0.0), profile.evaluation))
    own = values[values["source"] == values["prior"]].groupby("source")["log_prob"].median()
    assert table.loc["nice", "nats"] == pytest.approx(own.mean())
    best = values.loc[values.groupby(["source", "signal"])["log_prob"].idxmax()]
    assert table.loc["nice", "accuracy"] == pytest.approx((best["source"] == best["prior"]).mean())
    assert (table["cpu_hours"] > 0).all() and (table["n"] == profile.evaluation.signals).all()
    weights = sum(value.numel() for value in pipeline.priors(step).flow.parameters())
    assert weights < table.loc["nice", "parameters"] < 1.3 * weights  # learned as directions and lengths


def test_peak_fall_is_that_of_the_noise_curve(pipeline: Pipeline, profile: Profile) -> None:
    noise = family_noise(pipeline, profile)
    assert set(noise["data_sigma"]) == set(DATA_SIGMAS)
    means = noise[noise["family"] == "nice"].groupby("data_sigma")["median"].mean()
    fall = family_table(pipeline, profile).set_index("family").loc["nice", "peak_fall"]
    assert fall == pytest.approx(means[0.0] - means[0.01])


def test_matrices_and_inputs_have_every_family(pipeline: Pipeline, profile: Profile) -> None:
    matrices = family_matrices(pipeline, profile)
    assert list(matrices) == ["flowavenet", "nice"]
    assert all(list(table.index) == list(table.columns) for table in matrices.values())
    constant, random = family_inputs(pipeline, profile)
    assert isinstance(constant, pd.DataFrame) and set(constant["family"]) == set(random["family"]) == set(matrices)
    assert np.isfinite(constant["median"]).all()


def test_families_are_trained_and_listed_but_in_none_of_the_papers_tables(profile: Profile) -> None:
    small = family_priors_of(profile)[0]
    assert small.label == "smoke-family" and small.title != prior_step(profile, "flowavenet").title
    assert small in priors_of(profile)
    assert sum(step.name == "nice-prior" for step in steps_of(profile)) == 1
    assert family_priors_of(replace(profile, families={"flowavenet": profile.kinds["flowavenet"]}))[0] == prior_step(
        profile, "flowavenet"
    )
    assert not family_priors_of(profile, "songs_8k")
    assert space_of(small) == "time"


def test_what_is_not_trained_names_the_command_and_the_cost() -> None:
    small = next(step for step in family_priors_of(get_profile("laptop")) if step.model == "flowavenet")
    assert command(small).startswith("srcsep train -p laptop --variant whole_periods --model flowavenet")
    assert cost([small]) == "1500 training steps, about 21 minutes on one core"
