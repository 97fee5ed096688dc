"""Figures against the noise level of the priors: discrimination, likelihood of noised data, gap to the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from srcsep_core.data.toy import SOURCES
from srcsep_core.show.styles import (
    BOUND,
    GUIDE,
    Style,
    level_style,
    prior_style,
    protocol_style,
    setting_style,
    source_style,
)

QUANTITIES = {"auroc": "AUROC", "accuracy": "accuracy"}
CHANCE = {"auroc": 0.5, "accuracy": 0.25}
KINDS = {"clean": "clean signals", "matched": "signals with the prior's own noise"}
LOWEST = -1000.0
# No density of signals with noise 0.3 can exceed this in expectation (nats/sample).
NOISE_BOUND = (0.3, float(-np.log(0.3 * np.sqrt(2 * np.pi * np.e))))
SETUP_STYLES = {
    "released, fine-tuned": protocol_style("released"),
    "released objective, exact metric": setting_style("exact", "released"),
    "exact, fine-tuned": protocol_style("exact"),
    "exact, from scratch": prior_style("flow-scratch"),
    "exact, sigma as input": prior_style("flow-conditional"),
    "WaveNet released": prior_style("wavenet-released"),
    "WaveNet exact": prior_style("wavenet-exact"),
    "oracle": protocol_style("oracle"),
    "published (flowavenet)": protocol_style("published"),
    "published (wavenet)": prior_style("wavenet-published"),
}


def protocols_by_noise_figure(curve: pd.DataFrame) -> Figure:
    """AUROC (top) and accuracy (bottom) of clean signals (left) and of matched noise (right), by protocol.

    `curve` is `audit.by_noise.protocols_by_noise`; bars are its intervals.
    """
    levels = sorted(curve["sigma"].unique())
    figure, axes = _quantity_grid(levels)
    protocols = list(dict.fromkeys(curve["protocol"]))
    for column, signals in enumerate(KINDS):
        for row, quantity in enumerate(QUANTITIES):
            for index, protocol in enumerate(protocols):
                part = curve[(curve["protocol"] == protocol) & (curve["quantity"] == quantity)]
                part = part[part["signals"] == signals]
                if part.empty:
                    continue
                places = [levels.index(sigma) + 0.05 * (index - 1.5) for sigma in part["sigma"]]
                spread = [(part["mean"] - part["low"]).clip(lower=0), (part["high"] - part["mean"]).clip(lower=0)]
                style = protocol_style(protocol)
                axes[row, column].errorbar(
                    places, part["mean"], yerr=spread, **style.marked, capsize=3, label=protocol, markersize=5
                )
    return _finished(figure, axes, columns=len(protocols))


def setups_by_noise_figure(curve: pd.DataFrame) -> Figure:
    """The same for every way to train and read a prior: `curve` is `audit.by_noise.setups_by_noise`."""
    levels = sorted(curve["prior_sigma"].unique())
    figure, axes = _quantity_grid(levels)
    for column, signals in enumerate(KINDS):
        for row, quantity in enumerate(QUANTITIES):
            for name in dict.fromkeys(curve["setup"]):
                part = curve[(curve["setup"] == name) & (curve["signals"] == signals)]
                places = [levels.index(sigma) for sigma in part["prior_sigma"]]
                style = SETUP_STYLES.get(name) or prior_style(name)
                if places:
                    axes[row, column].plot(places, part[f"{quantity}_mean"], **style.marked, markersize=5, label=name)
    return _finished(figure, axes, columns=4)


def _quantity_grid(levels: Sequence[float]) -> tuple[Figure, np.ndarray]:
    figure, axes = plt.subplots(2, 2, figsize=(10, 6), sharex=True, sharey="row")
    for column, title in enumerate(KINDS.values()):
        axes[0, column].set_title(title)
        axes[1, column].set_xlabel("noise level sigma of the prior")
    for row, (quantity, name) in enumerate(QUANTITIES.items()):
        axes[row, 0].set(ylabel=f"mean {name}", ylim=(0, 1.03))
        for ax in axes[row]:
            ax.axhline(CHANCE[quantity], **GUIDE)
    axes[1, 0].set_xticks(range(len(levels)), [f"{sigma:g}" for sigma in levels])
    return figure, axes


def noise_curve_figure(curves: dict[str, pd.DataFrame]) -> Figure:
    """Median log-likelihood against the data's noise: one row a case, one column a source, one line a prior level.

    Each of `curves` has the columns prior, prior_sigma, data_sigma, median. Values below -1000 are drawn at -1000.
    """
    levels = sorted(set().union(*(table["prior_sigma"] for table in curves.values())))
    rows = len(curves)
    figure, axes = plt.subplots(rows, 4, figsize=(10, 2.2 * rows + 0.2), sharex=True, sharey="row", squeeze=False)
    for cells, (title, table) in zip(axes, curves.items(), strict=True):
        for ax, name in zip(cells, SOURCES, strict=True):
            for index, sigma in enumerate(levels):
                part = table[(table["prior"] == name) & (table["prior_sigma"] == sigma)]
                if len(part):
                    style = level_style(index, len(levels))
                    values = part["median"].clip(lower=LOWEST)
                    ax.plot(part["data_sigma"], values, **style.marked, markersize=4, label=f"{sigma:g}")
            ax.set_yscale("symlog", linthresh=10)
            ax.plot(*NOISE_BOUND, **BOUND.marks, markersize=14)
            ax.set_title(f"{title}: {name}")
        cells[0].set_ylabel("nats/sample")
    for ax in axes[-1]:
        ax.set_xlabel("data noise sigma")
    handles = _labels(axes)
    figure.legend(handles.values(), handles.keys(), title="prior sigma", loc="outside lower center", ncols=6)
    return figure


def gap_figure(gap: pd.DataFrame) -> Figure:
    """How far the exact log-likelihood lies below the oracle's, by source and by kind of prior."""
    figure, axes = plt.subplots(1, 4, figsize=(10, 3.2), sharey=True)
    for ax, name in zip(axes, SOURCES, strict=True):
        for (model, objective, training), part in gap.groupby(["model", "objective", "training"], sort=False):
            part = part[part["source"] == name]
            style = _gap_style(str(model), str(objective), str(training))
            label = f"{model}, {objective}, {training}"
            ax.plot(part["prior_sigma"], -part["gap"], **style.marked, markersize=5, label=label)
        ax.set(title=name, xlabel="sigma", xscale="log", yscale="log")
    axes[0].set_ylabel("below the oracle / (nats/sample)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _gap_style(model: str, objective: str, training: str) -> Style:
    """The look of a kind of prior whose likelihood is read exactly."""
    if model == "wavenet":
        return prior_style("wavenet-exact")
    if training.startswith("scratch"):
        return prior_style("flow-scratch")
    if training == "conditional":
        return prior_style("flow-conditional")
    own = "thesis" if objective == "exact" else "released"
    if training == f"fine-tuned, {own} noise":
        return setting_style("exact", objective)
    return prior_style(f"flow, {objective}, {training}")


def _finished(figure: Figure, axes: np.ndarray, *, columns: int) -> Figure:
    handles = _labels(axes)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns)
    return figure


def _labels(axes: np.ndarray) -> dict[str, Any]:
    """Every label of some axes, once, with its handle."""
    found: dict[str, Any] = {}
    for ax in axes.flat:
        assert isinstance(ax, Axes)
        found |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    return found


def noise_training_figure(curves: pd.DataFrame) -> Figure:
    """Loss by step, one column a noise level: fine-tuned (top) and from scratch (bottom), one line a source.

    `curves` has the columns source, step, loss, prior_sigma, scratch. The dotted line is the entropy of the noise.
    """
    levels = sorted(curves["prior_sigma"].unique())
    figure, axes = plt.subplots(2, len(levels), figsize=(10, 4.6), sharex=True, sharey="col", squeeze=False)
    for cells, (scratch, title) in zip(axes, ((False, "fine-tuned"), (True, "from scratch")), strict=True):
        for ax, sigma in zip(cells, levels, strict=True):
            rows = curves[(curves["prior_sigma"] == sigma) & (curves["scratch"] == scratch)]
            for name in SOURCES:
                own = rows[rows["source"] == name]
                ax.plot(own["step"], own["loss"], **source_style(name).line, label=name)
            entropy = float(np.log(sigma * np.sqrt(2 * np.pi * np.e)))
            ax.axhline(entropy, color="0.3", linestyle=":", linewidth=1.2)
            ax.set_ylim(entropy - 0.3, entropy + 4)
        cells[0].set_ylabel(f"{title}\nloss / (nats/sample)")
    for ax, sigma in zip(axes[0], levels, strict=True):
        ax.set_title(f"sigma {sigma:g}")
    for ax in axes[1]:
        ax.set_xlabel("step")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
