"""Figures of the separation of music, from the rows of `data/measured/separation_music.csv`."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.benchmark.songs import ALL
from srcsep_core.show.styles import OTHER, separator_style

WITHIN = 0.36  # half of the height of a row that the separators are spread over


def by_classes(table: pd.DataFrame) -> Figure:
    """The mean SI-SDRi with its interval by set of classes and separator, one panel a split."""
    rows = table[table["source"] == ALL]
    splits, sets = list(dict.fromkeys(rows["split"])), list(dict.fromkeys(rows["sources"]))
    separators = list(dict.fromkeys(rows["separator"]))
    figure, axes = plt.subplots(
        1, len(splits), figsize=(3.4 * len(splits) + 2, 0.5 * len(sets) + 1.6), sharey=True, sharex=True, squeeze=False
    )
    heights = np.linspace(-WITHIN, WITHIN, len(separators)) if len(separators) > 1 else np.zeros(1)
    for ax, split in zip(axes[0], splits, strict=True):
        for height, separator in zip(heights, separators, strict=True):
            own = rows[(rows["split"] == split) & (rows["separator"] == separator)]
            places = [sets.index(names) + height for names in own["sources"]]
            spread = [own["si_sdri_mean"] - own["low"], own["high"] - own["si_sdri_mean"]]
            style = separator_style(separator)
            ax.errorbar(own["si_sdri_mean"], places, xerr=spread, **style.marks, markersize=4, linewidth=1)
        for y in range(1, len(sets), 2):
            ax.axhspan(y - 0.5, y + 0.5, color="0.96", zorder=0)
        ax.axvline(0, color="0.7", linewidth=0.8, zorder=0)
        ax.set(title=split, xlabel="mean SI-SDRi / dB", ylim=(len(sets) - 0.5, -0.5))
    axes[0, 0].set_yticks(range(len(sets)), sets)
    handles = [plt.Line2D([], [], **separator_style(name).marks) for name in separators]
    figure.legend(handles, separators, loc="outside lower center", ncols=min(len(separators), 6))
    return figure


def by_network(table: pd.DataFrame) -> Figure:
    """How networks of denoisers denoise, whether they know their class, and how they separate: a row each."""
    panels = {
        "denoising_loss": "denoising loss",
        "class_ratio": "error of the best other class / own",
        "si_sdri_pairs": "mean SI-SDRi of pairs / dB",
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 0.4 * len(table) + 1.4), sharey=True)
    for ax, (column, label) in zip(axes, panels.items(), strict=True):
        for y, (_, row) in enumerate(table.iterrows()):
            ax.plot(row[column], y, **OTHER.marks)
            if column == "si_sdri_pairs":
                ax.plot([row["low"], row["high"]], [y, y], color=OTHER.colour, linewidth=1)
        ax.set(xlabel=label, ylim=(len(table) - 0.5, -0.5))
        ax.grid(axis="x", color="0.9")
    axes[0].set_yticks(range(len(table)), table["network"])
    return figure
