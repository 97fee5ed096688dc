"""A static picture beside the player, for readers who cannot hear it, as on GitHub."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from srcsep_core.audio import SILENCE_PEAK, Signal, stack_tracks
from srcsep_core.errors import InputError
from srcsep_core.show.spectrograms import draw_spectrogram, samples_of, spectrograms
from srcsep_core.show.styles import TRUTH, source_style


def listening_grid(
    estimates: Mapping[str, Signal],
    references: Mapping[str, Signal],
    mix: Signal,
    sample_rate: int,
    *,
    excerpt_s: float = 0.02,
) -> Figure:
    """The mix and one row for each source: excerpt (estimate over truth), spectrograms of truth and estimate.

    `estimates` and `references` hold the same names; all signals are (T,) or (1, T), of one length. The excerpt
    of `excerpt_s` seconds is the one in which the mix has the most energy. All rows share their axes and the
    decibel scale, which spans 80 dB below the loudest bin (0 dB: a sine of amplitude 1).
    Raises `InputError` if the names differ, for no, bad or unequal signals (see `stack_tracks`), for fewer than
    128 samples and for an `excerpt_s` shorter than two samples.
    """
    names = list(estimates)
    if set(names) != set(references):
        raise InputError(
            f"the estimates are {', '.join(names)} but the references {', '.join(references)}; "
            "pass one reference for each estimate"
        )
    labelled = {"mix": mix}
    labelled |= {f"{name} (estimate)": estimates[name] for name in names}
    labelled |= {f"{name} (truth)": references[name] for name in names}
    samples = stack_tracks(labelled)
    length = samples.shape[1]
    every, loudest = spectrograms(samples, sample_rate)
    signals, stfts = dict(zip(labelled, samples, strict=True)), dict(zip(labelled, every, strict=True))
    shown = samples_of(excerpt_s, sample_rate, length, "excerpt_s")
    energy = np.concatenate([[0.0], np.cumsum(samples[0].double().numpy() ** 2)])
    start = int(np.argmax(energy[shown:] - energy[:-shown]))
    excerpt = slice(start, start + shown)

    rows = 1 + len(names)
    figure = plt.figure(figsize=(7.2, 0.5 + 1.25 * rows), layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False, width_ratios=(1.3, 1, 1))
    time_ms = np.arange(start, start + shown) / sample_rate * 1e3
    limit = 1.1 * max(float(samples[:, excerpt].abs().max()), SILENCE_PEAK)
    drawn = [axes[0, 1]]
    axes[0, 0].plot(time_ms, signals["mix"][excerpt], color=source_style("mix").colour, linewidth=1.0)
    image = draw_spectrogram(axes[0, 1], stfts["mix"], loudest)
    for name, (wave, *spectra) in zip(names, axes[1:], strict=True):
        wave.plot(time_ms, signals[f"{name} (truth)"][excerpt], color=TRUTH.colour, linewidth=2.8)
        wave.plot(time_ms, signals[f"{name} (estimate)"][excerpt], color=source_style(name).colour, linewidth=1.0)
        for ax, kind in zip(spectra, ("truth", "estimate"), strict=True):
            draw_spectrogram(ax, stfts[f"{name} ({kind})"], loudest)
            ax.set_title(kind, loc="left")
            drawn.append(ax)
    for name, wave in zip(["mix", *names], axes[:, 0], strict=True):
        wave.set(ylabel="amplitude", xlim=(time_ms[0], time_ms[-1]), ylim=(-limit, limit))
        wave.set_title(name, loc="left", fontweight="bold")
    for ax in drawn:
        ax.set(xlim=(0, length / sample_rate), ylim=(0, sample_rate / 2e3))
    for ax in axes[1:, 2]:
        ax.set_ylabel("")
    for ax in axes[:-1].flat:
        ax.tick_params(labelbottom=False)
    for ax, label in zip(axes[-1], ("time / ms", "time / s", "time / s"), strict=True):
        ax.set_xlabel(label)
    axes[0, 2].set_axis_off()
    lines = [Line2D([], [], color=TRUTH.colour, linewidth=2.8, label="truth")]
    lines += [
        Line2D([], [], color=source_style(name).colour, linewidth=1.0, label=f"estimate: {name}") for name in names
    ]
    axes[0, 2].legend(handles=lines, loc="upper left", borderaxespad=0.0)
    figure.colorbar(image, ax=axes[:, 2], label="magnitude / dB", extend="min", aspect=35)
    return figure
