"""What needs no training to take mixes apart: the mix, factorisations, ideal masks and independent components."""

import numpy as np
import pytest
import torch
from torch import Tensor

from srcsep_core.baselines.pictures import BASELINES
from srcsep_core.blind.scores import picture_scores
from srcsep_core.blind.views import Pixels, Spectrogram, View
from srcsep_core.metrics import best_permutation, si_sdr

PIXELS, SOUNDS = Pixels(8, 8), Spectrogram(32, 16, 32)
MASKS = ("nmf-kl", "nmf-is", "ibm", "irm")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(view: View, count: int = 2, batch: int = 3) -> Tensor:
    x = torch.rand(batch, count, view.length, generator=seeded(1))
    return x if isinstance(view, Pixels) else x - 0.5


def taken_apart(name: str, sources: Tensor, view: View, seed: int = 0) -> Tensor:
    return BASELINES[name][1](sources.mean(dim=1, keepdim=True), sources, view, seeded(seed))


@pytest.mark.parametrize("view", [PIXELS, SOUNDS], ids=["pixels", "sounds"])
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", ["x/K", *MASKS])
def test_mean_of_the_estimates_is_the_mix(name: str, count: int, view: View) -> None:
    sources = drawn(view, count)
    found = taken_apart(name, sources, view)
    assert found.shape == sources.shape and found.dtype == sources.dtype
    torch.testing.assert_close(found.mean(dim=1), sources.mean(dim=1), rtol=0, atol=2e-6)


def test_nothing_gives_every_source_the_mix() -> None:
    sources = drawn(PIXELS, 3)
    found = taken_apart("x/K", sources, PIXELS)
    assert all(torch.equal(found[:, k], sources.mean(dim=1)) for k in range(3))


@pytest.mark.parametrize("count", [2, 3])
def test_ratio_mask_is_exact_on_pixels(count: int) -> None:
    sources = drawn(PIXELS, count)
    torch.testing.assert_close(taken_apart("irm", sources, PIXELS), sources)


def test_binary_mask_gives_each_pixel_to_the_largest() -> None:
    sources = drawn(PIXELS, 3)
    found = taken_apart("ibm", sources, PIXELS)
    assert ((found > 0).sum(dim=1) == 1).all()
    assert torch.equal(found.argmax(dim=1), sources.argmax(dim=1))


def test_ideal_masks_are_close_to_sounds_of_other_bands() -> None:
    time = torch.arange(SOUNDS.length) / 64
    tones = torch.sin(2 * torch.pi * torch.tensor([[4.0], [20.0]]) * time)[None]
    for name in ("ibm", "irm"):
        found = taken_apart(name, tones, SOUNDS)
        assert si_sdr(estimate=found, reference=tones).min() > 20, name


def apart() -> Tensor:
    """Two pictures, each a product of a column and a row, with no pixel in common: (2, 2, 64)."""
    high, low = torch.zeros(2, 8), torch.zeros(2, 8)
    high[:, :3], low[:, 4:] = torch.rand(2, 3, generator=seeded(2)) + 0.2, torch.rand(2, 4, generator=seeded(3)) + 0.2
    left, right = torch.zeros(2, 8), torch.zeros(2, 8)
    left[:, :4], right[:, 4:] = torch.rand(2, 4, generator=seeded(4)) + 0.2, torch.rand(2, 4, generator=seeded(5)) + 0.2
    products = torch.stack([high[:, :, None] * left[:, None], low[:, :, None] * right[:, None]], dim=1).flatten(2)
    return products / products.amax(dim=2, keepdim=True)


@pytest.mark.parametrize("name", ["nmf-kl", "nmf-is"])
def test_factorisation_separates_products_that_do_not_overlap(name: str) -> None:
    sources = apart()
    assert picture_scores(taken_apart(name, sources, PIXELS), sources, PIXELS.size)["psnr"].min() > 35


@pytest.mark.parametrize("name", ["nmf-kl", "nmf-is"])
def test_factorisation_follows_the_generator(name: str) -> None:
    sources = drawn(PIXELS)
    first = taken_apart(name, sources, PIXELS)
    assert torch.equal(taken_apart(name, sources, PIXELS), first)
    assert not torch.allclose(taken_apart(name, sources, PIXELS, seed=1), first, atol=1e-4)


def test_divergences_differ() -> None:
    sources = drawn(PIXELS)
    kl, itakura = (taken_apart(name, sources, PIXELS) for name in ("nmf-kl", "nmf-is"))
    assert not torch.allclose(kl, itakura, atol=1e-3)


def test_itakura_saito_is_for_the_power_of_spectra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its Gaussian model is of complex spectra, whose variance is factorised; of pixels there is no power."""
    seen = []

    def spy(x: np.ndarray, **settings: object) -> tuple[np.ndarray, np.ndarray, int]:
        seen.append(x.max())
        return np.ones((len(x), 2)), np.ones((2, x.shape[1])), 1

    monkeypatch.setattr("sklearn.decomposition.non_negative_factorization", spy)
    for view, power in ((SOUNDS, 2), (PIXELS, 1)):
        sources = drawn(view)[:1]
        loudest = float(view.magnitude(sources.mean(dim=1, keepdim=True)).max())
        for name, exponent in (("nmf-kl", 1), ("nmf-is", power)):
            taken_apart(name, sources, view)
            assert seen[-1] == pytest.approx(loudest**exponent, rel=1e-5)


@pytest.mark.parametrize("view", [PIXELS, SOUNDS], ids=["pixels", "sounds"])
@pytest.mark.parametrize("name", ["x/K", *MASKS])
def test_silence_stays_silent(name: str, view: View) -> None:
    assert torch.equal(taken_apart(name, torch.zeros(1, 2, view.length), view), torch.zeros(1, 2, view.length))


def test_components_of_several_mixes_are_the_sources() -> None:
    """Of sounds up to sign, scale and order."""
    view = Spectrogram(32, 128, 32)
    time = torch.arange(view.length)
    saw, square = (time % 50) / 25 - 1, torch.sign(torch.sin(2 * torch.pi * time / 37 + 0.2))
    sources = torch.stack([saw, square])[None]
    found = best_permutation(estimate=taken_apart("fastica", sources, view), reference=sources)[0]
    assert si_sdr(estimate=found, reference=sources - sources.mean(dim=2, keepdim=True)).min() > 20


def test_components_of_pictures_have_their_level_and_sign() -> None:
    view = Pixels(32, 32)
    sources = torch.rand(2, 2, view.length, generator=seeded(6)).pow(12)
    found = taken_apart("fastica", sources, view)
    scores = picture_scores(found, sources, view.size)
    assert scores["psnr"].min() > 20
    torch.testing.assert_close(found.mean(dim=2).sort(dim=1).values, sources.mean(dim=2).sort(dim=1).values)


def test_every_way_says_what_it_has_seen() -> None:
    seen = {name: supervision for name, (supervision, _) in BASELINES.items()}
    assert {name for name, word in seen.items() if word == "truth"} == {"ibm", "irm"}
    assert seen["fastica"] == "several mixes" and seen["x/K"] == seen["nmf-kl"] == seen["nmf-is"] == "nothing"


@pytest.mark.parametrize("name", ["x/K", "nmf-kl", "nmf-is"])
def test_what_has_seen_nothing_does_not_look_at_the_sources(name: str) -> None:
    sources = drawn(PIXELS)
    mix, other = sources.mean(dim=1, keepdim=True), torch.rand(3, 2, 64, generator=seeded(9))
    run = BASELINES[name][1]
    assert torch.equal(run(mix, sources, PIXELS, seeded()), run(mix, other, PIXELS, seeded()))
