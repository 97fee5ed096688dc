"""Figures of a sampler's chain: where its sources are at one noise level, or at several side by side."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.show.explorer.exploration import ROUNDING, ExplorerResult
from srcsep_core.show.explorer.recorder import Frame
from srcsep_core.show.styles import OTHER, TRUTH, source_style

SHOWN_S = 0.02
_HEADROOM = 1.6  # of the truth's peak
_WAVES_WIDTH, _TRACE_SIZE = 4.2, (2.6, 3.0)  # inches: narrow enough to be read on a phone


def waves_of_frame(
    frame: Frame, references: Tensor, labels: Sequence[str], sample_rate: int, title: str, *, figure: Figure
) -> None:
    """Draw the sources of a frame over the truth (K, T) into an empty `figure`, one row each.

    The axes have the truth's scale, so that frames can be compared; what is louder is cut off. Waveforms last
    `SHOWN_S`. Raises `InputError` for labels that do not fit.
    """
    _check_labels(references, labels)
    figure.set_size_inches(_WAVES_WIDTH, max(_TRACE_SIZE[1], 0.9 + 0.8 * len(labels)))
    axes = figure.subplots(len(labels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for k, (ax, label) in enumerate(zip(axes, labels, strict=True)):
        _waves(ax, references, frame, k, label, sample_rate, SHOWN_S)
        ax.set_ylabel(label)
    axes[-1].set_xlabel("time / ms")
    _arrange(figure, title, hspace=0.25)


def trace_of_frames(frames: Sequence[Frame], shown: int, *, figure: Figure) -> None:
    """Draw residual and sigma against the step into an empty `figure`, with a line at frame `shown`.

    What is below `ROUNDING` is drawn there. Raises `InputError` for a frame that is not there.
    """
    _check_frames(frames, [shown])
    figure.set_size_inches(_TRACE_SIZE)
    steps = [frame.step for frame in frames]
    for ax, name in zip(figure.subplots(2, 1, sharex=True), ("residual", "sigma"), strict=True):
        values = np.array([getattr(frame, name) for frame in frames]).clip(ROUNDING)
        ax.plot(steps, values, color=OTHER.colour, marker=".")
        ax.axvline(frames[shown].step, color="black", linestyle=":", linewidth=1)
        ax.set(ylabel=name, yscale="log", ylim=_decades(values))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    ax.set(xlabel="step", xlim=(steps[0] - 0.5, max(steps[-1], steps[0] + 1) + 0.5))
    _arrange(figure, "in units of amplitude", hspace=0.25)


def noise_levels_figure(result: ExplorerResult, indices: Sequence[int], *, duration_s: float = SHOWN_S) -> Figure:
    """One row a source and one column for each of the frames `indices`: the chain over the truth.

    Scales as in `waves_of_frame`. Raises `InputError` for a frame that is not there.
    """
    labels, rate = result.settings.labels, result.settings.sample_rate
    _check_frames(result.frames, indices)
    size = (0.8 + 2.2 * len(indices), 0.6 + 1.1 * len(labels))
    figure, axes = plt.subplots(
        len(labels), len(indices), figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for column, index in zip(axes.T, indices, strict=True):
        frame = result.frames[index]
        for k, (ax, label) in enumerate(zip(column, labels, strict=True)):
            _waves(ax, result.sources, frame, k, label, rate, duration_s)
        column[0].set_title(f"step {frame.step}, sigma {frame.sigma:.2g}")
        column[-1].set_xlabel("time / ms")
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(f"{label}\namplitude")
    return figure


def spread(frames: int, count: int) -> list[int]:
    """`count` frame numbers from the first to the last, evenly spaced; fewer if there are fewer frames."""
    return sorted({round(position) for position in np.linspace(0, frames - 1, count)})


def _waves(ax: Axes, references: Tensor, frame: Frame, k: int, label: str, sample_rate: int, duration_s: float) -> None:
    shown = min(references.shape[1], max(2, round(duration_s * sample_rate)))
    time_ms = np.arange(shown) / sample_rate * 1e3
    limit = _HEADROOM * float(references.abs().max())
    ax.plot(time_ms, references[k, :shown].numpy(), color=TRUTH.colour, linewidth=2.5)
    ax.plot(time_ms, frame.sources[k, :shown].numpy(), color=source_style(label).colour, linewidth=1.1)
    ax.set(xlim=(0, shown / sample_rate * 1e3), ylim=(-limit, limit))


def _arrange(figure: Figure, title: str, hspace: float) -> None:
    """Margins in inches that fit the labels; a layout that is solved for takes half the time of a drawing."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(0.75 / width, 0.5 / height, 1 - 0.2 / width, 1 - 0.3 / height, hspace=hspace)
    figure.text(0.75 / width, 1 - 0.08 / height, title, verticalalignment="top")
    figure.align_ylabels()


def _decades(values: np.ndarray) -> tuple[float, float]:
    """Whole powers of ten around the values that are known, at least one decade."""
    known = np.log10(values[np.isfinite(values)])
    low, high = (np.floor(known.min()), np.ceil(known.max())) if len(known) else (-1.0, 0.0)
    return 10**low, 10 ** max(high, low + 1)


def _check_labels(references: Tensor, labels: Sequence[str]) -> None:
    if len(labels) != len(references):
        raise InputError(f"there are {len(labels)} labels for {len(references)} sources; name every source")


def _check_frames(frames: Sequence[Frame], indices: Sequence[int]) -> None:
    for index in indices:
        if not -len(frames) <= index < len(frames):
            raise InputError(
                f"there is no frame {index} among {len(frames)}; run the chain, or choose one that is there"
            )
