"""How good a prior's score is on noisy signals: its norm, its denoiser, and the direction it points in.

The measures know nothing of the model but `score(x, sigma)`. Noisy signals are x = x0 + sigma n with x0 of T
samples and n standard normal; D(x) = x + sigma^2 score(x) is the posterior mean of x0 where the score is that
of p_sigma, the density of x (Miyasawa 1961; Efron 2011, "Tweedie's formula"). For that score alone

    E |score|^2 = T / sigma^2 - mmse / sigma^4,     mmse = E |D(x) - x0|^2,

and a score that is too long, too short or astray misses it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from srcsep_core.checks import check_waveform
from srcsep_core.diagnostics.discrimination import describe, interval, resample
from srcsep_core.errors import InputError
from srcsep_core.priors.base import DenoisingPrior, ScorePrior, denoised_from_score

QUANTITIES = (
    "gradient_norm_squared_per_sample",
    "identity",
    "denoising_mse",
    "oracle_mse",
    "alignment_clean",
    "alignment_optimum",
    "alignment_oracle",
)


def score_table(
    prior: ScorePrior,
    clean: Tensor,
    sigma: float,
    generator: torch.Generator,
    *,
    oracle: ScorePrior | None = None,
    batch_size: int = 16,
) -> pd.DataFrame:
    """One row of measures for every signal of `clean` (B, 1, T), noised at standard deviation `sigma`.

    The noise is drawn once, on the generator's device, before any batch is formed: equal generators give equal
    noisy signals to every prior and batch size. `oracle` has the exact score, or the best there is; without it
    the columns that need it are empty. Columns, for noisy x and clean x0:

    signal, sigma;
    gradient_norm_squared_per_sample: |score|^2 / T (nats^2, per squared unit of amplitude);
    identity: what it is on average for the exact score, 1/sigma^2 - oracle_mse/sigma^4. Only means may be
    compared: one signal's value is a noisy estimate and can be negative;
    denoising_mse, oracle_mse: |D(x) - x0|^2 / T of the prior's and of the oracle's denoiser. No denoiser has a
    mean below the exact one's, so 1/sigma^2 - denoising_mse/sigma^4 bounds the mean of `identity` from below;
    alignment_clean: cos(score, x0 - x);
    alignment_optimum: what alignment_clean can be for this x when T is large, |D(x) - x| / (sigma sqrt(T)) with
    the oracle's D. Its mean square is 1 - mmse / (T sigma^2), which makes it the per-signal form of
    sqrt(1 - mmse / (T sigma^2)), and it needs no clipping at 0;
    alignment_oracle: cos(score, oracle's score).

    Raises `InputError` if `clean` is not a finite batch of one channel, or if `sigma` or `batch_size` is not
    positive; the prior may raise for a level or a length that it does not have.
    """
    check_waveform(clean)
    if not (sigma > 0 and math.isfinite(sigma)):
        raise InputError(f"the noise level is {sigma:g}; scores are measured at a positive one, such as 0.1")
    if batch_size < 1:
        raise InputError(f"the batch size is {batch_size}; use at least 1")
    noise = torch.randn(clean.shape, generator=generator, device=generator.device, dtype=clean.dtype)
    noisy = clean + sigma * noise.to(clean.device)
    frames = []
    for start in range(0, len(clean), batch_size):
        rows = slice(start, start + batch_size)
        x = noisy[rows]
        exact = None if oracle is None else _score(oracle, x, sigma)
        measures = _measures(_score(prior, x, sigma), exact, x[:, 0].double(), clean[rows, 0].double(), sigma)
        columns = {name: values.cpu().numpy() for name, values in measures.items()}
        frames.append(pd.DataFrame({"signal": range(start, start + len(x)), "sigma": sigma, **columns}))
    return pd.concat(frames, ignore_index=True).reindex(columns=["signal", "sigma", *QUANTITIES])


def summarise_scores(table: pd.DataFrame) -> pd.DataFrame:
    """One row for every quantity of a `score_table`, with 95 % bootstrap intervals over signals.

    Columns: quantity, n, mean, mean_low, mean_high, median, median_low, median_high, q05, q95, each in the unit
    of the quantity. Quantities that the table leaves empty are left out. Raises `InputError` for several noise
    levels in one table, whose values do not belong together.
    """
    levels = sorted(set(table["sigma"]))
    if len(levels) != 1:
        raise InputError(f"the table has {len(levels)} noise levels ({levels}); summarise them one at a time")
    rows = []
    for quantity in QUANTITIES:
        x = table[quantity].to_numpy()
        if table[quantity].notna().any():
            low, high = interval(x[resample(len(x))].mean(axis=1))
            rows.append({"quantity": quantity, "mean_low": low, "mean_high": high, **describe(x)})
    middle = [f"{name}{end}" for name in ("mean", "median") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["quantity", "n", *middle, "q05", "q95"])


def denoising_table(
    priors: Mapping[str, DenoisingPrior], clean: Tensor, noise: Tensor, sigmas: Sequence[float], shown: int
) -> pd.DataFrame:
    """One signal `clean` (1, 1, T) in `noise` (1, 1, T) of each level, and what every prior makes of it.

    Columns: sigma, prior, sample (the first `shown`), clean, noisy, denoised.
    """
    parts = []
    for sigma in sigmas:
        noisy = clean + sigma * noise
        for name, prior in priors.items():
            waves = {"clean": clean, "noisy": noisy, "denoised": prior.denoise(noisy, sigma)}
            columns = {kind: wave[0, 0, :shown].cpu().numpy() for kind, wave in waves.items()}
            parts.append(pd.DataFrame({"sigma": sigma, "prior": name, "sample": range(shown), **columns}))
    return pd.concat(parts, ignore_index=True)


def _score(prior: ScorePrior, x: Tensor, sigma: float) -> Tensor:
    score = prior.score(x, sigma)
    if score.shape != x.shape:
        raise InputError(f"the score has shape {tuple(score.shape)} for signals {tuple(x.shape)}; return the same")
    return score.detach()[:, 0].double()


def _measures(score: Tensor, exact: Tensor | None, x: Tensor, x0: Tensor, sigma: float) -> dict[str, Tensor]:
    """The columns of a batch, each (B,), from scores and signals (B, T) in float64."""
    found = {
        "gradient_norm_squared_per_sample": score.square().mean(dim=1),
        "denoising_mse": (denoised_from_score(x, score, sigma) - x0).square().mean(dim=1),
        "alignment_clean": cosine_similarity(score, x0 - x, dim=1),
    }
    if exact is None:
        return found
    mse = (denoised_from_score(x, exact, sigma) - x0).square().mean(dim=1)
    return found | {
        "identity": 1 / sigma**2 - mse / sigma**4,
        "oracle_mse": mse,
        "alignment_optimum": sigma * exact.square().mean(dim=1).sqrt(),
        "alignment_oracle": cosine_similarity(score, exact, dim=1),
    }
