"""Exchange of jumps between two sources, and the choice of the sources themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from codebook import WINDOW, Codebook, codebook_wave
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.samplers import ExchangeConfig, ExchangingGibbsConfig, GibbsConfig, exchange, gibbs, gibbs_exchange
from srcsep_core.samplers.selection import all_subsets, select_sources

NAMES = ("square", "saw")
PRIORS = [Codebook(name) for name in NAMES]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def truth() -> Tensor:
    """A square that falls and a saw that falls, both between samples 20 and 21: (1, 2, T)."""
    # the square of period 10 falls at cycle 0.5, the saw of period 13 at cycle 1
    square = codebook_wave("square", 10, WINDOW, start=(5 - 21) % 10)
    saw = codebook_wave("saw", 13, WINDOW, start=(13 - 21) % 13)
    assert square[20] > 0 > square[21] and saw[20] > 0.5 > -0.5 > saw[21]
    return torch.stack([square, saw])[None]


def test_a_wrong_jump_is_put_right_and_the_sum_stays() -> None:
    right = truth()
    wrong = right.clone()
    # the square keeps its old value one sample longer; the saw falls by that much more there
    size = float(right[0, 0, 20] - right[0, 0, 21])
    wrong[0, 0, 21] += size
    wrong[0, 1, 21] -= size
    found = exchange(wrong, PRIORS, config=ExchangeConfig(tolerance=0.7), generator=seeded())
    torch.testing.assert_close(found.sum(dim=1), right.sum(dim=1))
    assert (found - right).abs().max() < (wrong - right).abs().max() / 3


def test_the_truth_is_left_alone() -> None:
    right = truth()
    config = ExchangeConfig(tolerance=2.0, jump=0.5)  # many proposals, all of them wrong
    torch.testing.assert_close(exchange(right, PRIORS, config=config, generator=seeded()), right)


def test_the_order_of_the_sources_does_not_matter() -> None:
    right = truth()
    wrong = right.clone()
    wrong[0, 0, 21] += 1.8
    wrong[0, 1, 21] -= 1.8
    config = ExchangeConfig(tolerance=0.7)
    one = exchange(wrong, PRIORS, config=config, generator=seeded())
    other = exchange(wrong.flip(1), PRIORS[::-1], config=config, generator=seeded())
    torch.testing.assert_close(one, other.flip(1), atol=1e-4, rtol=0)


def test_gibbs_with_exchange_separates_and_differs_in_nothing_but_the_end() -> None:
    right = truth()
    mix = right.mean(dim=1, keepdim=True)
    sizes: dict[str, Any] = {"levels": 8, "max_chains": 2, "swaps": 1}
    plain = gibbs(mix, PRIORS, config=GibbsConfig(**sizes), generator=seeded(1))
    refined = gibbs_exchange(mix, PRIORS, config=ExchangingGibbsConfig(**sizes), generator=seeded(1))
    assert refined.chains.shape == plain.chains.shape
    torch.testing.assert_close(refined.sources, right, atol=0.05, rtol=0)
    assert list(refined.trace.columns) == list(plain.trace.columns)


def test_the_kept_estimate_exchanges_again() -> None:
    mix = truth().mean(dim=1, keepdim=True)
    once = ExchangingGibbsConfig(levels=4, max_chains=1, swaps=1, again=0)
    generator = seeded(1)
    kept = gibbs_exchange(mix, PRIORS, config=once, generator=generator).sources
    for again in (1, 2):
        kept = exchange(kept, PRIORS, generator=generator)
        found = gibbs_exchange(mix, PRIORS, config=replace(once, again=again), generator=seeded(1)).sources
        torch.testing.assert_close(found, kept, rtol=0, atol=0)
    with pytest.raises(InputError, match="again is -1"):
        replace(once, again=-1)


@pytest.mark.parametrize(
    "bad", [{"jump": 0}, {"tolerance": -1.0}, {"most": 0}, {"draws": 0}, {"sigmas": ()}, {"sigmas": (0.0,)}]
)
def test_bad_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        ExchangeConfig(**bad)


def test_unknown_gains_are_refused() -> None:
    with pytest.raises(InputError, match="unknown gains"):
        ExchangingGibbsConfig(estimate_gains=True)


def test_the_right_set_of_sources_is_found() -> None:
    waves = {
        "sine": codebook_wave("sine", 7, WINDOW, 2),
        "square": codebook_wave("square", 18, WINDOW, 4),
        "saw": codebook_wave("saw", 13, WINDOW, 1),
    }
    priors = {name: Codebook(name) for name in waves}
    for names in (("sine",), ("square", "saw"), ("sine", "square", "saw")):
        total = torch.stack([waves[name] for name in names]).sum(dim=0)[None, None]
        config = GibbsConfig(levels=10, max_chains=4, swaps=1)
        found = select_sources(total, priors, config=config, generator=seeded(3))
        assert found.hypotheses == all_subsets(tuple(waves))
        assert found.doubts.shape == (1, 7)
        assert found.names(0) == names


def test_sets_that_cannot_be_tried_are_refused() -> None:
    total = truth().sum(dim=1, keepdim=True)
    priors = {"saw": PRIORS[1]}
    with pytest.raises(InputError, match="no prior for square"):
        select_sources(total, priors, hypotheses=[("square",)], generator=seeded())
    with pytest.raises(InputError, match="give at least one"):
        select_sources(total, priors, hypotheses=[()], generator=seeded())
    with pytest.raises(InputError, match="NaN"):
        select_sources(total * torch.nan, priors, generator=seeded())


def test_all_subsets_come_once_small_ones_first() -> None:
    found = all_subsets(("a", "b", "c"))
    assert len(found) == len(set(found)) == 7
    assert [len(names) for names in found] == sorted(len(names) for names in found)
