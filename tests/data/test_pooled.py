"""All sources of a world as one."""

import pytest
import torch

from srcsep_core.data.base import world_of
from srcsep_core.data.pooled import PooledWorld
from srcsep_core.data.toy import ToyWorld
from srcsep_core.errors import InputError


def test_every_signal_is_of_some_source_and_all_occur(generator: torch.Generator) -> None:
    world = ToyWorld()
    pooled = PooledWorld(world)
    found = pooled.draw(64, 32, generator)
    every = world.draw(64, 32, torch.Generator().manual_seed(0))
    assert found.shape == (64, 1, 32)
    same = (found == every).all(dim=2)
    assert same.any(dim=1).all() and same.any(dim=0).all()


def test_it_is_as_its_world_and_knows_one_source() -> None:
    songs = world_of("songs_8k")
    pooled = PooledWorld(songs)
    assert (pooled.sample_rate, pooled.unit, pooled.variant) == (8_000, songs.unit, "any-songs_8k")
    low, high = min(songs.typical_rms.values()), max(songs.typical_rms.values())
    assert low < pooled.typical_rms["any"] < high
    assert pooled.only(["any"]) is pooled
    with pytest.raises(InputError, match=r"drums are not there; all are one, 'any'"):
        pooled.only(["drums"])


def test_what_it_depends_on_is_its_worlds(generator: torch.Generator) -> None:
    assert PooledWorld(world_of("songs_8k")).fingerprint != PooledWorld(world_of("instruments_8k")).fingerprint
    with pytest.raises(InputError, match="excerpt is for testing"):
        PooledWorld(world_of("excerpt_8k")).draw(1, 100, generator)
