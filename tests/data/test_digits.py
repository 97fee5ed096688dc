"""The world of digits: splits apart, determined by its generator, no picture twice in a row, halves of their digits."""

import pytest
import torch

from srcsep_core.data.base import EvalConfig, Split, distinct, trained_for, world_of
from srcsep_core.data.digits import DIGITS, ENDS, SOURCES, DigitWorld
from srcsep_core.data.mixes import MixConfig, draw_mixes
from srcsep_core.errors import InputError

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
PAIR = DigitWorld(sources=("digit", "digit"))
HALVES = DigitWorld("digits_halves")


def draw(world: DigitWorld = PAIR, batch: int = 20, seed: int = 5, split: Split = "train") -> torch.Tensor:
    return world.draw(batch, 64, torch.Generator().manual_seed(seed), split=split)


def rows(x: torch.Tensor) -> set[tuple[float, ...]]:
    """The pictures, each once."""
    return {tuple(row) for row in x.flatten(0, 1).tolist()}


def test_draws_are_determined_by_the_generator() -> None:
    first = draw()
    assert first.shape == (20, 2, 64) and first.dtype == torch.float32
    assert first.min() == 0 and first.max() == 1
    assert torch.equal(first, draw()) and not torch.equal(first, draw(seed=6))


def test_no_picture_is_in_two_splits() -> None:
    """Every picture of a split is drawn sooner or later."""
    found = {split: rows(draw(batch=8000, split=split)) for split in SPLITS}
    assert {split: len(pictures) for split, pictures in found.items()} == {
        split: stop - start for split, (start, stop) in ENDS.items()
    }
    assert len(set.union(*found.values())) == sum(map(len, found.values())) == 1797


def test_test_set_is_of_the_test_split() -> None:
    evaluation = EvalConfig(signals=7, length=64, seed=3)
    assert torch.equal(PAIR.test_set(evaluation), draw(batch=7, seed=3, split="test"))


@pytest.mark.parametrize("split", SPLITS)
def test_no_row_has_a_picture_twice(split: Split) -> None:
    drawn = draw(DigitWorld(sources=("digit",) * 5), batch=500, split=split)
    same = (drawn[:, :, None] == drawn[:, None]).all(dim=3)
    assert same.sum() == 500 * 5, "each is only itself"


def test_halves_have_their_digits() -> None:
    random = torch.Generator().manual_seed(0)
    digits = HALVES.draw_named(2000, 64, random)[1]
    assert [tuple(column.unique().tolist()) for column in digits.T] == [DIGITS["low"], DIGITS["high"]]
    assert tuple(PAIR.draw_named(500, 64, random)[1].unique().tolist()) == DIGITS["digit"]


def test_named_digits_are_those_of_the_pictures() -> None:
    """Drawn alike, pictures of one digit are more like each other than like those of another."""
    pictures, digits = DigitWorld().draw_named(1500, 64, torch.Generator().manual_seed(1))
    means = torch.stack([pictures[digits == digit].mean(dim=0).flatten() for digit in range(10)])
    nearest = torch.cdist(pictures[:, 0], means).argmin(dim=1)
    assert (nearest == digits[:, 0]).float().mean() > 0.8


def test_sources_are_drawn_in_the_order_asked_for() -> None:
    swapped = HALVES.only(("high", "low"))
    digits = swapped.draw_named(50, 64, torch.Generator().manual_seed(0))[1]
    assert (digits[:, 0] >= 5).all() and (digits[:, 1] <= 4).all()
    twice = HALVES.only(("low", "low"))
    drawn, digits = twice.draw_named(300, 64, torch.Generator().manual_seed(0))
    assert (digits <= 4).all() and not (drawn[:, 0] == drawn[:, 1]).all(dim=1).any()


def test_mixes_are_the_mean_of_different_pictures() -> None:
    drawn = draw_mixes(world_of("digits"), MixConfig(("digit",) * 3, mixes=10, length=64))
    torch.testing.assert_close(drawn.mix, drawn.sources.mean(dim=1, keepdim=True))
    assert len(rows(drawn.sources)) > 20 and rows(drawn.sources) <= rows(draw(batch=8000, split="test"))


def test_loudness_is_about_what_is_typical() -> None:
    found = draw(batch=500).square().mean().sqrt()
    assert float(found) == pytest.approx(PAIR.typical_rms["digit"], rel=0.1)


def test_halves_are_trained_on_themselves() -> None:
    assert trained_for("digits_halves").sources == ("low", "high")
    assert set(HALVES.colours) == {"low", "high"} and set(PAIR.colours) == {"digit"}
    assert HALVES.fingerprint != HALVES.only(("low",)).fingerprint != PAIR.fingerprint


def test_unknown_variant_is_refused() -> None:
    with pytest.raises(InputError, match=f"unknown digits variant 'letters'; use one of {', '.join(SOURCES)}"):
        DigitWorld("letters")


@pytest.mark.parametrize(("variant", "sources"), [("digits", ("low",)), ("digits_halves", ("low", "digit"))])
def test_unknown_source_is_refused(variant: str, sources: tuple[str, ...]) -> None:
    known = ", ".join(SOURCES[variant])
    with pytest.raises(InputError, match=f"{variant} has the sources {known}, not {', '.join(sources)}"):
        DigitWorld(variant, sources)


@pytest.mark.parametrize("length", [0, 63, 128])
def test_length_that_is_no_picture_is_refused(length: int) -> None:
    with pytest.raises(InputError, match=f"the length is {length} but a picture of digits has 64 pixels; use 64"):
        DigitWorld().draw(1, length, torch.Generator())


def test_pictures_have_no_sample_rate() -> None:
    with pytest.raises(InputError) as refused:
        _ = DigitWorld().sample_rate
    sentence = str(refused.value)
    assert sentence == "digits is a world of pictures, which have no sample rate; name a variant of sounds"


# Different numbers


@pytest.mark.parametrize(("count", "among"), [(1, 1), (1, 9), (3, 3), (4, 9)])
def test_numbers_of_a_row_differ(count: int, among: int, generator: torch.Generator) -> None:
    found = distinct(400, count, among, generator)
    assert found.shape == (400, count) and found.min() >= 0 and found.max() < among
    assert all(len(set(row)) == count for row in found.tolist())
    counts = found.flatten().bincount(minlength=among) / (400 * count)
    assert (counts - 1 / among).abs().max() < 0.06


def test_more_numbers_than_there_are_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="4 different signals were asked for and there are 3; ask for fewer"):
        distinct(1, 4, 3, generator)
