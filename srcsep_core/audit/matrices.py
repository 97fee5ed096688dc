"""Cross-likelihood matrices, published and ours, as the figures show them: rows data, columns priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from srcsep_core.audit.presets import BY_MODEL, EXACT, RELEASED
from srcsep_core.audit.published import authors
from srcsep_core.audit.tables import select


def matrix(frame: pd.DataFrame, column: str = "median") -> pd.DataFrame:
    """One number of every source (rows) under every prior (columns), both as the frame orders the sources."""
    sources = list(dict.fromkeys(frame["source"]))
    return frame.pivot(index="source", columns="prior", values=column).loc[sources, sources]


def diagonal_margin(table: pd.DataFrame) -> float:
    """By how much a source's own prior (the diagonal) is ahead of the next likeliest one, for the closest source."""
    values = table.to_numpy(dtype=float)
    others = np.where(np.eye(len(values), dtype=bool), -np.inf, values)
    return float((values.diagonal() - others.max(axis=1)).min())


def noise_level_panels(likelihood: pd.DataFrame, model: str, levels: Sequence[float]) -> dict[str, pd.DataFrame]:
    """The panels of paper Figure 4, title to medians: published, released and exact, each at sigma 0 and `levels`.

    The first two are of clean signals, as in the stored arrays; exact ones of signals with the prior's own noise.
    """
    sigmas = (0.0, *levels)
    panels = {
        f"published, prior sigma {sigma:g}": matrix(authors("cross_likelihood", model=model, prior_sigma=sigma))
        for sigma in sigmas
    }
    for name, what in ((RELEASED, "prior"), (EXACT, "prior and data")):
        preset = BY_MODEL[model][name]
        for sigma in sigmas:
            facts = preset.facts | preset.training(sigma) | {"amplitude": "evaluation"}
            data_sigma = sigma if name == EXACT else 0.0
            rows = select(likelihood, **facts, prior_sigma=sigma, data_sigma=data_sigma)
            panels[f"{name}, {what} sigma {sigma:g}"] = matrix(rows)
    return panels


def widest_margins(panels: Mapping[str, pd.DataFrame]) -> str:
    """The `diagonal_margin` of the last panel of each row of `noise_level_panels`, in words."""
    last = {title.split(",")[0]: panel for title, panel in panels.items()}
    return ", ".join(f"{row} {diagonal_margin(panel):.3g}" for row, panel in last.items())


def panel_table(panels: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What the panels show, one row a cell: source, prior, median, panel."""
    parts = [pd.Series(t.stack(), name="median").reset_index().assign(panel=title) for title, t in panels.items()]
    return pd.concat(parts, ignore_index=True)
