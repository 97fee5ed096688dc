"""Figures of music: what priors of songs tell apart, and how songs come apart."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.audit.presets import BY_MODEL, EXACT, RELEASED
from srcsep_core.audit.tables import select
from srcsep_core.benchmark.songs import ALL
from srcsep_core.show.panels import dotted_rows, shared_legend, with_interval
from srcsep_core.show.styles import GUIDE, preset_style, separator_style, songs_style

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


def level_figure(levels: pd.DataFrame) -> Figure:
    """The level of each class in octave bands, one panel a class, one line a world with its quantiles.

    `levels` has the columns world, source, band (Hz, the lower edge), median, q05, q95 (dB).
    """
    sources, worlds = list(dict.fromkeys(levels["source"])), list(dict.fromkeys(levels["world"]))
    bands = sorted(levels["band"].unique())
    figure, axes = plt.subplots(1, len(sources), figsize=(11, 3.2), sharex=True, sharey=True)
    for ax, source in zip(axes, sources, strict=True):
        for index, world in enumerate(worlds):
            part = levels[(levels["source"] == source) & (levels["world"] == world)].sort_values("band")
            places = np.arange(len(bands)) + 0.15 * (index - (len(worlds) - 1) / 2)
            spread = [part["median"] - part["q05"], part["q95"] - part["median"]]
            ax.errorbar(places, part["median"], yerr=spread, label=world, **songs_style(world).marks, linewidth=1)
        ax.set(title=source, xlabel="octave from / Hz")
        ax.set_xticks(range(len(bands)), [f"{band:g}" for band in bands], rotation=45)
    axes[0].set_ylabel("level / dB")
    shared_legend(figure, len(worlds))
    return figure


def told_apart_figure(discrimination: pd.DataFrame, stored: Mapping[str, pd.DataFrame]) -> Figure:
    """AUROC of the worst pair by prior and accuracy by class: a row a model, ours by preset and world, and as stored.

    `discrimination` are rows of `papers_own`, `stored` the authors' by model.
    """
    sources, worlds = list(dict.fromkeys(discrimination["source"])), list(dict.fromkeys(discrimination["world"]))
    columns = {"auroc": ("auroc_worst", "AUROC, worst pair"), "accuracy": ("argmax_prior_accuracy", "accuracy")}
    figure, axes = plt.subplots(len(stored), 2, figsize=(10, 2.7 * len(stored) + 0.8), sharex=True, sharey=True)
    for cells, (model, published) in zip(axes, stored.items(), strict=True):
        for ax, (name, (column, label)) in zip(cells, columns.items(), strict=True):
            cases = [(preset, world) for preset in (RELEASED, EXACT) for world in worlds]
            for index, (preset, world) in enumerate(cases):
                rows = select(discrimination, **BY_MODEL[model][preset].facts, world=world).dropna(subset=[name])
                part = rows.sort_values(name).drop_duplicates("prior").set_index("prior").loc[sources]
                look = songs_style(world).marks | {"markerfacecolor": "none" if preset == RELEASED else None}
                places = np.arange(len(sources)) + 0.15 * (index - (len(cases) - 1) / 2)
                with_interval(ax, places, part, name, f"{preset}, {world}", capsize=2, **look)
            ax.plot(
                np.arange(len(sources)) + 0.42,
                published.set_index("prior").loc[sources][column],
                **preset_style("published").marks,
                label="published, musdb18",
            )
            ax.axhline(0.5 if name == "auroc" else 1 / len(sources), **GUIDE)
            ax.set(title=f"{model}: {label}", ylim=(-0.03, 1.03))
    for ax in axes[-1]:
        ax.set_xticks(range(len(sources)), sources)
    shared_legend(figure, 3)
    return figure


def by_scoring(summary: pd.DataFrame) -> Figure:
    """What each scoring tells apart, a row each: mean AUROC, that of the ratio of two priors, and accuracy, by world.

    `summary` is `audit.songs.scorings_summary`; grey lines are chance.
    """
    panels = {
        "auroc": ("mean AUROC", 0.5),
        "ratio_auroc": ("mean AUROC of the ratio", 0.5),
        "accuracy": ("mean accuracy", 0.25),
    }
    scorings, worlds = list(dict.fromkeys(summary["scoring"])), list(dict.fromkeys(summary["world"]))
    figure, axes = plt.subplots(1, 3, figsize=(11, 0.36 * len(scorings) + 1.6), sharey=True)
    for ax, (column, (label, chance)) in zip(axes, panels.items(), strict=True):
        for index, world in enumerate(worlds):
            part = summary[summary["world"] == world]
            places = np.array([scorings.index(name) for name in part["scoring"]]) + 0.2 * (
                index - (len(worlds) - 1) / 2
            )
            look = songs_style(world).marks
            with_interval(ax, places, part, column, world, across=True, capsize=2, **look)
        ax.axvline(chance, **GUIDE)
        ax.set(xlabel=label, xlim=(-0.03, 1.03))
    axes[0].set_yticks(range(len(scorings)), scorings)
    axes[0].invert_yaxis()
    shared_legend(figure, len(worlds))
    return figure


def by_network(table: pd.DataFrame) -> Figure:
    """How networks of denoisers denoise, whether they know their class, and how they separate: a row each."""
    panels = {
        "denoising_loss": "denoising loss",
        "class_ratio": "error of the best other class / own",
        "si_sdri_pairs": "mean SI-SDRi of pairs / dB",
    }
    return dotted_rows(table, list(table["network"]), panels, interval="si_sdri_pairs")
