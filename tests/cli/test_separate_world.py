"""`srcsep separate --world`: which variant is meant, and what is said where the two do not belong together."""

import pytest

from srcsep_core.cli.separate import _variant
from srcsep_core.errors import InputError
from srcsep_core.separate import SeparateConfig


@pytest.mark.parametrize(
    ("world", "variant", "meant"),
    [
        (None, None, SeparateConfig().variant),
        ("toy", None, SeparateConfig().variant),
        ("rendered", None, "songs_8k"),
        ("rendered", "songs_16k", "songs_16k"),
        (None, "songs_8k", "songs_8k"),
        (None, "piano_keys", "piano_keys"),
    ],
)
def test_the_variant_that_is_meant(world: str | None, variant: str | None, meant: str) -> None:
    assert _variant(world, variant) == meant


def test_worlds_and_variants_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match="unknown world 'pop'; use one of toy, "):
        _variant("pop", None)
    with pytest.raises(InputError, match="the variant piano_keys is of the world toy, not rendered"):
        _variant("rendered", "piano_keys")


def test_music_is_separated_by_means_and_waves_by_gibbs() -> None:
    assert SeparateConfig(variant="songs_8k").request.sampler == "means"
    assert SeparateConfig().request.sampler == "gibbs"
    assert SeparateConfig(variant="songs_8k", sampler="projection").request.sampler == "projection"
