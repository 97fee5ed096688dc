"""Figures against the noise level of the priors: discrimination, likelihood of noised data, gap to the oracle."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srcsep_core.audit.presets import trained_as
from srcsep_core.show.panels import label_edges, named_in, shared_legend, with_interval
from srcsep_core.show.styles import (
    BOUND,
    GUIDE,
    SPARE,
    Style,
    level_style,
    preset_style,
    prior_style,
    setting_style,
)
from srcsep_core.training.config import own_noise

QUANTITIES = {"auroc": "AUROC", "accuracy": "accuracy"}
CHANCE = {"auroc": 0.5, "accuracy": 0.25}
KINDS = {"clean": "clean signals", "matched": "signals with the prior's own noise"}
LOWEST = -1000.0
# No density of signals with noise 0.3 can exceed this in expectation (nats/sample).
NOISE_BOUND = (0.3, float(-np.log(0.3 * np.sqrt(2 * np.pi * np.e))))
SETUP_STYLES = {
    "released, fine-tuned": preset_style("released"),
    "released objective, exact metric": setting_style("exact", "released"),
    "exact, fine-tuned": preset_style("exact"),
    "exact, from scratch": prior_style("flow-scratch"),
    "exact, sigma as input": prior_style("flow-conditional"),
    "WaveNet released": prior_style("wavenet-sigmoid"),
    "WaveNet exact": prior_style("wavenet-likelihood"),
    "oracle": preset_style("oracle"),
    "published (flowavenet)": preset_style("published"),
    "published (wavenet)": prior_style("wavenet-published"),
}
# Flows fine-tuned on the noise of the other preset, by objective.
_OTHER_NOISE = {"likelihood": SPARE[0], "quarter_log_det": SPARE[7]}


def presets_by_noise_figure(curve: pd.DataFrame) -> Figure:
    """AUROC (top) and accuracy (bottom) of clean signals (left) and of matched noise (right), by preset.

    `curve` is `audit.by_noise.presets_by_noise`; bars are its intervals.
    """
    levels = sorted(curve["sigma"].unique())
    figure, panels = _quantity_grid(levels)
    presets = list(dict.fromkeys(curve["preset"]))
    for (signals, quantity), ax in panels.items():
        rows = curve[(curve["signals"] == signals) & (curve["quantity"] == quantity)]
        for index, preset in enumerate(presets):
            part = rows[rows["preset"] == preset]
            if len(part):
                places = [levels.index(sigma) + 0.05 * (index - 1.5) for sigma in part["sigma"]]
                look = preset_style(preset).marked
                with_interval(ax, places, part, "mean", preset, **look, capsize=3, markersize=5)
    shared_legend(figure, len(presets))
    return figure


def setups_by_noise_figure(curve: pd.DataFrame) -> Figure:
    """The same for every way to train and read a prior: `curve` is `audit.by_noise.setups_by_noise`."""
    levels = sorted(curve["prior_sigma"].unique())
    figure, panels = _quantity_grid(levels)
    for (signals, quantity), ax in panels.items():
        rows = curve[curve["signals"] == signals]
        for name, part in rows.groupby("setup", sort=False):
            style = SETUP_STYLES.get(str(name)) or prior_style(str(name))
            places = [levels.index(sigma) for sigma in part["prior_sigma"]]
            ax.plot(places, part[f"{quantity}_mean"], **style.marked, markersize=5, label=name)
    shared_legend(figure, 4)
    return figure


def _quantity_grid(levels: Sequence[float]) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """An empty figure for both quantities, and its panels by kind of signals and quantity."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 6), sharex=True, sharey="row")
    label_edges(axes, x="noise level sigma of the prior", titles=KINDS.values())
    for row, (quantity, name) in zip(axes, QUANTITIES.items(), strict=True):
        row[0].set(ylabel=f"mean {name}", ylim=(0, 1.03))
        for ax in row:
            ax.axhline(CHANCE[quantity], **GUIDE)
    axes[1, 0].set_xticks(range(len(levels)), [f"{sigma:g}" for sigma in levels])
    names = [(kind, quantity) for quantity in QUANTITIES for kind in KINDS]
    return figure, dict(zip(names, axes.flat, strict=True))


def noise_curve_figure(curves: dict[str, pd.DataFrame]) -> Figure:
    """Median log-likelihood against the data's noise: one row a case, one column a source, one line a prior level.

    Each of `curves` has the columns prior, prior_sigma, data_sigma, median. Values below -1000 are drawn at -1000.
    """
    levels = sorted(set().union(*(table["prior_sigma"] for table in curves.values())))
    rows = len(curves)
    names = named_in(next(iter(curves.values())), "prior")
    size = (10, 2.2 * rows + 0.2)
    figure, axes = plt.subplots(rows, len(names), figsize=size, sharex=True, sharey="row", squeeze=False)
    for cells, (title, table) in zip(axes, curves.items(), strict=True):
        for ax, name in zip(cells, names, strict=True):
            for index, sigma in enumerate(levels):
                part = table[(table["prior"] == name) & (table["prior_sigma"] == sigma)]
                if len(part):
                    style = level_style(index, len(levels))
                    values = part["median"].clip(lower=LOWEST)
                    ax.plot(part["data_sigma"], values, **style.marked, markersize=4, label=f"{sigma:g}")
            if table["median"].min() < -20:
                ax.set_yscale("symlog", linthresh=10)
            ax.plot(*NOISE_BOUND, **BOUND.marks, markersize=14)
            ax.set_title(f"{title}: {name}")
    label_edges(axes, x="data noise sigma", y="nats/sample")
    shared_legend(figure, 6, title="prior sigma")
    return figure


def gap_figure(gap: pd.DataFrame) -> Figure:
    """How far the exact log-likelihood lies below the oracle's, by source and by kind of prior."""
    names = named_in(gap, "source")
    figure, axes = plt.subplots(1, len(names), figsize=(10, 3.2), sharey=True)
    for ax, name in zip(axes, names, strict=True):
        for about, part in gap.groupby(["model", "objective", "training", "noise"], sort=False):
            part = part[part["source"] == name]
            style = _gap_style(*map(str, about))
            label = ", ".join(str(word) for word in about if word)
            ax.plot(part["prior_sigma"], -part["gap"], **style.marked, markersize=5, label=label)
        ax.set(title=name, xlabel="sigma", xscale="log", yscale="log")
    axes[0].set_ylabel("below the oracle / (nats/sample)")
    shared_legend(figure, 3)
    return figure


def _gap_style(model: str, objective: str, training: str, noise: str) -> Style:
    """The look of a kind of prior whose likelihood is read exactly."""
    if model == "wavenet":
        return prior_style("wavenet-likelihood")
    if training == "scratch":
        return prior_style("flow-scratch")
    if training == "conditional":
        return prior_style("flow-conditional")
    if noise == own_noise(objective):
        return setting_style("exact", trained_as(objective))
    return _OTHER_NOISE.get(objective) or prior_style(f"flow, {objective}, {training}, {noise}")
