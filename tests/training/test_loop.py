"""The training loop: its schedule, its clipping, and that nothing can break a run but divergence."""

import logging
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from srcsep_core.data import toy
from srcsep_core.data.toy import SOURCES, ToyWorld, draw_sources
from srcsep_core.errors import DivergenceError, InputError
from srcsep_core.priors.flow import Flow
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.flowavenet import FLOWAVENET, flowavenet
from srcsep_core.priors.wavenet import WaveNetPriorConfig, wavenet_task
from srcsep_core.run.profiles import get_profile
from srcsep_core.training import loop as train
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import CHECKPOINT, TrainingResult, clip_gradients, learning_rate, new_network

FLOW = FlowConfig(blocks=1, flows=1, layers=1, width=2)
SHORT = TrainConfig(
    steps=40, batch_size=2, crop=32, learning_rate=1e-2, schedule="cosine", checkpoint_every=10, clip_norm=10.0
)


def run(folder: Path, config: TrainConfig = SHORT, *, run_key: str = "this run", **changes: object) -> TrainingResult:
    task = FLOWAVENET.task(FLOW, len(SOURCES), config.objective)
    return train.train(
        task, ToyWorld(), config, device=torch.device("cpu"), work_folder=folder, run_key=run_key, **changes
    )


def run_wavenet(folder: Path) -> TrainingResult:
    task = wavenet_task(WaveNetPriorConfig(layers=1, width=2, head_width=2), len(SOURCES))
    config = replace(SHORT, steps=20, crop=31)
    return train.train(task, ToyWorld(), config, device=torch.device("cpu"), work_folder=folder, run_key="wavenet")


def new_flow(seed: int) -> nn.Module:
    return new_network(lambda: flowavenet(FLOW, 2), seed)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """The result of a run that nothing interrupted."""
    return run(tmp_path_factory.mktemp("unbroken"))


def assert_same(ours: TrainingResult, theirs: TrainingResult) -> None:
    """Weights and curve are equal bit by bit."""
    expected = theirs.network.state_dict()
    assert ours.network.state_dict().keys() == expected.keys()
    different = [name for name, value in ours.network.state_dict().items() if not torch.equal(value, expected[name])]
    assert not different
    pd.testing.assert_frame_equal(ours.curve, theirs.curve, check_exact=True)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


# Schedule, clipping


@pytest.mark.parametrize(("step", "factor"), [(0, 0.25), (1, 0.5), (3, 1.0), (4, 1.0), (30, 1.0)])
def test_learning_rate_warms_up_linearly(step: int, factor: float) -> None:
    config = TrainConfig(steps=100, learning_rate=2e-3, warmup_steps=4)
    assert learning_rate(config, step) == pytest.approx(2e-3 * factor)


@pytest.mark.parametrize(
    ("step", "drops"), [(0, 0), (35, 0), (36, 1), (51, 1), (52, 2), (68, 3), (84, 4), (91, 4), (99, 4)]
)
def test_multistep_learning_rate_drops_at_the_milestones(step: int, drops: int) -> None:
    assert learning_rate(TrainConfig(steps=100), step) == pytest.approx(1e-4 * 0.6**drops)


@pytest.mark.parametrize(("step", "factor"), [(0, 1.0), (25, 0.8535534), (50, 0.5), (75, 0.1464466), (100, 0.0)])
def test_cosine_learning_rate_falls_to_zero(step: int, factor: float) -> None:
    config = TrainConfig(steps=100, learning_rate=1e-3, schedule="cosine")
    assert learning_rate(config, step) == pytest.approx(1e-3 * factor, abs=1e-9)


def flow_with_gradients(config: FlowConfig, groups: int) -> Flow:
    """A flow with random gradients, ten times larger for every further group."""
    flow = flowavenet(config, groups).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in flow.parameters():
        gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).view(groups, -1)
        for group in range(groups):
            gradient[group] *= 10.0**group
        parameter.grad = gradient.view_as(parameter)
    return flow


def gradients(flow: Flow, group: int = 0) -> Tensor:
    parts = [p.grad.view(flow.groups, -1)[group] for p in flow.parameters() if p.grad is not None]
    return torch.cat(parts)


@pytest.mark.parametrize("clip_norm", [0.1, 1e6])
def test_clipping_one_source_by_norm_is_that_of_pytorch(tiny_flow: FlowConfig, clip_norm: float) -> None:
    ours, theirs = (flow_with_gradients(tiny_flow, groups=1) for _ in range(2))
    clip_gradients(ours, TrainConfig(clip_norm=clip_norm, clip_value=1e9))
    nn.utils.clip_grad_norm_(theirs.parameters(), clip_norm)
    torch.testing.assert_close(gradients(ours), gradients(theirs), rtol=1e-12, atol=0)


def test_clipping_by_norm_looks_at_every_source_on_its_own(tiny_flow: FlowConfig) -> None:
    flow = flow_with_gradients(tiny_flow, groups=3)
    before = [gradients(flow, group).clone() for group in range(3)]
    limit = 2 * before[0].norm().item()
    clip_gradients(flow, TrainConfig(clip_norm=limit, clip_value=1e9))
    assert torch.equal(gradients(flow, 0), before[0])
    for group in (1, 2):
        torch.testing.assert_close(gradients(flow, group), before[group] * (limit / before[group].norm()))


def test_clipping_by_value_caps_every_entry(tiny_flow: FlowConfig) -> None:
    flow = flow_with_gradients(tiny_flow, groups=1)
    before = gradients(flow).clone()
    clip_gradients(flow, TrainConfig(clip_value=0.5, clip_norm=None))
    assert torch.equal(gradients(flow), before.clamp(-0.5, 0.5))


# Training


def test_loss_of_every_source_falls_in_the_smoke_profile(tmp_path: Path) -> None:
    smoke = get_profile("smoke")
    task = FLOWAVENET.task(smoke.kinds["flowavenet"].network, len(SOURCES), "likelihood")
    trained = train.train(
        task, ToyWorld(), smoke.kinds["flowavenet"].train, device=torch.device("cpu"), work_folder=tmp_path
    )
    curve = trained.curve.pivot(index="step", columns="source", values="loss")
    assert (curve.iloc[-1] < curve.iloc[0] - 0.05).all()


def test_curve_has_a_row_for_every_bin_and_source(unbroken: TrainingResult) -> None:
    assert unbroken.curve["step"].tolist() == [step for step in (10, 20, 30, 40) for _ in SOURCES]
    assert unbroken.curve["source"].tolist() == list(SOURCES) * 4


@pytest.mark.parametrize(("objective", "weight"), [("likelihood", 1.0), ("quarter_log_det", 0.25)])
def test_curve_shows_the_loss_that_is_trained(objective: str, weight: float, tmp_path: Path) -> None:
    config = TrainConfig(objective=objective, steps=13, batch_size=2, crop=32)  # type: ignore[arg-type]
    curve = run(tmp_path, config).curve
    assert curve["step"].unique().tolist() == [10, 13]
    assert curve["loss"].to_numpy() == pytest.approx((-curve["log_pz"] - weight * curve["log_det"]).to_numpy())


def test_curve_of_a_task_without_terms_has_the_loss_alone(tmp_path: Path) -> None:
    curve = run_wavenet(tmp_path).curve
    assert list(curve) == ["step", "source", "loss", "learning_rate"]
    assert len(curve) == 2 * len(SOURCES)


def test_same_seed_gives_the_same_weights_and_curve(tmp_path: Path, unbroken: TrainingResult) -> None:
    assert_same(run(tmp_path), unbroken)


def test_another_seed_gives_other_weights(tmp_path: Path, unbroken: TrainingResult) -> None:
    other = run(tmp_path, replace(SHORT, seed=1))
    for ours, theirs in zip(other.network.parameters(), unbroken.network.parameters(), strict=True):
        assert not torch.isclose(ours, theirs).all()


def test_how_often_checkpoints_are_kept_does_not_change_the_result(tmp_path: Path, unbroken: TrainingResult) -> None:
    assert_same(run(tmp_path, replace(SHORT, checkpoint_every=7)), unbroken)


@pytest.mark.parametrize(("kind", "largest"), [("gaussian", 2.0), ("scaled_clamped", 1.0)])
def test_crops_are_noisy_as_configured(
    kind: str, largest: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    terms = Flow.source_terms
    monkeypatch.setattr(Flow, "source_terms", lambda flow, x, sigma: seen.append(x) or terms(flow, x, sigma))
    monkeypatch.setattr(toy, "draw_sources", lambda *_: torch.ones(8, 4, 64))
    run(tmp_path, TrainConfig(steps=2, crop=64, noise_sigma=0.359, noise=kind))  # type: ignore[arg-type]
    assert largest - 0.5 < torch.stack(seen).max() <= largest + 0.5
    assert seen[0].std() > 0.05
    assert not torch.isclose(seen[0], seen[1]).all()


def test_fine_tuning_starts_from_the_weights_it_is_given(tmp_path: Path, unbroken: TrainingResult) -> None:
    standing = TrainConfig(steps=1, batch_size=2, crop=32, learning_rate=0.0)
    tuned = run(tmp_path, standing, initial=unbroken.network.state_dict())
    for name, value in unbroken.network.state_dict().items():
        assert torch.equal(tuned.network.state_dict()[name], value)


def test_global_random_state_is_left_alone(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1234)  # a state that no test before can have left
        before = torch.get_rng_state()
        new_flow(seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        run(tmp_path)
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("crop", "remedy"), [(33, "33 samples.*use 32"), (1, "at least 2|use 2")])
def test_crop_that_the_flow_cannot_squeeze_is_named(crop: int, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=remedy):
        run(tmp_path, TrainConfig(steps=1, crop=crop))


# Resuming

# A run that stops for ever at `place` and says so in the file `ready`, so that it can be killed right there.
STOPPING_RUN = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from srcsep_core.data import toy
from srcsep_core.training import loop as train
from test_loop import run

folder, place = Path(sys.argv[1]), sys.argv[2]
calls = {"draws": 0, "saves": 0}
draw_sources, save_weights = toy.draw_sources, train.save_weights

def stop():
    (folder / "ready").touch()
    time.sleep(600)

def draw(*arguments):
    calls["draws"] += 1
    if place == "between two checkpoints" and calls["draws"] == 26:
        stop()
    return draw_sources(*arguments)

def save(tensors, path, metadata):
    calls["saves"] += 1
    save_weights(tensors, path, metadata)
    if place == "while a checkpoint is written" and calls["saves"] == 3:
        path.write_bytes(path.read_bytes()[:1000])
        stop()

toy.draw_sources, train.save_weights = draw, save
run(folder)
"""


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Return when `path` exists; fail with the child's words if it ended without."""
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


@pytest.mark.parametrize("place", ["between two checkpoints", "while a checkpoint is written"])
def test_killed_and_continued_run_equals_an_unbroken_one(
    place: str,
    tmp_path: Path,
    unbroken: TrainingResult,
    start_python: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = start_python(STOPPING_RUN, tmp_path, place)
    wait_for(tmp_path / "ready", process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert read_checkpoint(tmp_path / CHECKPOINT)[1]["step"] == "20"

    draws: list[int] = []
    monkeypatch.setattr(toy, "draw_sources", lambda *a: draws.append(1) or draw_sources(*a))
    assert_same(run(tmp_path), unbroken)
    assert len(draws) == 20
    assert caplog.messages == ["train flow likelihood: resumed at step 20 of 40"]


def test_finished_run_is_read_from_its_checkpoint(
    tmp_path: Path, unbroken: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)
    monkeypatch.setattr(toy, "draw_sources", None)
    assert_same(run(tmp_path), unbroken)


def test_processor_time_counts_the_runs_before(tmp_path: Path) -> None:
    first = run(tmp_path, SHORT)
    assert first.cpu_seconds > 0
    path = tmp_path / CHECKPOINT
    tensors, metadata = read_checkpoint(path)
    save_file(tensors, path, metadata | {"cpu_seconds": "1000"})
    assert 1000 < run(tmp_path, SHORT).cpu_seconds < 1100


def test_checkpoints_leave_no_other_file(tmp_path: Path) -> None:
    run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def make_foreign(path: Path) -> None:
    tensors, metadata = read_checkpoint(path)
    save_file(tensors, path, metadata | {"run_key": "another run"})


def drop_random_state(path: Path) -> None:
    tensors, metadata = read_checkpoint(path)
    del tensors["generator"]
    save_file(tensors, path, metadata)


def resize_a_weight(path: Path) -> None:
    tensors, metadata = read_checkpoint(path)
    name = [name for name in tensors if name.startswith("model.")][-1]
    tensors[name] = torch.zeros(7)
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "cannot be read"),
        (empty, "cannot be read"),
        (make_foreign, "belongs to another run.*another run"),
        (drop_random_state, "cannot be read.*generator"),
        (resize_a_weight, "cannot be read.*size mismatch"),
    ],
)
def test_useless_checkpoint_is_named_and_set_aside_and_training_starts_anew(
    damage: Callable[[Path], None],
    reason: str,
    tmp_path: Path,
    unbroken: TrainingResult,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run(tmp_path)
    checkpoint = tmp_path / CHECKPOINT
    damage(checkpoint)
    bad = checkpoint.read_bytes()
    with caplog.at_level(logging.WARNING):
        again = run(tmp_path)
    (warning,) = caplog.messages
    assert str(checkpoint) in warning
    assert re.search(reason, warning, flags=re.DOTALL)
    assert checkpoint.with_suffix(".rejected").read_bytes() == bad
    assert_same(again, unbroken)


# Divergence


def test_divergence_names_step_sources_and_learning_rate(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match=r"step 10 for .*square.*lower the learning rate \(now 1e\+06\)") as error:
        run(tmp_path, TrainConfig(steps=40, batch_size=2, crop=32, learning_rate=1e6))
    assert "no checkpoint was reached" in str(error.value) and not list(tmp_path.iterdir())


def overflowing_from(step: int) -> Callable[..., Tensor]:
    """The data, but too large for float32 in one source from the given step on."""
    calls = []

    def draw(*arguments: object) -> Tensor:
        calls.append(1)
        x = draw_sources(*arguments)  # type: ignore[arg-type]
        if len(calls) > step:
            x[:, SOURCES.index("saw")] = 1e30
        return x

    return draw


def test_divergence_of_one_source_names_that_source_and_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy, "draw_sources", overflowing_from(step=25))
    with pytest.raises(DivergenceError, match="at step 30 for saw ") as error:
        run(tmp_path)
    assert f"the last good checkpoint is {tmp_path / CHECKPOINT}" in str(error.value)


def test_last_good_checkpoint_of_a_diverged_run_can_be_continued(
    tmp_path: Path, unbroken: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(DivergenceError):
        patch.setattr(toy, "draw_sources", overflowing_from(step=25))
        run(tmp_path)
    assert read_checkpoint(tmp_path / CHECKPOINT)[1]["step"] == "20"
    assert_same(run(tmp_path), unbroken)


def test_loss_that_runs_away_without_leaving_the_finite_numbers_is_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(*arguments: object) -> Tensor:
        x = draw_sources(*arguments)  # type: ignore[arg-type]
        return x if not (tmp_path / CHECKPOINT).exists() else 1e3 * x

    monkeypatch.setattr(toy, "draw_sources", draw)
    with pytest.raises(DivergenceError, match="sine, square, saw, triangle"):
        run(tmp_path, TrainConfig(steps=40, batch_size=2, crop=32, learning_rate=1e-6, checkpoint_every=5))
