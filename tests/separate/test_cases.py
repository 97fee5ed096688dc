"""Labelled recordings are what they are called, the same each time, and of seeds of their own."""

import pytest
import torch

from srcsep_core.data.base import World, world_of
from srcsep_core.data.mixes import TEST_SEED, VALIDATION_SEED
from srcsep_core.data.toy import ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.separate.case_kinds import KINDS, OTHER
from srcsep_core.separate.cases import (
    BOOKS,
    FIT_SEED,
    FLOOR_DB,
    HELD_OUT_SEED,
    Case,
    draw_case,
    worst_by_window,
)

WORLD, SONGS = ToyWorld("uniform_hz"), world_of("songs_8k")
KIND_OF = [
    (world, kind) for world in (WORLD, SONGS) for kind in (*BOOKS[world.name].kinds, *BOOKS[world.name].unfitted)
]
SILENT = ("noise", "speech-like", "musical")
MISNAMED = ("wrong classes", "too few named", "too many named", *SILENT)


def drawn(kind: str, number: int = 0, seed: int = FIT_SEED, world: World = WORLD) -> Case:
    return draw_case(world, kind, number, seed, 3200 / world.sample_rate)


def test_seeds_are_apart() -> None:
    assert len({FIT_SEED, HELD_OUT_SEED, TEST_SEED, VALIDATION_SEED}) == 4


def test_every_kind_is_of_a_world() -> None:
    assert {kind for _, kind in KIND_OF} == set(KINDS)


@pytest.mark.parametrize(("world", "kind"), KIND_OF)
def test_case_is_what_it_is_called(world: World, kind: str) -> None:
    for number in range(6):
        case = drawn(kind, number, world=world)
        assert case.mix.shape == (1, 3200) and case.references.shape == (len(case.named), 3200)
        assert 0.03 < float(case.mix.abs().max()) < 0.96 and bool(case.mix.isfinite().all())
        assert case.answerable == (kind not in MISNAMED)
        there = [bool(reference.any()) for reference in case.references]
        assert there == [name in case.true for name in case.named]
        assert (OTHER in case.true) == (kind in SILENT)
    again, other, held = (drawn(kind, *at, world=world) for at in ((), (1,), (0, HELD_OUT_SEED)))
    assert torch.equal(again.mix, drawn(kind, world=world).mix)
    assert not torch.equal(again.mix, other.mix) and not torch.equal(again.mix, held.mix)


def test_right_ones_have_one_to_four_sources_and_some_of_them_two_of_a_class() -> None:
    named = [drawn("right classes", number).named for number in range(40)]
    assert {len(names) for names in named} == {1, 2, 3, 4}
    twice = [names for names in named if len(set(names)) < len(names)]
    assert 2 < len(twice) < 20 and all(drawn("right classes", n).answerable for n in range(40))
    assert {len(drawn("passing sound", number).named) for number in range(20)} == {2, 3, 4}


@pytest.mark.parametrize("kind", ["right classes", "near pitches", "note change", "unequal levels"])
def test_references_add_up_to_the_mix(kind: str) -> None:
    case = drawn(kind)
    torch.testing.assert_close(case.references.sum(dim=0, keepdim=True), case.mix, atol=1e-5, rtol=0)


def test_what_is_added_or_cut_is_in_no_reference() -> None:
    for kind in ("clipped", "noise added", "passing sound", "too few named"):
        case = drawn(kind)
        left = case.mix - case.references.sum(dim=0)
        assert float(left.square().mean()) > 1e-5 * float(case.mix.square().mean())


def test_worst_source_counts_in_the_whole_and_in_every_window() -> None:
    case = drawn("right classes")
    starts = [0, 1024, 2048]
    whole, parts = worst_by_window(case, case.references, starts, 1024)
    assert whole > 90 and min(parts) > 90
    spoilt = case.references.clone()
    spoilt[1, 1024:2048] = case.references[0, 1024:2048]
    whole, parts = worst_by_window(case, spoilt, starts, 1024)
    assert whole < 15 and parts[1] < 0 and parts[0] > 90 and parts[2] > 90


def test_order_within_a_class_is_free_and_a_wrong_set_is_wrong() -> None:
    twice = next(case for case in (drawn("near pitches", n) for n in range(50)) if len(set(case.named)) == 1)
    assert worst_by_window(twice, twice.references.flip(0), [0], 1024)[0] > 90
    few = drawn("too few named")
    assert worst_by_window(few, few.references, [0, 9], 1024) == (FLOOR_DB, [FLOOR_DB] * 2)


def test_songs_name_no_class_twice_and_are_of_the_loudness_of_stems() -> None:
    cases = [drawn(kind, n, world=SONGS) for kind in ("right classes", "noise", "wrong classes") for n in range(6)]
    assert all(len(set(case.named)) == len(case.named) for case in cases)
    assert {len(drawn("unseen instruments", n, world=SONGS).named) for n in range(12)} == {2, 3, 4}


def test_what_a_world_has_not_is_named() -> None:
    with pytest.raises(InputError, match="unknown kind of case 'opera'"):
        drawn("opera")
    with pytest.raises(InputError, match="unknown kind of case 'near pitches'"):
        drawn("near pitches", world=SONGS)
    with pytest.raises(InputError, match="unknown world of cases 'excerpt'"):
        drawn("noise", world=world_of("excerpt_8k"))


@pytest.mark.parametrize("kind", [kind for world, kind in KIND_OF if world is SONGS])
def test_songs_are_drawn_at_every_length_of_their_book(kind: str) -> None:
    """The one real song is no longer than six seconds."""
    for number, seconds in enumerate(BOOKS[SONGS.name].lengths_s):
        case = draw_case(SONGS, kind, number, HELD_OUT_SEED, seconds)
        asked = round(seconds * SONGS.sample_rate)
        assert case.mix.shape[1] == case.references.shape[1] == (min(asked, 47_070) if kind == "real song" else asked)
