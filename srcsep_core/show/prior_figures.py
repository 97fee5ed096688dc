"""Figures of a single prior: where in a signal its likelihood comes from, what it sees, where its chain goes."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from srcsep_core.show.panels import label_edges, shared_legend
from srcsep_core.show.styles import level_style, prior_style, source_style


def likelihood_map_figure(
    signals: Mapping[str, ArrayLike], maps: Mapping[str, ArrayLike], time_ms: ArrayLike
) -> Figure:
    """Each source's signal (T,), and beside it the contribution of every sample to its log-likelihood (T,), in nats."""
    figure, axes = plt.subplots(len(signals), 2, figsize=(10, 6), sharex=True)
    for (wave, nats), name in zip(axes, signals, strict=True):
        wave.plot(time_ms, signals[name], color=source_style(name).colour, linewidth=1)
        nats.plot(time_ms, maps[name], color=source_style(name).colour, linewidth=0.8)
        wave.set_ylabel(f"{name}\namplitude")
        nats.set_ylabel("nats")
    label_edges(axes, x="time / ms", titles=("signal", "log-likelihood by sample, own prior (exact)"))
    return figure


def receptive_field_figure(field: pd.DataFrame, sample_rate: int, crop: int) -> Figure:
    """The receptive field in s by the columns blocks and layers of `field`; dotted: the training `crop` (samples)."""
    figure, ax = plt.subplots(figsize=(6, 3.4))
    by_layers = field.groupby("layers")
    for index, (layers, part) in enumerate(by_layers):
        look = level_style(index, by_layers.ngroups).marked
        ax.plot(part["blocks"], part["samples"] / sample_rate, label=f"{layers} layers", **look)
    hertz, samples = (f"{number:,}".replace(",", " ") for number in (sample_rate, crop))
    ax.set(yscale="log", xlabel="blocks (6 flows each)", ylabel=f"receptive field / s at {hertz} Hz")
    look = {"color": "0.5", "linestyle": ":", "linewidth": 1}
    ax.axhline(crop / sample_rate, **look, label=f"training crop,\n{samples} samples")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def drift_figure(traces: pd.DataFrame, apart: float) -> Figure:
    """The distance to the truth by step, one line a `prior`; dotted: `apart`, that of two independent sources."""
    figure, ax = plt.subplots(figsize=(7, 3.2))
    for label, trace in traces.groupby("prior", sort=False):
        ax.plot(trace["step"] + 1, trace["distance"], **prior_style(str(label)).line, label=label)
    ax.axhline(apart, color="0.4", linestyle=":", linewidth=0.8, label="two independent sources")
    ax.set(xlabel="step of the Langevin dynamics without the mix", ylabel="distance to the truth (rms)", ylim=(0, None))
    shared_legend(figure, 1, right=True)
    return figure


def residual_figure(trace: pd.DataFrame, kept: int) -> Figure:
    """The residual of each chain (`restart`) by noise level; the one that was `kept` is black."""
    figure, ax = plt.subplots(figsize=(7, 3))
    for restart, rows in trace.groupby("restart"):
        colour, label = ("black", "kept") if restart == kept else ("0.6", "given up")
        ax.plot(rows["sigma"], rows["residual"], color=colour, label=label)
    ax.set(xscale="log", yscale="log", xlabel="sigma", ylabel="residual (rms)")
    ax.invert_xaxis()
    shared_legend(figure, 1, right=True)
    return figure
