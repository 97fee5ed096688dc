"""How far our numbers agree with the published ones: shares, and orders within a row.

Everything starts from the table of `comparison.compare`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from srcsep_core.audit.presets import FLOW, RELEASED
from srcsep_core.audit.tables import select

SETTING = ["protocol", "objective"]
CHECKS = ("same_sign", "same_sign_mean", "same_order", "same_rank_row", "same_rank_column")


def agreement(comparison: pd.DataFrame) -> pd.DataFrame:
    """In how many cells ours agrees with print: one row an item, data set, statistic, model, protocol and objective.

    `comparison` comes from `compare`. Columns: document, item, dataset, statistic, model, protocol, objective, cells
    (those with a value of ours), for each of same_sign, same_sign_mean, same_order, same_rank_row, same_rank_column the
    share and n_..., how many cells it is a share of (none: empty), and spearman, the rank correlation of the published
    value and our median over all the cells (empty for fewer than three cells, or if one side is constant). By chance,
    ranks agree in one cell of as many as a row has.
    """
    keys = ["document", "item", "dataset", "statistic", "model", *SETTING]
    rows = []
    for names, part in comparison[comparison["missing"] == ""].groupby(keys, sort=False):
        row: dict[str, object] = {**dict(zip(keys, names, strict=True)), "cells": len(part)}
        for check in CHECKS:
            known = part[check].dropna().astype(float)
            row |= {check: known.mean() if len(known) else np.nan, f"n_{check}": len(known)}
        rows.append(row | {"spearman": _spearman(part["published"], part["ours_median"])})
    counts = [name for check in CHECKS for name in (check, f"n_{check}")]
    return pd.DataFrame(rows, columns=[*keys, "cells", *counts, "spearman"])


def concordance(rows: pd.DataFrame, *, apart: float = 1.0) -> float:
    """The share of pairs in a row that ours orders as print does, among those printed more than `apart` apart.

    `rows` are rows of `compare` of one model, protocol, objective and statistic; a row of a table is a source for
    cross-likelihoods and a data sigma for noise curves, by prior; `apart` is in nats/sample. NaN without such pairs.
    """
    keys = ["quantity", "level", "source"]
    same = []
    for (quantity, *_), part in rows.dropna(subset="ours_median").groupby(keys, sort=False):
        for _, row in part.groupby("prior_sigma" if quantity == "cross_likelihood" else "prior"):
            published, ours = row["published"].to_numpy(float), row["ours_median"].to_numpy(float)
            first, second = np.triu_indices(len(row), 1)
            far = np.abs(published[first] - published[second]) > apart
            agree = np.sign(published[first] - published[second]) == np.sign(ours[first] - ours[second])
            same += agree[far].tolist()
    return float(np.mean(same)) if same else float("nan")


def reproduction(comparison: pd.DataFrame) -> pd.DataFrame:
    """How like the authors' flow ours of the preset `released` is: the noise-free matrix and thesis Tables 3 to 6.

    Columns: cells of, n, the shares same_sign, same_order, same_rank_row and same_rank_column, pairs_in_order
    (`concordance`), spearman.
    """
    rows = select(comparison, dataset="toy", **FLOW[RELEASED].facts)
    medians = select(rows, statistic="median")
    parts = {
        "noise-free matrix (stored medians)": select(medians, item="cross-likelihood", prior_sigma=0.0),
        "Tables 3-6 (printed means)": select(rows, quantity="noise_curve", document="thesis"),
        "Tables 3-6 (stored medians)": select(medians, item="noise curve"),
    }
    found = []
    for name, part in parts.items():
        shares = {check: part[check].dropna().astype(float).mean() for check in CHECKS if check != "same_sign_mean"}
        spearman = part[["published", "ours_median"]].corr(method="spearman").iloc[0, 1]
        about = {"cells of": name, "n": len(part)}
        found.append(about | shares | {"pairs_in_order": concordance(part), "spearman": spearman})
    return pd.DataFrame(found)


def _spearman(published: pd.Series, ours: pd.Series) -> float:
    """Rank correlation; NaN for fewer than three cells or a constant side."""
    if len(published) < 3 or published.nunique() < 2 or ours.nunique() < 2:
        return float("nan")
    return float(published.rank().corr(ours.rank()))
