"""Executors: parents before children, the same artefacts from workers as from here, errors passed on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from srcsep_core.data.base import EvalConfig
from srcsep_core.errors import DivergenceError
from srcsep_core.priors.flowavenet import FlowConfig
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

    def make(self, pipeline: Pipeline, steps: Sequence[Step]) -> Iterator[Step]:
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


def test_a_gpu_is_not_shared_by_workers() -> None:
    assert executor_for(torch.device("cuda")) == Here()
