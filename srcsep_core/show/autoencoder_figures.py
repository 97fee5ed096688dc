"""Figures of autoencoders: what they give back, where their codes lie, and how they compare by source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from srcsep_core.show.panels import label_edges, lines_by_source, named_in, shared_legend, side_by_side
from srcsep_core.show.styles import TRUTH, family_style, source_style


def reconstruction_figure(
    given_back: Mapping[str, Tensor], truth: Tensor, names: Sequence[str], sample_rate: int, shown: int = 400
) -> Figure:
    """The first `shown` samples of signals (K, T) and, over them, what each model gives back, (K, T) each.

    A row a source, a column a model.
    """
    figure, axes = plt.subplots(
        len(names), len(given_back), figsize=(11, 1.5 * len(names) + 0.8), sharex=True, sharey=True, squeeze=False
    )
    time = 1000 * np.arange(min(shown, truth.shape[1])) / sample_rate
    for column, estimate in zip(axes.T, given_back.values(), strict=True):
        for k, (ax, name) in enumerate(zip(column, names, strict=True)):
            ax.plot(time, truth[k, :shown].numpy(), **TRUTH.line, linewidth=3, label="truth")
            ax.plot(time, estimate[k, :shown].numpy(), **source_style(name).line, linewidth=1, label=name)
    label_edges(axes, x="time / ms", y="amplitude", titles=given_back)
    shared_legend(figure, len(names) + 1)
    return figure


def reconstruction_samples(
    given_back: Mapping[str, Tensor], truth: Tensor, names: Sequence[str], sample_rate: int, shown: int = 400
) -> pd.DataFrame:
    """What `reconstruction_figure` shows: time_ms, then by source the truth and a column a model."""
    shown = min(shown, truth.shape[1])
    columns: dict[str, object] = {"time_ms": 1000 * np.arange(shown) / sample_rate}
    for k, name in enumerate(names):
        columns[f"{name}_truth"] = truth[k, :shown].numpy()
        columns |= {f"{name}_{model}": estimate[k, :shown].numpy() for model, estimate in given_back.items()}
    return pd.DataFrame(columns)


def codes_figure(table: pd.DataFrame) -> Figure:
    """The two principal components of codes, coloured by source: a row a `model`, a column a `prior`.

    In the corner: how much of the variance they hold.

    `table` is that of `diagnostics.codes.code_table` with the column model.
    """
    models, priors = named_in(table, "model"), named_in(table, "prior")
    size = (11, 2.6 * len(models) + 0.8)
    figure, axes = plt.subplots(len(models), len(priors), figsize=size, squeeze=False)
    for cells, model in zip(axes, models, strict=True):
        for ax, prior in zip(cells, priors, strict=True):
            part = table[(table["model"] == model) & (table["prior"] == prior)]
            for name, rows in part.groupby("source", sort=False):
                ax.plot(rows["first"], rows["second"], **source_style(str(name)).marks, markersize=2.5, label=name)
            held = part[["first_share", "second_share"]].iloc[0].sum()
            ax.annotate(f"{held:.0%}", (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=8)
        cells[0].set_ylabel(f"{model}\nsecond component")
    label_edges(axes, x="first component", titles=[f"{prior} prior" for prior in priors])
    shared_legend(figure, len(priors))
    return figure


def usage_figure(table: pd.DataFrame) -> Figure:
    """How often the entries of a codebook are chosen, by rank; dotted: all alike.

    `table` is that of `diagnostics.codes.usage_table`.
    """
    figure, ax = plt.subplots(figsize=(7, 3))
    used = table[table["share"] > 0]
    lines_by_source(ax, used, "rank", "share")
    ax.axhline(1 / table["rank"].max(), color="0.5", linestyle=":", linewidth=0.8, label="all alike")
    ax.set(yscale="log", xlabel="entry of the codebook, by rank", ylabel="share of frames")
    shared_legend(figure, 1, right=True)
    return figure


def by_source_figure(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Values with their intervals by source, the models side by side: `table` has a row a `model` and `source`."""
    return side_by_side(table, "model", "source", panels, family_style)
