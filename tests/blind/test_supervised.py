"""Losses of masks made of mixes: the best order of known sources, the best mixes of slots, mixes put together anew."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from srcsep_core.blind.slots import SlotConfig, SlotNet, drawn_sources, mixed
from srcsep_core.blind.supervised import MOST_DB, mixit_losses, nes_losses, pit_losses, thresholded_snr
from srcsep_core.blind.views import Pixels
from srcsep_core.errors import InputError

CONFIG = SlotConfig(view=Pixels(4, 6), latent=3, hidden=(16,), warmup=0)


def drawn(batch: int = 12, classes: int = 1, seed: int = 1) -> Tensor:
    return torch.rand(batch, classes, 24, generator=torch.Generator().manual_seed(seed))


def network(**changes: int) -> SlotNet:
    return SlotNet(replace(CONFIG, **changes)).eval()  # type: ignore[arg-type]


def answering(monkeypatch: pytest.MonkeyPatch, pictures: Tensor, **changes: int) -> SlotNet:
    """A network that has these pictures (B, slots, D) for every batch."""
    net = network(**changes)
    monkeypatch.setattr(net, "pictures", lambda mix: pictures)
    return net


def test_ratio_is_that_of_the_definition_and_never_above_thirty(generator: torch.Generator) -> None:
    reference = torch.randn(5, 100, generator=generator)
    noisy = reference + 0.3 * torch.randn(5, 100, generator=generator)
    ratio = reference.square().sum(dim=1) / ((noisy - reference).square() + 1e-3 * reference.square()).sum(dim=1)
    torch.testing.assert_close(thresholded_snr(noisy, reference), 10 * ratio.log10(), rtol=1e-4, atol=1e-4)
    exact = thresholded_snr(reference, reference)
    assert exact.max() <= MOST_DB + 1e-4 and exact.min() > MOST_DB - 1e-3


def test_ratio_of_silence_is_finite() -> None:
    silence = torch.zeros(24, requires_grad=True)
    found = thresholded_snr(silence, torch.zeros(24))
    found.backward()
    assert found == 0 and silence.grad is not None and silence.grad.isfinite().all()
    assert thresholded_snr(torch.ones(24), torch.zeros(24)) < -80


@pytest.mark.parametrize("count", [2, 3])
def test_best_order_does_not_depend_on_that_of_the_sources(count: int, generator: torch.Generator) -> None:
    net, sources = network(sources=count, slots=count), drawn(6, count)
    loss = pit_losses(net, sources, generator)
    assert loss.shape == (1, 1)
    torch.testing.assert_close(pit_losses(net, sources.roll(1, dims=1), generator), loss)
    torch.testing.assert_close(pit_losses(net, sources.flip(1), generator), loss)


@pytest.mark.parametrize("count", [2, 3])
def test_exact_parts_in_any_order_have_the_best_loss(
    count: int, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = drawn(6, count)
    net = answering(monkeypatch, sources.roll(1, dims=1) / count, sources=count, slots=count)
    assert float(pit_losses(net, sources, generator)) == pytest.approx(-MOST_DB, abs=0.01)
    equal = answering(monkeypatch, torch.ones_like(sources), sources=count, slots=count)
    assert float(pit_losses(equal, sources, generator)) > -15


def test_order_is_chosen_for_each_mix(generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = drawn(2, 2)
    net = answering(monkeypatch, torch.stack([sources[0], sources[1].flip(0)]))
    assert float(pit_losses(net, sources, generator)) == pytest.approx(-MOST_DB, abs=0.01)


def test_known_sources_need_a_slot_each(generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="there are 4 slots for 2 sources; use as many"):
        pit_losses(network(slots=4), drawn(), generator)


@pytest.mark.parametrize("slots", [2, 3, 4])
def test_all_assignments_of_slots_to_mixes_are_tried(slots: int, generator: torch.Generator) -> None:
    """Against loops that build both mixes of every choice."""
    net, x = network(slots=slots), drawn(12)
    mixes = mixed(drawn_sources(x, 2))
    total = []
    for first, second in zip(mixes[::2], mixes[1::2], strict=True):
        both = ((first + second) / 2)[None]
        pictures = net.pictures(both)[0]
        parts = pictures / pictures.sum(dim=0) * both[0]
        found = []
        for choice in product((False, True), repeat=slots):
            one, other = torch.zeros(24), torch.zeros(24)
            for slot, chosen in enumerate(choice):
                one, other = (one + parts[slot], other) if chosen else (one, other + parts[slot])
            ratios = thresholded_snr(one, first[0] / 2) + thresholded_snr(other, second[0] / 2)
            found.append(ratios.item() / 2)
        assert len(found) == 2**slots
        total.append(max(found))
    assert mixit_losses(net, x, generator).item() == pytest.approx(-sum(total) / len(total), abs=1e-3)


def test_slots_that_hold_the_sources_of_both_mixes_have_the_best_loss(
    generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever order, and also where one slot holds a whole mix."""
    x = drawn(8)
    four = x[:, 0].unflatten(0, (2, 4))
    net = answering(monkeypatch, four[:, [2, 0, 3, 1]], slots=4)
    assert float(mixit_losses(net, x, generator)) == pytest.approx(-MOST_DB, abs=0.01)
    whole = torch.stack([four[:, 2:].sum(dim=1), four[:, 0], torch.zeros(2, 24), four[:, 1]], dim=1)
    assert float(mixit_losses(answering(monkeypatch, whole, slots=4), x, generator)) == pytest.approx(-30, abs=0.01)
    crossed = torch.stack([four[:, 0] + four[:, 2], four[:, 1] + four[:, 3]], dim=1)
    assert float(mixit_losses(answering(monkeypatch, crossed, slots=2), x, generator)) > -20


def test_a_mix_without_another_is_left_out(generator: torch.Generator) -> None:
    net, x = network(slots=4), drawn(10)
    torch.testing.assert_close(mixit_losses(net, x, generator), mixit_losses(net, x[:8], generator))


def test_second_source_is_never_looked_at(generator: torch.Generator) -> None:
    """Mixes of the same sum have the same first estimates, so that only the known sources tell them apart."""
    net, sources = network(), drawn(6, 2) / 2
    with torch.no_grad():
        unseen = 2 * net.config.view.masked(mixed(sources), net.pictures(mixed(sources)))[:, 1:]
    known = torch.cat([sources[[5, 0, 1, 2, 3, 4], :1], unseen], dim=1)
    expected = thresholded_snr(2 * net.separate(mixed(known)) / 4, known / 2)
    torch.testing.assert_close(nes_losses(net, sources, generator)[0, 0], -expected.mean(), rtol=1e-4, atol=1e-4)


def test_slots_have_their_place_where_one_source_is_known(
    generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = drawn(6, 2)
    known = sources[:, :1].roll(1, dims=0)
    pictures = {"right": torch.cat([known, sources[:, 1:]], dim=1)}
    pictures["crossed"] = pictures["right"].flip(1)
    loss = {}
    for name, found in pictures.items():
        net, answers = network(), iter([sources, found])
        monkeypatch.setattr(net, "pictures", lambda mix, answers=answers: next(answers))
        loss[name] = float(nes_losses(net, sources, generator))
    assert loss["right"] == pytest.approx(-MOST_DB, abs=0.01) and loss["crossed"] > -15


@pytest.mark.parametrize(("sources", "slots"), [(3, 3), (2, 4), (1, 1)])
def test_one_known_source_needs_two_slots(sources: int, slots: int, generator: torch.Generator) -> None:
    with pytest.raises(InputError, match=f"there are {slots} slots for {sources} sources; use two of two"):
        nes_losses(network(sources=sources, slots=slots), drawn(), generator)
