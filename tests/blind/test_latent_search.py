"""The search in a decoder of single sources: it finds those of a mix, and leaves the network as it was."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from srcsep_core.blind.latent_search import SearchConfig, search
from srcsep_core.blind.scores import picture_scores
from srcsep_core.blind.slots import SlotConfig, SlotNet
from srcsep_core.blind.vae_bss import ae_losses
from srcsep_core.blind.views import Pixels
from srcsep_core.errors import InputError

SIZE = (8, 8)
CONFIG = SlotConfig(view=Pixels(*SIZE), sources=1, slots=1, latent=2, hidden=(24,), warmup=0)
QUICK = SearchConfig(steps=15, starts=2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def known_pictures() -> Tensor:
    """Three pictures that overlap: a bar that lies, one that stands, and a square, (3, 64)."""
    found = torch.full((3, *SIZE), 0.05)
    found[0, 2:5] = 0.9
    found[1, :, 3:6] = 0.8
    found[2, 4:, 4:] = 1.0
    return found.flatten(1)


@pytest.fixture(scope="module")
def net() -> SlotNet:
    """A decoder of the three pictures."""
    torch.manual_seed(0)
    found, generator = SlotNet(CONFIG).train(), seeded()
    optimiser = torch.optim.Adam(found.parameters(), 1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        drawn = known_pictures()[torch.randint(3, (24,), generator=generator)]
        loss = ae_losses(found, drawn[:, None], generator)[0]
        spread = found.encode(drawn)[0].square().mean()  # latent vectors that the prior can draw
        (loss.sum() + 0.05 * spread).backward()
        optimiser.step()
    return found.eval()


def mixes() -> tuple[Tensor, Tensor]:
    sources = known_pictures()[torch.tensor([[0, 1], [0, 2], [1, 2]])]
    return sources.mean(dim=1, keepdim=True), sources


def test_known_pictures_are_found_in_their_mixes(net: SlotNet) -> None:
    mix, sources = mixes()
    found = search(net, mix, 2, seeded(1), SearchConfig(steps=200, starts=8))
    assert found.shape == sources.shape
    psnr = picture_scores(found, sources, SIZE)["psnr"]
    nothing = picture_scores(mix.expand_as(sources), sources, SIZE)["psnr"]
    assert psnr.mean() > nothing.mean() + 8 and psnr.min() > nothing.min()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_estimates_share_out_the_mix(net: SlotNet, count: int) -> None:
    mix = mixes()[0]
    found = search(net, mix, count, seeded(), QUICK)
    assert found.shape == (3, count, 64) and not found.requires_grad
    torch.testing.assert_close(found.mean(dim=1, keepdim=True), mix)


def test_same_seed_gives_the_same_estimates(net: SlotNet) -> None:
    mix = mixes()[0]
    first = search(net, mix, 2, seeded(3), QUICK)
    assert torch.equal(search(net, mix, 2, seeded(3), QUICK), first)
    assert not torch.allclose(search(net, mix, 2, seeded(4), QUICK), first, atol=1e-3)


@pytest.mark.parametrize("prior", [0.0, 10.0])
def test_best_start_of_each_mix_is_kept(net: SlotNet, prior: float) -> None:
    """Of starts that stay where they were drawn, at half the mix each."""
    mix, view = mixes()[0], net.config.view
    found = search(net, mix, 2, seeded(5), SearchConfig(steps=1, starts=6, learning_rate=1e-9, prior=prior))
    with torch.no_grad():
        latent = torch.randn(18, 2, 2, generator=seeded(5))
        pictures = net.decode(latent).unflatten(0, (6, 3)) / 2
    error = (pictures.sum(dim=2) - mix[:, 0]).abs().mean(dim=2)
    size = latent.square().sum(dim=(1, 2)).unflatten(0, (6, 3)) / 2
    best = (error + prior * size).argmin(dim=0).tolist()
    assert prior or len(set(best)) > 1, "not the same start for all"
    expected = torch.stack([pictures[start, row] for row, start in enumerate(best)])
    torch.testing.assert_close(found, 2 * view.masked(mix, expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kept", [True, False])
def test_network_stays_as_it_was(net: SlotNet, kept: bool) -> None:
    """Weights that nothing is learnt for stay frozen too."""
    bias = net.decoder[0].bias
    bias.requires_grad_(kept)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    wanted = {name: value.requires_grad for name, value in net.named_parameters()}
    net.zero_grad()
    with torch.no_grad():
        search(net, mixes()[0], 2, seeded(), QUICK)
    assert {name: value.requires_grad for name, value in net.named_parameters()} == wanted
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(value.grad is None for value in net.parameters())
    bias.requires_grad_(True)


def test_network_is_thawed_where_the_search_fails(net: SlotNet, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(latent: Tensor) -> Tensor:
        raise RuntimeError("no memory")

    monkeypatch.setattr(net, "decode", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        search(net, mixes()[0], 2, seeded(), QUICK)
    assert all(value.requires_grad for value in net.parameters())


@pytest.mark.parametrize(("sources", "slots"), [(2, 2), (1, 2)])
def test_networks_of_more_than_one_source_are_refused(sources: int, slots: int) -> None:
    net = SlotNet(replace(CONFIG, sources=sources, slots=slots)).eval()
    with pytest.raises(InputError, match=f"the network is of {sources} sources a mix; use one trained on single"):
        search(net, mixes()[0], 2, seeded(), QUICK)


@pytest.mark.parametrize("sources", [0, -1])
def test_no_sources_are_refused(net: SlotNet, sources: int) -> None:
    with pytest.raises(InputError, match=f"{sources} sources were asked for; use 1 or more"):
        search(net, mixes()[0], sources, seeded(), QUICK)


def test_mixes_that_it_cannot_see_are_refused(net: SlotNet) -> None:
    with pytest.raises(InputError, match="the signals have 63 samples"):
        search(net, torch.rand(1, 1, 63), 2, seeded(), QUICK)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("starts", 0), ("prior", -1.0), ("learning_rate", 0.0)])
def test_settings_that_make_no_search_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"SearchConfig\.{name} is {value}; use"):
        SearchConfig(**{name: value})  # type: ignore[arg-type]
