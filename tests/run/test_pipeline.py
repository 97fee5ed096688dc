"""The graph of steps: what is asked for is made once, with its parents, and is the same ever after."""

import json
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from srcsep_core import diagnostics
from srcsep_core.config import resolved
from srcsep_core.data.base import EvalConfig
from srcsep_core.data.toy import SOURCES, ToyWorld, draw_test_set
from srcsep_core.errors import DivergenceError, InputError, StoreError
from srcsep_core.nn.wavenet import without_norms
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.flowavenet import FLOWAVENET
from srcsep_core.priors.wavenet import WaveNetPriorConfig
from srcsep_core.run import steps
from srcsep_core.run.pipeline import Pipeline, StepStatus, resolve_device
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import CrossLikelihood, TrainPriors, cross_likelihood_step, prior_step, steps_of
from srcsep_core.run.store import Store
from srcsep_core.training import loop as train
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import CHECKPOINT

TRAINING = TrainConfig(steps=6, batch_size=2, crop=32, learning_rate=1e-2, checkpoint_every=2)
FLOW = FlowConfig(blocks=1, flows=1, layers=1, width=2)
TINY = (
    replace(get_profile("smoke"), name="tiny", evaluation=EvalConfig(signals=5, length=32, batch_size=2))
    .with_plan("flowavenet", network=FLOW, train=TRAINING)
    .with_plan("wavenet", network=WaveNetPriorConfig(layers=1, width=2, head_width=2), train=TRAINING)
)
PRIOR = prior_step(TINY, "flowavenet")
TABLE = cross_likelihood_step(TINY, PRIOR)


@pytest.fixture
def line(tmp_path: Path) -> Pipeline:
    """A pipeline with an empty cache and nothing shipped."""
    return Pipeline(Store(tmp_path / "cache"), train=True)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The run keys of the trainings that took place."""
    keys: list[str] = []

    def counted(*arguments: object, run_key: str, **others: object) -> train.TrainingResult:
        keys.append(run_key)
        return train.train(*arguments, run_key=run_key, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(steps.training, "train", counted)
    return keys


def states(line: Pipeline, *wanted: steps.Step) -> list[str]:
    return [one.state for one in line.status(wanted)]


def details(line: Pipeline, *wanted: steps.Step) -> list[str]:
    return [one.detail for one in line.status(wanted)]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with what it holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def weights(flow: nn.Module) -> list[torch.Tensor]:
    return list(flow.state_dict().values())


def assert_same_weights(ours: nn.Module, theirs: nn.Module) -> None:
    assert all(torch.equal(a, b) for a, b in zip(weights(ours), weights(theirs), strict=True))


def stop_at(step: int, error: BaseException) -> Callable[[object], None]:
    """An `advance` that raises in place of the given step (counted from 1)."""
    advance = train._Run.advance

    def stopping(run: train._Run) -> None:
        if run.step + 1 == step:
            raise error
        advance(run)

    return stopping


# What a step makes


def test_status_goes_from_missing_to_made(line: Pipeline) -> None:
    assert states(line, PRIOR) == ["missing"]
    line.run(PRIOR)
    assert states(line, PRIOR) == ["made"]


def test_asking_for_status_makes_nothing(line: Pipeline) -> None:
    states(line, *steps_of(TINY))
    assert not line.store.root.exists()


def test_status_says_what_is_damaged_and_why_and_changes_nothing(line: Pipeline, tmp_path: Path) -> None:
    target = line.ship(PRIOR, tmp_path / "shipped")
    weights = line.run(PRIOR) / steps.WEIGHTS
    weights.write_bytes(b"")
    user = Pipeline(Store(line.store.root, shipped=tmp_path / "shipped"))
    before = tree(tmp_path)
    for pipeline, used in ((line, ""), (user, "; the shipped one is used")):
        assert states(pipeline, PRIOR) == ["damaged"]
        (detail,) = details(pipeline, PRIOR)
        assert detail.startswith(f"{weights.parent}: the file {steps.WEIGHTS} has 0 bytes") and detail.endswith(used)
    assert tree(tmp_path) == before
    assert user.run(PRIOR).path == target
    assert states(user, PRIOR) == ["shipped"], "it was set aside"


def test_status_says_who_is_making_a_step(line: Pipeline) -> None:
    seen: list[StepStatus] = []
    line.store.make_anew(PRIOR.name, PRIOR.key, lambda folder, work: seen.extend(line.status([PRIOR])))
    (found,) = seen
    assert found.state == "running"
    assert found.detail.startswith(f"being made by process {os.getpid()} on {socket.gethostname()}, since 2")
    assert states(line, PRIOR) != ["running"]


def test_training_happens_once(line: Pipeline, trainings: list[str]) -> None:
    line.run(PRIOR)
    line.priors(PRIOR)
    line.values(TABLE)
    assert trainings == [PRIOR.key]


def test_asking_for_a_step_makes_its_parents(line: Pipeline, trainings: list[str]) -> None:
    line.run(TABLE)
    assert trainings == [PRIOR.key]
    assert states(line, PRIOR, TABLE) == ["made", "made"]


def test_priors_have_the_weights_and_curve_that_training_ends_with(line: Pipeline, tmp_path: Path) -> None:
    priors = line.priors(PRIOR)
    task = FLOWAVENET.task(FLOW, len(SOURCES), "likelihood")
    trained = train.train(
        task, ToyWorld(), TRAINING, device=torch.device("cpu"), work_folder=tmp_path, run_key="direct"
    )
    assert_same_weights(priors.flow, without_norms(trained.network))
    pd.testing.assert_frame_equal(priors.curve, trained.curve, rtol=1e-5)


def test_prior_knows_the_noise_level_that_it_was_trained_at(line: Pipeline) -> None:
    noisy = prior_step(TINY, "flowavenet", noise_sigma=0.077)
    assert line.priors(noisy).prior("sine").sigma == 0.077
    assert line.priors(PRIOR).prior("sine").sigma == 0


def test_cross_likelihood_is_that_of_the_trained_prior_on_the_test_set(line: Pipeline) -> None:
    priors = line.priors(PRIOR)
    signals = draw_test_set(ToyWorld(), TINY.evaluation.signals, TINY.evaluation.length, TINY.evaluation.seed)
    expected = diagnostics.likelihood_table(priors, signals, batch_size=2)
    pd.testing.assert_frame_equal(line.values(TABLE), expected, rtol=1e-7)


def test_another_cache_holds_the_same_result_bit_by_bit(line: Pipeline, tmp_path: Path) -> None:
    other = Pipeline(Store(tmp_path / "other"), train=True)
    ours, theirs = (p.run(TABLE) for p in (line, other))
    assert (ours / steps.VALUES).read_bytes() == (theirs / steps.VALUES).read_bytes()


def test_provenance_names_step_device_and_parents(line: Pipeline) -> None:
    facts = line.run(TABLE).provenance
    assert facts["title"] == TABLE.title
    assert facts["device"] == "cpu"
    assert facts["parents"] == [PRIOR.key]


def test_configuration_lies_beside_the_weights(line: Pipeline) -> None:
    written = json.loads((line.run(PRIOR) / steps.CONFIG).read_text())
    assert written["flow"] == resolved(FLOW)
    assert written["data"] == resolved(ToyWorld())


# Keys


@pytest.mark.parametrize(
    "other",
    [
        prior_step(TINY, "flowavenet", objective="quarter_log_det"),
        prior_step(TINY, "flowavenet", variant="uniform_hz"),
        prior_step(TINY, "flowavenet", seed=1),
        prior_step(TINY, "flowavenet", noise_sigma=0.1),
        prior_step(TINY.with_plan("flowavenet", network=replace(FLOW, width=3)), "flowavenet"),
    ],
    ids=["objective", "variant", "seed", "noise", "size"],
)
def test_key_of_a_prior_and_of_what_is_made_from_it_depends_on_its_configuration(other: TrainPriors) -> None:
    assert other.key != PRIOR.key
    assert replace(TABLE, subject=replace(TABLE.subject, trained=other)).key != TABLE.key


@pytest.mark.parametrize(
    "same",
    [prior_step(TINY, "flowavenet", checkpoint_every=5), prior_step(replace(TINY, name="another name"), "flowavenet")],
    ids=["saves", "name"],
)
def test_key_of_a_prior_does_not_depend_on_what_leaves_it_the_same(same: TrainPriors) -> None:
    assert same.key == PRIOR.key


def test_key_of_a_table_depends_on_the_test_set_but_not_on_how_it_is_cut_into_batches() -> None:
    def table(**changes: object) -> CrossLikelihood:
        return replace(TABLE, evaluation=replace(TABLE.evaluation, **changes))  # type: ignore[arg-type]

    others = [table(signals=6), table(length=64), table(seed=1), table(data_sigma=0.1), table(amplitude="training")]
    assert len({step.key for step in [*others, TABLE]}) == 6
    assert table(batch_size=3).key == TABLE.key


# Interrupted, made anew, shipped


def test_interrupted_training_shows_its_step_and_is_continued(
    line: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train._Run, "advance", stop_at(6, KeyboardInterrupt()))
        line.run(PRIOR)
    assert states(line, PRIOR, TABLE) == ["unfinished", "missing"]
    assert details(line, PRIOR) == ["stopped at step 4 of 6"]

    with monkeypatch.context() as patch:
        patch.setattr(train._Run, "advance", stop_at(4, AssertionError("started anew")))
        continued = line.priors(PRIOR)
    assert states(line, PRIOR) == ["made"]
    assert_same_weights(continued.flow, Pipeline(Store(tmp_path / "unbroken"), train=True).priors(PRIOR).flow)


def test_diverged_training_leaves_its_last_checkpoint_and_no_artefact(
    line: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train._Run, "advance", stop_at(5, DivergenceError("training diverged")))
    with pytest.raises(DivergenceError):
        line.run(PRIOR)
    assert details(line, PRIOR) == ["stopped at step 4 of 6"]


def test_remake_trains_anew_and_gives_the_same_weights(line: Pipeline, trainings: list[str]) -> None:
    first = line.priors(PRIOR)
    line.remake(PRIOR)
    again = line.priors(PRIOR)
    assert trainings == [PRIOR.key] * 2
    assert_same_weights(again.flow, first.flow)


def test_remake_of_what_is_missing_makes_it(line: Pipeline, trainings: list[str]) -> None:
    line.remake(PRIOR)
    assert states(line, PRIOR) == ["made"]
    assert trainings == [PRIOR.key]


def test_interrupted_remake_keeps_what_was_there_and_is_continued(
    line: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = line.priors(PRIOR)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train._Run, "advance", stop_at(4, KeyboardInterrupt()))
        line.remake(PRIOR)
    assert_same_weights(line.priors(PRIOR).flow, first.flow)
    assert details(line, PRIOR) == ["stopped at step 2 of 6; the made one is used"]
    monkeypatch.setattr(train._Run, "advance", stop_at(2, AssertionError("started anew")))
    line.remake(PRIOR)
    assert_same_weights(line.priors(PRIOR).flow, first.flow)


def test_shipped_prior_is_found_with_an_empty_cache(line: Pipeline, tmp_path: Path, trainings: list[str]) -> None:
    target = line.ship(PRIOR, tmp_path / "shipped")
    user = Pipeline(Store(tmp_path / "empty", shipped=tmp_path / "shipped"))
    assert target == tmp_path / "shipped" / PRIOR.title
    assert states(user, PRIOR, TABLE) == ["shipped", "missing"]
    assert_same_weights(user.priors(PRIOR).flow, line.priors(PRIOR).flow)
    pd.testing.assert_frame_equal(user.values(TABLE), line.values(TABLE))
    assert trainings == [PRIOR.key]


def test_shipping_again_replaces_and_leaves_nothing_else(line: Pipeline, tmp_path: Path) -> None:
    for _ in range(2):
        line.ship(PRIOR, tmp_path / "shipped")
    assert [path.name for path in (tmp_path / "shipped").iterdir()] == [PRIOR.title]


def test_steps_that_differ_are_shipped_side_by_side(line: Pipeline, tmp_path: Path) -> None:
    for step in (
        PRIOR,
        prior_step(TINY, "flowavenet", noise_sigma=0.077),
        prior_step(TINY, "flowavenet", variant="uniform_hz"),
    ):
        line.ship(step, tmp_path / "shipped")
    assert len(list((tmp_path / "shipped").iterdir())) == 3


def test_remake_of_a_shipped_prior_trains_and_is_used_from_then_on(
    line: Pipeline, tmp_path: Path, trainings: list[str]
) -> None:
    line.ship(PRIOR, tmp_path / "shipped")
    user = Pipeline(Store(tmp_path / "empty", shipped=tmp_path / "shipped"), train=True)
    user.remake(PRIOR)
    assert states(user, PRIOR) == ["made"]
    assert trainings == [PRIOR.key] * 2


def test_every_file_can_be_read_by_whom_the_umask_lets(line: Pipeline, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
            patch.setattr(train._Run, "advance", stop_at(4, KeyboardInterrupt()))
            line.run(PRIOR)
        checkpoint = line.store.work_folder(PRIOR.name, PRIOR.key) / CHECKPOINT
        assert stat.S_IMODE(checkpoint.stat().st_mode) == 0o640
        made = [line.run(PRIOR).path, line.run(TABLE).path, line.ship(PRIOR, tmp_path / "shipped")]
    finally:
        os.umask(before)
    files = [path for folder in made for path in folder.iterdir()]
    assert {path.name for path in files} > {"weights.safetensors", "complete.json", "values.csv"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o640}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in made} == {0o750}


# Trouble


@pytest.mark.parametrize("place", ["srcsep_core.training.loop", "srcsep_core.run.steps.training"])
def test_full_disk_while_weights_are_saved_is_named(
    place: str, line: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch, pytest.raises(StoreError, match=r"no space left.*SRCSEP_CACHE") as error:
        patch.setattr(f"{place}.save_weights", full)
        line.run(PRIOR)
    assert str(line.store.root) in str(error.value)
    assert states(line, PRIOR)[0] in ("missing", "unfinished")
    line.run(PRIOR)
    assert states(line, PRIOR) == ["made"]


@pytest.mark.parametrize("name", ["gpu", "CPU", "cuda:7", ""])
def test_unknown_device_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"unknown device '{name}'; use auto, cpu or cuda"):
        resolve_device(name)


def test_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="PyTorch finds no GPU; use auto or cpu"):
        resolve_device("cuda")


@pytest.mark.parametrize(("gpu", "expected"), [(False, "cpu"), (True, "cuda")])
def test_auto_takes_a_gpu_if_there_is_one(gpu: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert resolve_device("auto").type == expected
    assert resolve_device("cpu").type == "cpu"


# --- Fine-tuning ----------------------------------------------------------------------------------

REFINED = replace(PRIOR, label="refined", train=replace(TRAINING, learning_rate=0.0, seed=1), initial=PRIOR)


def test_fine_tuning_starts_from_the_weights_of_the_first_training(line: Pipeline) -> None:
    first = line.priors(PRIOR).flow.state_dict()
    refined = line.priors(REFINED).flow.state_dict()
    assert all(torch.equal(first[name], refined[name]) for name in first)


def test_status_lists_the_first_training_only_while_it_is_needed(line: Pipeline, tmp_path: Path) -> None:
    assert [one.step.key for one in line.status([REFINED])] == [PRIOR.key, REFINED.key]
    line.run(REFINED)
    line.ship(REFINED, tmp_path / "shipped")
    elsewhere = Pipeline(Store(tmp_path / "empty", shipped=tmp_path / "shipped"))
    assert states(elsewhere, REFINED) == ["shipped"]
