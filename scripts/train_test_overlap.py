"""How many test signals were drawn in training as well, amplitude apart.

    .venv/bin/python scripts/train_test_overlap.py

In the toy variant of whole periods a signal is a period (whole samples), a phase (whole samples) and an amplitude.
There are few pairs of period and phase, so training draws many of those that the test sets hold. The table has one row
for a set of priors and a test set: `evaluation` is that of the likelihoods, `mixes` are the sources of the separation
benchmark's mixes of four.

Training signals are drawn anew from the seed of training. For the noise-free sets they are the very signals of
training; the denoiser and the PnF prior draw their noise from the same generator in between, so theirs are as many
signals of the same law.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd
import torch

from srcsep_core.data.mixes import BLOCK, TEST_SEED
from srcsep_core.data.toy import ToyParameters, ToyWorld, draw_parameters, evaluation_config
from srcsep_core.run.profiles import get_profile
from srcsep_core.training.config import TrainConfig

Pair = tuple[int, int]


def pairs_of(config: ToyWorld, parameters: ToyParameters) -> list[list[Pair]]:
    """For every source its pairs of period and phase, in whole samples."""
    period = (config.sample_rate / parameters.frequency).round()
    phase = (parameters.phase * period).round().remainder(period)
    return [
        list(zip(period[:, k].int().tolist(), phase[:, k].int().tolist(), strict=True))
        for k in range(len(config.sources))
    ]


def share_seen(tested: Sequence[Sequence[Pair]], trained: Sequence[Iterable[Pair]]) -> float:
    """The share of the tested pairs, of all sources, that are among the trained pairs of the same source."""
    seen = [set(pairs) for pairs in trained]
    found = [pair in seen[k] for k, pairs in enumerate(tested) for pair in pairs]
    return sum(found) / len(found)


def training_pairs(config: ToyWorld, train: TrainConfig) -> list[list[Pair]]:
    """The pairs that a training run draws, batch by batch."""
    generator = torch.Generator().manual_seed(train.seed)
    pairs: list[list[Pair]] = [[] for _ in config.sources]
    for _ in range(train.steps):
        drawn = pairs_of(config, draw_parameters(config, train.batch_size, generator))
        for own, new in zip(pairs, drawn, strict=True):
            own += new
    return pairs


def test_pairs(config: ToyWorld) -> dict[str, list[list[Pair]]]:
    """The pairs of the test signals of the likelihoods, and of the first block of the benchmark's mixes."""
    evaluation = get_profile("laptop").evaluation
    generator = torch.Generator().manual_seed(evaluation.seed)
    tested = pairs_of(config, draw_parameters(evaluation_config(config), evaluation.signals, generator))
    mixed = []
    for k, name in enumerate(config.sources):
        own = replace(config, sources=(name,))
        generator = torch.Generator().manual_seed(TEST_SEED + 1000 * k)
        mixed += pairs_of(own, draw_parameters(own, BLOCK, generator))
    return {"evaluation": tested, "mixes": mixed}


def overlap_table() -> pd.DataFrame:
    """One row for a set of shipped priors and a test set: how much was drawn, and the share of the test seen."""
    profile, config = get_profile("laptop"), ToyWorld()
    runs = {
        "flow and WaveNet, noise-free": profile.plan_of("flowavenet").train,
        "PnF": profile.plan_of("pnf").train,
        "denoiser": profile.plan_of("denoiser").train,
    }
    tested = test_pairs(config)
    rows = []
    for name, train in runs.items():
        trained = training_pairs(config, train)
        for which, pairs in tested.items():
            signals = {"training_signals": train.steps * train.batch_size, "test_set": which}
            count = sum(len(own) for own in pairs)
            rows.append({"priors": name, **signals, "n": count, "share_seen": share_seen(pairs, trained)})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    print(overlap_table().to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    print("training_signals: of each source; share_seen: of the n test signals, period and phase drawn in training")
