"""Scores and denoising errors of learned priors beside the true ones."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.data.toy import SOURCES
from srcsep_core.show.styles import GUIDE, prior_style, source_style


def score_against_oracle_figure(scores: pd.DataFrame, models: Mapping[str, str], power: float) -> Figure:
    """Denoising error (top) and one minus the cosine with the true score (bottom), one column a source.

    `models` is name in `scores` to name in the table of priors. `power` of the signals gives the dotted line, a score
    that knows nothing of them. Bands are 95 % intervals.
    """
    figure, axes = plt.subplots(2, len(SOURCES), figsize=(10, 5.4), sharex=True, sharey="row")
    for column, name in enumerate(SOURCES):
        for model, prior in models.items():
            own = scores[(scores["source"] == name) & (scores["model"] == model)]
            error = own[own["quantity"] == "denoising_mse"]
            angle = own[own["quantity"] == "alignment_oracle"]
            cosines = 1 - angle[["mean", "mean_low", "mean_high"]]
            for ax, sigma, values in (
                (axes[0, column], error["sigma"], error),
                (axes[1, column], angle["sigma"], cosines),
            ):
                style = prior_style(prior)
                ax.plot(sigma, values["mean"], **style.marked, markersize=4, label=model)
                ax.fill_between(sigma, values["mean_low"], values["mean_high"], color=style.colour, alpha=0.15)
        least = own[own["quantity"] == "oracle_mse"]
        best = prior_style("oracle")
        axes[0, column].plot(
            least["sigma"], least["mean"].clip(lower=1e-6), **best.marked, markersize=4, label="oracle"
        )
        nothing = 1 - 1 / (1 + power / least["sigma"] ** 2) ** 0.5
        axes[1, column].plot(least["sigma"], nothing, color="black", linestyle=":", label="-x / sigma^2")
        axes[0, column].set(title=name, xscale="log", yscale="log")
        axes[1, column].set(xlabel="sigma", yscale="log")
    axes[0, 0].set_ylabel("mean squared error")
    axes[1, 0].set_ylabel("1 - cosine with the true score")
    handles = {label: h for ax in axes[:, 0] for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
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
            for name in SOURCES:
                part = values.loc[objective].xs(name, level="source")
                ax.plot(part.index, part, **source_style(name).marked, markersize=5, label=name)
            ax.axhline(1, **GUIDE)
            ax.set(xscale="log", title=f"objective {objective}", ylabel=title)
    for ax in axes[:, 0]:
        ax.set_yscale("log")
    for ax in axes[-1]:
        ax.set_xlabel("sigma")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
