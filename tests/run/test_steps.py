"""The steps of a profile: which there are, what their keys depend on, and the tables that they make."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from srcsep_core import diagnostics
from srcsep_core.benchmark.amortised import whole_settings
from srcsep_core.benchmark.blind import blind_settings
from srcsep_core.data.base import EvalConfig, world_of
from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.diagnostics import DATA_SIGMAS, RANDOM_SIGMAS
from srcsep_core.errors import InputError
from srcsep_core.nn.denoiser import DenoiserConfig
from srcsep_core.paths import shipped_root
from srcsep_core.priors.flow_kind import FlowSet
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.flowavenet import FLOWAVENET
from srcsep_core.priors.oracle import OracleSet
from srcsep_core.priors.pnf import PnFConfig
from srcsep_core.priors.sets import PriorSet
from srcsep_core.priors.wavenet import WaveNetPriorConfig, WaveNetSet
from srcsep_core.run import steps
from srcsep_core.run.artefacts import MARKER
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.plans import EvalPlan, KindPlan
from srcsep_core.run.profiles import PROFILES, Profile, get_profile
from srcsep_core.run.steps import (
    WEIGHTS,
    ConstantInput,
    CrossLikelihood,
    Evaluation,
    NoiseCurve,
    RandomInput,
    Step,
    Subject,
    TrainPriors,
    background_step,
    evaluations_of,
    prior_step,
    priors_of,
    steps_of,
    subjects_of,
)
from srcsep_core.run.steps.catalogue import ORACLE_BEYOND, likelihood_priors_of
from srcsep_core.run.store import Store
from srcsep_core.run.untrained import command, cost
from srcsep_core.training.config import TrainConfig

TRAINING = TrainConfig(steps=4, batch_size=2, crop=32, learning_rate=1e-2, checkpoint_every=2)
TINY = Profile(
    "tiny",
    noise_levels=(0.077, 0.359),
    kinds={
        "flowavenet": KindPlan(
            FlowConfig(blocks=2, flows=1, layers=1, width=2),
            train=TRAINING,
            fine_tune=replace(TRAINING, seed=1),
            scratch=replace(TRAINING, seed=1),
            conditional=TRAINING,
            conditional_networks=tuple(
                ConditionalFlowConfig(blocks=2, flows=1, layers=1, width=2, sigma_max=top) for top in (0.5, 10.0)
            ),
            ablated=(0.359,),
        ),
        "wavenet": KindPlan(
            WaveNetPriorConfig(layers=2, width=2, head_width=4), train=TRAINING, fine_tune=replace(TRAINING, seed=1)
        ),
        "denoiser": KindPlan(
            DenoiserConfig(channels=(8, 16), strides=(4,), middle=1, heads=2, window=32), train=TRAINING
        ),
        "pnf": KindPlan(PnFConfig(layers=2, width=2, head_width=4), train=TRAINING),
    },
    evaluation=EvalConfig(signals=3, length=32, batch_size=2),
    plan=EvalPlan(
        oracle=EvalConfig(signals=2, length=32),
        noisy=EvalConfig(signals=3, length=32),
        long=EvalConfig(signals=2, length=64),
        curve=EvalConfig(signals=2, length=32),
        long_curve=EvalConfig(signals=1, length=64),
        input_lengths=(32, 64),
        draws=(3, 2),
    ),
)
DATA = ToyWorld()
each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())


def conditional_step(profile: Profile) -> TrainPriors:
    """The first set that is told the noise level and has a density."""
    return next(step for step in likelihood_priors_of(profile) if step.conditional)


SHIPPED = ("whole_periods", "uniform_hz", "songs_8k", "digits", "notes_5k")  # variants that priors come with


@pytest.fixture
def line(tmp_path: Path) -> Pipeline:
    """A pipeline with an empty cache and nothing shipped."""
    return Pipeline(Store(tmp_path / "cache"), train=True)


def subject_of(step: TrainPriors, sigma: float | None = None) -> Subject:
    return Subject(step, step.data, step.train.noise_sigma if sigma is None else sigma)


# Which steps there are


@each_profile
def test_a_world_with_plans_of_its_own_gets_those_alone(profile: Profile) -> None:
    plan = profile.worlds["rendered"]["denoiser"]
    steps = {step.model: step for step in priors_of(profile, "songs_8k")}
    assert set(steps) == set(profile.worlds["rendered"]) >= {"denoiser", "convtasnet", "flowavenet", "wavenet"}
    step = steps["denoiser"]
    assert (step.network, step.train, step.data) == (plan.network, plan.train, world_of("songs_8k"))
    assert plan.network != profile.plan_of("denoiser").network and profile.of("piano_keys") is profile
    with pytest.raises(InputError, match="no plan for 'pnf'"):
        prior_step(profile, "pnf", variant="songs_8k")


@each_profile
def test_a_world_that_is_all_for_testing_is_asked_about_with_the_priors_of_another(profile: Profile) -> None:
    titles = [step.title for step in priors_of(profile, "songs_8k")]
    for variant in ("excerpt_8k", "instruments_8k", "musdb18_8k"):
        assert [step.title for step in priors_of(profile, variant)] == titles
    subjects = subjects_of(profile, "excerpt_8k")
    assert {(subject.trained.data.variant, subject.data.variant) for subject in subjects if subject.trained} == {
        ("songs_8k", "excerpt_8k")
    }
    assert (
        prior_step(profile, "denoiser", variant="songs_16k").title
        != prior_step(profile, "denoiser", variant="songs_8k").title
    )


@each_profile
def test_songs_have_a_background_of_all_their_classes(profile: Profile) -> None:
    step = background_step(profile, "flowavenet", "excerpt_8k")
    own = prior_step(profile, "flowavenet", variant="songs_8k")
    assert step.title == f"flow-any-songs_8k-{profile.name}-likelihood"
    assert step in priors_of(profile, "songs_8k") and step.key != own.key
    assert (step.network, step.train, step.data.sources) == (own.network, own.train, ("any",))
    assert command(step) == command(own) and "steps, " in cost([step])


@each_profile
def test_songs_are_measured_at_the_authors_lengths_alone(profile: Profile) -> None:
    subject = subject_of(prior_step(profile, "wavenet", variant="songs_8k"))
    kinds = Counter(type(step) for step in evaluations_of(profile, subject))
    assert kinds == {CrossLikelihood: 1, NoiseCurve: 1, ConstantInput: 1, RandomInput: 1}
    elsewhere = evaluations_of(profile, replace(subject, data=world_of("excerpt_8k")))
    assert Counter(type(step) for step in elsewhere) == {CrossLikelihood: 1, NoiseCurve: 1}


@pytest.mark.parametrize("objective", FLOWAVENET.objectives)
def test_shipped_flow_priors_are_still_those_of_the_laptop_profile(objective: str) -> None:
    step = prior_step(get_profile("laptop"), "flowavenet", objective=objective)
    marker = json.loads((shipped_root() / step.title / MARKER).read_text())
    assert step.key == marker["key"]


def test_every_shipped_artefact_is_a_step_of_the_laptop_profile() -> None:
    laptop = get_profile("laptop")
    steps = [step for variant in SHIPPED for step in steps_of(laptop, variant)]
    settings = [*blind_settings(laptop), *whole_settings(laptop)]
    steps += [parent for setting in settings for step in setting.steps for parent in step.parents]
    wanted = {step.title: step.key for step in steps}
    for marker in shipped_root().glob(f"*/{MARKER}"):
        assert wanted.get(marker.parent.name) == json.loads(marker.read_text())["key"], marker.parent.name


@each_profile
@pytest.mark.parametrize("variant", ["whole_periods", "uniform_hz"])
def test_titles_and_keys_of_a_profile_are_each_used_once(profile: Profile, variant: str) -> None:
    graph = steps_of(profile, variant)
    for used in (Counter(step.title for step in graph), Counter(step.key for step in graph)):
        assert [name for name, count in used.items() if count > 1] == []
    priors = {step.title for step in priors_of(profile, variant)}
    assert len(priors) == len(priors_of(profile, variant))
    assert priors <= {step.title for step in graph}


@each_profile
def test_titles_are_safe_as_names_of_files(profile: Profile) -> None:
    for step in steps_of(profile):
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", step.title), step.title
        assert len(step.title) < 120


@each_profile
def test_steps_come_after_their_parents(profile: Profile) -> None:
    graph = steps_of(profile)
    keys = [step.key for step in graph]
    for index, step in enumerate(graph):
        assert {parent.key for parent in step.parents} <= set(keys[:index])


@each_profile
def test_every_fine_tuned_step_starts_from_its_own_noise_free_one(profile: Profile) -> None:
    graph = priors_of(profile)
    noise_free = {step.key for step in graph if not step.train.noise_sigma}
    tuned = [step for step in graph if step.initial is not None]
    ablated = set(profile.plan_of("flowavenet").ablated)
    assert len(tuned) == 2 * 2 * len(profile.noise_levels) + 2 * len(ablated)
    for step in tuned:
        clean = step.initial
        assert clean is not None and clean.key in noise_free
        assert step.parents == (clean,)
        assert type(clean) is type(step)
        assert clean.network == step.network
        assert (clean.train.objective, clean.data) == (step.train.objective, step.data)
        assert step.train.noise_sigma > 0
        assert step.train.steps < clean.train.steps


# Keys


def test_key_of_an_evaluation_depends_on_its_subject_and_settings() -> None:
    conditional = conditional_step(TINY)
    config = TINY.plan.noisy
    different: list[Evaluation] = [
        CrossLikelihood(subject_of(conditional, 0.01), config),
        CrossLikelihood(subject_of(conditional, 0.077), config),
        CrossLikelihood(subject_of(prior_step(TINY, "flowavenet")), config),
        CrossLikelihood(subject_of(prior_step(TINY, "wavenet")), config),
        CrossLikelihood(Subject(None, DATA, 0.01), config),
        CrossLikelihood(Subject(None, DATA, 0.077), config),
        CrossLikelihood(Subject(None, ToyWorld("uniform_hz"), 0.01), config),
        CrossLikelihood(Subject(None, DATA, 0.01), replace(config, data_sigma=0.01)),
        CrossLikelihood(Subject(None, DATA, 0.01), replace(config, amplitude="training")),
        NoiseCurve(Subject(None, DATA, 0.01), config),
        NoiseCurve(Subject(None, DATA, 0.01), config, data_sigmas=(0.0, 0.1)),
        ConstantInput(Subject(None, DATA, 0.01), 32),
        ConstantInput(Subject(None, DATA, 0.01), 64),
        RandomInput(Subject(None, DATA, 0.01), 32, 3),
        RandomInput(Subject(None, DATA, 0.01), 32, 4),
        RandomInput(Subject(None, DATA, 0.01), 32, 3, seed=1),
    ]
    assert len({step.key for step in different}) == len(different)


def test_key_of_an_evaluation_does_not_depend_on_what_leaves_it_the_same() -> None:
    subject = Subject(None, DATA, 0.01)
    config = TINY.plan.noisy
    assert CrossLikelihood(subject, replace(config, batch_size=1)).key == CrossLikelihood(subject, config).key
    for same in (replace(config, batch_size=1), replace(config, data_sigma=0.3)):
        assert NoiseCurve(subject, same).key == NoiseCurve(subject, config).key


# Subjects


def test_facts_of_a_subject_say_which_priors_it_is() -> None:
    toy = {"world": "toy", "variant": "whole_periods"}
    assert subject_of(prior_step(TINY, "flowavenet")).facts == {
        "model": "flowavenet",
        "objective": "likelihood",
        "training": "noise-free",
        "initial": "fresh",
        "noise": "",
        "prior_sigma": 0.0,
        **toy,
    }
    assert subject_of(prior_step(TINY, "wavenet", sigma=0.077, objective="sigmoid")).facts == {
        "model": "wavenet",
        "objective": "sigmoid",
        "training": "fine-tuned",
        "initial": "noise-free",
        "noise": "scaled_clamped",
        "prior_sigma": 0.077,
        **toy,
    }
    assert Subject(None, ToyWorld("uniform_hz"), 0.359).facts == {
        "model": "oracle",
        "objective": "",
        "training": "",
        "initial": "",
        "noise": "",
        "prior_sigma": 0.359,
        "world": "toy",
        "variant": "uniform_hz",
    }


def test_training_of_a_subject_is_told_apart() -> None:
    found = [
        tuple(subject_of(step).facts[name] for name in ("training", "initial", "noise"))
        for step in (
            prior_step(TINY, "flowavenet", sigma=0.077),
            prior_step(TINY, "flowavenet", sigma=0.077, noise="scaled_clamped"),
            prior_step(TINY, "flowavenet", sigma=0.077, scratch=True),
        )
    ]
    assert found == [
        ("fine-tuned", "noise-free", "gaussian"),
        ("fine-tuned", "noise-free", "scaled_clamped"),
        ("scratch", "fresh", "gaussian"),
    ]
    conditional = subject_of(conditional_step(TINY), 0.129)
    assert (conditional.facts["training"], conditional.facts["prior_sigma"]) == ("conditional", 0.129)
    assert (conditional.facts["initial"], conditional.facts["noise"]) == ("fresh", "gaussian")


@each_profile
def test_facts_tell_the_subjects_of_a_profile_apart(profile: Profile) -> None:
    facts = [tuple(subject.facts.values()) for subject in subjects_of(profile)]
    assert len(set(facts)) == len(facts)


@each_profile
def test_subjects_are_every_set_of_priors_at_its_level_and_the_oracle_at_more(profile: Profile) -> None:
    found = subjects_of(profile)
    wanted = {step.key for step in likelihood_priors_of(profile)}
    assert {s.trained.key for s in found if s.trained is not None} == wanted
    conditional = [s.sigma for s in found if s.facts["training"] == "conditional"]
    assert conditional == list(profile.noise_levels)
    assert [s.sigma for s in found if s.model == "oracle"] == [*profile.noise_levels, *ORACLE_BEYOND]
    for subject in found:
        if subject.trained is not None and subject.facts["training"] != "conditional":
            assert subject.sigma == subject.trained.train.noise_sigma


def test_sets_of_the_paper_and_the_oracle_are_measured_in_full() -> None:
    full = [
        prior_step(TINY, "flowavenet"),
        prior_step(TINY, "flowavenet", objective="quarter_log_det"),
        prior_step(TINY, "wavenet"),
        prior_step(TINY, "wavenet", objective="sigmoid"),
        prior_step(TINY, "flowavenet", sigma=0.077),
        prior_step(TINY, "flowavenet", sigma=0.077, objective="quarter_log_det"),
        prior_step(TINY, "wavenet", sigma=0.077),
        prior_step(TINY, "wavenet", sigma=0.077, objective="sigmoid"),
    ]
    assert all(subject_of(step).in_full for step in full)
    assert Subject(None, DATA, 0.077).in_full
    others = [
        prior_step(TINY, "flowavenet", sigma=0.077, noise="scaled_clamped"),
        prior_step(TINY, "flowavenet", sigma=0.077, objective="quarter_log_det", noise="gaussian"),
        prior_step(TINY, "flowavenet", sigma=0.077, scratch=True),
    ]
    assert not any(subject_of(step).in_full for step in others)
    assert not subject_of(conditional_step(TINY), 0.077).in_full


@each_profile
def test_evaluations_of_a_set_in_full_are_all_and_of_others_one_cross_likelihood(profile: Profile) -> None:
    for subject in subjects_of(profile):
        kinds = Counter(type(step) for step in evaluations_of(profile, subject))
        beyond = subject.trained is None and subject.sigma not in profile.noise_levels
        if subject.in_full and not beyond:
            lengths = 2 if subject.sigma in (0, max(profile.noise_levels)) else 1  # the long one at the ends alone
            inputs = dict.fromkeys((NoiseCurve, ConstantInput, RandomInput), lengths)
            assert kinds == {CrossLikelihood: 1 + lengths, **inputs}
        else:
            assert kinds == {CrossLikelihood: 1}


def cross_likelihoods(subject: Subject) -> list[EvalConfig]:
    return [step.evaluation for step in evaluations_of(TINY, subject) if isinstance(step, CrossLikelihood)]


def test_noise_free_priors_get_both_amplitudes_and_noisy_ones_signals_noised_at_their_level() -> None:
    assert cross_likelihoods(subject_of(prior_step(TINY, "flowavenet"))) == [
        TINY.evaluation,
        replace(TINY.plan.noisy, amplitude="training"),
        TINY.plan.long,
    ]
    oracle = Subject(None, DATA, 0.077)
    for subject, own in (
        (subject_of(prior_step(TINY, "flowavenet", sigma=0.077)), TINY.plan.noisy),
        (oracle, TINY.plan.oracle),
    ):
        assert cross_likelihoods(subject) == [own, replace(own, data_sigma=0.077)]
    widest = subject_of(prior_step(TINY, "flowavenet", sigma=0.359))
    assert cross_likelihoods(widest)[-1] == TINY.plan.long
    conditional = subject_of(conditional_step(TINY), 0.077)
    assert cross_likelihoods(conditional) == [replace(TINY.plan.noisy, data_sigma=0.077)]
    assert cross_likelihoods(Subject(None, DATA, 3.0)) == [replace(TINY.plan.oracle, data_sigma=3.0)]


# Loaded priors


def test_priors_that_a_step_trained_are_loaded_as_a_set(line: Pipeline) -> None:
    flow, wavenet = prior_step(TINY, "flowavenet", sigma=0.077), prior_step(TINY, "wavenet", objective="sigmoid")
    flows, wavenets = line.priors(flow), line.priors(wavenet)
    assert isinstance(flows, FlowSet) and isinstance(wavenets, WaveNetSet)
    assert flows.flow.multiple_of == TINY.plan_of("flowavenet").network.squeeze_factor
    assert wavenets.net.config == replace(TINY.plan_of("wavenet").network, output="sigmoid")
    for priors, step in ((flows, flow), (wavenets, wavenet)):
        assert (priors.sources, priors.data, priors.sigma) == (SOURCES, DATA, step.train.noise_sigma)
        assert priors.folder == line.run(step).path
        assert priors.curve["source"].tolist() == list(SOURCES) * (len(priors.curve) // 4)
    assert not flows.flow.training and not wavenets.net.training
    assert list(wavenets.curve) == ["step", "source", "loss", "learning_rate"]


def test_fine_tuning_of_a_wavenet_starts_from_its_noise_free_weights(line: Pipeline) -> None:
    standing = TINY.with_plan("wavenet", fine_tune=replace(TRAINING, learning_rate=0.0, seed=1))
    tuning = prior_step(standing, "wavenet", sigma=0.077)
    tuned, clean = (load_file(line.run(step) / WEIGHTS) for step in (tuning, prior_step(standing, "wavenet")))
    assert all(torch.equal(tuned[name].float(), clean[name].half().float()) for name in clean), "kept in half precision"
    assert line.priors(tuning).curve["step"].max() == 2 * TRAINING.steps


def test_subject_loads_its_priors_at_its_level(line: Pipeline) -> None:
    conditional = conditional_step(TINY)
    low, high = (subject_of(conditional, sigma).load(line) for sigma in (0.01, 0.359))
    assert isinstance(low, FlowSet) and isinstance(high, FlowSet)
    assert (low.sigma, high.sigma) == (0.01, 0.359)
    oracle = Subject(None, DATA, 0.129).load(line)
    assert isinstance(oracle, OracleSet)
    assert (oracle.data, oracle.sigma) == (DATA, 0.129)


# Tables

SUBJECTS = {
    "flow": subject_of(prior_step(TINY, "flowavenet", sigma=0.077)),
    "flow of a quarter": subject_of(prior_step(TINY, "flowavenet", objective="quarter_log_det")),
    "conditional flow": subject_of(conditional_step(TINY), 0.359),
    "wavenet": subject_of(prior_step(TINY, "wavenet")),
    "wavenet of sigmoids": subject_of(prior_step(TINY, "wavenet", sigma=0.129, objective="sigmoid")),
    "oracle": Subject(None, ToyWorld(sources=("sine", "saw")), 0.129),
}
PROTOCOLS = {
    "flow": ["log_pz", "log_prob"],
    "flow of a quarter": ["log_pz", "log_prob"],
    "conditional flow": ["log_pz", "log_prob"],
    "wavenet": ["log_prob"],
    "wavenet of sigmoids": ["mean_sigmoid"],
    "oracle": ["oracle"],
}


def check_table(step: Evaluation, table: pd.DataFrame, protocols: list[str]) -> None:
    """The columns and the number of rows of the step's table, and that every value is finite."""
    sources = len(step.subject.data.sources)
    if isinstance(step, CrossLikelihood):
        assert list(table) == ["source", "prior", "signal", *protocols]
        assert len(table) == step.evaluation.signals * sources**2
        assert len(table.drop_duplicates(["source", "prior", "signal"])) == len(table)
    elif isinstance(step, NoiseCurve):
        assert list(table) == ["data_sigma", "prior", "signal", *protocols]
        assert len(table) == step.evaluation.signals * sources * len(DATA_SIGMAS)
        assert len(table.drop_duplicates(["data_sigma", "prior", "signal"])) == len(table)
    elif isinstance(step, ConstantInput):
        assert list(table) == ["prior", "protocol", "level", "value"]
        assert len(table) == len(step.levels) * sources * len(protocols)
    else:
        assert isinstance(step, RandomInput)
        assert list(table) == ["prior", "protocol", "input_sigma", "draw", "value"]
        assert len(table) == (1 + step.draws * (len(RANDOM_SIGMAS) - 1)) * sources * len(protocols)
    if "protocol" in table:
        assert table["protocol"].unique().tolist() == protocols
    assert set(table["prior"]) == set(step.subject.data.sources)
    values = table[["value"] if "value" in table else protocols]
    assert values.notna().all(axis=None) and (values.abs() < 1e9).all(axis=None)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind == "oracle" else kind for kind in SUBJECTS]
)
def test_every_evaluation_of_a_subject_makes_its_table_once(
    kind: str, line: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = evaluations_of(TINY, SUBJECTS[kind])
    if kind == "oracle":  # one of each kind: it is slow however short the signals are
        wanted = list({type(step): step for step in wanted}.values())
    tables = [line.values(step) for step in wanted]
    for step, table in zip(wanted, tables, strict=True):
        check_table(step, table, PROTOCOLS[kind])

    def made_again(*_: object) -> PriorSet:
        raise AssertionError("computed a second time")

    monkeypatch.setattr(Subject, "load", made_again)
    for step, table in zip(wanted, tables, strict=True):
        pd.testing.assert_frame_equal(Pipeline(Store(line.store.root)).values(step), table, check_exact=True)


def test_values_are_those_of_the_loaded_priors(line: Pipeline) -> None:
    subject = subject_of(prior_step(TINY, "wavenet"))
    config = replace(TINY.plan.noisy, data_sigma=0.1)
    expected = diagnostics.likelihood_table(subject.load(line), DATA.test_set(config))
    found = line.values(CrossLikelihood(subject, config))
    pd.testing.assert_frame_equal(found, expected, rtol=1e-7)


def test_conditional_priors_are_evaluated_at_the_level_of_the_subject(line: Pipeline) -> None:
    step = conditional_step(TINY)
    tables = []
    for sigma in (0.01, 0.359):
        expected = diagnostics.likelihood_table(line.priors(step).at(sigma), DATA.test_set(TINY.plan.noisy))
        tables.append(line.values(CrossLikelihood(subject_of(step, sigma), TINY.plan.noisy)))
        pd.testing.assert_frame_equal(tables[-1], expected, rtol=1e-7)


def test_progress_does_not_change_a_table(line: Pipeline, tmp_path: Path) -> None:
    step = CrossLikelihood(Subject(None, ToyWorld(sources=("saw",)), 0.359), EvalConfig(signals=1, length=8))
    shown = Pipeline(Store(tmp_path / "other"), progress=True, train=True)
    pd.testing.assert_frame_equal(shown.values(step), line.values(step), check_exact=True)


# Signals


class Recording:
    """In place of priors: keeps the signals that it is asked about."""

    sources = SOURCES
    multiple_of = 1

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def likelihoods(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Zeros."""
        self.seen.append(x.clone())
        return {"log_prob": torch.zeros(x.shape[:2])}


def signals_of(step: CrossLikelihood) -> torch.Tensor:
    """The signals (N, K, T) that a cross-likelihood evaluates."""
    priors = Recording()
    step.evaluate(priors, progress=False)
    rows = torch.cat([x[:, 0] for x in priors.seen])
    return rows.view(len(SOURCES), -1, rows.shape[1]).transpose(0, 1)


def cross(**changes: object) -> CrossLikelihood:
    config = replace(EvalConfig(signals=20, length=200, batch_size=20), **changes)  # type: ignore[arg-type]
    return CrossLikelihood(Subject(None, DATA, 0.1), config)


def test_noised_signals_are_the_clean_ones_and_one_noise_at_every_level() -> None:
    clean, low, high = (signals_of(cross(data_sigma=sigma)) for sigma in (0.0, 0.1, 0.3))
    assert clean.abs().max() <= 1
    torch.testing.assert_close((low - clean) / 0.1, (high - clean) / 0.3, rtol=0, atol=1e-5)
    assert ((high - clean) / 0.3).std() == pytest.approx(1, abs=0.03)
    assert high.abs().max() > 1


def test_clean_signals_are_the_test_set_whatever_the_subject() -> None:
    clean = signals_of(cross())
    assert torch.equal(clean, DATA.test_set(cross().evaluation))
    other = replace(cross(), subject=Subject(None, DATA, 0.359))
    assert torch.equal(signals_of(other), clean)


def test_amplitude_of_the_test_signals_is_one_or_as_in_training() -> None:
    evaluation, training = (signals_of(cross(amplitude=kind))[:, 1].abs() for kind in ("evaluation", "training"))
    assert set(evaluation.flatten().tolist()) == {1.0}
    assert training.min() >= 0.8 and training.max() <= 1.0
    assert len(training.unique()) == 20


def test_noise_curve_uses_one_set_of_clean_signals_at_every_level() -> None:
    priors = Recording()
    config = EvalConfig(signals=3, length=16, data_sigma=0.7)
    NoiseCurve(Subject(None, DATA, 0.1), config, data_sigmas=(0.0, 0.1, 0.2)).evaluate(priors, progress=False)
    clean, low, high = torch.cat(priors.seen).split(3)
    assert torch.equal(clean, DATA.test_set(replace(config, data_sigma=0.0)))
    torch.testing.assert_close(2 * (low - clean), high - clean, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("length", "remedy"),
    [(30, "30 samples, not a multiple of 4.*; use 28"), (2, "2 samples, not a multiple of 4.*; use 4")],
)
def test_length_that_the_priors_cannot_take_is_named(length: int, remedy: str, line: Pipeline) -> None:
    subject = subject_of(prior_step(TINY, "flowavenet"))
    config = EvalConfig(signals=1, length=length)
    wrong: list[Step] = [
        CrossLikelihood(subject, config),
        NoiseCurve(subject, config),
        ConstantInput(subject, length),
        RandomInput(subject, length, 1),
    ]
    for step in wrong:
        with pytest.raises(InputError, match=f"the test signal has {remedy}"):
            line.run(step)
        assert line.store.find(step.name, step.key) is None


def test_a_model_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown model 'maf'; use one of .*flowavenet"):
        steps.prior_step(replace(TINY, kinds={"maf": TINY.plan_of("pnf")}), "maf")
    with pytest.raises(InputError, match="the profile tiny has no plan for 'maf'; it has flowavenet, wavenet"):
        steps.prior_step(TINY, "maf")
    with pytest.raises(InputError, match="the profile trains no pnf by fine-tuning"):
        steps.prior_step(TINY, "pnf", sigma=0.077)


@pytest.mark.parametrize(
    ("model", "objective", "known"),
    [("flowavenet", "sigmoid", "likelihood, quarter_log_det"), ("wavenet", "quarter_log_det", "likelihood, sigmoid")],
)
def test_an_objective_that_a_kind_does_not_have_is_refused(model: str, objective: str, known: str) -> None:
    with pytest.raises(InputError, match=f"unknown objective '{objective}'; use one of {known}"):
        steps.prior_step(TINY, model, objective=objective)
