"""The step that scores test signals in several ways: once, from three sets of priors, under every prior."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from srcsep_core.data.base import EvalConfig
from srcsep_core.data.pooled import PooledWorld
from srcsep_core.data.toy import ToyWorld
from srcsep_core.diagnostics.scorings import BACKGROUND, COMPLEXITY, LIKELIHOOD, denoising
from srcsep_core.nn.denoiser import DenoiserConfig
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.steps import VALUES, TrainPriors
from srcsep_core.run.steps.scorings import ScoreClasses
from srcsep_core.run.store import Store
from srcsep_core.training.config import TrainConfig

TRAINING = TrainConfig(steps=2, batch_size=2, crop=64, learning_rate=1e-3, checkpoint_every=2)
DATA = ToyWorld().only(("sine", "saw"))
FLOW = FlowConfig(blocks=2, flows=1, layers=1, width=2)
DENOISER = DenoiserConfig(channels=(8, 8), strides=(4,), middle=1, window=64)


@pytest.fixture
def step() -> ScoreClasses:
    return ScoreClasses(
        density=TrainPriors("flowavenet", "tiny", DATA, TRAINING, FLOW),
        background=TrainPriors("flowavenet", "tiny", PooledWorld(DATA), TRAINING, FLOW),
        denoiser=TrainPriors("denoiser", "tiny", DATA, TRAINING, DENOISER),
        data=DATA,
        evaluation=EvalConfig(signals=3, length=64),
        sigmas=(0.1, 0.5),
    )


def test_every_signal_is_scored_under_every_prior_in_every_way(step: ScoreClasses, tmp_path: Path) -> None:
    line = Pipeline(Store(tmp_path / "cache"), train=True)
    table = pd.read_csv(line.run(step) / VALUES)
    scorings = [LIKELIHOOD, BACKGROUND, COMPLEXITY, denoising(0.1), denoising(0.5)]
    assert list(dict.fromkeys(table["scoring"])) == scorings
    assert len(table) == len(table.drop_duplicates(["scoring", "source", "prior", "signal"])) == 5 * 2 * 2 * 3
    assert table["value"].notna().all()
    plain = table[table["scoring"] == LIKELIHOOD].set_index(["source", "prior", "signal"])["value"]
    against = table[table["scoring"] == BACKGROUND].set_index(["source", "prior", "signal"])["value"]
    shift = (plain - against).unstack("prior")
    assert (shift["sine"] - shift["saw"]).abs().max() < 1e-6, "the background knows no class"


def test_its_key_hangs_on_what_is_scored_and_by_what(step: ScoreClasses) -> None:
    others = [
        replace(step, sigmas=(0.1,)),
        replace(step, evaluation=replace(step.evaluation, seed=2)),
        replace(step, background=replace(step.background, train=replace(TRAINING, seed=1))),
    ]
    assert len({step.key, *(other.key for other in others)}) == 4
