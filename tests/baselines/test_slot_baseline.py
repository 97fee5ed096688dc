"""The network with slots as a method of separation."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from srcsep_core.baselines.base import Given, method_of
from srcsep_core.blind.slots import SlotConfig, SlotNet
from srcsep_core.blind.views import Spectrogram
from srcsep_core.data.single_notes import NoteWorld
from srcsep_core.errors import InputError
from srcsep_core.priors.blind import SlotSet

NAMES = ("note", "note")


@pytest.fixture
def given() -> Given:
    torch.manual_seed(0)
    view = Spectrogram(16, 8, 16)
    net = SlotNet(SlotConfig(view=view, hidden=(8,), latent=3)).eval()
    world = NoteWorld()
    return Given(world, view.length, SlotSet(world.sources, world, 0.0, pd.DataFrame(), Path(), net))


def test_estimates_share_out_the_mix_at_any_level(given: Given, generator: torch.Generator) -> None:
    method = method_of("vae-bss")
    assert method.supervision == "nothing" and method.apart
    mix = torch.randn(2, 1, given.length, generator=generator)
    found = method.make(given).separate(mix, NAMES, generator).sources
    assert found.shape == (2, 2, given.length)
    torch.testing.assert_close(found.mean(dim=1, keepdim=True), mix, atol=1e-5, rtol=0)
    quiet = method.make(given).separate(1e-3 * mix, NAMES, generator).sources
    torch.testing.assert_close(1e3 * quiet, found, atol=1e-4, rtol=1e-3)


def test_as_many_sources_as_slots(given: Given, generator: torch.Generator) -> None:
    separator = method_of("vae-bss").make(given)
    with pytest.raises(InputError, match=r"3 source\(s\) were named and this network has 2 slots; name as many"):
        separator.separate(torch.ones(1, 1, given.length), (*NAMES, "note"), generator)
