"""What else than a likelihood may tell classes apart: every signal scored under every prior in several ways.

| scoring              | value of signal x under the prior of class k, nats/sample                                |
|----------------------|------------------------------------------------------------------------------------------|
| `log p`              | log p_k(x)                                                                               |
| `log p - background` | log p_k(x) - log p(x) under one prior of all classes (as in Ren et al. 2019, 1906.02845) |
| `log p + FLAC`       | log p_k(x) + the length of x as FLAC (`typicality.complexity_corrected`)                 |
| `denoising at s`     | -|D_k(x + noise) - x|^2 / (2 s^2), the denoiser's error at the noise level s             |

Ren et al. train their background on perturbed inputs; ours is trained on all classes, unperturbed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from srcsep_core.diagnostics.likelihood import likelihood_table
from srcsep_core.diagnostics.typicality import flac_nats_per_sample
from srcsep_core.priors.denoiser import DenoiserSet
from srcsep_core.priors.sets import LikelihoodSet
from srcsep_core.progress import Progress

LIKELIHOOD, BACKGROUND, COMPLEXITY = "log p", "log p - background", "log p + FLAC"


def denoising(sigma: float) -> str:
    """The name of the scoring at a noise level."""
    return f"denoising at {sigma:g}"


def likelihood_scorings(
    priors: LikelihoodSet, background: LikelihoodSet, signals: Tensor, sample_rate: int, *, progress: bool = False
) -> pd.DataFrame:
    """The scorings of `signals` (N, K, T), the sources of `priors` in order, that come from densities.

    `background` has one prior. Columns: source, prior, signal, scoring, value.
    """
    plain = likelihood_table(priors, signals, progress=progress).rename(columns={"log_prob": "value"})
    plain = plain[["source", "prior", "signal", "value"]]
    rows = signals.transpose(0, 1).reshape(-1, 1, signals.shape[2])
    own = torch.cat([background.likelihoods(some)["log_prob"][:, 0].cpu() for some in rows.split(16)]).numpy()
    about = pd.MultiIndex.from_product([priors.sources, range(len(signals))], names=["source", "signal"])
    code = flac_nats_per_sample(rows[:, 0], sample_rate)
    shifts = {LIKELIHOOD: np.zeros_like(own), BACKGROUND: -own, COMPLEXITY: code}
    return pd.concat(
        [
            plain.merge(pd.Series(shift, about, name="shift").reset_index(), on=["source", "signal"])
            .assign(value=lambda table: table["value"] + table["shift"], scoring=scoring)
            .drop(columns="shift")
            for scoring, shift in shifts.items()
        ],
        ignore_index=True,
    )


def denoising_scorings(
    priors: DenoiserSet, signals: Tensor, sigmas: Sequence[float], *, seed: int = 0, progress: bool = False
) -> pd.DataFrame:
    """The scorings of `signals` (N, K, window) at each noise level (std), the same noise under every prior.

    Columns as those of `likelihood_scorings`.
    """
    with Progress(len(sigmas) * len(priors.sources), "denoising", show=progress) as bar:
        return pd.concat(list(_denoised(priors, signals, sigmas, seed, bar)), ignore_index=True)


def _denoised(
    priors: DenoiserSet, signals: Tensor, sigmas: Sequence[float], seed: int, bar: Progress
) -> Iterator[pd.DataFrame]:
    count, kinds, length = signals.shape
    device = next(priors.denoiser.parameters()).device
    rows = signals.transpose(0, 1).reshape(-1, 1, length)
    generator = torch.Generator().manual_seed(seed)
    about = pd.DataFrame({"source": np.repeat(priors.sources, count), "signal": np.tile(np.arange(count), kinds)})
    for sigma in sigmas:
        noisy = rows + sigma * torch.randn(rows.shape, generator=generator)
        for k, source in enumerate(priors.sources):
            labels = torch.full((len(rows),), k, device=device)
            found = priors.denoiser.denoise_rows(noisy.to(device), sigma, labels).cpu()
            errors = (found - rows).square().mean(dim=(1, 2))
            values = (-errors / (2 * sigma**2)).double().numpy()
            yield about.assign(prior=source, scoring=denoising(sigma), value=values)
            bar.advance()
