"""What is measured of autoencoders, on one that is known: it halves a signal, and its codes are the signal's."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from srcsep_core.diagnostics.codes import (
    code_table,
    principal_axes,
    reconstruction_table,
    usage_table,
)
from srcsep_core.errors import InputError


@dataclass(frozen=True)
class Halving:
    """A prior whose codes are pairs of samples, or, with `entries`, whole numbers."""

    indices: bool = False

    def reconstruct(self, x: Tensor) -> Tensor:
        return x / 2

    def codes(self, x: Tensor) -> Tensor:
        return x[:, 0].long() if self.indices else x.view(len(x), -1, 2).mT


@dataclass(frozen=True)
class Halvings:
    """Two of them."""

    indices: bool = False
    sources: tuple[str, ...] = ("sine", "saw")

    def prior(self, source: str) -> Halving:
        return Halving(self.indices)


def test_half_a_signal_has_a_ratio_of_six_decibels(generator: torch.Generator) -> None:
    table = reconstruction_table(Halvings(), torch.randn(3, 2, 8, generator=generator))
    assert list(table["source"]) == ["sine"] * 3 + ["saw"] * 3 and list(table["signal"]) == [0, 1, 2] * 2
    np.testing.assert_allclose(table["value"], 20 * np.log10(2), rtol=1e-6)


def test_principal_axes_hold_the_variance_in_order() -> None:
    values = np.array([[3.0, 0, 1], [-3, 0, 1], [0, 2, 1], [0, -2, 1]])
    components, shares = principal_axes(values)
    np.testing.assert_allclose(components, [[3, 0], [-3, 0], [0, 2], [0, -2]], atol=1e-12)
    np.testing.assert_allclose(shares, [9 / 13, 4 / 13])
    with pytest.raises(InputError, match="1 numbers a code have no 2 principal components"):
        principal_axes(values[:, :1])


def test_codes_of_the_middle_frame_are_tabled_under_every_prior(generator: torch.Generator) -> None:
    signals = torch.randn(5, 2, 12, generator=generator)
    table = code_table(Halvings(), signals)
    assert len(table) == 2 * 2 * 5 and table["prior"].nunique() == 2
    frames = signals.transpose(0, 1).reshape(10, 12)[:, 6:8].double().numpy()
    components, shares = principal_axes(frames)
    own = table[table["prior"] == "saw"]
    np.testing.assert_allclose(own[["first", "second"]], components)
    assert own["first_share"].iloc[0] == pytest.approx(shares[0])


def test_usage_is_by_rank_and_its_perplexity_counts() -> None:
    signals = torch.tensor([[[2.0, 2, 0, 0], [1, 1, 1, 1]]])
    table = usage_table(Halvings(indices=True), signals, 4)
    sine, saw = (table[table["source"] == name] for name in ("sine", "saw"))
    assert sine["share"].tolist() == [0.5, 0.5, 0, 0] and saw["share"].tolist() == [1, 0, 0, 0]
    assert sine["perplexity"].iloc[0] == pytest.approx(2) and saw["perplexity"].iloc[0] == pytest.approx(1)
