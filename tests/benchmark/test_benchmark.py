"""The separation benchmark: its settings, the figures of one setting, its table and its command."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from benchmark_values import values
from click.testing import CliRunner, Result
from scipy import stats

from srcsep_core import paths
from srcsep_core.baselines.base import all_methods
from srcsep_core.benchmark import controls, settings
from srcsep_core.benchmark.candidates import candidates
from srcsep_core.benchmark.field import subsets
from srcsep_core.benchmark.plans import PLANS, plan_of
from srcsep_core.benchmark.results import (
    benchmark_table,
    committed_unknown,
    planned_unknown,
    pools_of,
    separation_row,
    separation_rows,
    summarise_separation,
    unknown_table,
    with_other_groups,
    without_parts,
)
from srcsep_core.benchmark.settings import GROUPS, UNKNOWN, Setting, gibbs_for, selection_step, settings_of
from srcsep_core.cli import main
from srcsep_core.data.mixes import MixConfig
from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.metrics import FAILURE_KINDS
from srcsep_core.report.results import write_table
from srcsep_core.run import pipeline
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import PROFILES, Profile, get_profile
from srcsep_core.run.steps import VALUES
from srcsep_core.run.steps.choices import UNCONSTRAINED, MethodChoice, SamplerChoice
from srcsep_core.run.steps.separation import SeparateMixes
from srcsep_core.run.store import Store
from srcsep_core.samplers import SAMPLERS, GibbsConfig
from srcsep_core.show import styles

PAIR = ("sine", "square")
KINDS = [kind for kind in FAILURE_KINDS if kind != "none"]
PLAIN = [(name, "none") for name, method in all_methods().items() if not method.model]  # toy worlds train no more
each_profile = pytest.mark.parametrize("name", PROFILES)


def found(name: str, *groups: str) -> list[Setting]:
    """The settings of a profile, of all groups or of some."""
    return settings_of(get_profile(name), plan_of(get_profile(name)), groups or None)


def sampled(name: str, *groups: str) -> list[tuple[str, MixConfig, SamplerChoice]]:
    """Control, mixes and choice of the settings that have a prior and a sampler."""
    rows = [(s.control, s.step.mixes, s.step.choice) for s in found(name, *groups)]
    return [(control, mixes, choice) for control, mixes, choice in rows if isinstance(choice, SamplerChoice)]


# Settings


@each_profile
def test_groups_are_made_in_the_order_asked_for(name: str) -> None:
    assert list(dict.fromkeys(setting.group for setting in found(name))) == list(GROUPS)
    assert list(dict.fromkeys(s.group for s in found(name, "compute", "known"))) == ["compute", "known"]
    assert settings_of(get_profile(name), plan_of(get_profile(name)), []) == []
    with pytest.raises(InputError, match="unknown group 'blind'; use some of known, baseline, oracle, causal, beyond"):
        found(name, "known", "blind")


@each_profile
def test_every_row_can_be_told_from_the_others_and_is_measured_once(name: str) -> None:
    """But for an answer of `known` that is the reference of `causal` as well."""
    facts, by_key = set(), defaultdict(list)
    for s in found(name):
        chains = s.step.choice.config["sampler"]["max_chains"] if s.group == "compute" else None
        facts.add((s.group, s.control, s.step.choice.labels, s.step.data.variant, s.step.mixes.sources, chains))
        by_key[s.step.key].append(s)
    assert len(facts) == len(found(name))
    for twins in by_key.values():
        assert len(twins) == 1 or [(s.group, s.control) for s in twins] == [("known", ""), ("causal", "")]


@each_profile
def test_settings_are_valid(name: str) -> None:
    """A configuration of the sampler's own kind, with levels that the prior knows, on mixes that the world has."""
    plan = plan_of(get_profile(name))
    tops = {one.name: one.top or math.inf for one in candidates(get_profile(name))}
    for s in found(name):
        assert s.step.mixes.length == plan.length and 1 <= s.step.mixes.mixes <= plan.mixes
        assert set(s.step.mixes.sources) <= set(s.step.data.sources)
    for control, _, choice in sampled(name):
        config = choice.sampler_config
        assert isinstance(config, type(None) if choice.sampler == UNCONSTRAINED else SAMPLERS[choice.sampler].config)
        assert choice.sampler in styles.SAMPLERS
        assert control == controls.LADDER or config is None or config.sigma_max <= tops[choice.prior.name]


@each_profile
def test_priors_are_told_by_what_they_are(name: str) -> None:
    profile = get_profile(name)
    plan = plan_of(profile)
    roles = {one.name: one.role for one in candidates(profile)}
    assert roles.pop("denoiser") == roles.pop("pnf") == "whole" and roles.pop("oracle") == "oracle"
    tuned = {f"flow-{objective}-tuned": "tuned" for objective in ("likelihood", "quarter_log_det")}
    clean = {f"flow-{objective}": "clean" for objective in ("likelihood", "quarter_log_det")}
    told = {"flow-conditional": "conditional", "flow-wide": "wide", "flow-scratch": "scratch"}
    assert roles == {**tuned, **clean, **told}
    for one in candidates(profile):
        levels = [step.train.noise_sigma for step in one.choice.trained]
        if one.role in ("tuned", "scratch"):
            assert levels == list(profile.noise_levels) and one.top == max(levels)
            assert all((step.initial is None) == (one.role == "scratch") for step in one.choice.trained)
        assert one.likely == ("quarter_log_det" not in one.name)
    assert plan.length == profile.kinds["denoiser"].network.window and plan.mixes >= plan.slow_mixes >= 1
    assert plan.gibbs.sigma_max == plan.slow_gibbs.sigma_max and plan.gibbs.swap == plan.slow_gibbs.swap == "refit"


def test_number_of_mixes_can_be_changed_and_is_shared_by_pairs() -> None:
    profile = get_profile("laptop")
    plan = plan_of(profile)
    assert plan.with_mixes(None, None) == plan and plan.with_mixes(70, None) == replace(plan, mixes=70)
    for quick, slow in ((80, 10), (10, 80)):
        many = settings_of(profile, plan.with_mixes(quick, slow), ("known", "causal"))
        for s in many:
            whole = quick if s.step.choice.labels[0] == "denoiser" else slow
            share = {("known", 2): 4, ("known", 3): 4, ("causal", 2): 6}.get((s.group, len(s.step.mixes.sources)), 1)
            assert s.step.mixes.mixes == math.ceil(whole / share)
    few = settings_of(profile, plan.with_mixes(1, 1))
    assert {s.step.mixes.mixes for s in few} == {1}, "a share of few mixes is one at least"
    assert selection_step(profile, plan.with_mixes(100, 1)).each == 7, "of fifteen subsets"


@pytest.mark.parametrize("slow", [False, True])
def test_more_sources_get_more_swaps(slow: bool) -> None:
    many = GibbsConfig(swaps=4, levels=3)
    plan = replace(PLANS["laptop"], gibbs=GibbsConfig(swaps=2), slow_gibbs=GibbsConfig(swaps=3), slow_gibbs_many=many)
    for count, factor in ((1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (8, 4)):
        base = plan.gibbs if not slow else plan.slow_gibbs if count < 3 else many
        assert gibbs_for(plan, count, slow=slow) == replace(base, swaps=factor * base.swaps)


def test_subsets_are_all_of_their_sizes() -> None:
    assert [len(names) for names in subsets(SOURCES)] == [4] + [2] * 6 + [3] * 4
    assert len(set(subsets(SOURCES))) == 11 and subsets(SOURCES, (4,)) == [SOURCES]
    assert subsets(PAIR) == [PAIR] and subsets("abc", (2,)) == [("a", "b"), ("a", "c"), ("b", "c")]


@each_profile
def test_known_and_methods_are_every_subset_of_both_variants(name: str) -> None:
    known = product(("whole_periods", "uniform_hz"), subsets(SOURCES), [("denoiser", "gibbs-exchange")])
    methods = product(("whole_periods", "uniform_hz"), subsets(SOURCES), PLAIN)
    for group, cells in (("known", known), ("baseline", methods)):
        rows = [(s.step.data.variant, s.step.mixes.sources, s.step.choice.labels) for s in found(name, group)]
        assert set(rows) == set(cells) and len(rows) == len(set(rows))
    assert all(s.step.parents[0].config["data"]["variant"] == s.step.data.variant for s in found(name, "known"))


@each_profile
def test_every_pair_is_run_alike_so_that_pairs_can_be_pooled(name: str) -> None:
    profile, plan = get_profile(name), plan_of(get_profile(name))
    for group in ("oracle", "causal", "controls"):
        runs = defaultdict(list)
        for control, mixes, choice in sampled(name, group):
            runs[mixes.sources].append((control, replace(mixes, sources=PAIR), choice))
        pairs = subsets(SOURCES, (2,))
        assert all(runs[pair] == runs[PAIR] for pair in pairs) and len(pairs) == 6
        pools = pools_of(settings_of(profile, plan, (group,)))
        assert len(pools) == len(runs[PAIR]) and all(len(pool) == 6 for pool in pools)


@each_profile
def test_causes_are_told_apart_on_the_same_first_mixes(name: str) -> None:
    first = {(mixes.sources, replace(mixes, mixes=1)) for _, mixes, _ in sampled(name, "causal")}
    assert len(first) == len(dict(first)) == 8, "six pairs, a three and all"
    alike = {replace(mixes, mixes=1) for _, mixes, _ in sampled(name, "controls")}
    assert alike <= {mixes for _, mixes in first}


@each_profile
def test_flows_and_good_priors_are_run_with_the_same_settings(name: str) -> None:
    """The controls of the flows: the same sampler, the same configuration, another prior."""
    flow = {
        mixes.sources: choice.sampler_config
        for control, mixes, choice in sampled(name, "causal")
        if (control, choice.labels) == ("", ("flow-likelihood-tuned", "gibbs"))
    }
    alike = [row for row in sampled(name, "controls") if row[0] in (controls.FLOW_SETTINGS, controls.LADDER)]
    assert {choice.prior.name for _, _, choice in alike} == {"denoiser", "oracle"}
    assert all(choice.sampler_config == flow[mixes.sources] for _, mixes, choice in alike)
    ladders = {choice.prior.ladder for control, _, choice in alike if control == controls.LADDER}
    assert ladders == {get_profile(name).noise_levels}


@each_profile
def test_noise_that_the_sampler_is_told_is_that_of_the_mixes(name: str) -> None:
    noisy = [(mixes, choice.sampler_config) for _, mixes, choice in sampled(name, "beyond") if mixes.noise]
    assert len(noisy) == 4
    least = plan_of(get_profile(name)).gibbs.sigma_min
    for mixes, config in noisy:
        assert config.sigma_min == max(least, mixes.noise) and config.accept > mixes.noise


# The figures of one setting


def test_shares_are_of_sources_and_of_mixes() -> None:
    row = summarise_separation(values([[25, 30], [15, 25], [10, 21], [-5, 10.01]]))
    assert row["above_10db"] == 6 / 8 and row["above_20db"] == 4 / 8
    assert row["all_above_10db"] == 2 / 4 and row["all_above_20db"] == 1 / 4
    assert row["si_sdr_mean"] == pytest.approx(np.mean([25, 30, 15, 25, 10, 21, -5, 10.01]))
    assert row["si_sdri_mean"] == pytest.approx(row["si_sdr_mean"] + 5)
    assert (row["residual"], row["chains_run"]) == (0.5, 3)


def test_a_silent_estimate_does_not_make_the_mean_minus_infinity() -> None:
    table = values([[20, -math.inf], [20, -45]])
    row = summarise_separation(table)
    assert row["si_sdr_mean"] == pytest.approx((20 + 20 - 30 - 30) / 4)
    assert row["si_sdri_mean"] == pytest.approx((25 + 25 - 60 - 40) / 4)
    assert all(math.isfinite(value) for value in row.values())
    assert (row["above_10db"], row["all_above_10db"]) == (0.5, 0.0)
    pd.testing.assert_frame_equal(table, values([[20, -math.inf], [20, -45]]))


@pytest.mark.parametrize("mixes", [1, 2, 30])
def test_bootstrap_is_over_mixes_and_holds_the_mean(mixes: int) -> None:
    generator = np.random.default_rng(0)
    gains = generator.normal(20, 4, mixes)
    row = summarise_separation(values([[gain, gain] for gain in gains]))
    assert row["low"] <= row["si_sdri_mean"] + 1e-9 and row["si_sdri_mean"] - 1e-9 <= row["high"]
    if mixes == 1:
        assert row["low"] == row["high"]
    if mixes == 30:  # the two sources of a mix are one draw
        width = 2 * stats.norm.ppf(0.975) * gains.std() / math.sqrt(30)
        assert row["high"] - row["low"] == pytest.approx(width, rel=0.1)


@pytest.mark.parametrize(("separated", "mixes"), [(0, 7), (3, 7), (7, 7), (1, 1)])
def test_interval_of_a_share_is_exact(separated: int, mixes: int) -> None:
    """Clopper & Pearson 1934, by the quantiles of the beta distribution."""
    row = summarise_separation(values([[15, 15]] * separated + [[15, 5]] * (mixes - separated)))
    low = stats.beta.ppf(0.025, separated, mixes - separated + 1) if separated else 0.0
    high = stats.beta.ppf(0.975, separated + 1, mixes - separated) if separated < mixes else 1.0
    assert row["all_above_10db"] == separated / mixes
    assert [row["all_above_10db_low"], row["all_above_10db_high"]] == pytest.approx([low, high])
    assert (row["all_above_20db"], row["all_above_20db_low"]) == (0, 0) and row["all_above_20db_high"] > 0


def test_failures_are_shares_of_all_sources() -> None:
    kinds = ["none", "swap", "swap", "wrong harmonic", "other", "none", "silent", "edge"]
    row = summarise_separation(values([[0, 0]] * 4, failure=kinds))
    shares = {name: value for name, value in row.items() if name.startswith("fail_")}
    assert list(shares) == [f"fail_{kind.replace(' ', '_')}" for kind in KINDS]
    expected = {"swap": 2 / 8, "wrong_harmonic": 1 / 8, "other": 1 / 8, "silent": 1 / 8, "edge": 1 / 8}
    assert shares == {f"fail_{kind.replace(' ', '_')}": expected.get(kind.replace(" ", "_"), 0) for kind in KINDS}


def test_methods_without_a_residual_have_none() -> None:
    assert math.isnan(summarise_separation(values([[15, 15]], residual=math.nan))["residual"])


# The table

FACTS = [
    *("profile", "world", "variant", "group", "control", "note", "prior", "sampler"),
    *("n_sources", "sources", "n_mixes"),
]
FIGURES = [
    *("chains_run", "si_sdr_mean", "si_sdri_mean", "low", "high"),
    *("above_10db", "all_above_10db", "all_above_10db_low", "all_above_10db_high"),
    *("above_20db", "all_above_20db", "all_above_20db_low", "all_above_20db_high"),
    *("residual", *(f"fail_{kind.replace(' ', '_')}" for kind in KINDS), "seconds_per_mix", "command", "supervision"),
]


def baseline(name: str = "mix", *, sources: tuple[str, ...] = PAIR, group: str = "baseline") -> Setting:
    """A setting that is measured in no time."""
    return Setting(group, "", SeparateMixes(ToyWorld(), MixConfig(sources, mixes=3, length=256), MethodChoice(name)))


def test_row_says_what_was_measured_and_how(tmp_path: Path) -> None:
    line = Pipeline(Store(tmp_path / "cache"))
    setting = replace(baseline("irm"), group="known", control="noise:0.1")
    row = separation_row(line, setting, profile="smoke", command="srcsep benchmark")
    assert list(row) == FACTS + FIGURES
    control = ["noise:0.1", "noise of sigma 0.1 on the sum"]
    expected = ["smoke", "toy", "whole_periods", "known", *control, "irm", "none", 2, "sine+square", 3]
    assert [row[name] for name in FACTS] == expected
    written = pd.read_csv(line.run(setting.step) / VALUES)
    summary = summarise_separation(written)
    np.testing.assert_equal({name: row[name] for name in summary}, summary)
    assert row["chains_run"] == 0 and math.isnan(row["residual"])
    assert row["seconds_per_mix"] == line.run(setting.step).provenance["seconds_per_mix"] > 0
    assert (row["command"], row["supervision"]) == ("srcsep benchmark", "truth")


def test_baselines_have_no_sampler_and_still_a_name_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The word none is no missing value when the table is read, and an empty control or note is an empty string."""
    line = Pipeline(Store(tmp_path / "cache"))
    rows = [separation_row(line, baseline(name), profile="smoke", command="-") for name in ("mix", "ibm")]
    (tmp_path / "data" / "measured").mkdir(parents=True)
    pd.DataFrame(rows).to_csv(tmp_path / "data" / "measured" / "separation.csv", index=False)
    monkeypatch.delenv("SRCSEP_FIGURES", raising=False)
    monkeypatch.setattr(paths, "checkout", lambda: tmp_path)
    table = benchmark_table()
    assert list(table) == FACTS + FIGURES
    assert table["sampler"].tolist() == ["none"] * 2 and table["control"].tolist() == table["note"].tolist() == [""] * 2
    assert table["residual"].isna().all()
    assert set(table["sampler"]) <= set(styles.SAMPLERS)


@pytest.mark.parametrize(("read", "name"), [(benchmark_table, "separation"), (committed_unknown, "separation_unknown")])
def test_table_is_read_where_it_is_written_and_the_committed_one_before(
    read: Callable[[], pd.DataFrame], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`srcsep benchmark` writes to SRCSEP_FIGURES, if that is set; a table that is missing is named with its maker."""
    monkeypatch.setattr(paths, "checkout", lambda: tmp_path)
    monkeypatch.delenv("SRCSEP_FIGURES", raising=False)
    with pytest.raises(InputError, match=rf"there is no .*/{name}\.csv; make it with `srcsep benchmark`"):
        read()
    committed = pd.DataFrame({"n_sources": [2], "control": [""], "note": [""]})
    write_table(committed, tmp_path / "data" / "measured", name)
    assert read()["n_sources"].tolist() == [2]
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path / "elsewhere"))
    assert read()["n_sources"].tolist() == [2]
    write_table(committed.assign(n_sources=3), paths.measured_folder("laptop"), name)
    assert read()["n_sources"].tolist() == [3]


def test_unknown_sources_are_counted_by_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true, right, number = [1, 1, 2, 2, 2, 2], [True, True, True, False, False, False], [1, 1, 2, 2, 3, 1]
    table = pd.DataFrame({"n_sources": true, "right": right, "n_found": number})
    table.to_csv(tmp_path / VALUES, index=False)
    monkeypatch.setattr(Pipeline, "run", lambda self, step: tmp_path)
    step = selection_step(get_profile("smoke"), plan_of(get_profile("smoke")))
    rows = unknown_table(Pipeline(Store(tmp_path / "cache")), step, profile="smoke", command="-")
    assert rows["n_sources"].tolist() == [1, 2] and rows["n_mixes"].tolist() == [2, 4]
    assert rows["share_right"].tolist() == [1.0, 0.25] and rows["share_right_number"].tolist() == [1.0, 0.5]
    assert rows["low"].tolist() == pytest.approx([stats.beta.ppf(0.025, 2, 1), stats.beta.ppf(0.025, 1, 4)])
    assert rows["high"].tolist() == pytest.approx([1.0, stats.beta.ppf(0.975, 2, 3)])


@pytest.mark.parametrize("group", ["known", "causal"])
def test_pairs_are_pooled_after_the_rows(group: str, tmp_path: Path) -> None:
    line = Pipeline(store=Store(tmp_path / "cache"))
    pairs = [baseline("mix"), baseline("mix", sources=("saw", "triangle"))]
    settings = [replace(setting, group=group) for setting in (*pairs, baseline("mix", sources=SOURCES))]
    table = separation_rows(line, settings, profile="smoke", command="srcsep benchmark")
    assert table["sources"].tolist()[3:] == ["any 2"]
    pooled, parts = table.iloc[3], table.iloc[:2]
    assert pooled["n_mixes"] == parts["n_mixes"].sum()
    assert pooled["above_10db"] == pytest.approx(parts["above_10db"].mean())
    assert pooled["si_sdri_mean"] == pytest.approx(parts["si_sdri_mean"].mean())
    assert set(table["command"]) == {f"srcsep benchmark --group {group}"}
    assert without_parts(table)["sources"].tolist() == ["+".join(SOURCES), "any 2"]
    assert len(without_parts(table.iloc[:3])) == 3, "nothing pooled, nothing left out"


def test_what_differs_in_more_than_its_classes_is_not_pooled() -> None:
    one = baseline("mix")
    other = baseline("mix", sources=("saw", "triangle"))
    longer = replace(other, step=replace(other.step, mixes=replace(other.step.mixes, mixes=4)))
    others = (
        baseline("ibm", sources=("saw", "triangle")),
        baseline("mix", sources=("sine", "square", "saw")),
        replace(other, control="another"),
        replace(other, group="known"),
        longer,
        one,
    )
    for another in others:
        assert pools_of([one, another]) == []
    assert pools_of([one, *others, other]) == [[one, other]]


def test_rows_of_other_groups_and_other_worlds_stay(tmp_path: Path) -> None:
    earlier = pd.DataFrame({"world": ["toy", "toy", "rain"], "group": ["known", "oracle", "known"], "note": ["a"] * 3})
    earlier.to_csv(tmp_path / "separation.csv", index=False)
    whole = with_other_groups(earlier.head(1).assign(note="b"), tmp_path / "separation.csv")
    assert whole.to_numpy().tolist() == [["toy", "oracle", "a"], ["rain", "known", "a"], ["toy", "known", "b"]]


def test_rows_of_other_numbers_of_sources_stay(tmp_path: Path) -> None:
    earlier = pd.DataFrame({"world": "toy", "group": ["known", "known", "oracle"], "n_sources": [2, 3, 2], "note": "a"})
    earlier.to_csv(tmp_path / "separation.csv", index=False)
    whole = with_other_groups(earlier.head(1).assign(note="b"), tmp_path / "separation.csv", (2,))
    assert whole[["n_sources", "note"]].to_numpy().tolist() == [[3, "a"], [2, "a"], [2, "b"]]


# Its command


@pytest.fixture
def only_this_cache(cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, nothing shipped, and figures in a folder of their own."""
    monkeypatch.setattr(pipeline, "shipped_root", lambda: tmp_path / "shipped")
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path / "figures"))


def benchmark(*arguments: str) -> Result:
    command = ["benchmark", "-p", "smoke", "--device", "cpu", *arguments]
    return CliRunner().invoke(main, command, catch_exceptions=False)


def instead(monkeypatch: pytest.MonkeyPatch, *chosen: Setting) -> list[tuple[Any, ...]]:
    """Make these the settings, of any profile and group; returns the arguments that they were asked for with."""
    asked: list[tuple[Any, ...]] = []

    def settings_of(profile: Profile, plan: Any, groups: Any) -> list[Setting]:
        asked.append((profile.name, plan, tuple(groups)))
        return list(chosen)

    monkeypatch.setattr(settings, "settings_of", settings_of)
    return asked


@pytest.mark.usefixtures("only_this_cache")
def test_list_shows_every_setting_and_runs_none(tmp_path: Path, cache_folder: Path) -> None:
    result = benchmark("--list", "--group", "known", "--group", "compute")
    assert result.exit_code == 0
    lines, wanted = result.output.splitlines(), found("smoke", "known", "compute")
    assert len(lines) == len(wanted)
    for line, setting in zip(lines, wanted, strict=True):
        assert line.split()[:3] == ["open", setting.group, setting.step.title]
        assert line.strip().endswith(setting.note)
    assert not cache_folder.exists() and not (tmp_path / "figures").exists()


@pytest.mark.usefixtures("only_this_cache")
def test_list_shows_the_settings_of_one_number_of_sources() -> None:
    lines = benchmark("--list", "--group", "known", "--group", "compute", "--count", "2").output.splitlines()
    pairs = [one for one in found("smoke", "known", "compute") if len(one.step.mixes.sources) == 2]
    assert [line.split()[2] for line in lines] == [one.step.title for one in pairs]


@pytest.mark.slow
@pytest.mark.usefixtures("only_this_cache")
def test_workers_measure_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, baseline("mix"), baseline("nmf"))
    tables = []
    for workers in ("2", "1"):
        monkeypatch.setenv("SRCSEP_CACHE", str(tmp_path / f"cache {workers}"))
        assert benchmark("--group", "baseline", "--workers", workers, "--out", str(tmp_path / workers)).exit_code == 0
        tables.append(pd.read_csv(tmp_path / workers / "separation.csv").drop(columns="seconds_per_mix"))
    pd.testing.assert_frame_equal(*tables)


def test_workers_are_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "resolve_device", lambda _: torch.device("cuda"))
    result = benchmark("--workers", "2", "--list")
    assert result.exit_code == 1 and "2 workers would leave the cuda idle; use --workers 1" in result.output


@pytest.mark.usefixtures("only_this_cache")
def test_run_writes_the_table_once_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [baseline("mix"), baseline("ibm", sources=SOURCES)]
    asked = instead(monkeypatch, *chosen)
    options = ("--group", "baseline", "--mixes", "7", "--slow-mixes", "3")
    assert [line.split()[0] for line in benchmark(*options, "--list").output.splitlines()] == ["open", "open"]
    result = benchmark(*options)
    assert result.exit_code == 0
    path = tmp_path / "figures" / "smoke" / "separation.csv"
    assert result.output.splitlines()[-1] == f"2 of 2 rows: {path}"
    assert list(path.parent.iterdir()) == [path], "nothing temporary is left"
    assert asked[0] == ("smoke", plan_of(get_profile("smoke")).with_mixes(7, 3), ("baseline",))
    table = pd.read_csv(path)
    assert list(table) == FACTS + FIGURES
    assert table["prior"].tolist() == ["mix", "ibm"] and table["n_sources"].tolist() == [2, 4]
    assert set(table["command"]) == {"srcsep benchmark -p smoke --mixes 7 --slow-mixes 3 --group baseline"}
    assert [line.split()[0] for line in benchmark(*options, "--list").output.splitlines()] == ["done", "done"]
    monkeypatch.setattr(SeparateMixes, "make", None)
    first = path.read_bytes()
    assert benchmark(*options).exit_code == 0 and path.read_bytes() == first
    other = table.assign(group="oracle", prior="oracle")
    pd.concat([other, table]).to_csv(path, index=False)
    assert benchmark(*options).output.splitlines()[-1] == f"2 of 4 rows: {path}"
    assert pd.read_csv(path)["group"].tolist() == ["oracle"] * 2 + ["baseline"] * 2, "other groups stay"


@pytest.mark.usefixtures("only_this_cache")
def test_run_that_stops_leaves_the_table_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = baseline("no such method")
    folder = tmp_path / "figures" / "smoke"
    for before in (None, f"{','.join(FACTS)}\n"):
        if before:
            folder.mkdir(parents=True)
            (folder / "separation.csv").write_text(before)
        instead(monkeypatch, baseline("mix"), unknown)
        result = benchmark("--group", "baseline")
        assert result.exit_code == 1 and "Error: unknown method 'no such method'; use one of" in result.output
        assert [path.read_text() for path in folder.glob("*")] == ([before] if before else [])
    instead(monkeypatch, baseline("mix"), baseline("ibm"))
    assert benchmark("--group", "baseline", "--list").output.split().count("done") == 1, "what was done is kept"


@pytest.mark.usefixtures("only_this_cache")
def test_more_mixes_are_not_replaced_by_fewer_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row by row: quick and slow settings have their own numbers of mixes, and pooled rows have more than either."""
    path = tmp_path / "figures" / "smoke" / "separation.csv"
    many, few = baseline("ibm"), baseline("ibm")
    many = replace(many, step=replace(many.step, mixes=replace(many.step.mixes, mixes=5)))
    instead(monkeypatch, baseline("mix"), many)
    assert benchmark("--group", "baseline").exit_code == 0
    table = pd.read_csv(path)
    assert table["n_mixes"].tolist() == [few.step.mixes.mixes, 5] and few.step.mixes.mixes < 5
    pooled = table.tail(1).assign(sources="any 2", n_mixes=900)
    pd.concat([table, pooled]).to_csv(path, index=False)
    before = path.read_text()
    assert benchmark("--group", "baseline").exit_code == 0, "as many again"
    path.write_text(before)
    instead(monkeypatch, baseline("mix"), few)
    result = benchmark("--group", "baseline")
    assert result.exit_code == 1 and f"1 rows of {path}" in result.output and "5 for" in result.output
    assert path.read_text() == before
    assert benchmark("--group", "baseline", "--out", str(tmp_path / "other")).exit_code == 0
    assert path.read_text() == before
    assert benchmark("--group", "baseline", "--overwrite").exit_code == 0
    assert pd.read_csv(path)["n_mixes"].tolist() == [few.step.mixes.mixes] * 2


@pytest.mark.usefixtures("only_this_cache")
def test_unknown_sources_are_not_replaced_by_fewer_either(tmp_path: Path) -> None:
    path = tmp_path / "figures" / "smoke" / "separation_unknown.csv"
    path.parent.mkdir(parents=True)
    step = selection_step(get_profile("smoke"), plan_of(get_profile("smoke")))
    planned = planned_unknown(step)
    assert planned["n_mixes"].tolist() == [step.each * math.comb(4, k) for k in (1, 2, 3, 4)]
    planned.assign(n_mixes=planned["n_mixes"] + [0, 1, 0, 0]).to_csv(path, index=False)
    before = path.read_text()
    result = benchmark("--group", "unknown")
    assert result.exit_code == 1 and f"1 rows of {path}" in result.output and "--overwrite" in result.output
    assert path.read_text() == before


def test_help_names_every_group() -> None:
    text = " ".join(CliRunner().invoke(main, ["benchmark", "--help"]).output.split())
    assert f"One or more of {', '.join(GROUPS)} and {UNKNOWN}" in text


@pytest.mark.usefixtures("only_this_cache")
@pytest.mark.parametrize(
    ("arguments", "value", "remedy"),
    [
        (["--group", "blind"], "unknown group 'blind'", f"{', '.join(GROUPS)}, unknown"),
        (["--group", "known", "--group", "blind", "--list"], "unknown group 'blind'", "use some of"),
        (["--group", "known", "--count", "9", "--list"], "has 9 sources", "use one of 2, 3, 4"),
        (["-p", "huge"], "unknown profile 'huge'", "smoke, laptop, full"),
        (["--device", "gpu", "--group", "known"], "unknown device 'gpu'", "auto, cpu or cuda"),
    ],
)
def test_mistake_is_one_sentence_and_leaves_nothing(
    arguments: list[str], value: str, remedy: str, tmp_path: Path, cache_folder: Path
) -> None:
    result = benchmark(*arguments)
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1 and result.output.startswith("Error: ")
    assert value in result.output and remedy in result.output
    assert not cache_folder.exists() and not (tmp_path / "figures").exists()


@pytest.mark.usefixtures("only_this_cache")
def test_nothing_is_trained_unasked(tmp_path: Path, cache_folder: Path) -> None:
    result = benchmark("--group", "known", "--count", "2")
    assert result.exit_code == 1 and len(result.output.splitlines()) == 1
    assert result.output.startswith("Error: 2 sets of priors are not trained (denoiser-whole_periods-smoke, ")
    assert "--train" in result.output and "training steps" in result.output
    assert not cache_folder.exists() and not (tmp_path / "figures").exists()


@pytest.mark.usefixtures("only_this_cache")
def test_number_of_mixes_is_at_least_one() -> None:
    assert benchmark("--mixes", "0").exit_code == 2
