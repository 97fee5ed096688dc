"""The separation benchmark: its settings, the figures of one setting, its table, its plots and its command."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from matplotlib.figure import Figure
from scipy import stats

from srcsep_core import paths
from srcsep_core.benchmark import settings
from srcsep_core.benchmark.figures import (
    beyond_classes,
    compute_curves,
    failure_bars,
    known_classes,
    share_by_prior,
)
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
    without_parts,
)
from srcsep_core.benchmark.settings import (
    CAUSAL_MIXES,
    FLOW_SETTINGS,
    GROUPS,
    LADDER,
    LONG_CHAINS,
    MANY,
    METROPOLIS,
    PAIRS,
    UNKNOWN,
    Setting,
    gibbs_for,
    prior_choices,
    selection_step,
    settings_of,
    subsets,
)
from srcsep_core.cli import main
from srcsep_core.data.mixes import MixConfig
from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.metrics import FAILURE_KINDS
from srcsep_core.priors.flowavenet import FlowConfig
from srcsep_core.report.results import write_table
from srcsep_core.run import pipeline
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import PROFILES, Profile, get_profile
from srcsep_core.run.steps import VALUES
from srcsep_core.run.steps.separation import BASELINES, RELEASED, SeparateByBaseline, SeparateMixes
from srcsep_core.run.store import Store
from srcsep_core.samplers import SAMPLERS, GibbsConfig, LangevinConfig
from srcsep_core.show import styles
from srcsep_core.show.plots import set_style
from srcsep_core.training.config import OBJECTIVES

PAIR = ("sine", "square")
KINDS = [kind for kind in FAILURE_KINDS if kind != "none"]
each_profile = pytest.mark.parametrize("name", PROFILES)


def found(name: str, *groups: str) -> list[Setting]:
    """The settings of a profile, of all groups or of some."""
    return settings_of(get_profile(name), plan_of(get_profile(name)), groups or GROUPS)


def separations(name: str, *groups: str) -> list[tuple[Setting, SeparateMixes]]:
    """The settings that have a prior and a sampler."""
    return [(s, s.step) for s in found(name, *groups) if isinstance(s.step, SeparateMixes)]


# Settings


@each_profile
def test_groups_are_made_in_the_order_asked_for(name: str) -> None:
    assert list(dict.fromkeys(setting.group for setting in found(name))) == list(GROUPS)
    assert list(dict.fromkeys(s.group for s in found(name, "compute", "known"))) == ["compute", "known"]
    for group in GROUPS:
        assert [s.step.key for s in found(name, group)] == [s.step.key for s in found(name) if s.group == group]
    assert settings_of(get_profile(name), plan_of(get_profile(name)), []) == []


def test_unknown_group_is_named() -> None:
    with pytest.raises(InputError, match="unknown group 'blind'; use some of known, baseline, oracle, causal, beyond"):
        found("smoke", "known", "blind")


@each_profile
def test_one_step_is_measured_once_but_for_those_that_two_groups_show(name: str) -> None:
    """An answer of `known` may be the reference of `causal` as well."""
    by_key = defaultdict(list)
    for setting in found(name):
        by_key[setting.step.key].append(setting)
    for twins in by_key.values():
        if len(twins) > 1:
            assert [(s.group, s.note, s.step.method[0]) for s in twins] == [
                ("known", "", "score"),
                ("causal", "", "score"),
            ]


@each_profile
def test_every_row_can_be_told_from_the_others_of_its_group(name: str) -> None:
    facts = [
        (s.group, s.note, s.step.method, s.step.data.variant, s.step.mixes.sources)
        + ((s.step.sampler_config.restarts,) if s.group == "compute" and isinstance(s.step, SeparateMixes) else ())
        for s in found(name)
    ]
    assert len(facts) == len(set(facts))


@each_profile
def test_every_sampler_has_a_configuration_of_its_own_kind(name: str) -> None:
    for _, step in separations(name):
        kind = type(None) if step.sampler == RELEASED else SAMPLERS[step.sampler].config
        assert isinstance(step.sampler_config, kind)
        assert step.prior.data == step.data
        assert step.sampler in styles.SAMPLERS


@each_profile
def test_plans_are_valid_and_every_profile_has_one(name: str) -> None:
    assert PLANS.keys() == PROFILES.keys()
    profile = get_profile(name)
    plan = plan_of(profile)
    assert plan.mixes >= plan.slow_mixes >= 1
    assert plan.length == profile.kinds["score"].network.window, "the score prior works on windows of its own length"
    assert plan.gibbs.sigma_max == plan.slow_gibbs.sigma_max and plan.gibbs.swap == plan.slow_gibbs.swap == "refit"
    for setting in found(name):
        mixes = setting.step.mixes
        assert mixes.length == plan.length and 1 <= mixes.mixes <= plan.mixes
        assert set(mixes.sources) <= set(setting.step.data.sources)


def test_number_of_mixes_can_be_changed() -> None:
    plan = PLANS["laptop"]
    assert plan.with_mixes(None, None) == plan
    assert plan.with_mixes(70, None) == replace(plan, mixes=70)
    assert plan.with_mixes(None, 8) == replace(plan, slow_mixes=8)
    for quick, slow in ((80, 10), (10, 80)):
        many = settings_of(get_profile("laptop"), plan.with_mixes(quick, slow), ("known", "causal"))
        pairs = {
            (s.group, s.step.method[0] == "score", s.step.mixes.mixes) for s in many if len(s.step.mixes.sources) == 2
        }
        shared = {("causal", True, math.ceil(quick / 6)), ("causal", False, math.ceil(slow / 6))}
        assert pairs == {("known", True, math.ceil(quick / 4)), *shared}
        fours = {s.step.mixes.mixes for s in many if s.group == "known" and s.step.mixes.sources == SOURCES}
        assert fours == {quick}
        assert all(s.step.mixes.mixes <= (quick if s.step.method[0] == "score" else slow) for s in many)
    few = settings_of(get_profile("laptop"), plan.with_mixes(1, 1))
    assert {s.step.mixes.mixes for s in few} == {1}, "a share of few mixes is one at least"


def test_settings_get_all_the_mixes_and_the_known_ones_by_number_of_sources() -> None:
    plan = PLANS["laptop"].with_mixes(100, 100)
    rows = settings_of(get_profile("laptop"), plan)
    others = [s for s in rows if s.group not in ("known", "baseline", "beyond")]
    assert {s.step.mixes.mixes for s in others if len(s.step.mixes.sources) != 2} == {100}
    assert {s.step.mixes.mixes for s in others if len(s.step.mixes.sources) == 2 and s.note != LONG_CHAINS} == {17}
    assert {s.step.mixes.mixes for s in rows if s.group in ("baseline", "beyond")} == {100}
    assert selection_step(get_profile("laptop"), plan).each == 7, "of fifteen subsets"
    known = pd.DataFrame(
        (s.step.data.variant, len(s.step.mixes.sources), s.step.mixes.mixes) for s in rows if s.group == "known"
    )
    assert (known.groupby([0, 1])[2].sum() >= 100).all()


@pytest.mark.parametrize("slow", [False, True])
def test_more_sources_get_more_swaps(slow: bool) -> None:
    many = GibbsConfig(swaps=4, levels=3)
    plan = replace(PLANS["laptop"], gibbs=GibbsConfig(swaps=2), slow_gibbs=GibbsConfig(swaps=3), slow_gibbs_many=many)
    for count, factor in ((1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (8, 4)):
        base = plan.gibbs if not slow else plan.slow_gibbs if count < 3 else many
        assert gibbs_for(plan, count, slow=slow) == replace(base, swaps=factor * base.swaps)


def test_subsets_are_all_of_their_sizes() -> None:
    assert [len(names) for names in subsets()] == [4] + [2] * 6 + [3] * 4
    assert len(set(subsets())) == 11 and subsets((4,)) == [SOURCES]


@each_profile
def test_known_and_baselines_are_every_subset_of_both_variants(name: str) -> None:
    known, baselines = found(name, "known"), found(name, "baseline")
    ((prior, sampler),) = {setting.step.method for setting in known}
    assert prior == "score" and sampler.startswith("gibbs")
    for rows, methods in ((known, [(prior, sampler)]), (baselines, [(b, "none") for b in BASELINES])):
        cells = [(s.step.data.variant, s.step.mixes.sources, s.step.method) for s in rows]
        assert set(cells) == set(product(("released", "paper"), subsets(), methods)) and len(cells) == len(set(cells))
    for _, step in separations(name, "known"):
        (trained,) = step.parents
        assert trained.model == "score" and trained.data.variant == step.data.variant


# Causes


@each_profile
def test_causes_are_told_apart_on_the_same_mixes(name: str) -> None:
    """One set of mixes for the score prior, one for all that are slow, for every number of sources."""
    rows = separations(name, "causal")
    assert {step.mixes.sources for _, step in rows} == set(CAUSAL_MIXES)
    for names in CAUSAL_MIXES:
        own = [step for _, step in rows if step.mixes.sources == names]
        for slow in (False, True):
            mixes = {step.mixes for step in own if (step.prior.name != "score") == slow}
            assert len(mixes) == 1
        first, second = ({step.mixes for step in own if step.prior.name == prior} for prior in ("score", "pnf"))
        assert {replace(m, mixes=1) for m in first} == {replace(m, mixes=1) for m in second}
    assert {step.data for _, step in rows} == {ToyWorld("released")}


@each_profile
def test_every_pair_is_run_alike(name: str) -> None:
    """In the groups that tell causes apart; so the pairs can be pooled."""
    profile, plan = get_profile(name), plan_of(get_profile(name))
    for group in ("oracle", "causal", "controls"):
        pairs = defaultdict(list)
        for setting, step in separations(name, group):
            if len(step.mixes.sources) == 2:
                pairs[step.mixes.sources].append((setting.note, replace(step, mixes=replace(step.mixes, sources=PAIR))))
        assert set(pairs) == set(PAIRS) and len(PAIRS) == 6
        assert all(runs == pairs[PAIR] for runs in pairs.values())
        pools = pools_of(settings_of(profile, plan, (group,)))
        assert len(pools) == len(pairs[PAIR]) and all(len(pool) == 6 for pool in pools)
    mixes = {step.prior.name == "score": step.mixes.mixes for _, step in separations(name, "causal")}
    assert mixes.keys() == {True, False}


@each_profile
def test_every_trained_prior_is_run_under_gibbs_and_langevin_on_pairs(name: str) -> None:
    priors = set(prior_choices(get_profile(name))) - {"oracle"}
    own = {f"flow-{objective}{kind}" for objective in OBJECTIVES for kind in ("", "-tuned")}
    assert priors == {"score", "pnf", "flow-scratch", "flow-conditional", "flow-wide"} | own
    rows = separations(name, "causal")
    cells = [(setting.note, step.prior.name, step.sampler, len(step.mixes.sources)) for setting, step in rows]
    for sampler, left_out in (("gibbs", set()), ("langevin", {"flow-scratch", "flow-conditional"})):
        own = {prior for note, prior, run, size in cells if (note, run, size) == ("", sampler, 2)}
        assert own == priors - left_out
        assert {prior for _, prior, run, size in cells if (run, size) == (sampler, 4)} == set(MANY)
    assert {prior for note, prior, _, _ in cells if note == "metropolis swaps"} == set(METROPOLIS)
    assert {size for note, _, _, size in cells if note == "metropolis swaps"} == {2}
    tuned = {f"flow-{objective}-tuned" for objective in OBJECTIVES}
    assert {prior for _, prior, run, _ in cells if run == RELEASED} == tuned
    assert {prior for note, prior, _, _ in cells if note == "constraint on the mean, as printed"} == tuned


@each_profile
def test_what_is_special_about_a_setting_is_in_its_note(name: str) -> None:
    for setting, step in separations(name, "known", "oracle", "causal"):
        config, note = step.sampler_config, setting.note
        if isinstance(config, GibbsConfig):
            alone = note == "no swaps, one chain"
            assert config.swap == ("none" if alone else "metropolis" if note == "metropolis swaps" else "refit")
            assert not alone or config.restarts == 1
        elif isinstance(config, LangevinConfig):
            assert config.mean_constraint == (note == "constraint on the mean, as printed")
        assert (step.sampler == RELEASED) == (note == "starts at the truth")


@each_profile
def test_flows_start_at_the_largest_level_that_they_know(name: str) -> None:
    profile = get_profile(name)
    plan = plan_of(profile)
    for setting, step in separations(name, "causal"):
        config = step.sampler_config
        if step.sampler in ("gibbs", "langevin"):
            known = largest_level(step, profile)
            start = min(known, plan.gibbs.sigma_max)
            capped = step.sampler == "langevin" and not config.mean_constraint
            assert config.sigma_max == (min(start, 1.0) if capped else start), setting
        elif step.sampler == "projection":
            assert config.sigma_max <= largest_level(step, profile)


def largest_level(step: SeparateMixes, profile: Profile) -> float:
    """The largest noise level that the priors of a step were trained at; noise-free ones are run as the tuned."""
    if step.prior.name in ("score", "pnf"):
        return math.inf
    flows = [trained for trained in step.prior.trained if trained.model == "flowavenet"]
    assert len(flows) == len(step.prior.trained)
    levels = [f.network.sigma_max if f.conditional else f.train.noise_sigma for f in flows]
    return max(levels) or max(profile.noise_levels)


@each_profile
def test_ladders_have_every_level_of_the_profile(name: str) -> None:
    profile = get_profile(name)
    for choice, prior in prior_choices(profile).items():
        flows = [trained for trained in prior.trained if trained.model == "flowavenet"]
        if choice.endswith(("-tuned", "-scratch")):
            assert [flow.train.noise_sigma for flow in flows] == list(profile.noise_levels)
            assert all((flow.initial is None) == (choice == "flow-scratch") for flow in flows)
            assert type(flows[0].network) is FlowConfig
        elif choice.startswith("flow-"):
            assert len(flows) == 1
    assert not prior_choices(profile)["oracle"].trained


# Beyond, and compute


@each_profile
def test_beyond_has_what_the_toy_does_not(name: str) -> None:
    rows = separations(name, "beyond")
    plan = plan_of(get_profile(name))
    assert {step.prior.name for _, step in rows} == {"score"}
    assert all(step.sampler.startswith("gibbs") for _, step in rows)
    same = [step for setting, step in rows if setting.note == "same class twice"]
    assert [step.mixes.sources for step in same] == [(source, source) for source in SOURCES]
    fitted = [(setting.note, step) for setting, step in rows if step.mixes.gains != (1.0, 1.0)]
    assert [step.sampler_config.estimate_gains for _, step in fitted] == [False, True] * 2
    assert all(step.sampler_config.estimate_gains == note.endswith("estimated") for note, step in fitted)
    noisy = [step for _, step in rows if step.mixes.noise]
    assert [(step.mixes.noise, len(step.mixes.sources)) for step in noisy] == [(0.1, 2), (0.3, 2), (0.1, 4), (0.3, 4)]
    for step in noisy:
        assert step.sampler_config.sigma_min == max(plan.gibbs.sigma_min, step.mixes.noise)
        assert step.sampler_config.accept > step.mixes.noise
    assert [len(step.mixes.sources) for setting, step in rows if setting.note.endswith("sources")] == [5, 6, 7, 8]


@each_profile
def test_compute_is_levels_by_restarts(name: str) -> None:
    rows = separations(name, "compute")
    base = plan_of(get_profile(name)).gibbs.levels
    cells = [(step.sampler_config.levels, step.sampler_config.restarts) for _, step in rows]
    assert cells == list(product((max(1, base // 3), base), (1, 4)))
    assert [setting.note for setting, _ in rows] == [f"{levels} levels" for levels, _ in cells]
    assert len({step.mixes for _, step in rows}) == 1


@each_profile
def test_controls_change_one_thing_at_a_time(name: str) -> None:
    """Each is a setting of `causal`, `known` or `oracle` but for what its note says, on the same first mixes."""
    profile, plan = get_profile(name), plan_of(get_profile(name))
    rows = separations(name, "controls")
    reference = {
        (step.data.variant, step.prior.name, step.mixes.sources): step
        for setting, step in separations(name, "known", "causal", "oracle")
        if setting.note == "" and step.sampler.startswith("gibbs")
    }
    for setting, step in rows:
        other = reference[step.data.variant, step.prior.name, step.mixes.sources]
        assert (
            replace(step.mixes, mixes=1) == replace(other.mixes, mixes=1)
            and replace(step.prior, ladder=()) == other.prior
        )
        assert (setting.note == LADDER) == bool(step.prior.ladder)
        config = step.sampler_config
        if setting.note == "no swaps, up to four chains":
            assert config == replace(other.sampler_config, swap="none", restarts=4)
        elif setting.note == "no exchanges":
            assert step.sampler == "gibbs" and other.sampler == "gibbs-exchange"
            assert type(other.sampler_config)(**vars(config)) == other.sampler_config
        elif setting.note == FLOW_SETTINGS:
            flow = reference["released", "flow-exact-tuned", step.mixes.sources]
            assert config == flow.sampler_config and config.sigma_max == max(profile.noise_levels)
        elif setting.note == LADDER:
            flow = reference["released", "flow-exact-tuned", step.mixes.sources]
            assert config == flow.sampler_config and step.prior.name == "score"
            levels = [trained.train.noise_sigma for trained in flow.prior.trained]
            assert list(step.prior.ladder) == levels == list(profile.noise_levels)
        else:
            assert setting.note == LONG_CHAINS and step.sampler == "langevin"
            assert config.levels * config.steps > plan.langevin.levels * plan.langevin.steps or name == "full"
            assert step.mixes.mixes == math.ceil(plan.mixes / 24)
    notes = {setting.note for setting, _ in rows}
    for note in notes - {"no exchanges"}:
        own = [step for setting, step in rows if setting.note == note and len(step.mixes.sources) == 2]
        assert {step.mixes.sources for step in own} == set(PAIRS), note


# The figures of one setting


def values(si_sdr: Sequence[Sequence[float]], **columns: Any) -> pd.DataFrame:
    """Values by mix and source as a step writes them; the improvement is 5 dB more than the SI-SDR."""
    count = len(si_sdr[0])
    flat = [value for mix in si_sdr for value in mix]
    table = pd.DataFrame({"mix": np.repeat(range(len(si_sdr)), count), "k": list(range(count)) * len(si_sdr)})
    table = table.assign(si_sdr=flat, si_sdri=[value + 5 for value in flat], residual=0.5, restarts=3)
    return table.assign(failure=["none" if value >= 10 else "other" for value in flat]).assign(**columns)


def test_shares_are_of_sources_and_of_mixes() -> None:
    row = summarise_separation(values([[25, 30], [15, 25], [10, 21], [-5, 10.01]]))
    assert row["above_10db"] == 6 / 8 and row["above_20db"] == 4 / 8
    assert row["all_above_10db"] == 2 / 4 and row["all_above_20db"] == 1 / 4
    assert row["si_sdr_mean"] == pytest.approx(np.mean([25, 30, 15, 25, 10, 21, -5, 10.01]))
    assert row["si_sdri_mean"] == pytest.approx(row["si_sdr_mean"] + 5)
    assert (row["residual"], row["restarts"]) == (0.5, 3)


def test_a_silent_estimate_does_not_make_the_mean_minus_infinity() -> None:
    row = summarise_separation(values([[20, -math.inf], [20, -45]]))
    assert row["si_sdr_mean"] == pytest.approx((20 + 20 - 30 - 30) / 4)
    assert row["si_sdri_mean"] == pytest.approx((25 + 25 - 60 - 40) / 4)
    assert all(math.isfinite(value) for value in row.values())
    assert (row["above_10db"], row["all_above_10db"]) == (0.5, 0.0)


def test_figures_do_not_change_the_values_themselves() -> None:
    table = values([[20, -math.inf], [-50, 3]])
    before = table.copy()
    summarise_separation(table)
    pd.testing.assert_frame_equal(table, before)


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

FACTS = ["profile", "dataset", "variant", "group", "note", "prior", "sampler", "n_sources", "sources", "n_mixes"]
FIGURES = [
    *("restarts", "si_sdr_mean", "si_sdri_mean", "low", "high"),
    *("above_10db", "all_above_10db", "all_above_10db_low", "all_above_10db_high"),
    *("above_20db", "all_above_20db", "all_above_20db_low", "all_above_20db_high"),
    *("residual", *(f"fail_{kind.replace(' ', '_')}" for kind in KINDS), "seconds_per_mix", "command"),
]


def baseline(name: str = "mix", *, sources: tuple[str, ...] = PAIR, group: str = "baseline") -> Setting:
    """A setting that is measured in no time."""
    return Setting(group, "", SeparateByBaseline(ToyWorld(), MixConfig(sources, mixes=3, length=256), name))


def test_row_says_what_was_measured_and_how(tmp_path: Path) -> None:
    line = Pipeline(Store(tmp_path / "cache"))
    setting = replace(baseline("irm"), group="known", note="with a note")
    row = separation_row(line, setting, profile="smoke", command="srcsep benchmark")
    assert list(row) == FACTS + FIGURES
    expected = ["smoke", "toy", "released", "known", "with a note", "irm", "none", 2, "sine+square", 3]
    assert [row[name] for name in FACTS] == expected
    written = pd.read_csv(line.run(setting.step) / VALUES)
    summary = summarise_separation(written)
    np.testing.assert_equal({name: row[name] for name in summary}, summary)
    assert row["restarts"] == 0 and math.isnan(row["residual"])
    assert row["seconds_per_mix"] == line.run(setting.step).provenance["seconds_per_mix"] > 0
    assert row["command"] == "srcsep benchmark"


def test_baselines_have_no_sampler_and_still_a_name_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The word none is no missing value when the table is read, and an empty note is an empty string."""
    line = Pipeline(Store(tmp_path / "cache"))
    rows = [separation_row(line, baseline(name), profile="smoke", command="-") for name in ("mix", "ibm")]
    (tmp_path / "figures").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "figures" / "separation.csv", index=False)
    monkeypatch.delenv("SRCSEP_FIGURES", raising=False)
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    table = benchmark_table()
    assert list(table) == FACTS + FIGURES
    assert table["sampler"].tolist() == ["none"] * 2 and table["note"].tolist() == [""] * 2
    assert table["residual"].isna().all()
    assert set(table["sampler"]) <= set(styles.SAMPLERS)


@pytest.mark.parametrize(("read", "name"), [(benchmark_table, "separation"), (committed_unknown, "separation_unknown")])
def test_table_that_is_missing_is_named_with_what_makes_it(
    read: Callable[[], pd.DataFrame], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SRCSEP_FIGURES", raising=False)
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    with pytest.raises(InputError, match=rf"there is no .*/{name}\.csv; make it with `srcsep benchmark`"):
        read()
    (tmp_path / "figures").mkdir()
    pd.DataFrame({"n_sources": [2], "note": [""]}).to_csv(tmp_path / "figures" / f"{name}.csv", index=False)
    assert read()["n_sources"].tolist() == [2]


@pytest.mark.parametrize(("read", "name"), [(benchmark_table, "separation"), (committed_unknown, "separation_unknown")])
def test_redirected_table_is_read_where_it_is_written(
    read: Callable[[], pd.DataFrame], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`srcsep benchmark` writes to SRCSEP_FIGURES; who redirects sees that table, and the committed one before."""
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path / "elsewhere"))
    committed = pd.DataFrame({"n_sources": [2], "note": [""]})
    write_table(committed, tmp_path / "figures", name)
    assert read()["n_sources"].tolist() == [2]
    write_table(committed.assign(n_sources=3), paths.figures_folder("laptop"), name)
    assert read()["n_sources"].tolist() == [3]


def test_unknown_sources_are_counted_by_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true, right, number = [1, 1, 2, 2, 2, 2], [True, True, True, False, False, False], [1, 1, 2, 2, 3, 1]
    table = pd.DataFrame({"n_sources": true, "right": right, "n_found": number})
    table.to_csv(tmp_path / VALUES, index=False)
    monkeypatch.setattr(Pipeline, "run", lambda self, step: tmp_path)
    step = selection_step(get_profile("smoke"), PLANS["smoke"])
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
        replace(other, note="another"),
        replace(other, group="known"),
        longer,
        one,
    )
    for another in others:
        assert pools_of([one, another]) == []
    assert pools_of([one, *others, other]) == [[one, other]]


@each_profile
def test_unknown_sources_are_asked_of_the_score_prior(name: str) -> None:
    plan = plan_of(get_profile(name))
    step = selection_step(get_profile(name), plan)
    assert step.prior == prior_choices(get_profile(name))["score"] and step.sampler_config == plan.selection
    assert step.length == plan.length and step.each >= 1


# Its plots


@pytest.fixture
def style() -> Iterator[None]:
    """Our style for this test, and neither figures nor settings afterwards."""
    with plt.rc_context():
        set_style()
        yield
    plt.close("all")


def measured(si_sdr: Sequence[Sequence[float]], **facts: Any) -> dict[str, Any]:
    """A row of the table."""
    row: dict[str, Any] = {"variant": "released", "group": "causal", "note": "", "prior": "score", "sampler": "gibbs"}
    row |= {"n_sources": 2, "sources": "sine+square", "n_mixes": 2, "seconds_per_mix": 1.0}
    return row | summarise_separation(values(si_sdr)) | facts


GOOD, HALF, BAD = [[30.0, 30.0]] * 4, [[30.0, 15.0], [15.0, 5.0]], [[5.0, -math.inf]] * 3


def texts(figure: Figure) -> list[str]:
    """What the legend of the figure says."""
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def check_legend_is_outside(figure: Figure) -> None:
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and figure.bbox.y0 <= box.y0
    for ax in figure.axes:
        around = ax.get_tightbbox()
        assert around is not None and box.y1 <= around.y0 + 1, "the legend lies below the axes"


def marks(figure: Figure, panel: int) -> list[tuple[float, float]]:
    """The points of a panel with an interval: (share, place)."""
    containers = figure.axes[panel].containers
    points = [container.lines[0].get_xydata()[0] for container in containers]  # type: ignore[attr-defined]
    return [(float(x), float(y)) for x, y in points]


def test_shares_by_prior_are_one_panel_a_number_of_sources(style: None) -> None:
    table = pd.DataFrame(
        [
            measured(GOOD, prior="oracle", group="oracle"),
            measured(HALF),
            measured(BAD, sampler="langevin"),
            measured(BAD, note="no swaps, one chain"),
            measured(BAD, prior="flow-exact", sampler=RELEASED, note="starts at the truth"),
            measured(HALF, n_sources=4, sources="+".join(SOURCES)),
        ]
    )
    figure = share_by_prior(table, ["oracle", "score", "flow-exact", "pnf"])
    assert [ax.get_title() for ax in figure.axes] == ["2 sources", "4 sources"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["oracle", "score", "flow-exact", "pnf"]
    assert texts(figure) == [
        "gibbs",
        "gibbs, no swaps, one chain",
        "langevin",
        "langevin-released, starts at the truth",
    ]
    assert figure.axes[0].yaxis_inverted()
    check_legend_is_outside(figure)
    first, second = marks(figure, 0), marks(figure, 1)
    assert [round(x, 6) for x, _ in first] == [1.0, 0.5, 0.0, 0.0, 0.0] and [x for x, _ in second] == [0.5]
    assert [round(y) for _, y in first] == [0, 1, 1, 1, 2] and len({y for _, y in first}) == 5
    assert len({round(y % 1, 6) for y in (first[0][1], first[1][1], second[0][1])}) == 1, "a height for every sampler"
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["not run"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["not run"] * 3
    faces = [container.lines[0].get_markerfacecolor() for container in ax.containers]  # type: ignore[attr-defined]
    assert [face == "white" for face in faces] == [False, False, False, True, False]


def test_shares_by_prior_show_the_pool_of_several_classes(style: None) -> None:
    parts = [measured(share, sources=name) for share, name in ((GOOD, "sine+square"), (BAD, "sine+saw"))]
    table = pd.DataFrame([*parts, measured(HALF, sources="any 2"), measured(GOOD, prior="pnf")])
    assert [x for x, _ in marks(share_by_prior(table, ["score", "pnf"]), 0)] == [0.5, 1.0]


def test_shares_by_prior_at_another_threshold(style: None) -> None:
    figure = share_by_prior(pd.DataFrame([measured([[15.0, 15.0]] * 2)]), ["score"], threshold_db=20)
    assert marks(figure, 0) == [(0.0, 0.0)] and "above 20 dB" in figure.axes[0].get_xlabel()


def test_known_classes_are_one_panel_a_variant(style: None) -> None:
    rows = [
        measured(values_of, group="known", variant=variant, sources="+".join(names), n_sources=len(names))
        for variant, values_of in (("released", GOOD), ("paper", HALF))
        for names in subsets()
    ]
    figure = known_classes(pd.DataFrame(rows))
    assert [ax.get_title() for ax in figure.axes] == ["toy variant released", "toy variant paper"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 11 and labels[-1] == f"{'+'.join(SOURCES)}  (n = 2)" and labels[0].count("+") == 1
    assert texts(figure) == ["10 dB", "20 dB"]
    check_legend_is_outside(figure)
    assert [x for x, _ in marks(figure, 0)] == [1.0] * 22
    assert [x for x, _ in marks(figure, 1)] == [0.5, 0.0] * 11


def test_settings_beyond_the_paper_are_named_by_their_notes(style: None) -> None:
    rows = [
        measured(GOOD, group="beyond", note="same class twice", sources="saw+saw"),
        measured(HALF, group="beyond", note="5 sources", sources="+".join((*SOURCES, "sine")), n_sources=5),
    ]
    figure = beyond_classes(pd.DataFrame(rows))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["same class twice: saw+saw  (n = 2)", "5 sources  (n = 2)"] and figure.axes[0].yaxis_inverted()
    assert texts(figure) == ["10 dB", "20 dB"]
    check_legend_is_outside(figure)
    assert [x for x, _ in marks(figure, 0)] == [1.0, 1.0, 0.5, 0.0]


def test_failures_are_stacked_by_kind(style: None) -> None:
    kinds = [["swap", "swap", "none", "edge"], ["none", "none", "other", "other"]]
    rows = [summarise_separation(values([[0, 0]] * 2, failure=own)) for own in kinds]
    figure = failure_bars(pd.DataFrame(rows), ["first", "second"])
    (ax,) = figure.axes
    assert texts(figure) == ["swap", "edge", "other"], "kinds that do not occur are not shown"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    bars = {(bar.get_y() + 0.4, bar.get_x(), bar.get_width()) for bar in ax.patches if bar.get_width()}  # type: ignore[attr-defined]
    assert bars == {(0.0, 0.0, 0.5), (0.0, 0.5, 0.25), (1.0, 0.0, 0.5)}
    assert ax.get_xlim() == pytest.approx((0, 1.05 * 0.75))
    check_legend_is_outside(figure)


@pytest.mark.parametrize("rows", [0, 2])
def test_nothing_failed_is_an_empty_plot(rows: int, style: None) -> None:
    table = pd.DataFrame([measured(GOOD)] * 2).iloc[:rows]
    figure = failure_bars(table, ["good"] * rows)
    figure.canvas.draw()
    assert not figure.legends and not figure.axes[0].patches


def test_compute_is_a_line_a_number_of_levels(style: None) -> None:
    rows = [
        measured(share, group="compute", note=f"{levels} levels", seconds_per_mix=levels * (1.0 + i), n_sources=4)
        for levels in (8, 24)
        for i, share in enumerate((BAD, HALF, GOOD))
    ]
    figure = compute_curves(pd.DataFrame(rows))
    assert [ax.get_title() for ax in figure.axes] == ["all four above 10 dB", "all four above 20 dB"]
    assert texts(figure) == ["8 levels", "24 levels"]
    check_legend_is_outside(figure)
    for ax, middle in zip(figure.axes, (0.5, 0.0), strict=True):
        assert [np.asarray(line.get_ydata()).tolist() for line in ax.lines] == [[0.0, middle, 1.0]] * 2
        assert [np.asarray(line.get_xdata()).tolist() for line in ax.lines] == [[8.0, 16.0, 24.0], [24.0, 48.0, 72.0]]
        assert len(ax.collections) == 2


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
    assert asked[0] == ("smoke", PLANS["smoke"].with_mixes(7, 3), ("baseline",))
    table = pd.read_csv(path)
    assert list(table) == FACTS + FIGURES
    assert table["prior"].tolist() == ["mix", "ibm"] and table["n_sources"].tolist() == [2, 4]
    assert set(table["command"]) == {"srcsep benchmark -p smoke --mixes 7 --slow-mixes 3 --group baseline"}
    assert [line.split()[0] for line in benchmark(*options, "--list").output.splitlines()] == ["done", "done"]
    monkeypatch.setattr(SeparateByBaseline, "make", None)
    first = path.read_bytes()
    assert benchmark(*options).exit_code == 0 and path.read_bytes() == first
    other = table.assign(group="oracle", prior="oracle")
    pd.concat([other, table]).to_csv(path, index=False)
    assert benchmark(*options).output.splitlines()[-1] == f"2 of 4 rows: {path}"
    assert pd.read_csv(path)["group"].tolist() == ["oracle"] * 2 + ["baseline"] * 2, "other groups stay"


@pytest.mark.usefixtures("only_this_cache")
def test_run_that_stops_leaves_the_table_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = baseline("no such baseline")
    folder = tmp_path / "figures" / "smoke"
    for before in (None, f"{','.join(FACTS)}\n"):
        if before:
            folder.mkdir(parents=True)
            (folder / "separation.csv").write_text(before)
        instead(monkeypatch, baseline("mix"), unknown)
        result = benchmark("--group", "baseline")
        assert result.exit_code == 1 and "Error: unknown baseline 'no such baseline'; use one of" in result.output
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
    step = selection_step(get_profile("smoke"), PLANS["smoke"])
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
def test_number_of_mixes_is_at_least_one() -> None:
    assert benchmark("--mixes", "0").exit_code == 2
