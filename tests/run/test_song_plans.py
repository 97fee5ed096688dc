"""How priors of songs are trained: alike on rendered songs and on frames of musdb18, which are a second long."""

import pytest

from srcsep_core.run.profiles import get_profile
from srcsep_core.run.song_plans import FRAME

PROFILES = ("smoke", "laptop", "full")


@pytest.mark.parametrize("name", PROFILES)
def test_no_training_signal_is_longer_than_a_frame_of_musdb18(name: str) -> None:
    profile = get_profile(name)
    plan, framed = (profile.of(variant).plan_of("denoiser") for variant in ("songs_8k", "musdb18_paper"))
    assert framed.window <= FRAME and framed.train.crop == framed.window
    assert framed.train.crop * framed.train.batch_size == plan.train.crop * plan.train.batch_size
    assert framed.network.channels == plan.network.channels and framed.train.steps == plan.train.steps
