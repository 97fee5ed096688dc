"""Figures of signals: waves side by side, spectra, short-time Fourier transforms, what they were drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from srcsep_core.audio import Stft
from srcsep_core.show.panels import label_edges, shared_legend
from srcsep_core.show.styles import source_style


def waves_figure(
    waves: Mapping[str, Mapping[str, ArrayLike]],
    times: Mapping[str, ArrayLike] | ArrayLike,
    *,
    size: tuple[float, float],
    x: str = "time / ms",
    ylim: tuple[float, float] | None = None,
    sharey: bool = True,
    **look: Any,
) -> Figure:
    """A grid of waves: row to column to samples, over `times`, which rows may have of their own.

    A source named in the row or in the column gives the colour. `sharey` leaves the scale to the first column.
    """
    names = list(next(iter(waves.values())))
    figure, axes = plt.subplots(len(waves), len(names), figsize=size, sharex=True, sharey=sharey, squeeze=False)
    for cells, (row, columns) in zip(axes, waves.items(), strict=True):
        own = times[row] if isinstance(times, Mapping) else times
        for ax, (name, wave) in zip(cells, columns.items(), strict=True):
            ax.plot(own, wave, color=source_style(f"{row} {name}").colour, **look)
            if ylim:
                ax.set_ylim(ylim)
        cells[0].set_ylabel(f"{row}\namplitude".lstrip())
    label_edges(axes, x=x, titles=names)
    return figure


def denoising_figure(table: pd.DataFrame, sample_rate: int, clean: str) -> Figure:
    """A noisy signal by noise level (top), and what the prior of every source makes of it, over the one called `clean`.

    `table` is `diagnostics.scores.denoising_table`.
    """
    levels, priors = list(dict.fromkeys(table["sigma"])), list(dict.fromkeys(table["prior"]))
    figure, axes = plt.subplots(1 + len(priors), len(levels), figsize=(11, 8), sharex=True)
    for cells, sigma in zip(axes.T, levels, strict=True):
        of_level = table[table["sigma"] == sigma]
        for ax, name in zip(cells[1:], priors, strict=True):
            part = of_level[of_level["prior"] == name]
            time_ms = part["sample"] / sample_rate * 1e3
            ax.plot(time_ms, part["clean"], color="0.3", linewidth=0.8, linestyle="--", label=clean)
            colour = source_style(name).colour
            ax.plot(time_ms, part["denoised"], color=colour, linewidth=1.2, label=f"denoised as {name}")
            ax.set(ylim=(-1.4, 1.4))
        cells[0].plot(time_ms, part["noisy"], color="0.6", linewidth=0.6, label="noisy")
        cells[0].set(ylim=(-3 * max(1, sigma), 3 * max(1, sigma)))
    for ax, name in zip(axes[:, 0], ("noisy", *priors), strict=True):
        ax.set_ylabel(f"{name}\namplitude")
    label_edges(axes, x="time / ms", titles=[f"sigma {sigma:g}" for sigma in levels])
    shared_legend(figure, 6)
    return figure


def frequency_law_figure(laws: pd.DataFrame, sample_rates: Mapping[str, int]) -> Figure:
    """Histograms of the column `frequency_hz`, one panel a `variant` of `sample_rates` (Hz)."""
    edges = np.geomspace(25, 4400, 45)
    figure, axes = plt.subplots(1, len(sample_rates), figsize=(10, 2.6), sharey=True)
    for ax, (variant, rate) in zip(axes, sample_rates.items(), strict=True):
        drawn = laws.loc[laws["variant"] == variant, "frequency_hz"]
        ax.hist(drawn, bins=edges, color="0.45")
        ax.set(title=f"{variant} ({rate} Hz)", xlabel="frequency / Hz", xscale="log")
    axes[0].set_ylabel(f"draws of {len(drawn)}")
    return figure


def spectra_figure(frequency_hz: ArrayLike, levels_db: Mapping[str, ArrayLike]) -> Figure:
    """The level of each source (F,) in dB against the frequency (F,)."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 4.4), sharex=True, sharey=True)
    for ax, (name, level) in zip(axes.flat, levels_db.items(), strict=True):
        ax.plot(np.asarray(frequency_hz) / 1e3, level, color=source_style(name).colour, linewidth=0.7)
        ax.set(title=name, ylim=(-100, 5))
    label_edges(axes, x="frequency / kHz", y="level / dB")
    return figure


def stft_figure(stfts: Mapping[str, Stft]) -> Figure:
    """Magnitude (top) and phase (bottom) of the short-time Fourier transform of each source."""
    figure, axes = plt.subplots(2, len(stfts), figsize=(10, 4.4), sharex=True, sharey=True)
    looks = (
        {"vmin": -80, "vmax": 0, "cmap": "magma"},
        {"vmin": -np.pi, "vmax": np.pi, "cmap": "twilight"},
    )
    for cells, stft in zip(axes.T, stfts.values(), strict=True):
        times_s, khz = stft.times_s.numpy(), stft.frequencies_hz.numpy() / 1e3
        top, bottom = (
            ax.pcolormesh(times_s, khz, values.numpy(), shading="nearest", rasterized=True, **look)
            for ax, values, look in zip(cells, (stft.magnitude_db, stft.phase_rad), looks, strict=True)
        )
    label_edges(axes, x="time / s", y="frequency / kHz", titles=stfts)
    figure.colorbar(top, ax=axes[0], label="magnitude / dB")
    figure.colorbar(bottom, ax=axes[1], label="phase / rad")
    return figure


def stft_table(stfts: Mapping[str, Stft]) -> pd.DataFrame:
    """What `stft_figure` shows, one row a bin: source, frequency_hz, time_s, magnitude_db, phase_rad."""
    parts = []
    for name, stft in stfts.items():
        frequency, time = np.meshgrid(stft.frequencies_hz, stft.times_s, indexing="ij")
        columns = {
            "source": name,
            "frequency_hz": frequency.ravel().round(1),
            "time_s": time.ravel().round(4),
            "magnitude_db": stft.magnitude_db.numpy().ravel().round(1),
            "phase_rad": stft.phase_rad.numpy().ravel().round(2),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)
