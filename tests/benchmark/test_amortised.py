"""The table of variational separation: what is in it, and that bounds lie below the evidence."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from srcsep_core.benchmark.amortised import (
    AMOUNTS,
    MixSetting,
    amortised_table,
    encoder_step,
    pair_settings,
    whole_settings,
)
from srcsep_core.data.toy import ToyWorld
from srcsep_core.posteriors.variational import RefineConfig
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import prior_step
from srcsep_core.run.steps.choices import MethodChoice, PriorChoice, SeparatorChoice, VariationalChoice
from srcsep_core.run.store import Store

TWO = ToyWorld(sources=("sine", "square"))
FIT = RefineConfig(steps=15, sigma_max=0.5, sigma_min=0.05)


@pytest.mark.parametrize("name", AMOUNTS)
def test_every_prior_is_asked_with_and_without_an_encoder(name: str) -> None:
    settings = pair_settings(get_profile(name))
    labels = [setting.choice.labels for setting in settings]
    assert len(set(settings)) == len(settings)
    for prior in ("denoiser", "oracle"):
        ways = ("encoder", "encoder-reordered", "encoder-reordered-fit", "fit")
        assert {(prior, way) for way in ways} <= set(labels)
    flows = {prior for prior, separator in labels if separator == "fit"} - {"denoiser", "oracle"}
    assert len(flows) == 2 and {(flow, "encoder-reordered-fit") for flow in flows} <= set(labels)
    # Chains from an encoder, and the same ones from silence.
    few = [one.choice for one in settings if one.choice.labels == ("denoiser", "encoder-gibbs")]
    assert len(few) == 1 and isinstance(few[0], VariationalChoice)
    short = [one.choice for one in settings if one.choice.labels == ("denoiser", "gibbs")]
    assert [choice.sampler_config == few[0].chains for choice in short] == [True, False]  # type: ignore[attr-defined]
    assert {("denoiser", "gibbs"), ("denoiser", "langevin"), ("nmf", "none"), ("mix", "none")} <= set(labels)
    # Posteriors are of one level, so that their bounds fall short of the same evidence.
    assert {one.choice.level for one in settings if isinstance(one.choice, VariationalChoice)} == {0.05}


@pytest.mark.parametrize("name", AMOUNTS)
def test_chains_for_all_classes_start_from_an_encoder_of_as_many_and_from_none(name: str) -> None:
    profile = get_profile(name)
    settings = whole_settings(profile)
    assert all(step.mixes.sources == step.data.sources for setting in settings for step in setting.steps)
    chains = {}
    for setting in settings:
        choice = setting.choice
        if isinstance(choice, VariationalChoice):
            assert choice.trained == encoder_step(profile, 4) and choice.trained.network.counts == (4,)
        chains.setdefault(choice.labels[1], []).append(vars(choice).get("chains") or vars(choice).get("sampler_config"))
    assert list(chains) == ["encoder", "encoder-reordered", "encoder-gibbs", "encoder-reordered-gibbs", "gibbs", "none"]
    assert chains["encoder-gibbs"] == chains["encoder-reordered-gibbs"] == chains["gibbs"][:1]
    assert chains["gibbs"][0].levels < chains["gibbs"][1].levels
    two, four = encoder_step(profile, 2), encoder_step(profile, 4)
    assert two == prior_step(profile, "encoder") and two.key != four.key and "of4" in four.title


def test_the_table_has_quality_seconds_and_bounds(tmp_path: Path) -> None:
    pipeline = Pipeline(Store(tmp_path), torch.device("cpu"), train=True)
    step = prior_step(get_profile("smoke"), "encoder")
    trained = replace(step, data=TWO, train=replace(step.train, steps=2), teacher=None)
    true = PriorChoice("oracle", TWO)
    choices: list[SeparatorChoice] = [
        VariationalChoice(true, trained),
        VariationalChoice(true, trained, FIT),
        VariationalChoice(true, None, FIT),
        MethodChoice("mix"),
    ]
    settings = [MixSetting(TWO, 256, 2, choice) for choice in choices]
    made = amortised_table(pipeline, settings, profile="smoke", bounds=2, command="it")
    assert list(made["sources"]) == ["sine+square", "any 2"] * 4
    parts, pooled = (made[made["sources"] == name].reset_index(drop=True) for name in ("sine+square", "any 2"))
    pd.testing.assert_frame_equal(parts.drop(columns="sources"), pooled.drop(columns="sources"))
    table = pooled.set_index("separator")
    assert list(table.index) == ["encoder", "encoder-fit", "fit", "mix"]
    assert (table["n_mixes"] == 2).all() and (table["seconds_per_mix"] > 0).all()
    assert list(table["refinement"]) == [0, 15, 15, 0]
    assert list(table["supervision"]) == ["truth"] * 3 + ["nothing"]
    fitted = table.loc[["encoder", "encoder-fit", "fit"]]
    assert table["elbo"].isna()["mix"] and fitted["log_evidence"].nunique() == 1
    assert (fitted["elbo"] < fitted["log_evidence"]).all()
    # A fit raises the bound of an encoder that was hardly trained.
    assert fitted["elbo"]["encoder-fit"] > fitted["elbo"]["encoder"]
    assert fitted["covered"].between(0, 1).all() and (fitted["effective"] >= 1).all()
    assert abs(table["si_sdri_mean"]["mix"]) < 1e-6
