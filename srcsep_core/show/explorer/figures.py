"""Figures of a sampler's chain: where its sources are at one noise level, or at several side by side."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.show.explorer.exploration import ExplorerResult, Frame
from srcsep_core.show.styles import OTHER, TRUTH, source_style

SHOWN_S = 0.02
_HEADROOM = 1.6  # of the truth's peak


def chain_figure(
    frames: Sequence[Frame],
    references: Tensor,
    labels: Sequence[str],
    sample_rate: int,
    *,
    shown: int = -1,
    duration_s: float = SHOWN_S,
    figure: Figure | None = None,
) -> Figure:
    """The sources of frame `shown` over the truth (K, T), and on the right residual and sigma against the step.

    The axes have the truth's scale, so that frames can be compared; what is louder is cut off. Waveforms last
    `duration_s`. Drawn with pyplot, or into an empty `figure`, which suits other threads than the main one.
    Raises `InputError` without frames, for a frame that is not there, and for labels that do not fit.
    """
    _check(frames, references, labels, [shown])
    rows = len(labels)
    figure = figure or plt.figure(layout="constrained")
    figure.set_size_inches(8.0, max(2.8, 0.6 + 1.0 * rows))
    grid = figure.add_gridspec(2 * rows, 2, width_ratios=(2.2, 1))
    first: Axes | None = None
    for k, label in enumerate(labels):
        ax = figure.add_subplot(grid[2 * k : 2 * k + 2, 0], sharex=first, sharey=first)
        first = first or ax
        _waves(ax, references, frames[shown], k, label, sample_rate, duration_s)
        ax.set_ylabel(f"{label}\namplitude")
        ax.tick_params(labelbottom=k == rows - 1)
    ax.set_xlabel("time / ms")
    now = frames[shown]
    figure.suptitle(f"step {now.step}, sigma {now.sigma:.3g}: truth grey, chain coloured")
    steps = [frame.step for frame in frames]
    residual = figure.add_subplot(grid[:rows, 1])
    sigma = figure.add_subplot(grid[rows:, 1], sharex=residual)
    for trace, name in ((residual, "residual"), (sigma, "sigma")):
        trace.plot(steps, [getattr(frame, name) for frame in frames], color=OTHER.colour, marker=".")
        trace.axvline(now.step, color="black", linestyle=":", linewidth=1)
        trace.set_title(f"{name} / amplitude", loc="left")
        trace.xaxis.set_major_locator(MaxNLocator(integer=True))
        if any(getattr(frame, name) > 0 for frame in frames):
            trace.set_yscale("log")
    residual.tick_params(labelbottom=False)
    sigma.set_xlabel("step (noise level)")
    return figure


def noise_levels_figure(result: ExplorerResult, indices: Sequence[int], *, duration_s: float = SHOWN_S) -> Figure:
    """One row a source and one column for each of the frames `indices`: the chain over the truth.

    Scales and errors as in `chain_figure`.
    """
    labels, rate = result.settings.labels, result.settings.sample_rate
    _check(result.frames, result.sources, labels, indices)
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


def _check(frames: Sequence[Frame], references: Tensor, labels: Sequence[str], indices: Sequence[int]) -> None:
    if len(labels) != len(references):
        raise InputError(f"there are {len(labels)} labels for {len(references)} sources; name every source")
    for index in indices:
        if not -len(frames) <= index < len(frames):
            raise InputError(
                f"there is no frame {index} among {len(frames)}; run the chain, or choose one that is there"
            )
