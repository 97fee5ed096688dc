"""Sets of mixes: the mean of their sources, the same every time, each source by itself."""

import math

import pytest
import torch
from scipy import stats

from srcsep_core.data.mixes import BLOCK, TEST_SEED, VALIDATION_SEED, MixConfig, draw_mixes
from srcsep_core.data.toy import ToyWorld, draw_sources
from srcsep_core.errors import InputError

DATA = ToyWorld()
PAIR = ("sine", "saw")


def test_mix_is_the_mean_of_the_sources() -> None:
    drawn = draw_mixes(DATA, MixConfig(("sine", "square", "saw"), mixes=5, length=100))
    assert drawn.mix.shape == (5, 1, 100) and drawn.sources.shape == (5, 3, 100) and drawn.gains.shape == (5, 3)
    assert drawn.mix.dtype == drawn.sources.dtype == torch.float32
    torch.testing.assert_close(drawn.mix, drawn.sources.mean(dim=1, keepdim=True))
    assert drawn.gains.eq(1).all() and drawn.sources.abs().max() <= 1


def test_sources_follow_the_toy_law_of_their_class() -> None:
    drawn = draw_mixes(DATA, MixConfig(("square", "saw"), mixes=50, length=600)).sources.abs()
    square = drawn[:, 0]
    assert torch.equal(square.amin(dim=1), square.amax(dim=1)), "a square has one magnitude"
    assert square.min() >= 0.8 and square.max() <= 1 and len(square[:, 0].unique()) == 50
    assert drawn[:, 1].amax(dim=1).min() > 0.7 and len(drawn[0, 1].unique()) > 5


def test_set_is_the_same_every_time_and_leaves_the_global_state_alone() -> None:
    config, before = MixConfig(PAIR, mixes=3, length=64, gains=(0.5, 2.0), noise=0.1), torch.get_rng_state()
    first, again = draw_mixes(DATA, config), draw_mixes(DATA, config)
    for one, other in ((first.mix, again.mix), (first.sources, again.sources), (first.gains, again.gains)):
        assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_and_variants_give_other_sets() -> None:
    sets = [
        draw_mixes(data, MixConfig(PAIR, mixes=2, length=64, seed=seed)).mix
        for data in (DATA, ToyWorld("thesis"))
        for seed in (TEST_SEED, VALIDATION_SEED)
    ]
    assert all(not torch.equal(sets[i], sets[j]) for i in range(4) for j in range(i))


def test_source_does_not_depend_on_the_other_ones() -> None:
    alone = draw_mixes(DATA, MixConfig(("sine",), mixes=4, length=64)).sources
    for others in (("sine", "saw"), ("sine", "square", "triangle"), ("sine", "sine")):
        assert torch.equal(draw_mixes(DATA, MixConfig(others, mixes=4, length=64)).sources[:, :1], alone)
    second = [
        draw_mixes(DATA, MixConfig(names, mixes=4, length=64)).sources[:, 1:2]
        for names in (("sine", "saw"), ("square", "saw"), ("triangle", "saw", "sine"))
    ]
    assert torch.equal(second[0], second[1]) and torch.equal(second[0], second[2])


def test_classes_of_the_toy_world_do_not_matter_beyond_those_drawn() -> None:
    config = MixConfig(PAIR, mixes=2, length=64)
    assert torch.equal(draw_mixes(DATA, config).mix, draw_mixes(ToyWorld(sources=("sine",)), config).mix)


def test_source_is_drawn_by_the_generator_of_its_place() -> None:
    drawn = draw_mixes(DATA, MixConfig(PAIR, mixes=3, length=64, seed=11)).sources
    for k, name in enumerate(PAIR):
        generator = torch.Generator().manual_seed(11 + 1000 * k)
        expected = draw_sources(ToyWorld(sources=(name,)), BLOCK, 64, generator)
        assert torch.equal(drawn[:, k : k + 1], expected[:3])


def test_smaller_set_is_the_start_of_a_larger_one() -> None:
    many = draw_mixes(DATA, MixConfig(PAIR, mixes=BLOCK + 20, length=32, gains=(0.5, 1.0), noise=0.1))
    few = draw_mixes(DATA, MixConfig(PAIR, mixes=7, length=32, gains=(0.5, 1.0), noise=0.1))
    assert torch.equal(few.mix, many.mix[:7])
    assert torch.equal(few.sources, many.sources[:7]) and torch.equal(few.gains, many.gains[:7])
    assert len(many.mix.unique(dim=0)) == BLOCK + 20


def test_sources_of_one_class_differ() -> None:
    sources = draw_mixes(DATA, MixConfig(("sine", "sine", "sine"), mixes=20, length=64)).sources
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (sources[:, first] - sources[:, second]).abs().amax(dim=1).min() > 0.01


def test_gains_scale_the_sources_and_are_log_uniform() -> None:
    config = MixConfig(PAIR, mixes=2000, length=8, gains=(0.25, 4.0))
    drawn, plain = draw_mixes(DATA, config), draw_mixes(DATA, MixConfig(PAIR, mixes=2000, length=8))
    torch.testing.assert_close(drawn.sources, plain.sources * drawn.gains[..., None])
    assert drawn.gains.min() >= 0.25 and drawn.gains.max() <= 4.0
    share = (drawn.gains.flatten().log() - math.log(0.25)) / math.log(16)
    assert stats.kstest(share.numpy(), "uniform").pvalue > 0.01
    torch.testing.assert_close(drawn.mix, drawn.sources.mean(dim=1, keepdim=True))


def test_noise_is_added_to_the_sum() -> None:
    clean, noisy, louder = (
        draw_mixes(DATA, MixConfig(("sine", "saw", "square", "triangle"), mixes=20, length=500, noise=sigma))
        for sigma in (0.0, 0.2, 0.4)
    )
    assert torch.equal(noisy.sources, clean.sources)
    added = 4 * (noisy.mix - clean.mix)
    assert added.std().item() == pytest.approx(0.2, rel=0.03) and abs(added.mean().item()) < 0.01
    torch.testing.assert_close(4 * (louder.mix - clean.mix), 2 * added, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": ()}, "a mix of 0 sources was asked for; name at least one"),
        ({"mixes": 0}, r"MixConfig\.mixes is 0; use at least 1"),
        ({"length": 0}, r"MixConfig\.length is 0; use at least 1"),
        ({"gains": (0.0, 1.0)}, r"gains \(0\.0, 1\.0\) .* use positive, ordered gains"),
        ({"gains": (2.0, 1.0)}, r"gains \(2\.0, 1\.0\)"),
        ({"noise": -0.1}, r"noise -0\.1 is out of range"),
    ],
)
def test_senseless_settings_are_refused(change: dict[str, object], message: str) -> None:
    settings: dict[str, object] = {"sources": PAIR, "mixes": 2} | change
    with pytest.raises(InputError, match=message):
        MixConfig(**settings)  # type: ignore[arg-type]


def test_unknown_class_is_named() -> None:
    with pytest.raises(InputError, match=r"unknown toy source\(s\) \['organ'\]"):
        draw_mixes(DATA, MixConfig(("sine", "organ"), mixes=1))
