"""Figures of the separation benchmark, from the rows of `figures/separation.csv`."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srcsep_core.metrics import FAILURE_KINDS

SAMPLER_MARKS = {
    "gibbs": ("o", "#0072b2"),
    "gibbs-exchange": ("v", "#56b4e9"),
    "langevin": ("s", "#d55e00"),
    "projection": ("D", "#009e73"),
    "pnf": ("^", "#cc79a7"),
    "langevin-released": ("x", "0.4"),
    "none": ("|", "black"),
}
KIND_COLOURS = ("#0072b2", "#56b4e9", "#e69f00", "#d55e00", "#999999", "#f0e442", "#cc79a7")


def share_by_prior(table: pd.DataFrame, order: Sequence[str], *, threshold_db: int = 10) -> Figure:
    """Share of mixes with all sources above the threshold, with its interval, by prior and sampler.

    One panel for every number of sources; rows are the priors in `order`.
    """
    counts = sorted(table["n_sources"].unique())
    figure, axes = plt.subplots(1, len(counts), figsize=(11, 0.36 * len(order) + 1.6), sharey=True, squeeze=False)
    column = f"all_above_{threshold_db}db"
    for ax, count in zip(axes[0], counts, strict=True):
        rows = table[table["n_sources"] == count]
        for y, prior in enumerate(order):
            own = rows[rows["prior"] == prior]
            for step, (_, row) in enumerate(own.iterrows()):
                mark, colour = SAMPLER_MARKS[row["sampler"]]
                offset = (step - (len(own) - 1) / 2) * 0.16
                _interval(ax, row, column, y + offset, mark, colour, hollow=bool(row["note"]))
        ax.set(title=f"{count} sources", xlabel=f"share of mixes with all above {threshold_db} dB", xlim=(-0.03, 1.03))
        ax.grid(axis="x", color="0.9")
    axes[0, 0].set_yticks(range(len(order)), order)
    axes[0, 0].invert_yaxis()
    used = [name for name in SAMPLER_MARKS if name in set(table["sampler"])]
    handles = [
        plt.Line2D([], [], marker=SAMPLER_MARKS[name][0], color=SAMPLER_MARKS[name][1], linestyle="", label=name)
        for name in used
    ]
    handles.append(plt.Line2D([], [], marker="o", color="0.3", fillstyle="none", linestyle="", label="variation"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def known_classes(table: pd.DataFrame) -> Figure:
    """The share of mixes with all sources above 10 dB and 20 dB by subset of classes, one panel a variant."""
    variants = list(dict.fromkeys(table["variant"]))
    figure, axes = plt.subplots(1, len(variants), figsize=(11, 4), sharey=True, squeeze=False)
    for ax, variant in zip(axes[0], variants, strict=True):
        rows = table[table["variant"] == variant].sort_values(["n_sources", "sources"])
        _two_thresholds(ax, rows, list(rows["sources"]))
        ax.set(title=variant)
    axes[0, 0].invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def beyond_classes(table: pd.DataFrame) -> Figure:
    """The share of mixes with all sources above 10 dB and 20 dB, one line a row of `table`, named by its note."""
    figure, ax = plt.subplots(figsize=(8, 0.28 * len(table) + 1.4))
    many = table["n_sources"] > 4
    labels = table["note"].where(many, table["note"] + ": " + table["sources"])
    _two_thresholds(ax, table, list(labels))
    ax.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def failure_bars(table: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """Stacked bars: the share of sources below 10 dB by kind of failure, one bar a row of `table`."""
    figure, ax = plt.subplots(figsize=(9, 0.32 * len(table) + 1.4))
    left = np.zeros(len(table))
    for kind, colour in zip([k for k in FAILURE_KINDS if k != "none"], KIND_COLOURS, strict=True):
        width = table[f"fail_{kind.replace(' ', '_')}"].to_numpy()
        if width.any():
            ax.barh(range(len(table)), width, left=left, color=colour, label=kind)
        left += width
    ax.set_yticks(range(len(table)), labels)
    ax.invert_yaxis()
    ax.set(xlabel="share of sources below 10 dB", xlim=(0, max(0.02, 1.05 * left.max(initial=0.0))))
    if left.any():
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def compute_curves(table: pd.DataFrame) -> Figure:
    """Share of mixes above 10 dB and 20 dB against seconds a mix, one line for each number of levels."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
    for ax, threshold in zip(axes, (10, 20), strict=True):
        for (note, rows), colour in zip(table.groupby("note", sort=False), KIND_COLOURS, strict=False):
            share = rows[f"all_above_{threshold}db"]
            ax.plot(rows["seconds_per_mix"], share, "o-", color=colour, label=note)
            low, high = rows[f"all_above_{threshold}db_low"], rows[f"all_above_{threshold}db_high"]
            ax.fill_between(rows["seconds_per_mix"], low, high, color=colour, alpha=0.12)
        ax.set(xlabel="seconds a mix", title=f"all four above {threshold} dB", ylim=(0, 1.03))
    axes[0].set_ylabel("share of mixes")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _two_thresholds(ax: Axes, rows: pd.DataFrame, labels: Sequence[str]) -> None:
    """Shares with all sources above 10 dB and 20 dB, with intervals, one line a row."""
    styles = ((10, "o", "#0072b2", -0.12), (20, "s", "#d55e00", 0.12))
    for y, (_, row) in enumerate(rows.iterrows()):
        for threshold, mark, colour, shift in styles:
            _interval(ax, row, f"all_above_{threshold}db", y + shift, mark, colour)
    for threshold, mark, colour, _ in styles:
        ax.plot([], [], mark, color=colour, label=f"{threshold} dB")
    ax.set_yticks(range(len(rows)), labels)
    ax.set(xlabel="share of mixes with all sources above", xlim=(-0.03, 1.03))
    ax.grid(axis="x", color="0.9")


def _interval(ax: Axes, row: pd.Series, column: str, y: float, mark: str, colour: str, *, hollow: bool = False) -> None:
    value = row[column]
    spread = [[value - row[f"{column}_low"]], [row[f"{column}_high"] - value]]
    face = "white" if hollow and mark != "x" else colour
    ax.errorbar(value, y, xerr=spread, fmt=mark, color=colour, markerfacecolor=face, markersize=5, linewidth=1)
