"""Priors in different spaces side by side: worst pairs, falls in units of the class, and a gradient followed."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from srcsep_core.diagnostics.spaces import discrimination_by_space, falls_with_noise, follow_gradient, worst_pairs
from srcsep_core.errors import InputError


def values(gap: float) -> pd.DataFrame:
    """Three sources under three priors; the own prior is ahead by `gap`, but c is hard for its own."""
    rows = []
    for source in "abc":
        for prior in "abc":
            base = (gap if source == prior else 0.0) - (2 * gap if source == prior == "c" else 0.0)
            rows += [
                {"source": source, "prior": prior, "signal": k, "value": base + 0.01 * k + 0.001 * ord(source)}
                for k in range(8)
            ]
    return pd.DataFrame(rows)


def test_worst_pairs_are_those_of_each_space_in_the_order_of_the_sources() -> None:
    table = discrimination_by_space({"time": values(1.0), "log-mel": values(2.0)})
    worst = worst_pairs(table)
    assert list(zip(worst["space"], worst["prior"], strict=True)) == [
        (s, p) for s in ("time", "log-mel") for p in "abc"
    ]
    found = worst[worst["space"] == "time"].set_index("prior")
    assert found.loc["a", "auroc"] == 1 and found.loc["c", "auroc"] == 0
    assert found["accuracy"].tolist() == [1, 1, 0]
    plain = table[(table["space"] == "time") & ~table["ratio"]].groupby("prior")["auroc"].min()
    assert (plain == found["auroc"]).all()
    assert {f"{name}{end}" for name in ("auroc", "ratio_auroc", "accuracy") for end in ("", "_low", "_high")} <= {
        *worst
    }


def test_falls_in_spreads_do_not_know_the_scale() -> None:
    clean = values(1.0)
    curve = pd.DataFrame(
        [
            {"data_sigma": sigma, "prior": prior, "value": 1 - sigma + 0.01 * k}
            for sigma in (0.0, 0.5)
            for prior in "abc"
            for k in range(3)
        ]
    )
    falls = falls_with_noise(curve, clean)
    noisy = falls[falls["data_sigma"] == 0.5]
    np.testing.assert_allclose(noisy["fall"], 0.5)
    np.testing.assert_allclose(noisy["spread"], 0.01 * 7 * 0.68 / 2)
    scaled = falls_with_noise(curve.assign(value=3 * curve["value"] + 2), clean.assign(value=3 * clean["value"] + 2))
    np.testing.assert_allclose(scaled["fall_in_spreads"], falls["fall_in_spreads"], atol=1e-12)


def test_a_gradient_is_followed_to_the_top_and_draws_nothing() -> None:
    top = torch.tensor([0.3, -0.2]).expand(2, 1, 2)

    def log_density(x: Tensor) -> Tensor:
        return -(x - top).square().sum(dim=(1, 2))

    start = torch.zeros(2, 1, 2)
    start[1] = 1.0
    state = torch.get_rng_state()
    end, path = follow_gradient(log_density, start, steps=200, step_size=0.05)
    assert torch.equal(state, torch.get_rng_state()) and not end.requires_grad
    torch.testing.assert_close(end, top.clone(), rtol=0, atol=1e-2)
    assert path.shape == (201, 2) and torch.equal(path[0], log_density(start)) and (path[-1] > path[0]).all()


def test_what_cannot_be_followed_is_named() -> None:
    with pytest.raises(InputError, match="steps is 0; use at least 1"):
        follow_gradient(lambda x: x.sum(dim=(1, 2)), torch.zeros(1, 1, 2), steps=0)
    with pytest.raises(InputError, match="not finite after 0 steps"):
        follow_gradient(lambda x: x.sum(dim=(1, 2)) / 0, torch.zeros(1, 1, 2), steps=2)
