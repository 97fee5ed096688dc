"""Scores and denoising errors of learned priors beside the true ones."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.show.panels import label_edges, lines_by_source, named_in, shared_legend
from srcsep_core.show.styles import GUIDE, prior_style


def score_against_oracle_figure(scores: pd.DataFrame, models: Mapping[str, str], power: float) -> Figure:
    """Denoising error (top) and one minus the cosine with the true score (bottom), one column a source.

    `models` is name in `scores` to name in the table of priors. `power` of the signals gives the dotted line, a score
    that knows nothing of them. Bands are 95 % intervals.
    """
    names = named_in(scores, "source")
    figure, axes = plt.subplots(2, len(names), figsize=(10, 5.4), sharex=True, sharey="row")
    for (top, bottom), name in zip(axes.T, names, strict=True):
        own = scores[scores["source"] == name].set_index("quantity")
        for model, prior in models.items():
            style, found = prior_style(prior), own[own["model"] == model]
            angle = found.loc["alignment_oracle"]
            angle = angle.assign(**1 - angle[["mean", "mean_low", "mean_high"]])
            for ax, part in ((top, found.loc["denoising_mse"]), (bottom, angle)):
                ax.plot(part["sigma"], part["mean"], **style.marked, markersize=4, label=model)
                ax.fill_between(part["sigma"], part["mean_low"], part["mean_high"], color=style.colour, alpha=0.15)
        least = found.loc["oracle_mse"]
        look = prior_style("oracle").marked
        top.plot(least["sigma"], least["mean"].clip(lower=1e-6), **look, markersize=4, label="oracle")
        nothing = 1 - 1 / (1 + power / least["sigma"] ** 2) ** 0.5
        bottom.plot(least["sigma"], nothing, color="black", linestyle=":", label="-x / sigma^2")
        top.set(title=name, xscale="log", yscale="log")
        bottom.set(yscale="log")
    label_edges(axes, x="sigma", y="mean squared error")
    axes[1, 0].set_ylabel("1 - cosine with the true score")
    shared_legend(figure, 4)
    return figure


def scores_figure(scores: pd.DataFrame) -> Figure:
    """Length and direction of the scores of flows, and the cosine with the true one; one row an objective."""
    wide = scores.pivot_table(index=["objective", "sigma", "source"], columns="quantity", values="mean", sort=False)
    panels = {
        "E|score|^2 / exact identity": wide["gradient_norm_squared_per_sample"] / wide["identity"],
        "alignment / its optimum": wide["alignment_clean"] / wide["alignment_optimum"],
        "cosine with the oracle's score": wide["alignment_oracle"],
    }
    objectives = list(dict.fromkeys(scores["objective"]))
    figure, axes = plt.subplots(len(objectives), 3, figsize=(10, 5.4), sharex=True, sharey="col", squeeze=False)
    for cells, objective in zip(axes, objectives, strict=True):
        for ax, (title, values) in zip(cells, panels.items(), strict=True):
            part = values.loc[objective].rename("value").reset_index()
            lines_by_source(ax, part, "sigma", "value", marked=True, markersize=5)
            ax.axhline(1, **GUIDE)
            ax.set(xscale="log", title=f"objective {objective}", ylabel=title)
        cells[0].set_yscale("log")
    label_edges(axes, x="sigma")
    shared_legend(figure, 4)
    return figure
