"""How close estimates are that nobody named: the measures themselves, the best assignment, and slots in use."""

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from srcsep_core.blind.scores import (
    CEILING_DB,
    active_slots,
    assigned,
    grouped,
    picture_scores,
    psnr,
    sound_scores,
    ssim,
)
from srcsep_core.errors import InputError
from srcsep_core.metrics import si_sdr

SIZE = (8, 9)


def drawn(count: int, generator: torch.Generator, batch: int = 4) -> Tensor:
    return torch.rand(batch, count, SIZE[0] * SIZE[1], generator=generator)


def noisy(x: Tensor, generator: torch.Generator, scale: float = 0.1) -> Tensor:
    return x + scale * torch.randn(x.shape, generator=generator)


def test_psnr_is_that_of_its_definition(generator: torch.Generator) -> None:
    reference = drawn(2, generator)
    estimate = noisy(reference, generator).clamp(0, 1)
    found = psnr(estimate, reference)
    assert found.shape == (4, 2)
    for b in range(4):
        for k in range(2):
            pair = reference[b, k].double().numpy(), estimate[b, k].double().numpy()
            assert found[b, k].item() == pytest.approx(peak_signal_noise_ratio(*pair, data_range=1.0), abs=1e-4)
    assert psnr(torch.full((10,), 0.6), torch.full((10,), 0.5)).item() == pytest.approx(20, abs=1e-4)


def test_psnr_caps_estimates_and_is_capped_itself() -> None:
    assert psnr(torch.tensor([1.5, -3.0]), torch.tensor([1.0, 0.0])) == CEILING_DB
    assert psnr(torch.ones(4), torch.zeros(4)) == 0


def test_similarity_is_that_of_scikit_image(generator: torch.Generator) -> None:
    """Rows are rows: the picture is not square."""
    reference = drawn(2, generator)
    estimate = noisy(reference, generator)
    found = ssim(estimate, reference, SIZE)
    assert found.shape == (4, 2)
    for b in range(4):
        for k in range(2):
            pair = (x[b, k].view(SIZE).double().numpy() for x in (estimate.clamp(0, 1), reference))
            expected = structural_similarity(*pair, data_range=1.0, win_size=7)
            assert found[b, k].item() == pytest.approx(expected, abs=1e-9)
    torch.testing.assert_close(ssim(reference, reference, SIZE), torch.ones(4, 2, dtype=torch.float64))


def test_assignment_has_the_highest_sum_and_is_another_for_each_mix() -> None:
    estimates = torch.arange(6.0).view(2, 3, 1)
    scores = torch.tensor([[[9.0, 8.0], [8.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 5.0], [5.0, 1.0]]])
    assert assigned(estimates, scores)[..., 0].tolist() == [[1, 0], [5, 4]]


def test_scores_that_are_not_finite_are_the_worst() -> None:
    scores = torch.tensor([[[float("nan"), 1.0], [-50.0, float("-inf")], [float("inf"), float("nan")]]])
    assert assigned(torch.arange(3.0).view(1, 3, 1), scores)[0, :, 0].tolist() == [2, 0]


@pytest.mark.parametrize("surplus", [0, 1, 3])
def test_order_and_surplus_of_estimates_make_no_difference(surplus: int, generator: torch.Generator) -> None:
    sources = drawn(3, generator)
    estimates = torch.cat([noisy(sources, generator), torch.zeros(4, surplus, 72)], dim=1)
    order = torch.randperm(3 + surplus, generator=generator)
    expected, found = (picture_scores(x, sources, SIZE) for x in (estimates[:, :3], estimates[:, order]))
    assert list(found) == ["psnr", "ssim"]
    for name, value in found.items():
        assert torch.equal(value, expected[name])
    torch.testing.assert_close(found["psnr"], psnr(estimates[:, :3], sources))


@pytest.mark.parametrize("surplus", [0, 2])
def test_sounds_are_assigned_by_their_ratio(surplus: int, generator: torch.Generator) -> None:
    sources = torch.randn(4, 2, 400, generator=generator)
    near = noisy(sources, generator, 0.2)
    estimates = torch.cat([torch.randn(4, surplus, 400, generator=generator), 0.3 * near.flip(1)], dim=1)
    found = sound_scores(estimates, sources)
    assert list(found) == ["si_sdr", "si_sir", "si_sar"]
    torch.testing.assert_close(found["si_sdr"], si_sdr(estimate=near, reference=sources), rtol=1e-4, atol=1e-4)
    assert (found["si_sir"] > found["si_sdr"]).all() and (found["si_sar"] >= found["si_sdr"] - 0.1).all()


def test_silent_estimates_and_sources_are_assigned(generator: torch.Generator) -> None:
    sources = torch.randn(2, 2, 400, generator=generator)
    estimates = sources.flip(1).clone()
    estimates[0, 1] = 0
    found = sound_scores(estimates, sources)["si_sdr"]
    assert found[0].tolist()[1] > 60 and found[0, 0] == float("-inf") and found[1].min() > 60
    sources[1, 0] = 0
    found = sound_scores(estimates, sources)["si_sdr"]
    assert found[1, 0].isnan() and found[1, 1] > 60


def test_fewer_estimates_than_sources_are_refused(generator: torch.Generator) -> None:
    for measure in (lambda x, y: picture_scores(x, y, SIZE), sound_scores):
        with pytest.raises(InputError, match="there are 2 estimates for 3 sources; use as many slots or more"):
            measure(drawn(2, generator), drawn(3, generator))


def test_estimates_that_are_not_finite_are_refused(generator: torch.Generator) -> None:
    estimates = drawn(2, generator)
    estimates[0, 0, 0] = float("nan")
    with pytest.raises(InputError, match=r"1 of .* samples of the estimate are NaN or infinite"):
        picture_scores(estimates, drawn(2, generator), SIZE)


def test_slots_with_two_percent_of_the_energy_are_active() -> None:
    loud, quiet, faint = torch.ones(50), 0.2 * torch.ones(50), 0.1 * torch.ones(50)
    estimates = torch.stack(
        [torch.stack([loud, loud, loud]), torch.stack([loud, quiet, faint]), torch.stack([faint, 0 * faint, faint])]
    )
    assert active_slots(estimates).tolist() == [3, 2, 2]
    assert active_slots(1e-3 * estimates).tolist() == [3, 2, 2], "at any loudness"


def test_slots_of_silence_are_not_active() -> None:
    assert active_slots(torch.zeros(2, 3, 50)).tolist() == [0, 0]


@pytest.mark.parametrize("order", [(0, 0, 1, 1), (1, 0, 0, 1), (1, 1, 1, 0)])
def test_parts_of_sources_are_put_together(order: tuple[int, ...], generator: torch.Generator) -> None:
    parts = drawn(4, generator)
    sources = torch.stack([parts[:, [k for k in range(4) if order[k] == own]].sum(dim=1) for own in (0, 1)], dim=1)
    torch.testing.assert_close(grouped(parts, sources), sources)


def test_groups_are_each_mixs_own_and_come_nearest(generator: torch.Generator) -> None:
    parts, sources = drawn(3, generator), drawn(2, generator)
    found = grouped(parts, sources)
    torch.testing.assert_close(found.sum(dim=1), parts.sum(dim=1))
    for row in range(len(parts)):
        torch.testing.assert_close(grouped(parts[row : row + 1], sources[row : row + 1])[0], found[row])
    one_each = assigned(parts, -(parts[:, :, None] - sources[:, None]).square().sum(dim=3))
    rest = parts.sum(dim=1, keepdim=True) - one_each.sum(dim=1, keepdim=True)
    for extra in (torch.cat([rest, 0 * rest], dim=1), torch.cat([0 * rest, rest], dim=1)):
        error = (one_each + extra - sources).square().sum(dim=(1, 2))
        assert ((found - sources).square().sum(dim=(1, 2)) <= error + 1e-5).all()


def test_sources_that_are_not_finite_are_refused(generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="of the source are NaN or infinite"):
        picture_scores(drawn(2, generator), torch.full((4, 2, 72), float("nan")), SIZE)
