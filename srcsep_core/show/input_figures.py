"""The likelihood of constant and random inputs under every prior, published and ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator

from srcsep_core.show.panels import label_edges, named_in, shared_legend
from srcsep_core.show.styles import source_style


def inputs_figure(
    cases: Mapping[str, pd.DataFrame],
    in_class: Mapping[str, pd.DataFrame],
    sigmas: Sequence[float],
    column: str,
    label: str,
) -> Figure:
    """Median against the input's `column`, called `label`: one row a case, one column a prior level, one line a source.

    A case has the columns prior, prior_sigma, `column`, median and, where draws were many, q05 and q95 (the shade).
    The marker at the right edge is the median of the class' own signals, `in_class` of the case.
    """
    figure, axes = plt.subplots(len(cases), len(sigmas), figsize=(10, 9.5), sharex=True, squeeze=False)
    edge = 1.05 * max(float(table[column].max()) for table in cases.values())
    for cells, (name, table) in zip(axes, cases.items(), strict=True):
        for ax, sigma in zip(cells, sigmas, strict=True):
            part = table[(table["prior_sigma"] - sigma).abs() < 1e-9]
            own = in_class.get(name)
            _panel(ax, part, None if own is None else own[(own["prior_sigma"] - sigma).abs() < 1e-9], column, edge)
            ax.set_title(f"{name}, prior sigma {sigma:g}")
    label_edges(axes, x=label, y="nats/sample")
    shared_legend(figure, 4)
    return figure


def _panel(ax: Axes, part: pd.DataFrame, own: pd.DataFrame | None, column: str, edge: float) -> None:
    if part.empty:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "no density without noise", transform=ax.transAxes, ha="center")
        return
    for source in named_in(part, "prior"):
        line, style = part[part["prior"] == source], source_style(source)
        ax.plot(line[column], line["median"], **style.line, label=source)
        if "q05" in line:
            ax.fill_between(line[column], line["q05"], line["q95"], color=style.colour, alpha=0.15, linewidth=0)
        if own is not None and (own["prior"] == source).any():
            ax.plot(edge, own.loc[own["prior"] == source, "median"].iloc[0], **style.marks)
    if part["median"].min() < -20:
        ax.set_yscale("symlog", linthresh=10)
        locator = ax.yaxis.get_major_locator()
        assert isinstance(locator, SymmetricalLogLocator)
        locator.set_params(numticks=7)
