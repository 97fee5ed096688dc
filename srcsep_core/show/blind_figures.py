"""Figures of blind separation: pictures taken apart, methods beside each other, latent maps, slots, and the sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from srcsep_core.blind.latents import LatentMap
from srcsep_core.show.panels import dotted_rows, label_edges, shared_legend
from srcsep_core.show.styles import PRESETS, blind_style, level_style

QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
UNITS = {
    "psnr": "PSNR / dB",
    "ssim": "SSIM",
    "si_sdr": "SI-SDR / dB",
    "si_sir": "SI-SIR / dB",
    "si_sar": "SI-SAR / dB",
}


def pictures_figure(rows: Mapping[str, Tensor], *, top: float = 1.0, scale: float = 0.8) -> Figure:
    """Pictures in a grid, a row for each entry (N, height, width), black for 0 and white for `top` (`draw_picture`)."""
    count = max(len(row) for row in rows.values())
    height, width = next(iter(rows.values())).shape[1:]
    wide = scale if height == width else 1.6 * scale
    size = (1.6 + wide * count, scale * len(rows))
    figure, axes = plt.subplots(len(rows), count, figsize=size, squeeze=False)
    for cells, (name, pictures) in zip(axes, rows.items(), strict=True):
        for k, ax in enumerate(cells):
            ax.set(xticks=[], yticks=[])
            if k < len(pictures):
                draw_picture(ax, pictures[k], top)
            else:
                ax.set_axis_off()
        cells[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def draw_picture(ax: Axes, picture: Tensor, top: float = 1.0) -> None:
    """A picture (height, width), black for 0; a spectrogram, which is not square, has its lowest bin at the bottom."""
    origin: Literal["lower", "upper"] = "upper" if picture.shape[0] == picture.shape[1] else "lower"
    ax.imshow(picture.clamp(0, top).numpy(), cmap="gray", vmin=0, vmax=top, aspect="auto", origin=origin)


def wide_results(table: pd.DataFrame, world: str, sources: int) -> pd.DataFrame:
    """A row a method and number of slots of one world and number of sources, for each metric its value and interval.

    Columns: method, supervision, slots, and for each metric its name, and that with _low, _high and _printed.
    """
    part = table[(table["world"] == world) & (table["sources"] == sources)]
    rows = []
    for (method, slots), own in part.groupby(["method", "slots"], sort=False):
        row = {"method": method, "supervision": own["supervision"].iloc[0], "slots": slots}
        for found in own.to_dict("records"):
            name = found["metric"]
            row |= {name: found["value"], f"{name}_low": found["low"], f"{name}_high": found["high"]}
            row |= {f"{name}_printed": found["printed"]}
        rows.append(row)
    return pd.DataFrame(rows)


def methods_figure(results: pd.DataFrame, metrics: Sequence[str]) -> Figure:
    """A row a method (`wide_results`), a panel a metric; crosses are the printed values, of another data set."""
    names = [f"{row.method} ({row.supervision})" for row in results.itertuples()]
    styles = [blind_style(name) for name in results["method"]]
    figure = dotted_rows(results, names, {name: UNITS[name] for name in metrics}, styles=styles)
    for ax, name in zip(figure.axes, metrics, strict=True):
        ax.plot(results[f"{name}_printed"], range(len(results)), **PRESETS["published"].marks, label="printed")
        top = results[name][results[name] < 60].max()
        if results[name].max() > 60:
            ax.set_xlim(right=1.25 * max(top, results[f"{name}_printed"].max(skipna=True) or 0))
            ax.set_title("beyond the axis: at the cap", fontsize="small", loc="right")
    shared_legend(figure, 1)
    return figure


def map_figure(found: LatentMap, labels: Sequence[str], legend: Mapping[str, str] | None = None) -> Figure:
    """The latent map, each point a small text: its label. `legend` says what labels stand for."""
    figure, ax = plt.subplots(figsize=(7.2, 5.2))
    kinds = sorted(set(labels))
    for index, kind in enumerate(kinds):
        chosen = [k for k, label in enumerate(labels) if label == kind]
        colour = level_style(index, len(kinds)).colour
        for x, y in found.points[chosen].tolist():
            ax.text(x, y, kind, color=colour, fontsize=8, ha="center", va="center", clip_on=True)
        title = (legend or {}).get(kind)
        if title:
            ax.plot([], [], linestyle="", marker=f"${kind}$", color=colour, label=title)
    low, high = found.points.amin(dim=0), found.points.amax(dim=0)
    ax.set(xlim=(float(low[0]) - 0.2, float(high[0]) + 0.2), ylim=(float(low[1]) - 0.2, float(high[1]) + 0.2))
    ax.set_xlabel(f"first principal component ({found.shares[0]:.0%} of the variance)")
    ax.set_ylabel(f"second ({found.shares[1]:.0%})")
    if legend:
        shared_legend(figure, 1, right=True, fontsize="small")
    return figure


def sweep_figure(table: pd.DataFrame) -> Figure:
    """PSNR, reconstruction and divergence over beta, the weight of the divergence; 0 stands at the left."""
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.1))
    places = np.arange(len(table))
    columns = {
        "psnr": "PSNR of VAEM / dB",
        "reconstruction": "reconstruction / (nats/value)",
        "divergence": "divergence / (nats/value)",
    }
    for ax, (name, label) in zip(axes, columns.items(), strict=True):
        ax.plot(places, table[name], **blind_style("vaem").marked)
        ax.set_xticks(places, [f"{beta:g}" for beta in table["beta"]], rotation=45)
        ax.set(xlabel="beta for each value", ylabel=label)
    return figure


def slots_figure(shares: Mapping[int, np.ndarray]) -> Figure:
    """How much of the energy the slots hold, largest first: a panel a number of slots, shares (B, slots)."""
    figure, axes = plt.subplots(1, len(shares), figsize=(2.6 * len(shares) + 0.6, 2.9), sharey=True, squeeze=False)
    style = blind_style("vaem")
    for ax, (count, found) in zip(axes[0], shares.items(), strict=True):
        ax.boxplot(found, whis=(5, 95), showfliers=False, medianprops={"color": style.colour, "linewidth": 2})
        ax.set(title=f"{count} slots", xlabel="slot, loudest first")
    label_edges(axes, x="slot, loudest first", y="share of the energy", titles=[f"{count} slots" for count in shares])
    return figure


def pictures_table(rows: Mapping[str, Tensor]) -> pd.DataFrame:
    """What `pictures_figure` shows, to three decimals: row, picture, y, and a column for each x."""
    parts = []
    for name, pictures in rows.items():
        count, height, width = pictures.shape
        picture, y = np.indices((count, height)).reshape(2, -1)
        values = pd.DataFrame(pictures.flatten(0, 1).numpy().round(3), columns=[f"x{k}" for k in range(width)])
        parts.append(pd.concat([pd.DataFrame({"row": name, "picture": picture, "y": y}), values], axis=1))
    return pd.concat(parts, ignore_index=True)


def map_table(found: LatentMap, labels: Sequence[str]) -> pd.DataFrame:
    """The points of a latent map: label, first, second."""
    return pd.DataFrame({"label": list(labels), "first": found.points[:, 0], "second": found.points[:, 1]})


def slots_table(shares: Mapping[int, np.ndarray]) -> pd.DataFrame:
    """What `slots_figure` shows: slots, rank (1: the loudest), and quantiles of the share of the energy."""
    rows = []
    for count, found in shares.items():
        for rank, column in enumerate(found.T, start=1):
            found_at = dict(zip(QUANTILES, np.quantile(column, list(QUANTILES.values())), strict=True))
            rows.append({"slots": count, "rank": rank, **found_at})
    return pd.DataFrame(rows)
