"""What a set of priors can tell apart: AUROC and argmax accuracy with intervals, from a table of single values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from srcsep_core.errors import InputError

RESAMPLES = 1000
CONFIDENCE = 0.95


def summarise(values: pd.DataFrame, by: Sequence[str] = ("source", "prior")) -> pd.DataFrame:
    """The columns `by`, then the numbers of `describe` for `value` in each of their groups.

    Raises `InputError` if a column is missing.
    """
    missing = [name for name in (*by, "value") if name not in values]
    if missing or not by:
        raise InputError(f"cannot group by {missing or 'no column'}; the table has {', '.join(map(str, values))}")
    groups = values.groupby(list(by), sort=False)["value"]
    return pd.DataFrame([dict(zip(by, keys, strict=True)) | describe(group.to_numpy()) for keys, group in groups])


def describe(x: NDArray[np.floating]) -> dict[str, float]:
    """n, mean, median, q05, q95 of the values `x` (n,), in their unit, and median_low and median_high.

    These bound the median: percentile bootstrap, 95 %.
    """
    low, high = interval(np.median(x[resample(len(x))], axis=1))
    return {
        "n": len(x),
        "mean": x.mean(),
        "median": np.median(x),
        "q05": np.quantile(x, 0.05),
        "q95": np.quantile(x, 0.95),
        "median_low": low,
        "median_high": high,
    }


def discriminate(values: pd.DataFrame, *, ratio: bool = False) -> pd.DataFrame:
    """AUROC of every pair and argmax-over-priors accuracy of every source, with bootstrap intervals.

    Row (source, prior) with source != prior: `auroc` is the chance that a signal of the prior's own source is
    more likely under that prior than a signal of `source` (Hanley & McNeil 1982; ties count half). With `ratio`
    the signals are compared by log p(prior) - log p(source) instead, in which what both priors find easy, such
    as a low pitch, cancels (a likelihood ratio, as in Ren et al. 2019, arXiv 1906.02845). Row
    (source, source): `accuracy` is the share of the source's signals that its own prior finds likeliest. The
    columns that do not apply are empty. Intervals are percentile bootstrap over signals (95 %); where every
    resample agrees, at 0 or 1, they have no width and say only that no error was seen among n signals.
    """
    cells = {
        (str(source), str(prior)): group.sort_values("signal")["value"].to_numpy()
        for (source, prior), group in values.groupby(["source", "prior"], sort=False)
    }
    sources = list(dict.fromkeys(source for source, _ in cells))
    rows = []
    for source in sources:
        for prior in sources:
            row: dict[str, object] = {"source": source, "prior": prior}
            if source == prior:
                own = cells[source, source]
                others = np.stack([cells[source, p] for p in sources if p != source])
                correct = (own > others.max(axis=0)).astype(float)
                low, high = interval(_weights(len(correct), 0) @ correct)
                row |= {"accuracy": correct.mean(), "accuracy_low": low, "accuracy_high": high, "n": len(own)}
            else:
                positive, negative = cells[prior, prior], cells[source, prior]
                if ratio:
                    positive, negative = positive - cells[prior, source], negative - cells[source, source]
                low, high = interval(auroc_draws(positive, negative))
                row |= {"auroc": float(auroc(positive, negative)), "auroc_low": low, "auroc_high": high}
                row["n"] = len(positive) + len(negative)
            rows.append(row)
    measures = [f"{name}{end}" for name in ("auroc", "accuracy") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["source", "prior", *measures, "n"])


def worst_by_prior(discrimination: pd.DataFrame) -> pd.DataFrame:
    """Of a table of `discriminate` one row a prior, in the order of the table.

    Columns: prior, accuracy (of its own source's signals), auroc (of the pair that it tells apart worst), each with its
    _low and _high, and against, the other source of that pair.
    """
    ends = ("", "_low", "_high")
    rows = []
    for prior in dict.fromkeys(discrimination["prior"]):
        part = discrimination[discrimination["prior"] == prior]
        own = part[part["source"] == prior].iloc[0]
        worst = part[part["source"] != prior].sort_values("auroc").iloc[0]
        row = {"prior": prior, **{f"accuracy{end}": own[f"accuracy{end}"] for end in ends}}
        rows.append(row | {f"auroc{end}": worst[f"auroc{end}"] for end in ends} | {"against": worst["source"]})
    return pd.DataFrame(rows)


def auroc(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> NDArray[np.float64]:
    """Area under the ROC curve along the last axis: P(positive > negative) + P(equal) / 2 (Mann-Whitney)."""
    from scipy.stats import rankdata  # takes a second to import, which every notebook would pay

    n, m = positive.shape[-1], negative.shape[-1]
    ranks = rankdata(np.concatenate([positive, negative], axis=-1), axis=-1)
    return np.asarray((ranks[..., :n].sum(axis=-1) - n * (n + 1) / 2) / (n * m))


def auroc_draws(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> NDArray[np.float64]:
    """The AUROC of every bootstrap resample of both sides, (RESAMPLES,), from one comparison of all pairs."""
    above = (positive[:, None] > negative).astype(float) + 0.5 * (positive[:, None] == negative)
    first, second = _weights(len(positive), 0), _weights(len(negative), 1)
    return np.asarray(((first @ above) * second).sum(axis=1))


@cache
def _weights(n: int, seed: int) -> NDArray[np.float64]:
    """The share that every value has in every resample, (RESAMPLES, n)."""
    return np.stack([np.bincount(row, minlength=n) for row in resample(n, seed=seed)]) / n


def interval(draws: NDArray[np.floating]) -> tuple[float, float]:
    """The central `CONFIDENCE` interval of bootstrap draws."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


@cache
def resample(n: int, *, seed: int = 0) -> NDArray[np.int64]:
    """The positions of `RESAMPLES` bootstrap resamples of n values, (RESAMPLES, n); the same for the same seed."""
    return np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
