"""What the comparison of music denoisers measures, on networks that are told apart beforehand."""

from dataclasses import replace

import pytest
import torch
from script_files import script_module

from srcsep_core.data.base import world_of
from srcsep_core.nn.denoiser import PreconditionedNet
from srcsep_core.run.steps import TrainPriors

music_networks = script_module("music_networks")
CANDIDATES, denoising = music_networks.CANDIDATES, music_networks.denoising
WORLD = world_of("songs_8k")
TINY = replace(music_networks.SPECTROGRAM, channels=(8, 16), strides=(4,), middle=1, heads=2, window=1024)


def test_candidates_differ_in_domain_and_in_interference_alone() -> None:
    facts = {(config.domain, config.interference) for config in CANDIDATES.values()}
    assert len(facts) == len(CANDIDATES) == 5
    assert {config.window for config in CANDIDATES.values()} == {8192}


def test_a_network_that_does_not_hear_its_class_has_the_ratio_one(monkeypatch: pytest.MonkeyPatch, perturb) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(music_networks, "SIGNALS", 2)
    network = PreconditionedNet(TINY).eval()
    assert denoising(network, TINY, WORLD)[1] == pytest.approx(1, abs=1e-6)
    perturb(network, 0.3)
    loss, ratio = denoising(network, TINY, WORLD)
    assert loss > 0 and abs(ratio - 1) > 1e-4


def test_the_time_of_a_training_is_that_of_its_steps() -> None:
    torch.set_num_threads(1)
    step = TrainPriors("denoiser", "smoke", WORLD, replace(music_networks.TRAIN, crop=1024, batch_size=1), TINY)
    assert 1 < music_networks.train_seconds(step) < 1200
