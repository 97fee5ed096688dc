"""The step that separates mixes: its table, key and title, the priors that it loads, and every method."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from srcsep_core.baselines.base import all_methods
from srcsep_core.baselines.nmf import SupervisedNMF
from srcsep_core.data.mixes import MixConfig, Mixes, draw_mixes
from srcsep_core.data.toy import ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.metrics import FAILURE_KINDS, si_sdr
from srcsep_core.nn.denoiser import DenoiserConfig
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.ladder import NoiseLadder
from srcsep_core.priors.oracle import OraclePrior
from srcsep_core.priors.pnf import PnFConfig
from srcsep_core.priors.wavenet import WaveNetPriorConfig
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.steps import VALUES, TrainPriors, choices
from srcsep_core.run.steps import separation as steps
from srcsep_core.run.steps.choices import UNCONSTRAINED, MethodChoice, PriorChoice, SamplerChoice
from srcsep_core.run.steps.separation import SeparateMixes, measure
from srcsep_core.run.store import Store
from srcsep_core.samplers import (
    SAMPLERS,
    GibbsConfig,
    LangevinConfig,
    PnFSamplerConfig,
    ProjectionConfig,
    Separation,
    gibbs,
    unconstrained_langevin,
)
from srcsep_core.samplers.separator import PriorSeparator
from srcsep_core.training.config import TrainConfig

DATA = ToyWorld(sources=("sine", "square"))
PAIR = MixConfig(DATA.sources, mixes=3, length=32)
LONG = replace(PAIR, length=512)
TRAINING = TrainConfig(steps=2, batch_size=2, crop=32, learning_rate=1e-3, checkpoint_every=2)
FLOW = FlowConfig(blocks=2, flows=1, layers=1, width=2)
PNF = PnFConfig(layers=2, width=2, head_width=4)
DENOISER = DenoiserConfig(classes=2, channels=(8, 16), strides=(4,), middle=1, heads=2, window=32)
COLUMNS = ["mix", "k", "source", "si_sdr", "si_sdri", "si_sir", "si_sar", "failure", "residual", "chains_run"]


def flow_at(sigma: float) -> TrainPriors:
    return TrainPriors("flowavenet", "tiny", DATA, replace(TRAINING, noise_sigma=sigma), FLOW)


CONDITIONAL = TrainPriors(
    "flowavenet", "tiny", DATA, TRAINING, ConditionalFlowConfig(blocks=2, flows=1, layers=1, width=2)
)
TRAINED = TrainPriors("denoiser", "tiny", DATA, TRAINING, DENOISER)
PRIORS = {
    "oracle": PriorChoice("oracle", DATA),
    "denoiser": PriorChoice("denoiser", DATA, (TRAINED,)),
    "pnf": PriorChoice("pnf", DATA, (TrainPriors("pnf", "tiny", DATA, TRAINING, PNF),)),
    "flows": PriorChoice("flows", DATA, (flow_at(0.1), flow_at(0.5))),
    "conditional": PriorChoice("conditional", DATA, (CONDITIONAL,)),
}
CONFIGS: dict[str, Any] = {
    "gibbs": GibbsConfig(sigma_max=1.0, sigma_min=0.1, levels=2, swaps=1, max_chains=2, draw_steps=2),
    "langevin": LangevinConfig(sigma_max=0.5, sigma_min=0.1, levels=2, steps=2),
    "projection": ProjectionConfig(sigma_max=1.0, levels=3),
    "pnf": PnFSamplerConfig(sigma_max=1.0, levels=2, updates=2),
    UNCONSTRAINED: None,
}


@pytest.fixture
def line(tmp_path: Path) -> Pipeline:
    """A pipeline with an empty cache and nothing shipped."""
    return Pipeline(Store(tmp_path / "cache"), train=True)


def separation(
    prior: str | PriorChoice = "denoiser",
    sampler: str = "gibbs",
    *,
    data: ToyWorld = DATA,
    mixes: MixConfig = PAIR,
    config: Any = None,
    **changes: Any,
) -> SeparateMixes:
    chosen = PRIORS[prior] if isinstance(prior, str) else prior
    choice = SamplerChoice(chosen, sampler, config or CONFIGS[sampler], batch=2)
    return SeparateMixes(data, mixes, replace(choice, **changes))


def by_method(name: str, data: ToyWorld = DATA, mixes: MixConfig = LONG) -> SeparateMixes:
    return SeparateMixes(data, mixes, MethodChoice(name))


def table_of(line: Pipeline, step: SeparateMixes) -> pd.DataFrame:
    return pd.read_csv(line.run(step) / VALUES)


def check_table(table: pd.DataFrame, mixes: MixConfig) -> None:
    count = len(mixes.sources)
    assert list(table) == COLUMNS
    assert table["mix"].tolist() == [b for b in range(mixes.mixes) for _ in range(count)]
    assert table["k"].tolist() == list(range(count)) * mixes.mixes
    assert table["source"].tolist() == list(mixes.sources) * mixes.mixes
    assert set(table["failure"]) <= set(FAILURE_KINDS)
    assert table[["si_sdr", "si_sdri", "si_sir", "si_sar"]].notna().all(axis=None)


# Separation with priors


@pytest.mark.parametrize("sampler", CONFIGS)
def test_every_sampler_makes_its_table(sampler: str, line: Pipeline) -> None:
    step = separation(sampler=sampler)
    artefact = line.run(step)
    table = pd.read_csv(artefact / VALUES)
    check_table(table, PAIR)
    assert table.groupby("mix")["residual"].nunique().eq(1).all() and table["residual"].gt(0).all()
    assert table["chains_run"].isin([1, 2] if sampler == "gibbs" else [1]).all()
    assert artefact.provenance["seconds_per_mix"] > 0 and artefact.provenance["device"] == "cpu"


@pytest.mark.parametrize("prior", PRIORS)
def test_every_prior_is_sampled_from(prior: str, line: Pipeline) -> None:
    short = GibbsConfig(sigma_max=1.0, sigma_min=0.2, levels=1, swap="none", max_chains=1, polish=0)
    config = short if prior == "oracle" else CONFIGS["gibbs"]
    check_table(table_of(line, separation(prior, config=config)), PAIR)


def test_table_is_that_of_the_sampler_itself(line: Pipeline) -> None:
    """Batch by batch, each with a seed of its own."""
    step = separation("flows", seed=7)
    table, drawn, load = table_of(line, step), draw_mixes(DATA, PAIR), PRIORS["flows"].load(line)
    parts = []
    for index, mix in enumerate(drawn.mix.split(2)):
        generator = torch.Generator().manual_seed(7 + index)
        priors = [load(name) for name in PAIR.sources]
        parts.append(SAMPLERS["gibbs"](mix, priors, config=CONFIGS["gibbs"], generator=generator))
    estimates = torch.cat([part.sources for part in parts])
    expected = si_sdr(estimate=estimates, reference=drawn.sources).flatten()
    assert table["si_sdr"].tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-3)
    residual = torch.cat([part.residual for part in parts]) / drawn.mix[:, 0].square().mean(dim=1).sqrt()
    assert table["residual"].tolist() == pytest.approx(residual.repeat_interleave(2).tolist(), rel=1e-3)


@pytest.mark.slow
def test_oracle_separates_what_is_not_hidden(line: Pipeline) -> None:
    mixes = replace(PAIR, length=256, mixes=2)
    config = GibbsConfig(levels=12, max_chains=4)
    table = table_of(line, separation("oracle", mixes=mixes, config=config))
    assert table["si_sdr"].min() > 15 and table["si_sdri"].min() > 8 and table["residual"].max() < 0.05
    assert set(table["failure"]) == {"none"}


def test_unconstrained_dynamics_are_given_the_truth_and_no_mix(line: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def stay(sources: Tensor, priors: Sequence[DenoisingPrior], *, generator: torch.Generator, **_: Any) -> Separation:
        given.append(sources)
        return unconstrained_langevin(sources, priors, steps=0, start_noise=0.0, generator=generator)

    monkeypatch.setattr("srcsep_core.samplers.separator.unconstrained_langevin", stay)
    table = table_of(line, separation("oracle", UNCONSTRAINED))
    assert torch.equal(torch.cat(given), draw_mixes(DATA, PAIR).sources)
    assert table["si_sdr"].min() > 60 and table["residual"].max() < 1e-6


def test_same_step_gives_the_same_table_and_is_made_once(line: Pipeline, tmp_path: Path) -> None:
    first, other = table_of(line, separation()), Pipeline(Store(tmp_path / "other"), progress=True, train=True)
    pd.testing.assert_frame_equal(table_of(other, separation()), first, check_exact=True)
    line.run(separation())
    made = [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir() and not path.name.startswith(".")]
    assert {"separation", "denoiser-prior"} <= set(made)
    assert line.store.find("separation", separation().key) is not None
    another = table_of(line, separation(seed=1))
    assert not another["si_sdr"].equals(first["si_sdr"])


def test_sources_of_one_class_are_matched_to_their_references() -> None:
    names = ("sine", "square", "sine")
    drawn = draw_mixes(DATA, MixConfig(names, mixes=4, length=300))
    swapped = drawn.sources[:, [2, 1, 0]]
    found = measure(drawn, swapped, names)
    assert found["si_sdr"].min() > 60 and set(found["failure"]) == {"none"}
    wrong = measure(drawn, drawn.sources[:, [1, 0, 2]], names)
    assert wrong.query("k == 2")["si_sdr"].min() > 60
    assert wrong.query("k < 2")["si_sdr"].max() < 20, "sources of different classes are not exchanged"


# Which priors


def test_choice_without_training_is_the_oracle_of_its_world(line: Pipeline) -> None:
    load = PriorChoice("oracle", ToyWorld("piano_keys")).load(line)
    prior = load("saw")
    assert isinstance(prior, OraclePrior) and prior.source == "saw" and prior.data.variant == "piano_keys"


def test_flows_of_several_levels_are_a_ladder(line: Pipeline) -> None:
    prior = PRIORS["flows"].load(line)("square")
    assert isinstance(prior, NoiseLadder) and list(prior.levels) == [0.1, 0.5]
    assert [flow.sigma for flow in prior.levels.values()] == [0.1, 0.5]
    alone = PRIORS["conditional"].load(line)("sine")
    assert isinstance(alone, NoiseLadder) and alone.nearest(0.3)[0] == 0.3


def test_priors_can_be_put_through_a_ladder_of_levels(line: Pipeline) -> None:
    choice = replace(PRIORS["denoiser"], ladder=(0.1, 0.5))
    plain, prior = PRIORS["denoiser"].load(line)("sine"), choice.load(line)("sine")
    assert isinstance(prior, NoiseLadder) and [prior.nearest(sigma)[0] for sigma in (0.02, 0.2, 0.3)] == [0.1, 0.1, 0.5]
    x = 0.1 * torch.ones(1, 1, 32)
    torch.testing.assert_close(prior.denoise(x, 0.2), plain.denoise(x, 0.1), rtol=0, atol=1e-5)
    assert PRIORS["denoiser"].config.keys() < choice.config.keys() and choice.config["ladder"] == [0.1, 0.5]
    check_table(table_of(line, separation(prior=choice)), PAIR)


class Clock:
    """A clock that stands still unless it is told to move on, in seconds."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time

    def taking(self, seconds: float, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, which takes so many seconds."""

        def run(*arguments: Any, **settings: Any) -> Any:
            self.time += seconds
            return work(*arguments, **settings)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that separations are timed by; loading priors takes 1000 s."""
    found = Clock()
    monkeypatch.setattr(steps, "perf_counter", found)
    monkeypatch.setattr(choices, "load_priors", found.taking(1000, choices.load_priors))
    return found


def test_time_of_a_mix_is_the_samplers_alone(clock: Clock, line: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither loading nor the first call counts: three mixes in batches of two and one take 6 s each batch."""
    levels = []

    def first_is_slow(*arguments: Any, config: GibbsConfig, **settings: Any) -> Separation:
        clock.time += 6 if levels else 500
        levels.append((len(arguments[0]), config.levels, config.max_chains))
        return gibbs(*arguments, config=config, **settings)

    monkeypatch.setitem(SAMPLERS, "gibbs", first_is_slow)
    assert line.run(separation()).provenance["seconds_per_mix"] == pytest.approx(2 * 6 / 3)
    assert levels == [(1, 1, 1), (2, 2, 2), (1, 2, 2)] and clock.time == 1512


@pytest.mark.parametrize(("batch", "expected"), [(2, 50 / 1), (1, 100 / 2), (3, 50 / 3)])
def test_first_batch_is_not_timed_where_there_is_no_other_way_to_warm_up(
    batch: int, expected: float, clock: Clock, line: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is the only one."""
    monkeypatch.setattr(
        "srcsep_core.samplers.separator.unconstrained_langevin", clock.taking(50, unconstrained_langevin)
    )
    found = line.run(separation(sampler=UNCONSTRAINED, batch=batch))
    assert found.provenance["seconds_per_mix"] == pytest.approx(expected)


def test_warming_up_does_not_change_the_result(line: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    warm = table_of(line, separation())
    monkeypatch.setattr(PriorSeparator, "shortest", lambda self: None)
    cold = table_of(Pipeline(Store(tmp_path / "other"), train=True), separation())
    pd.testing.assert_frame_equal(warm, cold, check_exact=True)


def test_learning_of_dictionaries_is_not_timed(clock: Clock, line: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SupervisedNMF, "fit", clock.taking(1000, SupervisedNMF.fit))
    monkeypatch.setattr(SupervisedNMF, "separate", clock.taking(9, SupervisedNMF.separate))
    found = line.run(by_method("nmf"))
    assert found.provenance["seconds_per_mix"] == pytest.approx(9 / 3) and clock.time == 1009


WAVENET = TrainPriors("wavenet", "tiny", DATA, TRAINING, WaveNetPriorConfig(layers=2, width=2, head_width=4))


@pytest.mark.parametrize("trained", [(WAVENET,), (flow_at(0.1), WAVENET), (TRAINED, flow_at(0.1))])
def test_priors_that_are_no_ladder_are_refused(trained: tuple[TrainPriors, ...], line: Pipeline) -> None:
    step = separation(PriorChoice("mixed", DATA, trained))
    with pytest.raises(
        InputError, match=r"the priors mixed (have no score that a sampler can use|are no ladder of noise levels)"
    ):
        line.run(step)
    assert line.store.find(step.name, step.key) is None


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (
            separation(sampler="anneal", config=CONFIGS["gibbs"]),
            f"unknown sampler 'anneal'; use one of gibbs, .*{UNCONSTRAINED}",
        ),
        (
            separation(sampler="langevin-released", config=CONFIGS["langevin"]),
            f"unknown sampler 'langevin-released'; it is now called {UNCONSTRAINED}",
        ),
        (
            by_method("magic"),
            "unknown method 'magic'; use one of convtasnet, encoder, fastica, hdemucs, ibm, irm, mix, nmf",
        ),
    ],
)
def test_unknown_name_is_refused(step: SeparateMixes, sentence: str, line: Pipeline) -> None:
    with pytest.raises(InputError, match=sentence):
        line.run(step)
    assert line.store.find(step.name, step.key) is None


# Keys and titles


def variations() -> list[SeparateMixes]:
    """Steps that differ in one thing each."""
    gibbs, step = CONFIGS["gibbs"], separation()
    sampled = [
        step,
        *(separation(config=replace(gibbs, **c)) for c in ({"levels": 3}, {"swap": "none"}, {"estimate_gains": True})),
        *(separation(sampler=name) for name in ("langevin", "projection", UNCONSTRAINED)),
        *(separation(name) for name in ("oracle", "flows")),
        *(separation(replace(PRIORS["denoiser"], ladder=ladder)) for ladder in ((0.1, 0.5), (0.1,))),
        separation(seed=1),
        separation(batch=3),
        separation(PriorChoice("denoiser", DATA, (replace(TRAINED, train=replace(TRAINING, seed=1)),))),
    ]
    methods = [by_method(name) for name in all_methods()]
    changes: list[dict[str, Any]] = [
        {"mixes": 4},
        {"length": 64},
        {"seed": 1},
        {"gains": (0.5, 2.0)},
        {"noise": 0.1},
        {"sources": ("square", "sine")},
        {"sources": ("sine", "sine")},
    ]
    for one in (step, methods[0]):
        methods += [replace(one, mixes=replace(one.mixes, **change)) for change in changes]
        methods += [replace(one, data=ToyWorld(variant, DATA.sources)) for variant in ("uniform_hz", "piano_keys")]
    return sampled + methods


def test_key_and_title_depend_on_everything_that_the_result_does() -> None:
    keys = [step.key for step in variations()]
    assert len(set(keys)) == len(keys) == len({step.title for step in variations()})
    assert keys == [step.key for step in variations()], "and on nothing else"
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]*", s.title) and len(s.title) < 120 for s in variations())
    one = separation(config=GibbsConfig(sigma_max=3))
    assert one.key == separation(config=GibbsConfig(sigma_max=3.0)).key, "however numbers are written"


def test_titles_name_what_is_separated_how() -> None:
    step, other = separation(), by_method("irm")
    assert step.title == f"separation-denoiser-gibbs-whole_periods-sine-square-3-{step.key[:8]}"
    assert other.title == f"baseline-irm-none-whole_periods-sine-square-3-{other.key[:8]}"


def test_parents_are_the_steps_that_trained_the_priors() -> None:
    assert separation("oracle").parents == () and separation().parents == (TRAINED,)
    assert separation("flows").parents == (flow_at(0.1), flow_at(0.5))
    assert by_method("mix").parents == ()


def test_every_choice_says_what_supervision_it_has() -> None:
    found = {step.choice.labels: step.choice.supervision for step in variations()}
    assert found["denoiser", "gibbs"] == found["flows", "gibbs"] == "single sources"
    assert found["oracle", "gibbs"] == found["denoiser", UNCONSTRAINED] == "truth"
    methods = {"mix": "nothing", "nmf": "single sources", "irm": "truth", "ibm": "truth", "fastica": "mixes"}
    methods |= {"convtasnet": "mixes", "hdemucs": "mixes", "encoder": "single sources", "vae-bss": "nothing"}
    assert {name: found[name, "none"] for name in all_methods()} == methods


# Methods


@pytest.mark.parametrize("name", [name for name, method in all_methods().items() if not method.model])
def test_every_method_makes_its_table(name: str, line: Pipeline) -> None:
    table = table_of(line, by_method(name))
    check_table(table, LONG)
    assert table["residual"].isna().all() and table["chains_run"].eq(0).all()
    gained = table["si_sdri"].mean()
    assert abs(gained) < 1e-6 if name == "mix" else gained > (0 if name == "nmf" else 3)
    again = table_of(Pipeline(Store(line.store.root / "again"), train=True), by_method(name))
    pd.testing.assert_frame_equal(again, table, check_exact=True)


# The measures


def test_measures_of_true_scaled_and_silent_estimates() -> None:
    drawn = draw_mixes(DATA, MixConfig(DATA.sources, mixes=2, length=300))
    table = measure(drawn, 0.5 * drawn.sources, DATA.sources)
    assert table["si_sdr"].min() > 60 and set(table["failure"]) == {"none"}
    none = measure(drawn, torch.zeros_like(drawn.sources), DATA.sources)
    assert none["si_sdr"].eq(-math.inf).all() and set(none["failure"]) == {"silent"}
    assert list(table) == COLUMNS[:-2]
    crossed = measure(Mixes(drawn.mix, drawn.sources, drawn.gains), drawn.sources.flip(1), DATA.sources)
    assert set(crossed["failure"]) == {"swap"}
