"""How well sources are told apart: AUROC and accuracy by preset, statistic, pitch and cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.audit.presets import WAVENET, read_as, trained_as
from srcsep_core.data.toy import SOURCES
from srcsep_core.show.panels import lines_by_source, shared_legend, with_interval
from srcsep_core.show.styles import (
    GUIDE,
    preset_style,
    prior_style,
    setting_style,
    source_style,
    statistic_style,
)

TOLD_APART = 0.9
MOBILE = 10


def settings_figure(discrimination: pd.DataFrame, stored: pd.DataFrame, settings: Sequence[tuple[str, str]]) -> Figure:
    """AUROC of the worst pair and accuracy by source, for every protocol and objective of `settings` and as stored."""
    figure, axes = plt.subplots(2, 1, figsize=(10, 5.6), sharex=True)
    published = stored.set_index("prior").loc[list(SOURCES)]
    columns = {"auroc": "auroc_worst", "accuracy": "argmax_prior_accuracy"}
    for ax, (name, column) in zip(axes, columns.items(), strict=True):
        for index, (protocol, objective) in enumerate(settings):
            rows = discrimination[discrimination["protocol"] == protocol]
            rows = rows[rows["objective"] == objective].dropna(subset=[name])
            part = rows.sort_values(name).drop_duplicates("prior").set_index("prior").loc[list(SOURCES)]
            label = f"ours: protocol {protocol}, objective {objective}"
            look = setting_style(read_as(protocol), trained_as(objective)).marks
            with_interval(ax, np.arange(4) + (index - 1.5) * 0.2, part, name, label, capsize=3, **look)
        ax.plot(np.arange(4) + 0.5, published[column], **preset_style("published").marks, label="published")
        ax.set_ylim(min(0.75, ax.get_ylim()[0]), 1.02)
        for border in (0.6, 1.6, 2.6):
            ax.axvline(border, **GUIDE)
    axes[0].set_ylabel("AUROC, worst pair")
    axes[1].set(ylabel="accuracy", xlabel="prior (AUROC), source (accuracy)")
    axes[1].set_xticks(range(4), SOURCES)
    shared_legend(figure, 3)
    return figure


def models_figure(summary: pd.DataFrame) -> Figure:
    """AUROC of the worst pair and accuracy by source, for flow and WaveNet by both presets, and as published."""
    table = summary.rename(columns={"auroc_worst": "auroc", "published_auroc_worst": "published_auroc"})
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True)
    for ax, value in zip(axes, ("auroc", "accuracy"), strict=True):
        for index, ((model, preset), part) in enumerate(table.groupby(["model", "preset"])):
            look = preset_style(str(preset))
            own = prior_style(f"wavenet-{WAVENET[str(preset)].objective}") if model == "wavenet" else look
            part = part.set_index("source").loc[list(SOURCES)]
            places = np.arange(4) + (index - 1.5) * 0.18
            with_interval(ax, places, part, value, f"{model}, {preset}", capsize=3, **own.marks)
        part = table[table["model"] == "wavenet"].drop_duplicates("source").set_index("source").loc[list(SOURCES)]
        marks = prior_style("wavenet-published").marks
        ax.plot(np.arange(4) + 0.45, part[f"published_{value}"], **marks, label="published WaveNet")
        ax.set_xticks(range(4), SOURCES)
    lowest = table[["auroc_low", "accuracy_low", "published_auroc", "published_accuracy"]].min().min()
    axes[0].set(ylabel="AUROC, worst pair", xlabel="prior", ylim=(lowest - 0.03, 1.03))
    axes[1].set(ylabel="accuracy", xlabel="source")
    shared_legend(figure, 5)
    return figure


def pitch_figure(values: pd.DataFrame) -> Figure:
    """Likelihood against pitch, one panel a prior: `values` has the columns source, prior, period, value."""
    priors = list(dict.fromkeys(values["prior"]))
    figure, axes = plt.subplots(1, len(priors), figsize=(10, 3.4), sharex=True, sharey=True)
    for ax, prior in zip(axes, priors, strict=True):
        for name, rows in values[values["prior"] == prior].groupby("source", sort=False):
            ax.plot(rows["period"], rows["value"], **source_style(str(name)).marks, markersize=3, label=f"{name} data")
        ax.set(title=f"{prior} prior", xlabel="period / samples", xscale="log")
        ax.set_xticks([20, 50, 100, 200, 500], ["20", "50", "100", "200", "500"])
        ax.minorticks_off()
        ax.set_yscale("symlog", linthresh=10)
    axes[0].set_ylabel("log-likelihood / (nats/sample)")
    shared_legend(figure, 2)
    return figure


def windows_figure(pairs: pd.DataFrame, modes: pd.DataFrame, published: Mapping[float, float]) -> Figure:
    """Where sources are told apart, by log p and by ratio, and where a chain can move; `published` by sigma."""
    presets = {"oracle": "oracle", "exact flow": "exact", "released flow": "released"}
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.4))
    for ax, statistic in zip(axes, dict.fromkeys(pairs["statistic"]), strict=False):
        for setup, preset in presets.items():
            part = pairs[(pairs["setup"] == setup) & (pairs["statistic"] == statistic)]
            worst = part.groupby("sigma")["auroc_worst"].min()
            ax.plot(worst.index, worst, **preset_style(preset).marked, label=setup)
        ax.axhline(TOLD_APART, **GUIDE)
        ax.set(xscale="log", xlabel="sigma", ylabel="AUROC, worst pair of all", title=f"told apart by {statistic}")
    style = preset_style("published").marked
    axes[0].plot(list(published), list(published.values()), **style, label="published (clean signals)")
    lines_by_source(axes[2], modes, "sigma", "modes", marked=True)
    axes[2].axhline(MOBILE, **GUIDE)
    axes[2].set(xscale="log", yscale="log", xlabel="sigma", ylabel="plausible waves exp(H)", title="mobile (oracle)")
    shared_legend(figure, 4)
    return figure


def statistics_figure(statistics: pd.DataFrame) -> Figure:
    """AUROC of the worst pair by statistic against the noise level, one panel an objective."""
    objectives, levels = list(dict.fromkeys(statistics["objective"])), sorted(statistics["sigma"].unique())
    figure, axes = plt.subplots(1, len(objectives), figsize=(10, 3.4), sharey=True)
    for ax, objective in zip(axes, objectives, strict=True):
        rows = statistics[statistics["objective"] == objective]
        for index, (name, part) in enumerate(rows.groupby("statistic", sort=False)):
            places = np.arange(len(part)) + (index - 1.5) * 0.08
            look = statistic_style(str(name)).marked
            with_interval(ax, places, part, "auroc_worst", str(name), capsize=2, **look)
        ax.set_xticks(range(len(levels)), [f"{s:g}" for s in levels])
        ax.set(title=f"objective {objective}", xlabel="sigma of prior and data")
    axes[0].set_ylabel("AUROC, worst pair")
    shared_legend(figure, 4)
    return figure


def ablation_figure(ablation: pd.DataFrame) -> Figure:
    """AUROC of the worst pair with its interval, and mean accuracy, one row a setting."""
    figure, ax = plt.subplots(figsize=(8, 4))
    y = np.arange(len(ablation))
    look = statistic_style("auroc").marks
    with_interval(ax, y, ablation, "auroc_worst", "AUROC, worst pair", across=True, capsize=3, **look)
    ax.plot(ablation["accuracy_mean"], y, **statistic_style("accuracy").marks, label="mean accuracy")
    ax.set_yticks(y, ablation["setting"])
    ax.invert_yaxis()
    ax.set(xlabel="AUROC or accuracy", xlim=(-0.03, 1.03))
    shared_legend(figure, 2)
    return figure
