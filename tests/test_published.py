"""The published numbers are found, and what was never published is refused."""

from __future__ import annotations

import pytest

from srcsep_core.errors import InputError
from srcsep_core.published import authors_cross_likelihood, authors_discrimination


def test_the_toy_flow_matrix_is_the_authors() -> None:
    table = authors_cross_likelihood().set_index(["source", "prior"])
    assert len(table) == 16
    assert table.loc[("sine", "sine"), "median"] == pytest.approx(4.88689)
    assert table.loc[("square", "triangle"), "median"] == pytest.approx(-215680)


def test_the_toy_flow_accuracy_is_the_authors() -> None:
    table = authors_discrimination().set_index("prior")
    assert table["argmax_prior_accuracy"].to_dict() == {"sine": 1, "square": 1, "saw": 1, "triangle": 0.89}


def test_a_noise_level_is_selected() -> None:
    noisy = authors_discrimination(prior_sigma=0.359).set_index("prior")
    assert noisy.loc["sine", "auroc_worst"] == pytest.approx(0.045892)


def test_what_was_not_published_is_named() -> None:
    with pytest.raises(InputError, match=r"prior sigma 0\.5"):
        authors_discrimination(prior_sigma=0.5)
