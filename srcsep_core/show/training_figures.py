"""Loss curves of priors: one line a source, smoothed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.show.panels import label_edges, lines_by_source, shared_legend

NATS = "nats/sample"
TERMS = {"log_prob": "log-likelihood", "log_pz": "log p_Z", "log_det": "log |det|"}


def terms_figure(curves: pd.DataFrame) -> Figure:
    """The log-likelihood and its two `TERMS` by step: one row an objective, running medians.

    `curves` has the columns objective, source, step and the `TERMS`.
    """
    objectives = list(dict.fromkeys(curves["objective"]))
    window = max(1, len(curves) // (2 * curves["source"].nunique() * 100))
    figure, axes = plt.subplots(len(objectives), 3, figsize=(10, 5), sharex=True, sharey="col")
    for row, objective in zip(axes, objectives, strict=True):
        part = curves[curves["objective"] == objective]
        for ax, (column, name) in zip(row, TERMS.items(), strict=True):
            lines_by_source(ax, _smoothed(part, column, window), "step", column, linewidth=1)
            ax.set_title(f"{name}, objective {objective}", fontsize=9)
    label_edges(axes, x="training step", y=NATS)
    shared_legend(figure, 4)
    return figure


def losses_figure(curves: Mapping[str, pd.DataFrame], bounds: Sequence[float]) -> Figure:
    """Loss by step, one panel a title of `curves`, running medians; the last panel has dotted lines at `bounds`."""
    figure, axes = plt.subplots(1, len(curves), figsize=(10, 3.2))
    for ax, (title, curve) in zip(axes, curves.items(), strict=True):
        lines_by_source(ax, _smoothed(curve, "loss", 5), "step", "loss")
        ax.set(title=title, xlabel="step", ylabel=f"loss / ({NATS})")
    for bound in bounds:
        axes[-1].axhline(bound, color="0.4", linestyle=":", linewidth=0.8)
    shared_legend(figure, 4)
    return figure


def denoising_loss_figure(curve: pd.DataFrame) -> Figure:
    """The denoising loss by step, running means."""
    figure, ax = plt.subplots(figsize=(7, 3))
    lines_by_source(
        ax, _smoothed(curve, "loss", max(1, len(curve) // curve["source"].nunique() // 40), "mean"), "step", "loss"
    )
    ax.set(xlabel="step", ylabel="denoising loss", yscale="log")
    shared_legend(figure, 1, right=True)
    return figure


def noise_training_figure(curves: pd.DataFrame) -> Figure:
    """Loss by step, one column a noise level: fine-tuned (top) and from scratch (bottom), one line a source.

    `curves` has the columns source, step, loss, prior_sigma, scratch. The dotted line is the entropy of the noise.
    """
    levels = sorted(curves["prior_sigma"].unique())
    figure, axes = plt.subplots(2, len(levels), figsize=(10, 4.6), sharex=True, sharey="col", squeeze=False)
    for cells, (scratch, title) in zip(axes, ((False, "fine-tuned"), (True, "from scratch")), strict=True):
        for ax, sigma in zip(cells, levels, strict=True):
            rows = curves[(curves["prior_sigma"] == sigma) & (curves["scratch"] == scratch)]
            lines_by_source(ax, rows, "step", "loss")
            entropy = float(np.log(sigma * np.sqrt(2 * np.pi * np.e)))
            ax.axhline(entropy, color="0.3", linestyle=":", linewidth=1.2)
            ax.set_ylim(entropy - 0.3, entropy + 4)
        cells[0].set_ylabel(f"{title}\nloss / ({NATS})")
    label_edges(axes, x="step", titles=[f"sigma {sigma:g}" for sigma in levels])
    shared_legend(figure, 4)
    return figure


def _smoothed(curve: pd.DataFrame, column: str, window: int, how: str = "median") -> pd.DataFrame:
    """The curve with a running median or mean of `column` over `window` rows of each source."""
    rolling = curve.groupby("source")[column].rolling(window, min_periods=1)
    smooth = rolling.median() if how == "median" else rolling.mean()
    return curve.assign(**{column: smooth.droplevel(0)})
