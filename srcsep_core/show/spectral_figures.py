"""Figures of spectral priors beside one of the waveform: what they tell apart, noise, and what their gradient makes."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from srcsep_core.show.panels import label_edges, lines_by_source, named_in, shared_legend, side_by_side
from srcsep_core.show.styles import TRUTH, Style, family_style, prior_style, source_style

MEASURES = {
    "auroc": "AUROC, worst pair",
    "ratio_auroc": "AUROC of the ratio, worst pair",
    "accuracy": "accuracy",
}
FALLS = {"fall": "fall / (nats/value)", "fall_in_spreads": "fall / class's own spread"}
LOOKS = {
    "time": prior_style("flow-likelihood"),
    "log-mel": family_style("mel-flow"),
    "log-stft": family_style("stft-flow"),
}


def space_style(space: str) -> Style:
    """The look of a prior in a space; for one that is not known here, one that it always gets."""
    return LOOKS.get(space) or prior_style(space)


def spaces_figure(worst: pd.DataFrame) -> Figure:
    """AUROC of the worst pair, that of the ratio, and accuracy, by source and space (`diagnostics.spaces`)."""
    return side_by_side(worst, "space", "prior", MEASURES, space_style)


def falls_figure(falls: pd.DataFrame) -> Figure:
    """How far the log-density falls with noise, in nats for each value (top) and in spreads of the class (bottom)."""
    names = named_in(falls, "prior")
    figure, axes = plt.subplots(2, len(names), figsize=(10, 5), sharex=True, sharey="row", squeeze=False)
    noisy = falls[falls["data_sigma"] > 0]
    for cells, column in zip(axes, FALLS, strict=True):
        for ax, name in zip(cells, names, strict=True):
            for space in named_in(noisy, "space"):
                part = noisy[(noisy["prior"] == name) & (noisy["space"] == space)]
                ax.plot(part["data_sigma"], part[column], **space_style(space).marked, markersize=5, label=space)
            ax.set(xscale="log", yscale="symlog")
    label_edges(axes, x="data noise sigma", titles=names)
    for ax, label in zip(axes[:, 0], FALLS.values(), strict=True):
        ax.set_ylabel(label)
    shared_legend(figure, 4)
    return figure


def gradients_figure(signals: Mapping[str, Tensor], gradients: Mapping[str, Mapping[str, Tensor]], rate: int) -> Figure:
    """Signals (T,) by source above the gradients (T,) of their own prior's log-density at them, by space and source."""
    rows = 1 + len(gradients)
    figure, axes = plt.subplots(rows, len(signals), figsize=(11, 1.6 * rows + 0.6), sharex=True, squeeze=False)
    for column, (name, signal) in zip(axes.T, signals.items(), strict=True):
        time = 1000 * np.arange(len(signal)) / rate
        column[0].plot(time, signal.numpy(), **source_style(name).line)
        for ax, by_source in zip(column[1:], gradients.values(), strict=True):
            ax.plot(time, by_source[name].numpy(), **source_style(name).line, linewidth=0.8)
    label_edges(axes, x="time / ms", titles=signals)
    for ax, label in zip(axes[:, 0], ("amplitude", *(f"{space}\ngradient / nats" for space in gradients)), strict=True):
        ax.set_ylabel(label)
    return figure


def followed_figure(
    truth: Mapping[str, Tensor],
    followed: Mapping[str, Tensor],
    features: Mapping[str, tuple[Tensor, Tensor]],
    rate: int,
) -> Figure:
    """What following the gradient makes, a row a source: its waveform over a true signal's, and both log-spectra.

    `truth` and `followed` are (T,) by source, as far as shown; `features` their whole log-spectra (bands, frames).
    """
    figure, axes = plt.subplots(len(truth), 3, figsize=(11, 1.7 * len(truth) + 0.6), squeeze=False, sharex="col")
    for (wave, *pictures), name in zip(axes, truth, strict=True):
        time = 1000 * np.arange(len(truth[name])) / rate
        wave.plot(time, truth[name].numpy(), **TRUTH.line, linewidth=2.5, label="a test signal")
        wave.plot(time, followed[name].numpy(), **source_style(name).line, linewidth=0.8, label=name)
        low, high = (float(end) for end in (features[name][0].min(), features[name][0].max()))
        for ax, values in zip(pictures, features[name], strict=True):
            ax.imshow(values.numpy(), origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high)
        wave.set_ylabel("amplitude")
        pictures[0].set_ylabel("band")
    label_edges(axes, titles=("waveform", "log-spectrum, test signal", "log-spectrum, followed"))
    for ax, label in zip(axes[-1], ("time / ms", "frame", "frame"), strict=True):
        ax.set_xlabel(label)
    shared_legend(figure, 1 + len(truth))
    return figure


def paths_figure(paths: pd.DataFrame) -> Figure:
    """The log-density along the path, from noise, a panel a space and a line a source.

    `paths` has the columns space, source, step, value and usual: the median of the class's own signals, dotted.
    """
    spaces = named_in(paths, "space")
    figure, axes = plt.subplots(1, len(spaces), figsize=(9, 3.2), sharey=True, squeeze=False)
    for ax, space in zip(axes[0], spaces, strict=True):
        part = paths[paths["space"] == space]
        lines_by_source(ax, part, "step", "value")
        for name, rows in part.groupby("source", sort=False):
            ax.axhline(rows["usual"].iloc[0], color=source_style(str(name)).colour, linestyle=":", linewidth=0.9)
        ax.plot([], [], color="0.3", linestyle=":", linewidth=0.9, label="own signals, median")
        ax.set(title=space, xlabel="step", yscale="symlog")
    axes[0, 0].set_ylabel("log-density / (nats/value)")
    shared_legend(figure, 5)
    return figure
