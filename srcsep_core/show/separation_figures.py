"""Figures of the separation benchmark, from the rows of `data/measured/separation.csv`."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srcsep_core.benchmark import controls
from srcsep_core.benchmark.results import without_parts
from srcsep_core.metrics import FAILURE_KINDS
from srcsep_core.show.styles import FAILURES, SAMPLERS, THRESHOLDS, level_style, sampler_style

VARIATION_MARKS = "vP<>"  # hollow: a sampler with something taken away or changed
SHIFTS = {10: -0.17, 20: 0.17}  # of the two thresholds within a line


def share_by_prior(table: pd.DataFrame, order: Sequence[str], *, threshold_db: int = 10) -> Figure:
    """Share of mixes with all sources above the threshold, with its interval, by prior and sampler.

    One panel for every number of sources; rows are the priors in `order`. Of settings on several sets of classes their
    pool is shown, where the table has it. Every sampler has its height within a row;
    hollow marks are its variations, named by their notes.
    """
    table = without_parts(table)
    counts = sorted(table["n_sources"].unique())
    figure, axes = plt.subplots(1, len(counts), figsize=(11, 0.42 * len(order) + 1.9), sharey=True, squeeze=False)
    column = f"all_above_{threshold_db}db"
    runs = _marks_of(table)
    heights = np.linspace(-0.34, 0.34, len(runs)) if len(runs) > 1 else [0.0]
    places = dict(zip(runs, heights, strict=True))
    for ax, count in zip(axes[0], counts, strict=True):
        rows = table[table["n_sources"] == count]
        for y, prior in enumerate(order):
            own = rows[rows["prior"] == prior]
            for _, row in own.iterrows():
                run = (row["sampler"], row["note"])
                mark, colour, hollow = runs[run]
                _interval(ax, row, column, y + places[run], mark, colour, hollow=hollow)
            if own.empty:
                ax.text(0.5, y, "not run", color="0.6", ha="center", va="center", fontsize="small")
            if y % 2:
                ax.axhspan(y - 0.5, y + 0.5, color="0.96", zorder=0)
        ax.set(title=f"{count} sources", xlabel=f"share of mixes with all above {threshold_db} dB", xlim=(-0.03, 1.03))
        ax.grid(axis="x", color="0.9")
    axes[0, 0].set(ylim=(len(order) - 0.5, -0.5))
    axes[0, 0].set_yticks(range(len(order)), order)
    handles = [
        plt.Line2D([], [], marker=mark, color=colour, markerfacecolor=_face(mark, colour, hollow), linestyle="")
        for mark, colour, hollow in runs.values()
    ]
    labels = [f"{sampler}, {note}" if note else sampler for sampler, note in runs]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _marks_of(table: pd.DataFrame) -> dict[tuple[str, str], tuple[str, str, bool]]:
    """The mark, its colour and whether it is hollow, for every sampler and note, known samplers first."""
    found: dict[tuple[str, str], tuple[str, str, bool]] = {}
    held = list(dict.fromkeys(table["sampler"]))
    for sampler in (*(s for s in SAMPLERS if s in held), *(s for s in held if s not in SAMPLERS)):
        mark, colour = sampler_style(sampler).marker, sampler_style(sampler).colour
        notes = list(dict.fromkeys(table.loc[table["sampler"] == sampler, "note"]))
        if len(notes) == 1 or "" in notes:  # a sampler that has but one way to run is no variation
            plain = "" if "" in notes else notes[0]
            found[sampler, plain] = (mark, colour, False)
            notes.remove(plain)
        found |= {(sampler, note): (other, colour, True) for note, other in zip(notes, VARIATION_MARKS, strict=False)}
    return found


def known_classes(table: pd.DataFrame) -> Figure:
    """The share of mixes with all sources above 10 dB and 20 dB by subset of classes, one panel a variant."""
    variants = list(dict.fromkeys(table["variant"]))
    figure, axes = plt.subplots(1, len(variants), figsize=(11, 4.2), sharey=True, squeeze=False)
    for ax, variant in zip(axes[0], variants, strict=True):
        rows = table[table["variant"] == variant].sort_values(["n_sources", "sources"])
        _two_thresholds(ax, rows, list(rows["sources"]))
        ax.set(title=f"{rows['world'].iloc[0]} variant {variant}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def beyond_classes(table: pd.DataFrame) -> Figure:
    """The share of mixes with all sources above 10 dB and 20 dB, one line a row of `table`, named by its note."""
    figure, ax = plt.subplots(figsize=(8, 0.28 * len(table) + 1.4))
    many = table["control"].str.startswith(controls.SOURCES)
    labels = table["note"].where(many, table["note"] + ": " + table["sources"])
    _two_thresholds(ax, table, list(labels))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def failure_bars(table: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """Stacked bars: the share of sources below 10 dB by kind of failure, one bar a row of `table`."""
    figure, ax = plt.subplots(figsize=(9, 0.32 * len(table) + 1.4))
    left = np.zeros(len(table))
    for kind in (kind for kind in FAILURE_KINDS if kind != "none"):
        width = table[f"fail_{kind.replace(' ', '_')}"].to_numpy()
        if width.any():
            ax.barh(range(len(table)), width, left=left, color=FAILURES[kind], label=kind)
        left += width
    ax.set_yticks(range(len(table)), labels)
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.set(xlabel="share of sources below 10 dB", xlim=(0, max(0.02, 1.05 * left.max(initial=0.0))))
    if left.any():
        figure.legend(loc="outside lower center", ncols=len(FAILURES))
    return figure


def compute_curves(table: pd.DataFrame) -> Figure:
    """Share of mixes above 10 dB and 20 dB against seconds a mix, one line for each number of levels."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
    for ax, threshold in zip(axes, (10, 20), strict=True):
        notes = table.groupby("note", sort=False)
        for index, (note, rows) in enumerate(notes):
            style = level_style(index, notes.ngroups)
            share = rows[f"all_above_{threshold}db"]
            ax.plot(rows["seconds_per_mix"], share, **style.marked, label=note)
            low, high = rows[f"all_above_{threshold}db_low"], rows[f"all_above_{threshold}db_high"]
            ax.fill_between(rows["seconds_per_mix"], low, high, color=style.colour, alpha=0.12)
        ax.set(xlabel="time a mix / s", title=f"all sources above {threshold} dB", ylim=(0, 1.03))
    axes[0].set_ylabel("share of mixes")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _two_thresholds(ax: Axes, rows: pd.DataFrame, labels: Sequence[str]) -> None:
    """Shares with all sources above 10 dB and 20 dB, with intervals and the number of mixes, one line a row."""
    for y, (_, row) in enumerate(rows.iterrows()):
        for threshold, style in THRESHOLDS.items():
            _interval(ax, row, f"all_above_{threshold}db", y + SHIFTS[threshold], style.marker, style.colour)
    for threshold, style in THRESHOLDS.items():
        ax.plot([], [], **style.marks, label=f"{threshold} dB")
    ax.set_yticks(range(len(rows)), [f"{label}  (n = {n})" for label, n in zip(labels, rows["n_mixes"], strict=True)])
    ax.set(
        xlabel="share of mixes with all sources above the threshold", xlim=(-0.03, 1.03), ylim=(len(rows) - 0.4, -0.6)
    )
    ax.grid(axis="x", color="0.9")


def _interval(ax: Axes, row: pd.Series, column: str, y: float, mark: str, colour: str, *, hollow: bool = False) -> None:
    value = row[column]
    spread = [[value - row[f"{column}_low"]], [row[f"{column}_high"] - value]]
    face = _face(mark, colour, hollow)
    ax.errorbar(value, y, xerr=spread, fmt=mark, color=colour, markerfacecolor=face, markersize=5, linewidth=1)


def _face(mark: str, colour: str, hollow: bool) -> str:
    return "white" if hollow and mark != "x" else colour
