"""What speaks for and against a window: nothing against the truth, much against what is not."""

import math

import pytest
import torch
from codebook import codebook_priors, codebook_wave
from torch import Tensor

from srcsep_core.separate.evidence import FEATURES, MOST, neighbours, rivals, window_evidence

NAMES = ("sine", "square")
TRUTH = torch.stack([codebook_wave("sine", 10, 64), codebook_wave("square", 13, 64)])


def asked(kept: Tensor, total: Tensor | None = None, names: tuple[str, ...] = NAMES) -> dict[str, float]:
    """The evidence on one window (K, W)."""
    priors, none = codebook_priors(), torch.zeros(1)
    whole = kept.sum(dim=0) if total is None else total
    generator = torch.Generator().manual_seed(0)
    table = window_evidence(
        kept[None], whole[None], none, none + MOST, names, priors.by_source, priors.typical_rms, generator
    )
    assert len(table) == 1 and list(table)[: len(FEATURES)] == list(FEATURES)
    return {str(name): value for name, value in table.iloc[0].items()}


def test_truth_has_nothing_against_it() -> None:
    found = asked(TRUTH)
    assert found["residual_db"] == -60 and found["doubt_db"] < -40
    assert found["error"] < -1 and found["error_wide"] < -1 and found["margin"] < -1
    assert found["loudness_db"] < 0.1 and found["better"] == ""


def test_wrong_class_is_denoised_better_by_the_right_one() -> None:
    found = asked(TRUTH, names=("sine", "saw"))
    assert found["better"] == "square" and found["worst"] == 1 and found["margin"] > 1


@pytest.mark.parametrize("kind", ["noise", "two in one"])
def test_what_is_no_source_does_not_survive_noising(kind: str) -> None:
    noise = 0.6 * torch.randn(64, generator=torch.Generator().manual_seed(1))
    wrong = {"noise": noise, "two in one": TRUTH.sum(dim=0)}[kind]
    found = asked(torch.stack([TRUTH[0], wrong]))
    assert found["residual_db"] == -60, "it adds up all the same"
    assert found["doubt_db"] > -15 and found["error"] > 0.3


def test_what_is_left_and_what_is_too_quiet_are_told() -> None:
    assert asked(TRUTH, 2 * TRUTH.sum(dim=0))["residual_db"] == pytest.approx(20 * math.log10(0.5), abs=0.01)
    assert asked(TRUTH * torch.tensor([[1.0], [0.25]]))["loudness_db"] == pytest.approx(12.04, abs=0.1)


def test_without_priors_only_the_chains_speak() -> None:
    kept, one = TRUTH[None], torch.ones(1)
    table = window_evidence(
        kept, kept.sum(dim=1), one, one, NAMES, None, codebook_priors().typical_rms, torch.Generator()
    )
    assert table[["doubt_db", "error", "error_wide", "margin"]].isna().all(axis=None)
    assert table[["residual_db", "loudness_db", "disagreement", "rival"]].notna().all(axis=None)


def test_rival_is_the_best_chain_that_says_something_else() -> None:
    other = TRUTH.flip(0)
    candidates = torch.stack([TRUTH, TRUTH + 0.01, other, 2 * other])[None]
    doubts = torch.tensor([[0.1, 0.2, 1.0, 10.0]])
    assert float(rivals(candidates, doubts, TRUTH[None], torch.tensor([0]), NAMES)) == pytest.approx(1.0)
    doubts[0, 2:] = torch.inf
    assert float(rivals(candidates, doubts, TRUTH[None], torch.tensor([0]), NAMES)) == MOST


def test_order_of_sources_of_one_class_is_no_rival() -> None:
    pair = torch.stack([codebook_wave("sine", 10, 64), codebook_wave("sine", 7, 64)])
    candidates, doubts = torch.stack([pair, pair.flip(0)])[None], torch.tensor([[0.1, 0.1]])
    assert float(rivals(candidates, doubts, pair[None], torch.tensor([0]), ("sine", "sine"))) == MOST
    assert float(rivals(candidates, doubts, pair[None], torch.tensor([0]), NAMES)) == pytest.approx(0.0)


def test_disagreement_with_either_neighbour_counts() -> None:
    assert neighbours(torch.tensor([[0.1, 0.5], [0.2, 0.0]])).tolist() == pytest.approx([0.5, 0.5, 0.2])
    assert neighbours(torch.zeros(0, 2)).tolist() == [0.0]
