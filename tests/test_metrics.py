"""Metrics: agreement with a reference library, known values, undefined cases, the order, and kinds of failure."""

import math
from collections.abc import Callable

import fast_bss_eval
import pytest
import torch
from torch import Tensor

from srcsep_core.data.toy import SOURCES, ToyParameters, ToyWorld, draw_test_set, synthesise, waveform
from srcsep_core.data.toy import mix as mix_of
from srcsep_core.errors import InputError
from srcsep_core.metrics import (
    CEILING_DB,
    FAILURE_KINDS,
    best_permutation,
    bss_eval,
    failure_kind,
    fundamental_period,
    improvement,
    si_sdr,
)

LENGTH = 1000
RATE = ToyWorld().sample_rate


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wave(source: str, period: float, *, length: int = LENGTH, phase: float = 0.0) -> Tensor:
    return waveform(source, torch.arange(length, dtype=torch.float64) / period + phase)


def toy(count: int) -> Tensor:
    return draw_test_set(ToyWorld(sources=SOURCES[:count]), 3, LENGTH, seed=5)


def leaky(reference: Tensor) -> Tensor:
    """Estimates at several scales with leaks from the other sources and noise."""
    count = reference.shape[-2]
    mixing = torch.eye(count, dtype=reference.dtype) + 0.2 * noise(count, count, seed=1).to(reference)
    return torch.linspace(0.3, 2, count)[:, None] * (mixing @ reference + 0.1 * noise(*reference.shape, seed=2))


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("reference_of", [lambda count: noise(2, 3, count, LENGTH, seed=3), toy])
def test_the_ratios_agree_with_fast_bss_eval(count: int, reference_of: Callable[[int], Tensor]) -> None:
    reference = reference_of(count)
    estimate = leaky(reference)
    sdr, sir, sar = fast_bss_eval.si_bss_eval_sources(
        reference.double(), estimate.double(), zero_mean=False, compute_permutation=False
    )
    ours = bss_eval(estimate=estimate, reference=reference)
    for mine, theirs in [(ours.si_sdr, sdr), (ours.si_sir, sir), (ours.si_sar, sar)]:
        assert mine.shape == reference.shape[:-1]
        assert mine.dtype == torch.float64
        assert (mine - theirs).abs().max() < 1e-3
        assert mine.abs().max() < 60  # so that neither ceiling nor rounding is compared
    assert torch.equal(ours.si_sdr, si_sdr(estimate=estimate, reference=reference))
    centred = -fast_bss_eval.si_sdr_loss(estimate.double(), reference.double(), zero_mean=True, pairwise=False)
    assert (si_sdr(estimate=estimate, reference=reference, zero_mean=True) - centred).abs().max() < 1e-3


def test_orthogonal_parts_give_the_ratios_of_their_energies() -> None:
    target, interference, artefacts = (wave("sine", LENGTH / n) for n in (10, 20, 30))
    reference = torch.stack([3 * target, interference])
    estimate = torch.stack([target + 0.1 * interference + 0.01 * artefacts, interference])
    found = bss_eval(estimate=estimate, reference=reference)
    assert float(found.si_sdr[0]) == pytest.approx(-10 * math.log10(0.0101), abs=1e-6)
    assert float(found.si_sir[0]) == pytest.approx(20, abs=1e-6)
    assert float(found.si_sar[0]) == pytest.approx(10 * math.log10(1.01e4), abs=1e-6)
    assert found.si_sir[1] == found.si_sar[1] == CEILING_DB


@pytest.mark.parametrize("gain", [1e-3, -1.0, 1e3])
def test_scale_and_sign_do_not_matter(gain: float) -> None:
    reference = toy(4)
    estimate = leaky(reference)
    before = si_sdr(estimate=estimate, reference=reference)
    assert torch.allclose(si_sdr(estimate=gain * estimate, reference=reference), before, atol=1e-3)
    assert torch.allclose(si_sdr(estimate=estimate, reference=gain * reference), before, atol=1e-3)


def test_the_mean_counts_unless_removed() -> None:
    reference = wave("sine", 50)[None]
    estimate = reference + 0.5
    assert float(si_sdr(estimate=estimate, reference=reference)) == pytest.approx(10 * math.log10(2), abs=1e-6)
    assert float(si_sdr(estimate=estimate, reference=reference, zero_mean=True)) == CEILING_DB
    constant = torch.ones(1, LENGTH)
    assert si_sdr(estimate=reference.float(), reference=constant, zero_mean=True).isnan().all()


def test_silent_and_perfect_signals() -> None:
    sine, square = wave("sine", 50), wave("square", 40)
    zero = torch.zeros(LENGTH, dtype=torch.float64)
    reference = torch.stack([sine, zero, square, sine])
    estimate = torch.stack([sine, sine, zero, square])
    found = bss_eval(estimate=estimate, reference=reference)
    for ratio in (found.si_sdr, found.si_sir, found.si_sar):
        assert ratio[0] == CEILING_DB
        assert ratio[1].isnan()
        assert ratio[2] == -math.inf
    assert si_sdr(estimate=zero[None], reference=zero[None]).isnan().all()
    assert si_sdr(estimate=9e-6 * torch.ones(1, 10), reference=torch.ones(1, 10)).item() == -math.inf
    assert si_sdr(estimate=2e-5 * torch.ones(1, 10), reference=torch.ones(1, 10)).item() == CEILING_DB
    assert si_sdr(estimate=wave("sine", 50)[None], reference=wave("sine", 25)[None]).item() == -math.inf


def test_multiples_of_one_reference_have_no_interference() -> None:
    reference = torch.stack([wave("sine", 50), 2 * wave("sine", 50)])
    found = bss_eval(estimate=reference + 0.1 * noise(2, LENGTH), reference=reference)
    assert (found.si_sir == CEILING_DB).all()
    assert torch.allclose(found.si_sar, found.si_sdr, atol=1e-6)


def test_the_improvement_is_over_the_mix() -> None:
    reference = toy(3)
    mix = mix_of(reference)
    copies = mix.expand_as(reference)
    assert improvement(estimate=copies, reference=reference, mix=mix).abs().max() == 0
    gain = improvement(estimate=leaky(reference), reference=reference, mix=mix)
    before = si_sdr(estimate=copies, reference=reference)
    assert torch.allclose(gain + before, si_sdr(estimate=leaky(reference), reference=reference))
    assert (before < 0).any()
    assert improvement(estimate=reference, reference=reference, mix=0 * mix).isnan().all()


def test_the_best_order_undoes_a_shuffle_example_by_example() -> None:
    reference = noise(2, 2, 4, LENGTH)
    shuffles = torch.tensor([[[3, 1, 0, 2], [0, 1, 2, 3]], [[1, 2, 3, 0], [2, 3, 0, 1]]])
    estimate = leaky(reference)
    shuffled = estimate.gather(-2, shuffles[..., None].expand_as(estimate))
    restored, order = best_permutation(estimate=shuffled, reference=reference)
    assert torch.equal(restored, estimate)
    assert order.dtype == torch.int64
    assert torch.equal(order, shuffles.argsort(dim=-1))


def test_the_best_order_has_the_best_mean_and_not_the_best_first_choice() -> None:
    first, second, third = (wave("sine", LENGTH / n) for n in (10, 20, 30))
    reference = torch.stack([first, second])
    estimate = torch.stack([first + 0.9 * second, 0.9 * first + 0.1 * third])
    _, order = best_permutation(estimate=estimate, reference=reference)
    assert order.tolist() == [1, 0]


def test_only_sources_of_one_group_change_places() -> None:
    reference = noise(4, LENGTH)
    estimate = reference[[2, 0, 3, 1]]  # crosses the groups a and b
    _, free = best_permutation(estimate=estimate, reference=reference)
    assert free.tolist() == [1, 3, 0, 2]
    _, none = best_permutation(estimate=estimate, reference=reference, groups=list("abcd"))
    assert none.tolist() == [0, 1, 2, 3]
    _, within = best_permutation(estimate=reference[[2, 1, 0, 3]], reference=reference, groups=list("abab"))
    assert within.tolist() == [2, 1, 0, 3]
    _, across = best_permutation(estimate=reference[[1, 0, 2, 3]], reference=reference, groups=list("abab"))
    assert {across[0].item(), across[2].item()} == {0, 2}


def test_the_order_copes_with_silence() -> None:
    reference = noise(3, LENGTH)
    reference[1] = 0
    estimate = torch.stack([reference[2], torch.zeros(LENGTH), reference[0]])
    restored, order = best_permutation(estimate=estimate, reference=reference)
    assert order.tolist() == [2, 1, 0]
    assert restored.dtype == estimate.dtype


@pytest.mark.parametrize(
    ("estimate", "reference", "value", "remedy"),
    [
        (noise(2, 10), noise(3, 10), "(2, 10) and the reference (3, 10)", "one estimate for every reference"),
        (noise(1, 2, 10), noise(2, 10), "(1, 2, 10)", "one estimate for every reference"),
        (noise(10), noise(10), "(10,)", "add the source axis"),
        (noise(2, 0), noise(2, 0), "(2, 0)", "at least one sample"),
        (torch.full((1, 4), math.nan), noise(1, 4), "4 of 4 samples of the estimate", "clean or drop"),
        (noise(1, 2), torch.tensor([[0.0, math.inf]]), "1 of 2 samples of the reference", "clean or drop"),
        (torch.ones(1, 2, dtype=torch.int64), noise(1, 2), "the estimate is torch.int64", "x.float()"),
    ],
)
def test_bad_signals_get_one_sentence(estimate: Tensor, reference: Tensor, value: str, remedy: str) -> None:
    for function in (si_sdr, bss_eval, best_permutation, failure_kind):
        with pytest.raises(InputError) as caught:
            function(estimate=estimate, reference=reference)
        assert value in str(caught.value)
        assert remedy in str(caught.value)
    with pytest.raises(InputError):
        improvement(estimate=estimate, reference=reference, mix=noise(1, 10))


def test_a_bad_mix_or_group_is_named() -> None:
    x = noise(2, 3, 10)
    mix = mix_of(x)
    mix[1, 0, 7] = math.nan
    with pytest.raises(InputError, match=r"\(2, 1, 10\), got \(2, 3, 10\); pass one mix"):
        improvement(estimate=x, reference=x, mix=x)
    with pytest.raises(InputError, match="1 of 20 samples of the mix"):
        improvement(estimate=x, reference=x, mix=mix)
    with pytest.raises(InputError, match="2 groups for 3 sources; name the class"):
        best_permutation(estimate=x, reference=x, groups=["a", "b"])


def test_each_kind_of_failure_is_found() -> None:
    sine, saw, square = wave("sine", 50), wave("saw", 37), wave("square", 100)
    zero = torch.zeros_like(sine)
    cases = {
        "none": (sine + 0.2 * noise(LENGTH), sine),
        "swap": (saw + 0.5 * noise(LENGTH), sine),
        "offset": (sine + 0.5, sine),
        "edge": (wave("square", 100, phase=0.02), square),
        "wrong harmonic": (wave("sine", 25), sine),
        "other": (noise(LENGTH), sine),
        "silent": (zero, sine),
        "undefined": (sine, zero),
    }
    assert tuple(sorted(cases)) == tuple(sorted(FAILURE_KINDS))
    estimate = torch.stack([torch.stack([case[0], saw]) for case in cases.values()])
    reference = torch.stack([torch.stack([case[1], saw]) for case in cases.values()])
    kinds = failure_kind(estimate=estimate, reference=reference)
    assert kinds.shape == (len(cases), 2)
    assert dict(zip(cases, kinds[:, 0].tolist(), strict=True)) == {name: name for name in cases}
    assert (kinds[:, 1] == "none").all()


def test_the_threshold_decides_what_fails() -> None:
    reference = wave("sine", 50)[None]
    estimate = reference + 0.5 * wave("sine", 31)[None]
    level = float(si_sdr(estimate=estimate, reference=reference))
    assert failure_kind(estimate=estimate, reference=reference, threshold_db=level).tolist() == ["none"]
    assert failure_kind(estimate=estimate, reference=reference, threshold_db=level + 0.01).tolist() == ["other"]


def test_noise_is_no_swap_and_a_swap_of_two_is() -> None:
    reference = noise(1, 4, LENGTH, seed=1)
    assert (failure_kind(estimate=noise(1, 4, LENGTH, seed=2), reference=reference) == "other").all()
    assert failure_kind(estimate=reference[:, [1, 0, 2, 3]], reference=reference).tolist() == [
        ["swap", "swap", "none", "none"]
    ]


@pytest.mark.parametrize(("source", "ratio"), [("sine", 2), ("saw", 1 / 2), ("triangle", 3), ("square", 2 / 3)])
def test_harmonics_are_found_for_every_waveform(source: str, ratio: float) -> None:
    reference = wave(source, 60)[None]
    estimate = wave(source, 60 / ratio, phase=0.3)[None] + 0.1 * noise(1, LENGTH)
    assert failure_kind(estimate=estimate, reference=reference).tolist() == ["wrong harmonic"]
    between = wave(source, 60 / (ratio * 1.06))[None]
    assert failure_kind(estimate=between, reference=reference).tolist() == ["other"]


@pytest.mark.parametrize("period", [13, 50, 133, 531])
def test_the_fundamental_of_every_toy_waveform_is_found(period: int) -> None:
    one = torch.ones(1, 4, dtype=torch.float64)
    x = synthesise(ToyWorld(), ToyParameters(RATE / period * one, one, 0.2 * one), 1024)
    for k, source in enumerate(SOURCES):
        assert fundamental_period(x[0, k]) == pytest.approx(period, rel=0.02), source


def test_what_has_no_fundamental_gives_none() -> None:
    for x in (noise(LENGTH), torch.zeros(LENGTH), torch.ones(LENGTH), torch.linspace(0, 1, LENGTH), torch.ones(1)):
        assert fundamental_period(x) is None
    assert fundamental_period(wave("sine", 0.7 * LENGTH)) == pytest.approx(0.7 * LENGTH, rel=0.02)
    assert fundamental_period(wave("sine", 0.8 * LENGTH)) is None, "the end of the search is taken for a peak"
