"""What figures of several panels share: a legend for all, labels at the edges, a line a source, intervals, rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from srcsep_core.show.styles import OTHER, Style, source_style


def shared_legend(figure: Figure, columns: int, *, right: bool = False, **options: Any) -> None:
    """One legend below (or `right` of) all panels: every label once, in the order in which the panels have them."""
    handles = {label: h for ax in figure.axes for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    options["loc"] = "outside right upper" if right else "outside lower center"
    figure.legend(list(handles.values()), list(handles), ncols=columns, **options)


def label_edges(axes: np.ndarray, *, x: str = "", y: str = "", titles: Iterable[object] = ()) -> None:
    """Name the x axis in the last row of `axes` (R, C), the y axis in the first column; `titles` head the columns."""
    for ax in axes[-1]:
        ax.set_xlabel(x)
    for ax in axes[:, 0]:
        ax.set_ylabel(y or ax.get_ylabel())
    for ax, title in zip(axes[0], titles, strict=False):
        ax.set_title(str(title))


def named_in(table: pd.DataFrame, column: str) -> list[str]:
    """The different names in a column, in the order of the table."""
    return list(dict.fromkeys(table[column]))


def lines_by_source(ax: Axes, table: pd.DataFrame, x: str, y: str, *, marked: bool = False, **look: Any) -> None:
    """The column `y` over the column `x`, one line for each value of the column `source`, in the source's look."""
    for name in named_in(table, "source"):
        part, style = table[table["source"] == name], source_style(name)
        ax.plot(part[x], part[y], **(style.marked if marked else style.line), label=name, **look)


def with_interval(
    ax: Axes, places: ArrayLike, part: pd.DataFrame, value: str, label: str, *, across: bool = False, **look: Any
) -> None:
    """The column `value` with its interval at `places` along x, or, with `across`, along y.

    The interval is in the columns `value`_low and `value`_high, or in low and high where there are no such columns.
    """
    named = f"{value}_low" in part
    low, high = (part[f"{value}_{end}" if named else end] for end in ("low", "high"))
    spread = [(part[value] - low).clip(lower=0), (high - part[value]).clip(lower=0)]
    if across:
        ax.errorbar(part[value], places, xerr=spread, label=label, **look)
    else:
        ax.errorbar(places, part[value], yerr=spread, label=label, **look)


def dotted_rows(
    table: pd.DataFrame,
    names: Sequence[str],
    panels: Mapping[str, str],
    *,
    interval: str = "",
    logarithmic: Sequence[str] = (),
    styles: Sequence[Style] = (),
) -> Figure:
    """A row of dots for every row of a table, named by `names`: one panel a column of `panels`, by its label.

    `interval`: the column whose interval is in low and high; others have theirs in the columns `name`_low and
    `name`_high, if at all. `styles`: the look of each row.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 0.4 * len(table) + 1.4), sharey=True)
    for ax, (column, label) in zip(axes, panels.items(), strict=True):
        for y, (_, row) in enumerate(table.iterrows()):
            style = styles[y] if styles else OTHER
            ax.plot(row[column], y, **style.marks)
            ends = ["low", "high"] if column == interval else [f"{column}_low", f"{column}_high"]
            if set(ends) <= set(table):
                ax.plot(row[ends], [y, y], color=style.colour, linewidth=1)
        ax.set(xlabel=label, ylim=(len(table) - 0.5, -0.5))
        ax.grid(axis="x", color="0.9")
        if column in logarithmic:
            ax.set_xscale("log")
        else:
            ax.locator_params(axis="x", nbins=6)
    axes[0].set_yticks(range(len(table)), names)
    return figure


def side_by_side(
    table: pd.DataFrame, group: str, place: str, panels: Mapping[str, str], style: Callable[[str], Style]
) -> Figure:
    """Values with their intervals: a panel a column of `panels`, by its label, the column `place` along x.

    What the column `group` names stands side by side at each place, in the look that `style` gives it.
    """
    groups, places = named_in(table, group), named_in(table, place)
    size = (2 + 3 * len(panels), 3.3)
    figure, axes = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for ax, (column, label) in zip(axes[0], panels.items(), strict=True):
        for index, name in enumerate(groups):
            part = table[table[group] == name].set_index(place).loc[places]
            along = np.arange(len(places)) + (index - (len(groups) - 1) / 2) * 0.16
            with_interval(ax, along, part, column, name, capsize=3, **style(name).marks)
        ax.set_xticks(range(len(places)), places)
        ax.set(xlabel=place, ylabel=label)
    shared_legend(figure, len(groups))
    return figure
