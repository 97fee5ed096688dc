"""Two corrections of the bare likelihood as a test of membership: typicality and input complexity.

Typicality asks whether a signal is as likely as signals of the class usually are, neither less nor more
(Nalisnick et al. 2019, arXiv 1906.02994). The complexity correction takes off what a general-purpose codec
finds easy in a signal, whatever its class (Serra et al. 2020, arXiv 1909.11480). The third correction, the
likelihood ratio, is `discriminate(values, ratio=True)`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from srcsep_core.audio import encode_audio
from srcsep_core.diagnostics.discrimination import discriminate
from srcsep_core.errors import InputError

FLAC_SCALE = 0.25


def typicality(log_likelihood: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """|log p - H| of every signal, (n,), in the unit of `log_likelihood` (n,); small is typical.

    H, the entropy of the prior up to its sign, is estimated by the mean of `reference` (m,), log-likelihoods of
    signals of the prior's own class that should not be among the n; so estimated, a single outlier of 1e8 nats
    spoils it. This is the test of Nalisnick et al. 2019 for sets of one signal. Raises `InputError`
    if the reference is empty or either holds NaN; the reference must be finite.
    """
    values, own = np.asarray(log_likelihood, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if own.size == 0:
        raise InputError("there are 0 reference log-likelihoods; pass those of signals of the prior's own class")
    bad = int((~np.isfinite(own)).sum())
    if bad:
        raise InputError(f"{bad} of {own.size} reference log-likelihoods are not finite; drop those signals")
    missing = int(np.isnan(values).sum())
    if missing:
        raise InputError(f"{missing} of {values.size} log-likelihoods are NaN; drop those signals")
    return np.abs(values - own.mean())


def typicality_table(values: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """How well typicality tells each prior's own source from every other; columns as `discriminate`.

    `values` and `reference` have the columns source, prior, signal, value (nats/sample) of `protocol_values`. H
    of a prior is the mean of the reference's rows of its own source; give other signals than those of `values`,
    or accept that each own signal looks more typical by a share 1/n. Row (source, prior) with source != prior:
    `auroc` is the chance that a signal of the prior's own source is closer to H than one of `source`. Row
    (source, source): `accuracy` is the share of the source's signals that are closest to H under their own
    prior. Raises `InputError` if a prior's own source is not in the reference.
    """
    parts = []
    for prior, group in values.groupby("prior", sort=False):
        own = reference.loc[(reference["prior"] == prior) & (reference["source"] == prior), "value"]
        if own.empty:
            raise InputError(f"the reference has no signals of source {prior!r} under its own prior; add them")
        parts.append(group.assign(value=-typicality(group["value"], own)))
    return discriminate(pd.concat(parts))


def worst_by_statistic(
    values: pd.DataFrame, reference: pd.DataFrame, signals: Tensor, sample_rate: int
) -> pd.DataFrame:
    """The pair of sources that each of four statistics tells apart worst.

    `values` and `reference` as for `typicality_table`; `signals` (N, K, T) are those of `values`, at `sample_rate` Hz.
    Columns: statistic (log p; likelihood ratio; typicality; log p + FLAC), auroc_worst, low and high (95 %), n, data,
    prior.
    """
    sources = list(dict.fromkeys(values["source"]))
    codes = np.stack([flac_nats_per_sample(signals[:, k], sample_rate) for k in range(len(sources))])
    own_code = codes[values["source"].map(sources.index), values["signal"]]
    corrected = values.assign(value=complexity_corrected(values["value"].to_numpy(), own_code))
    found = {
        "log p": discriminate(values),
        "likelihood ratio": discriminate(values, ratio=True),
        "typicality": typicality_table(values, reference),
        "log p + FLAC": discriminate(corrected),
    }
    worst = pd.concat([table.dropna(subset="auroc").sort_values("auroc").head(1) for table in found.values()])
    names = {"auroc": "auroc_worst", "auroc_low": "low", "auroc_high": "high", "n": "n", "source": "data"}
    named = worst.rename(columns=names).assign(statistic=list(found))
    return named[["statistic", *names.values(), "prior"]].reset_index(drop=True)


def flac_bits_per_sample(signals: Tensor, sample_rate: int, *, scale: float = FLAC_SCALE) -> NDArray[np.float64]:
    """Length of each of `signals` (N, T) as 16-bit FLAC, (N,), in bits/sample; silence costs 0.

    Signals are multiplied by `scale` before they are rounded to 2^-15, so that noisy ones, up to 1/scale in
    amplitude, are not clipped: the code is of the signal rounded to 2^-15/scale. Another scale adds the same
    log2(scale) to every signal that is noisy at that resolution, but not to one that FLAC predicts exactly, so
    compare lengths of one scale only. What silence of T samples takes, headers and frames, is taken off.
    `sample_rate` (Hz) goes into the header and hardly changes the length. Raises `InputError` for a wrong shape,
    values that are not finite, a peak above 1/scale, and a rate that FLAC does not have.
    """
    if signals.ndim != 2 or not signals.numel():
        raise InputError(f"expected signals of shape (N, T), got {tuple(signals.shape)}; drop the channel axis")
    if not (scale > 0 and math.isfinite(scale)):
        raise InputError(f"the scale is {scale:g}; use a positive one, such as {FLAC_SCALE}")
    peak = float(signals.abs().max())
    if math.isfinite(peak) and peak * scale > 1:
        raise InputError(f"the signals peak at {peak:.4g}, above 1/scale = {1 / scale:g}; use a smaller scale for all")
    silence = len(encode_audio(torch.zeros_like(signals[:1]), sample_rate))
    lengths = [len(encode_audio(scale * row[None], sample_rate)) - silence for row in signals]
    return 8 * np.array(lengths, dtype=np.float64) / signals.shape[1]


def flac_nats_per_sample(signals: Tensor, sample_rate: int, *, scale: float = FLAC_SCALE) -> NDArray[np.float64]:
    """`flac_bits_per_sample` in nats/sample, (N,)."""
    return flac_bits_per_sample(signals, sample_rate, scale=scale) * math.log(2)


def complexity_corrected(values_nats_per_sample: ArrayLike, flac_nats_per_sample: ArrayLike) -> NDArray[np.float64]:
    """log p + L of every signal, (n,), nats/sample: larger is more in-class, as with log p.

    It is the negative of the score S = -log p - L of Serra et al. 2020, which is larger for outliers.
    log p is a density and L the length of a code at a fixed resolution, so the zero of the sum has no meaning;
    the constant is the same for all signals and changes no AUROC. Raises `InputError` if the shapes differ.
    """
    values = np.asarray(values_nats_per_sample, dtype=np.float64)
    code = np.asarray(flac_nats_per_sample, dtype=np.float64)
    if values.shape != code.shape:
        raise InputError(
            f"there are log-likelihoods of shape {values.shape} but code lengths of shape {code.shape}; pair them"
        )
    return values + code
