"""The latent map: codes of the sources of mixes, their plane, and what is at a place of it."""

import pytest
import torch

from srcsep_core.blind.latents import decoded, energy_shares, known_from, latent_map, slot_codes
from srcsep_core.blind.slots import SlotConfig, SlotNet
from srcsep_core.blind.views import Spectrogram
from srcsep_core.show.latent_explorer import PLAYED_HZ, heard, latent_explorer, place_html


@pytest.fixture
def net() -> SlotNet:
    torch.manual_seed(0)
    return SlotNet(SlotConfig(hidden=(16,), latent=5)).eval()


def test_codes_follow_the_order_of_the_sources(net: SlotNet, generator: torch.Generator) -> None:
    sources = torch.rand(6, 2, 64, generator=generator)
    mix = sources.mean(dim=1, keepdim=True)
    codes = slot_codes(net, mix, sources)
    assert codes.shape == (6, 2, 5)
    assert torch.equal(slot_codes(net, mix, sources.flip(1)), codes.flip(1))


def test_the_plane_holds_what_varies_most_and_gives_points_back(generator: torch.Generator) -> None:
    flat = torch.randn(200, 2, generator=generator) * torch.tensor([3.0, 2.0])
    axes = torch.linalg.qr(torch.randn(6, 2, generator=generator)).Q.T
    codes = flat @ axes + 1e-3 * torch.randn(200, 6, generator=generator) + 4.0
    found = latent_map(codes)
    assert sum(found.shares) > 0.999 and found.shares[0] > found.shares[1]
    torch.testing.assert_close(found.at(*found.points[7].tolist()), codes[7], atol=0.02, rtol=0)


def test_the_decoder_is_asked_for_single_pictures(net: SlotNet, generator: torch.Generator) -> None:
    latent = torch.randn(4, 5, generator=generator)
    pictures = decoded(net, latent)
    assert pictures.shape == (4, 8, 8)
    torch.testing.assert_close(pictures[2].flatten(), net.decode(latent[2:3, None])[0, 0])


def test_energy_shares_are_sorted_and_add_up(generator: torch.Generator) -> None:
    shares = energy_shares(torch.randn(5, 3, 64, generator=generator))
    assert shares.shape == (5, 3) and (abs(shares.sum(axis=1) - 1) < 1e-9).all()
    assert (shares[:, :-1] >= shares[:, 1:]).all()


def test_what_is_linear_in_codes_is_known_and_noise_is_not(generator: torch.Generator) -> None:
    codes = torch.randn(200, 4, generator=generator)
    assert known_from(codes, (codes @ torch.tensor([1.0, -2.0, 0.5, 3.0])).tolist()) > 0.95
    assert known_from(codes, torch.randn(200, generator=generator).tolist()) < 0.1


def test_the_explorer_shows_the_place_of_its_sliders(net: SlotNet, generator: torch.Generator) -> None:
    plane = latent_map(torch.randn(50, 5, generator=generator))
    box = latent_explorer(net, plane)
    first, _, shown = box.children
    before = shown.value
    first.value = first.max
    assert shown.value != before
    assert shown.value == place_html(net, plane, first.value, 0.0)
    assert "<audio" not in before and "srcsep" not in before, "pictures are not played"


def test_notes_are_heard_at_a_rate_that_browsers_play(generator: torch.Generator) -> None:
    view = Spectrogram(32, 16, 32)
    net = SlotNet(SlotConfig(view=view, hidden=(8,), latent=3, pool=4, rank=2)).eval()
    plane = latent_map(torch.randn(20, 3, generator=generator))
    picture = decoded(net, plane.at(0.5, 0.0)[None])[0]
    sound = heard(picture, view, 5500)
    assert abs(len(sound) - view.length * PLAYED_HZ / 5500) <= 2 * view.hop and sound.abs().max() > 0
    assert torch.equal(sound, heard(picture, view, 5500)), "the phase is found from the same start"
    assert "<audio" in place_html(net, plane, 0.5, 0.0, sample_rate=5500)
