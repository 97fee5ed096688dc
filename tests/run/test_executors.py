"""Executors: parents before children, the same artefacts from workers as from here, errors passed on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from srcsep_core.data.base import EvalConfig
from srcsep_core.errors import DivergenceError
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.run.executors import Here, Workers, executor_for, prepare
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import VALUES, Step, cross_likelihood_step, prior_step
from srcsep_core.run.store import Store
from srcsep_core.training.config import TrainConfig

TRAINING = TrainConfig(steps=3, batch_size=2, crop=32, checkpoint_every=2)
TINY = replace(get_profile("smoke"), evaluation=EvalConfig(signals=2, length=32)).with_plan(
    "flowavenet", network=FlowConfig(blocks=1, flows=1, layers=1, width=2), train=TRAINING, fine_tune=TRAINING
)
PRIOR = prior_step(TINY, "flowavenet")
TABLES = [
    cross_likelihood_step(TINY, prior_step(TINY, "flowavenet", objective=objective))
    for objective in ("likelihood", "quarter_log_det")
]


class Recording:
    """Runs here and keeps the order."""

    def __init__(self) -> None:
        self.made: list[list[str]] = []

    def make(self, pipeline: Pipeline, steps: Sequence[Step]) -> Generator[Step]:
        self.made.append([step.title for step in steps])
        return Here().make(pipeline, steps)


def test_parents_come_first_and_nothing_is_made_twice(tmp_path: Path) -> None:
    recording, line = Recording(), Pipeline(Store(tmp_path), train=True)
    tuned = prior_step(TINY, "flowavenet", sigma=0.359)
    assert prepare(line, [tuned, *TABLES, tuned], recording) == 5
    first, second = recording.made
    assert set(first) == {PRIOR.title, prior_step(TINY, "flowavenet", objective="quarter_log_det").title}
    assert set(second) == {tuned.title, *(table.title for table in TABLES)}
    assert prepare(line, [tuned, *TABLES], recording) == 0, "all is there"


@pytest.mark.slow
def test_workers_make_what_this_process_makes(tmp_path: Path) -> None:
    lines = [Pipeline(Store(tmp_path / name), train=True) for name in ("here", "workers")]
    for line, executor in zip(lines, (Here(), Workers(2)), strict=True):
        assert prepare(line, TABLES, executor) == 4
    for table in TABLES:
        here, there = (pd.read_csv(line.run(table) / VALUES) for line in lines)
        pd.testing.assert_frame_equal(here, there, rtol=1e-4)


@pytest.mark.slow
def test_an_error_in_a_worker_is_raised_here(tmp_path: Path) -> None:
    wild = prior_step(TINY, "flowavenet", learning_rate=1e30, clip_value=1e30, steps=60)
    with pytest.raises(DivergenceError, match="training diverged at step"):
        prepare(Pipeline(Store(tmp_path), train=True), [wild], Workers(1))


# Two trainings without end, in a process group of their own, as a shell starts a command.
ENDLESS = """
import os, sys
from pathlib import Path
from srcsep_core.cli.stopping import stoppable
from srcsep_core.run.executors import Workers, prepare
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.steps import prior_step
from srcsep_core.run.store import Store
from test_executors import TINY

if __name__ == "__main__":
    os.setsid()
    endless = [prior_step(TINY, "flowavenet", steps=10**6, seed=seed) for seed in (0, 1)]
    with stoppable(lambda: "all is kept"):
        prepare(Pipeline(Store(Path(sys.argv[1])), train=True), endless, Workers(2))
"""


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["all, as a terminal does", "the first process"])
def test_ctrl_c_ends_workers_with_one_sentence_and_keeps_their_checkpoints(
    whom: str, tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start_python(ENDLESS, tmp_path)
    try:
        while len(kept := list(tmp_path.glob("unfinished/*/*/*.safetensors"))) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        (os.killpg if whom.startswith("all") else os.kill)(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, output, errors) == (130, "", "Stopped: all is kept\n")
    assert all(path.exists() for path in kept)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {path.name for path in kept}
    assert all(name.endswith(".lock") for name in left), left


def test_a_gpu_is_not_shared_by_workers() -> None:
    assert executor_for(torch.device("cuda")) == Here()
