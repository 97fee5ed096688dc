"""Figures of the audit: the verdicts at a glance, and in how many cells print and ours agree."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.audit.presets import read_as
from srcsep_core.show.panels import shared_legend
from srcsep_core.show.styles import GUIDE, level_style, preset_style

AGREES = 0.8


def verdicts_figure(claims: pd.DataFrame, order: Sequence[str]) -> Figure:
    """One row a claim, marked in the column of its verdict; the columns are those of `order`."""
    figure, ax = plt.subplots(figsize=(9, 0.5 * len(claims) + 1.0))
    for y, verdict in enumerate(claims["verdict"]):
        index = order.index(verdict)
        ax.plot(index, y, **level_style(index, len(order)).marks, markersize=8)
    short = [claim.split(" (paper")[0].split(" (thesis")[0] for claim in claims["claim"]]
    ax.set_yticks(range(len(claims)), [textwrap.fill(claim, 58) for claim in short])
    ax.set_xticks(range(len(order)), [textwrap.fill(name, 14) for name in order])
    ax.set_xlim(-0.5, len(order) - 0.5)
    ax.invert_yaxis()
    ax.grid(axis="y", color="0.9")
    return figure


def agreement_figure(agree: pd.DataFrame, checks: Sequence[str]) -> Figure:
    """The share of cells that agree with print, one panel a check, one row a `label`, by preset."""
    figure, axes = plt.subplots(1, len(checks), figsize=(10, 5), sharey=True)
    labels = list(dict.fromkeys(agree["label"]))
    for ax, check in zip(axes, checks, strict=True):
        for preset, part in agree.groupby(agree["protocol"].map(read_as), sort=False):
            part = part.drop_duplicates("label").set_index("label").reindex(labels)
            ax.plot(part[check], np.arange(len(labels)), **preset_style(str(preset)).marks, label=str(preset))
        ax.axvline(AGREES, **GUIDE)
        ax.set(xlabel="share of cells", xlim=(-0.03, 1.03), title=check.replace("_", " "))
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].invert_yaxis()
    shared_legend(figure, 3)
    return figure
