"""Figures of variational separation: posteriors of one mix, and how separators compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.show.panels import dotted_rows, label_edges, shared_legend
from srcsep_core.show.styles import TRUTH, prior_style, separator_style, source_style

PANELS = {
    "si_sdri_mean": "mean SI-SDRi / dB",
    "seconds_per_mix": "seconds a mix",
    "gap": "gap to evidence / (nats/sample)",
    "covered": "true values in 90 % intervals",
}


def posterior_figure(
    posteriors: Mapping[str, TruncatedNormal], truth: Tensor, names: Sequence[str], sample_rate: int, shown: int = 400
) -> Figure:
    """Mean and two standard deviations of the posteriors of one mix, with the true sources (K, T).

    A column for every entry of `posteriors`, (1, K, T) each, a row a source; the first `shown` samples.
    """
    figure, axes = plt.subplots(
        len(names), len(posteriors), figsize=(11, 1.9 * len(names) + 0.8), sharex=True, sharey=True, squeeze=False
    )
    time = 1000 * np.arange(min(shown, truth.shape[1])) / sample_rate
    for column, posterior in zip(axes.T, posteriors.values(), strict=True):
        means, stds = (x[0, :, :shown].numpy() for x in (posterior.mean, posterior.variance.sqrt()))
        for k, (ax, name) in enumerate(zip(column, names, strict=True)):
            ax.plot(time, truth[k, :shown].numpy(), **TRUTH.line, linewidth=3, label="truth")
            ax.plot(time, means[k], **source_style(name).line, linewidth=1, label=name)
            ax.fill_between(
                time, means[k] - 2 * stds[k], means[k] + 2 * stds[k], color=source_style(name).colour, alpha=0.25, lw=0
            )
    label_edges(axes, x="time / ms", y="amplitude", titles=posteriors)
    shared_legend(figure, len(names) + 1)
    return figure


def separators_figure(table: pd.DataFrame) -> Figure:
    """Quality, time, and where there are any the bounds and intervals of posteriors: a row a separator and prior."""
    rows = table.assign(gap=table["log_evidence"] - table["elbo"])
    named = list(zip(rows["prior"].astype(str), rows["separator"].astype(str), strict=True))
    levels = [f", {count} levels" if count else "" for count in rows["levels"]]
    labels = [", ".join(filter(None, pair)) + count for pair, count in zip(named, levels, strict=True)]
    styles = [prior_style(prior) if prior else separator_style(separator) for prior, separator in named]
    panels = {column: title for column, title in PANELS.items() if rows[column].notna().any()}
    logarithmic = [column for column in ("seconds_per_mix", "gap") if column in panels]
    return dotted_rows(rows, labels, panels, interval="si_sdri_mean", logarithmic=logarithmic, styles=styles)
