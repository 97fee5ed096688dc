"""Sets of mixes: the mean of their sources, the same every time, each source by itself."""

import math
from itertools import combinations

import pytest
import torch
from scipy import stats
from torch import Tensor

from srcsep_core.data.mixes import BLOCK, TEST_SEED, VALIDATION_SEED, MixConfig, draw_mixes
from srcsep_core.data.toy import SOURCES, ToyWorld
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
        for data in (DATA, ToyWorld("piano_keys"))
        for seed in (TEST_SEED, VALIDATION_SEED)
    ]
    assert all(not torch.equal(sets[i], sets[j]) for i in range(4) for j in range(i))


def waves_of(sources: tuple[str, ...], k: int, count: int = 20) -> Tensor:
    """The k-th source of every mix of a set, (count, T)."""
    return draw_mixes(DATA, MixConfig(sources, mixes=count, length=64)).sources[:, k]


def test_sets_of_other_classes_are_other_draws() -> None:
    """The same class at the same place among other classes, or in another order, has nothing in common."""
    sets = [("sine",), ("sine", "saw"), ("sine", "square"), ("sine", "sine"), ("sine", "saw", "square")]
    for first, second in combinations(sets, 2):
        gap = (waves_of(first, 0)[:, None] - waves_of(second, 0)).abs().amax(dim=2)
        assert gap.min() > 0.01, (first, second)
    assert (waves_of(("saw", "sine"), 1) - waves_of(("sine", "saw"), 0)).abs().amax(dim=1).min() > 0.01


def test_all_pairs_together_have_as_many_draws_as_mixes() -> None:
    """25 mixes of each of the six pairs: the sources of one class, which is in three of them, are 75 waves."""
    for name in SOURCES:
        pairs = [pair for pair in combinations(SOURCES, 2) if name in pair]
        waves = torch.cat([waves_of(pair, pair.index(name), 25) for pair in pairs])
        assert len(waves) == 75 and len(waves.unique(dim=0)) == 75


def test_noise_of_other_classes_is_other_noise() -> None:
    noises = []
    for names in (("sine", "saw"), ("sine", "square")):
        clean, noisy = (draw_mixes(DATA, MixConfig(names, mixes=2, length=64, noise=s)).mix for s in (0.0, 0.5))
        noises.append(noisy - clean)
    correlation = torch.corrcoef(torch.stack([noise.flatten() for noise in noises]))[0, 1]
    assert correlation.abs() < 0.3 and (noises[0] - noises[1]).abs().max() > 0.3


def test_classes_of_the_toy_world_do_not_matter_beyond_those_drawn() -> None:
    config = MixConfig(PAIR, mixes=2, length=64)
    assert torch.equal(draw_mixes(DATA, config).mix, draw_mixes(ToyWorld(sources=("sine",)), config).mix)


def test_tests_and_validation_have_seeds_of_their_own() -> None:
    assert TEST_SEED != VALIDATION_SEED and MixConfig(PAIR, 1).seed == TEST_SEED
    one, other = (first_sources(seed) for seed in (TEST_SEED, VALIDATION_SEED))
    assert (one[:, None] - other).abs().amax(dim=2).min() > 0.01


def first_sources(seed: int) -> Tensor:
    """The first source of twenty mixes, (20, T)."""
    return draw_mixes(DATA, MixConfig(PAIR, mixes=20, length=64, seed=seed)).sources[:, 0]


def test_draws_of_a_set_do_not_change_between_versions() -> None:
    """What a result was measured on can be drawn again."""
    drawn = draw_mixes(DATA, MixConfig(PAIR, mixes=1, length=4))
    expected = [[-0.133692, -0.067075, 0.0, 0.067075], [-0.557238, -0.538349, -0.519459, -0.50057]]
    torch.testing.assert_close(drawn.sources[0], torch.tensor(expected), rtol=0, atol=1e-5)


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
