"""The benchmark of blind separation: its settings, the networks they train, and its tables."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from srcsep_core.audit.published import printed_blind
from srcsep_core.baselines.pictures import BASELINES
from srcsep_core.benchmark import blind_tables as tables_of_blind
from srcsep_core.benchmark.blind import (
    AMOUNTS,
    NETWORKS,
    BlindSetting,
    apart,
    blind_settings,
    mixes_of,
    network_step,
    trained_setting,
)
from srcsep_core.benchmark.blind_tables import (
    CHOICE_SEED,
    PRINTED_DATA,
    PRINTED_METHOD,
    WARMUPS,
    blind_tables,
    sweep_table,
    warmup_table,
)
from srcsep_core.blind.scores import PICTURES, SOUNDS
from srcsep_core.data.base import world_of
from srcsep_core.data.mixes import draw_mixes
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import PROFILES, Profile, get_profile
from srcsep_core.run.steps import TrainPriors
from srcsep_core.run.steps.blind import TakeApart
from srcsep_core.run.steps.separation import SeparateMixes
from srcsep_core.run.store import Store

COLUMNS = ["world", "method", "supervision", "sources", "slots", "metric", "value", "low", "high", "n_mixes", "n_seeds"]
COLUMNS += ["printed", "command"]
SEED_COLUMNS = ["world", "method", "supervision", "sources", "slots", "metric", "seed", "value", "loss"]
each_profile = pytest.mark.parametrize("name", PROFILES)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A pipeline with an empty cache and nothing shipped."""
    return Pipeline(Store(tmp_path_factory.mktemp("blind") / "cache"), train=True)


def smoke() -> Profile:
    return get_profile("smoke")


def networks(settings: list[BlindSetting]) -> dict[str, TrainPriors]:
    """The steps that train slots, by key."""
    measured = [step for setting in settings for step in setting.steps if isinstance(step, TakeApart)]
    return {step.trained.key: step.trained for step in measured if step.trained is not None}


def untrained(method: str, variant: str = "digits", count: int = 2) -> BlindSetting:
    step = apart(smoke(), variant, count, method)
    return BlindSetting(variant, method, BASELINES[method][0], count, count, (step,))


# Settings


@each_profile
def test_settings_cover_every_printed_row(name: str) -> None:
    found = {
        (PRINTED_DATA[s.variant], s.sources, PRINTED_METHOD.get(s.method, s.method))
        for s in blind_settings(get_profile(name))
        if s.variant in PRINTED_DATA
    }
    printed = set(printed_blind()[["data", "sources", "method"]].itertuples(index=False, name=None))
    assert printed <= found


@each_profile
def test_no_setting_is_there_twice(name: str) -> None:
    settings = blind_settings(get_profile(name))
    rows = [(s.variant, s.method, s.sources, s.slots) for s in settings]
    assert len(set(rows)) == len(rows)
    keys = [step.key for setting in settings for step in setting.steps]
    assert len(set(keys)) == len(keys)


@each_profile
def test_every_network_has_its_seeds_and_nothing_else_has(name: str) -> None:
    for setting in blind_settings(get_profile(name)):
        trained = setting.method.removesuffix("-first") in NETWORKS
        wanted = AMOUNTS[name].seeds
        assert len(setting.steps) == (wanted if trained else 1), setting.method
        if trained:
            seeds = [step.trained.train.seed for step in setting.steps]  # type: ignore[attr-defined]
            assert seeds == list(range(wanted))


def test_settings_say_what_was_seen() -> None:
    seen = {s.method: s.supervision for s in blind_settings(smoke())}
    assert {method for method, word in seen.items() if word == "nothing"} == {
        *("ae", "aem", "vae", "vaem", "vaem-first"),
        "mixit",
        "x/K",
        "nmf-kl",
        "nmf-is",
    }
    assert seen["mixit-grouped"] == seen["vaem-grouped"] == "nothing, true groups"
    assert (
        seen["glo"] == seen["denoiser-gibbs"] == seen["denoiser-means"] == "single sources" and seen["irm"] == "truth"
    )


@each_profile
def test_slots_are_those_of_the_networks(name: str) -> None:
    for setting in blind_settings(get_profile(name)):
        for step in setting.steps:
            if isinstance(step, TakeApart) and step.trained is not None:
                config = step.trained.network
                alone = NETWORKS[setting.method.removesuffix("-first")].alone
                assert (config.sources, config.slots) == ((1, 1) if alone else (setting.sources, setting.slots))
                assert config.view == step.view
    wide = {(s.sources, s.slots) for s in blind_settings(get_profile(name)) if s.method == "mixit"}
    assert wide == {(2, 4), (3, 6)}


@each_profile
def test_all_take_the_same_mixes_apart(name: str) -> None:
    profile = get_profile(name)
    for setting in blind_settings(profile):
        expected = mixes_of(profile, setting.variant, setting.sources)
        for step in setting.steps:
            few = isinstance(step, SeparateMixes) or setting.method.endswith("-first")
            fewer = AMOUNTS[name].sampled if few else expected.mixes
            assert step.mixes == replace(expected, mixes=fewer)  # type: ignore[attr-defined]
            assert len(expected.sources) == setting.sources


def test_sampled_mixes_are_the_first_of_all() -> None:
    config = mixes_of(smoke(), "notes_5k", 2)
    few = draw_mixes(world_of("notes_5k"), replace(config, mixes=2))
    assert (draw_mixes(world_of("notes_5k"), config).sources[:2] == few.sources).all()


def test_mnist_is_measured_as_digits_are_where_it_is_asked_for() -> None:
    usual, more = blind_settings(smoke()), blind_settings(smoke(), mnist=True)
    added = [(s.method, s.sources, s.slots) for s in more if s.variant == "mnist"]
    assert added == [(s.method, s.sources, s.slots) for s in usual if s.variant == "digits"]
    assert len(more) == len(usual) + len(added)


# Networks


@each_profile
def test_networks_have_titles_of_their_own_and_batches_of_whole_mixes(name: str) -> None:
    found = networks(blind_settings(get_profile(name)))
    assert len({(step.title) for step in found.values()}) == len(found)
    for step in found.values():
        assert step.train.batch_size % step.network.sources == 0, step.title
        assert step.model != "mixit" or step.train.batch_size // step.network.sources >= 2
        assert step.train.crop == step.network.view.length


def test_usual_network_is_that_of_the_plan() -> None:
    step = network_step(smoke(), "digits", "vae-bss")
    assert (step.label, step.network) == ("smoke", smoke().of("digits").plan_of("vae-bss").network)


def test_labels_say_what_is_unusual() -> None:
    def label(kind: str = "vae-bss", count: int = 2, **unusual: Any) -> str:
        return network_step(smoke(), "digits", kind, count, **unusual).label

    assert label("mixit") == "smoke" and label("mixit", 3) == "smoke-3in6"
    assert label(count=3) == "smoke-3in3" and label(slots=4) == "smoke-2in4"
    assert label(seed=1) == "smoke-seed1" and label(beta=0.0) == "smoke-beta0"
    assert label(warmup=0.5) == "smoke-warmup0.5"
    assert label(count=3, slots=4, seed=2, beta=0.003) == "smoke-3in4-seed2-beta0.003"


def test_a_warm_up_is_a_share_of_the_training() -> None:
    step = network_step(smoke(), "notes_5k", "vae-bss", warmup=0.5)
    assert step.network.warmup == step.train.steps / 2
    assert network_step(get_profile("laptop"), "notes_5k", "vae-bss").network.warmup == 0


def test_networks_see_as_many_mixes_a_step_whatever_their_sources() -> None:
    steps = [network_step(smoke(), "digits", "vae-bss", count) for count in (1, 2, 3, 4)]
    assert {step.train.batch_size // step.network.sources for step in steps} == {12}


def test_halves_are_trained_on_both() -> None:
    setting = trained_setting(smoke(), "digits_halves", "nes", 2)
    assert all(step.trained.data.sources == ("low", "high") for step in setting.steps)  # type: ignore[attr-defined]
    assert mixes_of(smoke(), "digits_halves", 2).sources == ("low", "high")


# Tables


@pytest.fixture(scope="module")
def settings() -> list[BlindSetting]:
    """A few of digits and notes, trained and not, with as many slots as sources and with more."""
    return [
        untrained("x/K"),
        untrained("nmf-kl"),
        untrained("nmf-kl", count=3),
        untrained("x/K", "digits_halves"),
        trained_setting(smoke(), "digits", "vaem", 2),
        trained_setting(smoke(), "digits", "vaem", 2, slots=3),
        trained_setting(smoke(), "digits", "vaem", 2, slots=4),
        trained_setting(smoke(), "digits", "mixit", 2),
        untrained("irm", "notes_5k"),
        trained_setting(smoke(), "notes_5k", "vae", 2),
    ]


@pytest.fixture(scope="module")
def tables(line: Pipeline, settings: list[BlindSetting]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return blind_tables(line, settings, "python it.py")


def test_first_table_has_a_row_a_setting_and_metric(
    tables: tuple[pd.DataFrame, pd.DataFrame], settings: list[BlindSetting]
) -> None:
    table = tables[0]
    assert list(table) == COLUMNS
    expected = [
        (s.variant, s.method, s.supervision, s.sources, s.slots, metric)
        for s in settings
        for metric in (*(SOUNDS if s.variant == "notes_5k" else PICTURES), "active")
    ] + [("digits", "vaem-chosen", "nothing", 2, 2, metric) for metric in (*PICTURES, "active")]
    assert list(table[COLUMNS[:6]].itertuples(index=False, name=None)) == expected
    assert set(table["command"]) == {"python it.py"} and set(table["n_mixes"]) == {6}
    assert (table["n_seeds"] == np.where(table["method"].isin(list(NETWORKS)), 2, 1)).all()


def test_values_lie_in_their_intervals(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table = tables[0]
    assert table[["value", "low", "high"]].notna().all(axis=None)
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert (table.loc[table["metric"] == "psnr", "high"] > table.loc[table["metric"] == "psnr", "low"]).all()


def test_second_table_has_the_mean_of_every_seed(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    first, second = tables
    assert list(second) == SEED_COLUMNS and len(second) == first["n_seeds"].sum()
    means = second.groupby(SEED_COLUMNS[:6], sort=False)["value"].mean()
    assert means.to_numpy() == pytest.approx(first["value"].to_numpy())


def test_the_training_with_the_lowest_loss_is_chosen(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    first, second = tables
    own = second.query("world == 'digits' and method == 'vaem' and slots == 2 and metric == 'psnr'")
    assert len(own) == 2 and own["loss"].nunique() == 2
    chosen = first.query("method == 'vaem-chosen' and metric == 'psnr'")
    assert chosen["value"].item() == pytest.approx(own.loc[own["loss"].idxmin(), "value"])
    assert second.loc[second["method"].isin(["x/K", "irm"]), "loss"].isna().all()


def test_the_weight_of_the_divergence_goes_with_a_sources_size_in_the_mix() -> None:
    usual = network_step(smoke(), "digits", "vae-bss").network.beta
    weights = {count: network_step(smoke(), "digits", "vae-bss", count).network.beta for count in (1, 2, 3, 4)}
    assert weights == {1: usual, 2: usual, 3: pytest.approx(usual * 2 / 3), 4: usual / 2}


def test_values_are_the_mean_over_mixes_and_sources(line: Pipeline, tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    [step] = untrained("nmf-kl").steps
    values = pd.read_csv(line.run(step) / "values.csv")
    row = tables[0].query("world == 'digits' and method == 'nmf-kl' and sources == 2").set_index("metric")["value"]
    for metric in PICTURES:
        assert row[metric] == pytest.approx(values[metric].mean())


def test_printed_values_stand_beside_their_rows(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Only beside networks with the slots of the slides: as many as sources, and for mixes of mixes twice as many."""
    table = tables[0].set_index(["world", "method", "sources", "slots", "metric"])["printed"].dropna()
    assert table.to_dict() == {
        ("digits", "nmf-kl", 2, 2, "psnr"): 17.2,
        ("digits", "nmf-kl", 2, 2, "ssim"): 0.50,
        ("digits", "nmf-kl", 3, 3, "psnr"): 18.3,
        ("digits", "nmf-kl", 3, 3, "ssim"): 0.44,
        ("digits", "vaem", 2, 2, "psnr"): 26.7,
        ("digits", "vaem", 2, 2, "ssim"): 0.93,
        ("digits", "mixit", 2, 4, "psnr"): 25.7,
        ("digits", "mixit", 2, 4, "ssim"): 0.88,
        ("notes_5k", "irm", 2, 2, "si_sdr"): 22.66,
        ("notes_5k", "irm", 2, 2, "si_sir"): 34.39,
        ("notes_5k", "irm", 2, 2, "si_sar"): 23.23,
        ("notes_5k", "vae", 2, 2, "si_sdr"): 14.33,
        ("notes_5k", "vae", 2, 2, "si_sir"): 29.92,
        ("notes_5k", "vae", 2, 2, "si_sar"): 14.87,
    }


def test_scores_that_are_not_finite_are_at_the_ends(
    line: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = {"mix": [0, 0, 1, 1], "k": [0, 1] * 2, "si_sdr": [-np.inf, 10.0, np.inf, np.nan], "active": [2] * 4}
    pd.DataFrame(rows).to_csv(tmp_path / "values.csv", index=False)
    monkeypatch.setattr(Pipeline, "run", lambda self, step: tmp_path)
    table = blind_tables(line, [untrained("x/K")], "it")[0].set_index("metric")
    assert table.loc["si_sdr", "value"] == pytest.approx(((-100 + 10) / 2 + (100 - 100) / 2) / 2)


def test_interval_holds_what_seeds_and_mixes_differ_by() -> None:
    """Of values that only seeds differ in it spans the seeds, of constant ones it is a point."""
    assert tables_of_blind._interval(np.full((5, 20), 3.0)) == (3.0, 3.0)
    seeds = np.repeat([[0.0], [1.0], [2.0], [3.0], [4.0]], 20, axis=1)
    low, high = tables_of_blind._interval(seeds)
    assert 0 <= low < 1.5 and 2.5 < high <= 4
    assert (
        tables_of_blind._interval(seeds[:1] + np.arange(20))[1]
        - tables_of_blind._interval(seeds[:1] + np.arange(20))[0]
        > 2
    )


def test_sweep_has_a_row_a_weight(line: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_of_blind, "BETAS", (0.0, 0.01))
    table = sweep_table(line, smoke())
    assert list(table) == ["beta", *PICTURES, "active", "reconstruction", "divergence"]
    assert table["beta"].tolist() == [0.0, 0.01] and table.notna().all(axis=None)
    assert table["divergence"].iloc[0] > table["divergence"].iloc[1], "what weighs nothing grows"


def test_results_are_read_where_they_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path))
    wanted = pd.DataFrame({"world": ["digits"], "value": [1.5]})
    wanted.to_csv(tmp_path / "vae_bss_seeds.csv", index=False)
    pd.testing.assert_frame_equal(tables_of_blind.blind_results(tables_of_blind.SEEDS_TABLE), wanted)


def test_the_warm_up_is_chosen_by_validation_mixes_and_seeds_of_its_own(line: Pipeline) -> None:
    table = warmup_table(line, smoke())
    assert list(table) == ["warmup", "seed", "si_sdr", "loss", "larger", "smaller"]
    assert table["warmup"].tolist() == list(WARMUPS) and set(table["seed"]) == {CHOICE_SEED}
    assert (table["larger"] >= table["smaller"]).all() and (table["smaller"] > 0).all()
    used = {step.train.seed for step in networks(blind_settings(smoke())).values()}
    assert not used & set(table["seed"])
