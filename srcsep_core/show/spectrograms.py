"""Spectrograms of several signals on one scale, and how much of a signal is shown beside them."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from torch import Tensor

from srcsep_core.audio import Stft, stft_magnitude_phase
from srcsep_core.errors import InputError

LEVEL_RANGE_DB = 80.0
MIN_LENGTH = 128


def spectrograms(samples: Tensor, sample_rate: int) -> tuple[list[Stft], float]:
    """The short-time Fourier transforms of signals (K, T) at `sample_rate` Hz, and their loudest bin in dB.

    Raises `InputError` for fewer than 128 samples.
    """
    length = samples.shape[1]
    if length < MIN_LENGTH:
        raise InputError(f"the signals have {length} samples but a spectrogram needs {MIN_LENGTH}; use longer ones")
    window = min(512, 2 ** int(math.log2(length / 8)))
    stfts = [stft_magnitude_phase(row, sample_rate, window=window, hop=window // 4) for row in samples]
    return stfts, max(float(stft.magnitude_db.max()) for stft in stfts)


def draw_spectrogram(ax: Axes, stft: Stft, loudest: float) -> AxesImage:
    """Draw one: from 80 dB below the `loudest` bin of all up to it."""
    times, frequencies_khz = stft.times_s, stft.frequencies_hz / 1e3
    half_frame, half_bin = float(times[1] - times[0]) / 2, float(frequencies_khz[1]) / 2
    ax.set_ylabel("frequency / kHz")
    return ax.imshow(
        stft.magnitude_db.numpy(),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=loudest - LEVEL_RANGE_DB,
        vmax=loudest,
        extent=(
            float(times[0]) - half_frame,
            float(times[-1]) + half_frame,
            -half_bin,
            float(frequencies_khz[-1]) + half_bin,
        ),
    )


def samples_of(duration_s: float, sample_rate: int, length: int, name: str) -> int:
    """The samples of a duration, at most `length`; raises `InputError`, naming it, for less than two."""
    shown = min(length, round(duration_s * sample_rate))
    if shown < 2:
        raise InputError(f"{name} is {duration_s}, below two samples; use for example 0.02")
    return shown
