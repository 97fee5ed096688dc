"""What the model card says of the overlap between training and test signals is what the script prints."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from script_files import script_module

from srcsep_core.data.toy import ToyParameters, ToyWorld
from srcsep_core.paths import project_root
from srcsep_core.training.config import TrainConfig


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("train_test_overlap")


def test_pairs_are_whole_samples_and_leave_the_amplitude_out(script: ModuleType) -> None:
    config = ToyWorld(sources=("sine", "saw"))
    period = torch.tensor([[100.0, 13.0], [100.0, 563.0]], dtype=torch.float64)
    phase = torch.tensor([[0.5, 0.0], [0.99, 562 / 563]], dtype=torch.float64)
    parameters = ToyParameters(config.sample_rate / period, torch.rand(2, 2), phase)
    assert script.pairs_of(config, parameters) == [[(100, 50), (100, 99)], [(13, 0), (563, 562)]]


def test_share_is_counted_source_by_source(script: ModuleType) -> None:
    tested = [[(5, 1), (5, 2)], [(5, 1), (7, 0)]]
    assert script.share_seen(tested, [[(5, 1), (5, 1)], [(9, 9)]]) == 0.25
    assert script.share_seen(tested, tested) == 1.0


def test_training_draws_a_pair_for_every_signal(script: ModuleType) -> None:
    pairs = script.training_pairs(ToyWorld(), TrainConfig(steps=3, batch_size=4, seed=1))
    assert [len(own) for own in pairs] == [12] * 4
    assert all(0 <= phase < period for own in pairs for period, phase in own)


def test_model_card_states_what_the_script_prints(script: ModuleType) -> None:
    card = (project_root() / "data" / "pretrained" / "README.md").read_text()
    for row in script.overlap_table().to_dict("records"):
        if row["priors"] != "PnF":
            assert f"{row['share_seen']:.0%}".replace("%", " %") in card, row
