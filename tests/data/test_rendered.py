"""The world of rendered songs: deterministic, loud enough, splits apart, stems of one row of one song."""

import pytest
import torch

from srcsep_core.data.base import EvalConfig, Split, world_of
from srcsep_core.data.mixes import MixConfig, draw_mixes
from srcsep_core.data.rendered import PLACES, RATES, RenderedWorld
from srcsep_core.errors import InputError

WORLD = RenderedWorld()


def draw(
    world: RenderedWorld = WORLD, batch: int = 3, length: int = 4000, seed: int = 5, split: Split = "train"
) -> torch.Tensor:
    return world.draw(batch, length, torch.Generator().manual_seed(seed), split=split)


def test_draws_are_determined_by_the_generator() -> None:
    first = draw()
    assert first.shape == (3, 4, 4000) and first.dtype == torch.float32 and first.abs().max() <= 1
    assert torch.equal(first, draw()) and not torch.equal(first, draw(seed=6))


def test_splits_are_of_other_songs() -> None:
    assert len({digit for digits in PLACES.values() for digit in digits}) == sum(map(len, PLACES.values())) == 10
    sets = [draw(split=split) for split in PLACES]
    assert all(not torch.equal(one, other) for k, one in enumerate(sets) for other in sets[:k])


def test_a_stem_alone_is_that_of_the_whole_song() -> None:
    """The same generator gives the same stretch, so that what is asked for changes nothing but what is played."""
    whole = draw(batch=2)
    torch.testing.assert_close(draw(WORLD.only(("vocals", "drums")), batch=2), whole[:, [3, 0]])


def test_levels_are_typical_and_nothing_is_silent_or_clipped() -> None:
    drawn = draw(batch=60, length=16_000)
    rms = drawn.square().mean(dim=2).sqrt()
    for k, source in enumerate(WORLD.sources):
        typical = WORLD.typical_rms[source]
        assert 0.7 * typical < rms[:, k].median() < 1.4 * typical, source
    assert rms.min() > 2e-3
    assert (drawn.abs() >= 1).float().mean() < 1e-3


def test_mixes_are_of_stems_that_belong_together() -> None:
    config = MixConfig(("bass", "drums"), mixes=3, length=4000)
    drawn = draw_mixes(WORLD, config)
    assert torch.equal(drawn.mix, draw_mixes(WORLD, config).mix)
    torch.testing.assert_close(drawn.mix, drawn.sources.mean(dim=1, keepdim=True))
    assert not torch.equal(drawn.sources, draw_mixes(WORLD, config, split="validation").sources)


def test_variants_differ_in_rate_and_instruments() -> None:
    assert {world_of(variant).sample_rate for variant in RATES} == {8_000, 16_000}
    assert not torch.equal(draw(), draw(RenderedWorld("instruments_8k")))
    assert WORLD.fingerprint["songs"] >= 1


def test_test_set_is_the_test_songs() -> None:
    evaluation = EvalConfig(signals=2, length=2000, seed=3)
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(WORLD.test_set(evaluation), WORLD.draw(2, 2000, generator, split="test"))


@pytest.mark.parametrize("sources", [(), ("drums", "drums"), ("drums", "kazoo")])
def test_sources_that_are_not_are_named(sources: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="drums, bass, other, vocals"):
        RenderedWorld(sources=sources)


def test_length_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="0 samples"):
        draw(length=0)
