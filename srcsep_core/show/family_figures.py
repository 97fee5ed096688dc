"""Figures of kinds of prior beside each other: what they tell apart, and how far they fall in noise."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.show.panels import dotted_rows, named_in, shared_legend
from srcsep_core.show.styles import family_style

PANELS = {
    "worst_auroc": "AUROC, worst pair",
    "worst_ratio_auroc": "ratio AUROC, worst pair",
    "accuracy": "accuracy",
    "nats": "own class / (nats/sample)",
    "peak_fall": "fall at noise 0.01 / nats",
}


def families_figure(table: pd.DataFrame) -> Figure:
    """A row a kind of prior, `table` of `audit.families.family_table`; a spectrum's nats are for each of its values."""
    named = zip(table["family"], table["space"], strict=True)
    names = [family if space == "time" else f"{family} ({space})" for family, space in named]
    styles = [family_style(str(family)) for family in table["family"]]
    return dotted_rows(table, names, PANELS, logarithmic=("peak_fall",), styles=styles)


def family_noise_figure(noise: pd.DataFrame) -> Figure:
    """By how much the median falls with noise on the signals, mean over sources: one panel a space, one line a family.

    `noise` is `audit.families.family_noise`.
    """
    means = noise.groupby(["space", "family", "data_sigma"], sort=False)["median"].mean().reset_index()
    spaces = named_in(means, "space")
    figure, axes = plt.subplots(1, len(spaces), figsize=(3 * len(spaces) + 2, 3.6), sharex=True, squeeze=False)
    for ax, space in zip(axes[0], spaces, strict=True):
        for family, part in means[means["space"] == space].groupby("family", sort=False):
            line = part.set_index("data_sigma")["median"]
            fall = line[0.0] - line.drop(0.0)
            ax.plot(fall.index, fall, **family_style(str(family)).marked, markersize=5, label=family)
        ax.set(xscale="log", xlabel="standard deviation of the noise on the signals", title=space)
        ax.set_yscale("symlog", linthresh=1)
        ax.set_ylim(bottom=min(0.0, float(ax.dataLim.y0)))
    axes[0, 0].set_ylabel("fall of the median / (nats/sample)")
    shared_legend(figure, 5)
    return figure
