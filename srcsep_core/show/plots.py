"""Figures of results: signals and cross-likelihood matrices, and saving them the same way every time.

Figures are made with pyplot, so that a notebook shows them without being asked.
"""

from __future__ import annotations

import math
import os
import textwrap
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from srcsep_core.audio import SILENCE_PEAK, Signal, stack_tracks
from srcsep_core.errors import InputError
from srcsep_core.show.spectrograms import draw_spectrogram, samples_of, spectrograms
from srcsep_core.show.styles import source_style, source_styles

LIKELIHOOD_LABEL = "log-likelihood / (nats/sample)"
TITLE_WIDTH = 32

_STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


def set_style() -> None:
    """Set the defaults of all figures: for print, no spines at the top and right, constrained layout."""
    import seaborn

    palette = [style.colour for style in source_styles().values()]
    seaborn.set_theme(context="paper", style="ticks", palette=palette, rc=_STYLE)


def readable_on(background: Any) -> str:
    """Black or white, whichever contrasts more with the colour `background` (WCAG 2.1 relative luminance)."""
    rgb = np.array(to_rgb(background))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "black" if luminance > 0.179 else "white"


def source_grid(signals: Mapping[str, Signal], sample_rate: int, *, duration_s: float | None = None) -> Figure:
    """One row for each signal (T,): the waveform on the left, the spectrogram on the right.

    All rows share their axes and the decibel scale, which spans 80 dB below the loudest bin (0 dB: a sine of
    amplitude 1). `duration_s` limits the waveform to its beginning, whose time is in ms below a second; the
    spectrogram shows the whole signal. Raises `InputError` for no, bad or unequal signals (see `stack_tracks`), for
    fewer than 128 samples, and for a `duration_s` shorter than two samples.
    """
    samples = stack_tracks(signals)
    length = samples.shape[1]
    stfts, loudest = spectrograms(samples, sample_rate)
    shown = length if duration_s is None else samples_of(duration_s, sample_rate, length, "duration_s")

    rows = len(signals)
    figure, axes = plt.subplots(
        rows, 2, figsize=(7.2, 0.4 + 1.4 * rows), sharex="col", sharey="col", squeeze=False, layout="constrained"
    )
    unit, scale = ("s", 1.0) if shown >= sample_rate else ("ms", 1e3)
    time = np.arange(shown) / sample_rate * scale
    limit = 1.1 * max(float(samples[:, :shown].abs().max()), SILENCE_PEAK)
    for (wave, spectrogram), name, row, stft in zip(axes, signals, samples, stfts, strict=True):
        wave.plot(time, row[:shown].numpy(), color=source_style(name).colour, linewidth=1.0)
        wave.set_title(name, loc="left", fontweight="bold")
        wave.set_ylabel("amplitude")
        image = draw_spectrogram(spectrogram, stft, loudest)
    axes[-1, 0].set(xlabel=f"time / {unit}", xlim=(0, shown / sample_rate * scale), ylim=(-limit, limit))
    axes[-1, 1].set(xlabel="time / s", xlim=(0, length / sample_rate), ylim=(0, sample_rate / 2e3))
    figure.colorbar(image, ax=axes[:, 1], label="magnitude / dB", extend="min", aspect=35)
    return figure


def short_number(value: float) -> str:
    """A number in few characters: 4.83 -> "4.8", -312.4 -> "-312", -2.4e7 -> "-2e7", NaN -> "n/a"."""
    size = abs(value)
    if math.isnan(value):
        return "n/a"
    if math.isinf(size) or size == 0:
        return "0" if size == 0 else f"{value:.0f}"
    if size >= 999.5 or size < 0.001:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if size >= 9.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 0.095 else f"{value:.1g}"


def likelihood_norm(*tables: pd.DataFrame) -> Normalize:
    """The colour scale of log-likelihoods: log10(1 + |v|) with the sign of v, and 0 in the middle.

    Each side ends at the power of ten, 10 or more, that holds its values, so that a few nats above zero are
    told apart beside millions below it: equal depth of the two colours does not mean equal size.
    """
    values = np.concatenate([table.to_numpy(dtype=float).ravel() for table in tables])
    values = values[np.isfinite(values)]
    below, above = _decade(-values.min(initial=0.0)), _decade(values.max(initial=0.0))
    depth_below, depth_above = math.log10(1 + below), math.log10(1 + above)

    def forward(v: np.ndarray) -> np.ndarray:
        return np.log10(1 + np.maximum(v, 0)) / depth_above - np.log10(1 + np.maximum(-v, 0)) / depth_below

    def inverse(u: np.ndarray) -> np.ndarray:
        return 10 ** (np.maximum(u, 0) * depth_above) - 10 ** (np.maximum(-u, 0) * depth_below)

    return FuncNorm((forward, inverse), vmin=-below, vmax=above)


def matrix(ax: Axes, values: pd.DataFrame, *, norm: Normalize | None = None) -> AxesImage:
    """A heat map of log-likelihoods with the numbers in its cells: rows are sources, columns are priors.

    `norm` is the colour scale: `likelihood_norm` of several tables makes them comparable, the default is that
    of `values` alone. Raises `InputError` for an empty table.
    """
    _check_table(values)
    numbers = values.to_numpy(dtype=float)
    colours = plt.get_cmap("RdBu").with_extremes(bad="0.85")
    image = ax.imshow(numbers, norm=norm or likelihood_norm(values), cmap=colours, aspect="auto")
    ax.set_xticks(range(values.shape[1]), [str(name) for name in values.columns])
    ax.set_yticks(range(values.shape[0]), [str(name) for name in values.index])
    ax.set(xlabel="prior", ylabel="data (source)")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for (i, j), value in np.ndenumerate(numbers):
        colour = readable_on(image.to_rgba(np.ma.masked_invalid([value]))[0])
        ax.text(j, i, short_number(value), ha="center", va="center", color=colour, fontsize=8)
    return image


def cross_likelihood_figure(
    panels: Mapping[str, pd.DataFrame],
    *,
    columns: int | None = None,
    label: str = LIKELIHOOD_LABEL,
    logarithmic: bool | None = None,
) -> Figure:
    """Matrices (title to table: source x prior) with one colour scale for all, which `label` names.

    The scale is that of log-likelihoods; under another label it is linear unless `logarithmic`. `columns` stand in a
    row, by default two or three, and long titles are broken into lines. Raises `InputError` if there are no panels, or
    for an empty table.
    """
    if not panels:
        raise InputError("there are 0 panels; pass at least one, as {'title': table}")
    for table in panels.values():
        _check_table(table)
    logarithmic = label == LIKELIHOOD_LABEL if logarithmic is None else logarithmic
    values = np.concatenate([table.to_numpy(float).ravel() for table in panels.values()])
    norm = likelihood_norm(*panels.values()) if logarithmic else Normalize(np.nanmin(values), np.nanmax(values))
    columns = columns or (2 if len(panels) == 4 else min(3, len(panels)))
    rows = math.ceil(len(panels) / columns)
    size = (1.5 + 2.3 * columns, 0.2 + 2.4 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax, (title, table) in zip(axes.flat, panels.items(), strict=False):
        image = matrix(ax, table, norm=norm)
        ax.set_title(textwrap.fill(title, TITLE_WIDTH))
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    bar = figure.colorbar(image, ax=axes, label=label)
    if logarithmic:
        ticks = _decade_ticks(norm)
        bar.set_ticks(ticks, labels=[_decade_label(tick) for tick in ticks])
        bar.minorticks_off()
    return figure


def save_figure(figure: Figure, folder: str | Path, name: str) -> tuple[Path, Path]:
    """Write `name`.png (150 dpi) and `name`.pdf into `folder`, both or neither; returns their paths.

    The files carry no date and no version: the same figure gives the same bytes.
    Raises `InputError` if `name` is not a plain file name.
    """
    if not name or name != Path(name).name:
        raise InputError(f"{name!r} is not a plain file name; use for example 'cross_likelihood'")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    }
    temporary = {kind: folder / f".{name}.{uuid.uuid4().hex}.{kind}" for kind in metadata}
    try:
        for kind, path in temporary.items():
            figure.savefig(path, dpi=150, format=kind, metadata=metadata[kind])
        for kind, path in temporary.items():
            os.replace(path, folder / f"{name}.{kind}")
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
    return folder / f"{name}.png", folder / f"{name}.pdf"


def _check_table(values: pd.DataFrame) -> None:
    if values.empty:
        raise InputError(f"the table has the shape {values.shape}; pass a row a source and a column a prior")


def _decade(value: float) -> float:
    """The smallest power of ten, at least 10, that is not below `value`."""
    return 10.0 ** max(1, math.ceil(math.log10(max(value, 1.0))))


def _decade_ticks(norm: Normalize) -> list[float]:
    """0, the powers of ten above it, and at most four below it, ending where the scale ends."""
    last_below = round(math.log10(-(norm.vmin or -1)))
    last_above = round(math.log10(norm.vmax or 1))
    step = math.ceil(last_below / 4)
    below = [-(10.0**power) for power in range(last_below, 0, -step)]
    return [*below, 0.0, *(10.0**power for power in range(last_above + 1))]


def _decade_label(value: float) -> str:
    if abs(value) < 100:
        return f"${value:.0f}$"
    sign = "-" if value < 0 else ""
    return f"${sign}10^{{{round(math.log10(abs(value)))}}}$"
