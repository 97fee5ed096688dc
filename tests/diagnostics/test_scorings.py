"""Ways of scoring classes: what each takes from the likelihood, and what a denoiser's error says."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from srcsep_core.data.toy import ToyWorld
from srcsep_core.diagnostics import discriminate
from srcsep_core.diagnostics.scorings import (
    BACKGROUND,
    COMPLEXITY,
    LIKELIHOOD,
    denoising,
    denoising_scorings,
    likelihood_scorings,
)
from srcsep_core.diagnostics.typicality import flac_nats_per_sample
from srcsep_core.nn.denoiser import DenoiserConfig, PreconditionedNet
from srcsep_core.priors.denoiser import DenoiserSet


@dataclass
class Gaussians:
    """White Gaussians of these standard deviations, one a source."""

    deviations: tuple[float, ...]
    sources: tuple[str, ...]
    multiple_of: int = 1

    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        deviations = torch.tensor(self.deviations, dtype=torch.float64)[:, None]
        density = torch.distributions.Normal(torch.zeros(1, dtype=torch.float64), deviations)
        return {"log_prob": density.log_prob(x.double().expand(-1, len(self.sources), -1)).mean(dim=2)}


SOURCES = ("sine", "saw")
PRIORS, ANY = Gaussians((0.1, 0.4), SOURCES), Gaussians((0.3,), ("any",))


@pytest.fixture
def scored(generator: torch.Generator) -> tuple[Tensor, pd.DataFrame]:
    noise = torch.randn(5, 2, 512, generator=generator)
    signals = noise * torch.tensor([0.1, 0.3])[:, None]
    return signals, likelihood_scorings(PRIORS, ANY, signals, 8000)  # type: ignore[arg-type]


def test_scorings_are_the_likelihood_shifted_by_what_belongs_to_the_signal(
    scored: tuple[Tensor, pd.DataFrame],
) -> None:
    signals, table = scored
    assert len(table) == 3 * 5 * 2 * 2
    wide = table.pivot(index=["source", "prior", "signal"], columns="scoring", values="value")
    for (source, prior, signal), row in wide.iterrows():
        x = signals[signal, SOURCES.index(source)][None, None]
        plain = float(PRIORS.likelihoods(x)["log_prob"][0, SOURCES.index(prior)])
        assert row[LIKELIHOOD] == pytest.approx(plain)
        assert row[BACKGROUND] == pytest.approx(plain - float(ANY.likelihoods(x)["log_prob"][0, 0]))
        assert row[COMPLEXITY] == pytest.approx(plain + float(flac_nats_per_sample(x[0], 8000)[0]))


def test_no_shift_changes_which_prior_is_the_likeliest(scored: tuple[Tensor, pd.DataFrame]) -> None:
    _, table = scored
    accuracies = [
        discriminate(part.drop(columns="scoring"))["accuracy"].dropna().tolist() for _, part in table.groupby("scoring")
    ]
    assert accuracies[0] == accuracies[1] == accuracies[2] == [1.0, 1.0]


def test_a_denoisers_error_is_that_of_its_own_estimate(generator: torch.Generator) -> None:
    net = PreconditionedNet(DenoiserConfig(channels=(8, 8), strides=(4,), middle=1, classes=2, window=64))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    priors = DenoiserSet(SOURCES, ToyWorld(), 0.0, pd.DataFrame(), Path(), net)
    signals = ToyWorld().only(SOURCES).draw(3, 64, generator)
    table = denoising_scorings(priors, signals, (0.1, 0.5), seed=3)
    assert set(table["scoring"]) == {denoising(0.1), denoising(0.5)} and len(table) == 2 * 3 * 2 * 2
    rows = signals.transpose(0, 1).reshape(-1, 1, 64)
    noisy = rows + 0.1 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(3))
    found = priors.prior("saw").denoise(noisy, 0.1)
    errors = (found - rows).square().mean(dim=(1, 2)) / (2 * 0.1**2)
    part = table[(table["scoring"] == denoising(0.1)) & (table["prior"] == "saw")]
    assert np.allclose(part["value"], -errors.numpy(), rtol=1e-5)
    assert part["source"].tolist() == ["sine"] * 3 + ["saw"] * 3 and part["signal"].tolist() == [0, 1, 2] * 2
