"""Published numbers, to be shown beside ours."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from srcsep_core.cache import project_root
from srcsep_core.errors import InputError


def published_folder() -> Path:
    """Where the published numbers lie."""
    return project_root() / "data" / "published"


def authors_cross_likelihood(
    *, model: str = "flowavenet", dataset: str = "toy", prior_sigma: float = 0.0
) -> pd.DataFrame:
    """The authors' own results, summarised from their public per-example arrays (nats/sample, `released`).

    Columns: source, prior, n, mean, median, q05, q95.
    """
    table = pd.read_csv(published_folder() / "authors_cross_likelihood.csv")
    return _rows(table, model, dataset, prior_sigma, ["source", "prior", "n", "mean", "median", "q05", "q95"])


def authors_discrimination(
    *, model: str = "flowavenet", dataset: str = "toy", prior_sigma: float = 0.0
) -> pd.DataFrame:
    """AUROC (mean and worst over the other sources) and argmax accuracy of the authors' own results.

    Columns: prior, auroc_mean, auroc_worst, argmax_prior_accuracy.
    """
    table = pd.read_csv(published_folder() / "authors_discrimination.csv")
    columns = ["prior", "auroc_mean", "auroc_worst", "argmax_prior_accuracy"]
    return _rows(table, model, dataset, prior_sigma, columns)


def _rows(table: pd.DataFrame, model: str, dataset: str, prior_sigma: float, columns: list[str]) -> pd.DataFrame:
    chosen = table[
        (table["model"] == model) & (table["dataset"] == dataset) & (table["prior_sigma"].sub(prior_sigma).abs() < 1e-9)
    ]
    if chosen.empty:
        raise InputError(f"nothing was published for model {model!r}, dataset {dataset!r}, prior sigma {prior_sigma:g}")
    return chosen[columns].reset_index(drop=True)
