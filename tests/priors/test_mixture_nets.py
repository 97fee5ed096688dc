"""Networks trained on mixes: any loudness, mixes that lack classes, and that it is no prior."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from srcsep_core.baselines.base import Given, method_of
from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.metrics import si_sdr
from srcsep_core.priors.convtasnet import ConvTasNetConfig
from srcsep_core.priors.hdemucs import HDemucsConfig
from srcsep_core.priors.kinds import all_kinds, kind_of
from srcsep_core.priors.mixture_nets import MixtureConfig, SeparatingNet, SeparatingSet
from srcsep_core.priors.sets import Trained

TINY = ConvTasNetConfig(features=32, kernel=8, bottleneck=16, hidden=32, layers=3, stacks=1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tones(batch: int) -> Tensor:
    """Two classes, a low and a high tone of random phase: (batch, 2, 512)."""
    time, phase = torch.arange(512) / 512, 2 * torch.pi * torch.rand(batch, 2, 1, generator=generator(3))
    return torch.sin(2 * torch.pi * torch.tensor([8, 96])[:, None] * time + phase)


@pytest.fixture(scope="module")
def trained() -> SeparatingNet:
    torch.manual_seed(0)
    net, clean, random = SeparatingNet(TINY, 2).train(), tones(16), generator()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(150):
        optimiser.zero_grad()
        net.loss(clean, random).sum().backward()
        optimiser.step()
    return net.eval()


def test_it_learns_to_separate(trained: SeparatingNet) -> None:
    clean = tones(40)[16:]
    estimates = trained(clean.sum(dim=1, keepdim=True))
    assert si_sdr(estimate=estimates, reference=clean).mean() > 12


def test_a_class_that_is_not_there_is_silent(trained: SeparatingNet) -> None:
    low = tones(20)[16:] * torch.tensor([1.0, 0.0])[:, None]
    estimates = trained(low.sum(dim=1, keepdim=True))
    assert estimates[:, 1].square().mean() < 0.05 * estimates[:, 0].square().mean()


def test_loudness_goes_through(trained: SeparatingNet) -> None:
    total = tones(2).sum(dim=1, keepdim=True)
    torch.testing.assert_close(trained(1e-3 * total), 1e-3 * trained(total), rtol=1e-3, atol=1e-8)


def test_its_stems_sum_to_the_mix_and_follow_the_names(trained: SeparatingNet) -> None:
    about = Trained(("sine", "square"), ToyWorld(sources=("sine", "square")), 0.0, pd.DataFrame(), Path())
    separator = method_of("convtasnet").make(Given(about.data, 512, SeparatingSet(**vars(about), net=trained)))
    mix = tones(2).mean(dim=1, keepdim=True)
    found = separator.separate(mix, ("square", "sine"), generator()).sources
    torch.testing.assert_close(found.mean(dim=1, keepdim=True), mix)
    torch.testing.assert_close(found.flip(1), separator.separate(mix, ("sine", "square"), generator()).sources)
    with pytest.raises(InputError, match="repeat a class"):
        separator.separate(mix, ("sine", "sine"), generator())


@pytest.mark.parametrize(
    ("name", "size"), [("convtasnet", TINY), ("hdemucs", HDemucsConfig(channels=4, depth=3, bins=64))]
)
def test_each_is_trained_like_a_prior_and_is_none(name: str, size: MixtureConfig) -> None:
    kind = kind_of(name)
    assert name not in all_kinds() and kind.mixes
    assert method_of(name).model == name and method_of(name).supervision == "mixes"
    task, clean = kind.task(size, 2, ""), tones(2)
    network = task.build()
    losses = task.losses(network, clean, generator())
    losses.sum().backward()
    assert losses.shape == (1, 2) and all(parameter.grad is not None for parameter in network.parameters())
    about = Trained(SOURCES[:2], ToyWorld(sources=SOURCES[:2]), 0.0, pd.DataFrame(), Path())
    found = kind.load(size, network.state_dict(), about, torch.device("cpu"))
    assert isinstance(found, SeparatingSet)
    assert found.net(clean.sum(dim=1, keepdim=True)).shape == clean.shape
    with pytest.raises(InputError, match="no prior of sine; use it as a method"):
        found.prior("sine")


def test_an_odd_kernel_is_named() -> None:
    with pytest.raises(InputError, match="kernel is 15; use an even number"):
        ConvTasNetConfig(kernel=15)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 6}, "channels is 6; use a multiple of 4"),
        ({"depth": 4, "bins": 128}, "bins is 128; with a depth of 4 use a power of two of at least 256"),
        ({"bins": 3000}, "bins is 3000"),
    ],
)
def test_a_size_that_does_not_fit_is_named(changes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        HDemucsConfig(**changes)
