"""What a recording must be like to be separated, and the channels that are taken from it."""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor

from srcsep_core.audio import SILENCE_PEAK, check_signal, mono
from srcsep_core.errors import InputError

log = logging.getLogger(__name__)

STEREO = ("mean", "each")
FULL_SCALE = 0.9999
CLIPPED_RUN, CLIPPED_RUNS = 3, 8
LARGEST_KERNEL = 2e7  # taps of a resampler, about


def clipped_runs(samples: Tensor) -> int:
    """How many stretches of 3 or more samples (C, T) in a row stay at one end of full scale (0.9999 to 1)."""
    count = 0
    for row in samples:
        for side in (row, -row):
            flat = torch.nn.functional.pad(((side >= FULL_SCALE) & (side <= 1)).int(), (1, 1)).diff()
            lengths = (flat == -1).nonzero() - (flat == 1).nonzero()
            count += int((lengths >= CLIPPED_RUN).sum())
    return count


def prepare(
    samples: Tensor, sample_rate: int, *, stereo: str, remove_dc: bool, flat_tops: bool, window: int, rate: int
) -> tuple[Tensor, list[float]]:
    """The channels of a recording (C, T) to separate, (1, T) or, with `stereo` each, (C, T), and their offsets (mean).

    `window` and `rate` (Hz) are those of the priors; the recording keeps its own rate here. `remove_dc` takes the
    offsets off, and `flat_tops` says that stretches at full scale are no clipping. What is done is logged.

    Raises `InputError` for a signal that is not finite, silent, shorter than a window or clipped, channels that are
    silent or cancel, and a rate that cannot be resampled.
    """
    if sample_rate < 1 or sample_rate != int(sample_rate):
        raise InputError(f"the sample rate {sample_rate} is not a whole number of Hz; use for example 16000")
    minimum = math.ceil(window * sample_rate / rate)
    check_signal(samples, sample_rate, minimum=minimum, channels=None)
    common = math.gcd(int(sample_rate), rate)
    if (sample_rate / common) * (rate / common) > LARGEST_KERNEL:
        raise InputError(
            f"the sample rate {sample_rate} Hz cannot be resampled to {rate} Hz in small steps; use 44100 or 48000"
        )
    runs = clipped_runs(samples)
    if runs >= CLIPPED_RUNS and not flat_tops:
        raise InputError(
            f"the signal stays at full scale in {runs} places, as clipped recordings do; record it at a lower level, "
            "or pass allow_clipped=True if these are the flat tops of a square wave"
        )
    mix = samples.detach().cpu().float()
    if stereo == "mean" and len(mix) > 1:
        mix = mono(mix)
        log.info("the %d channels are averaged to one; stereo='each' separates every one", len(samples))
    quiet = [c for c, row in enumerate(mix) if row.abs().max() < SILENCE_PEAK]
    if quiet:
        what, remedy = (
            (f"channel {quiet[0] + 1} is silent", "leave it out")
            if stereo == "each"
            else (f"the mean of the {len(samples)} channels is silent", "use stereo='each', or one channel")
        )
        raise InputError(f"{what} (peak below {SILENCE_PEAK:g}); {remedy}")
    offsets = mix.double().mean(dim=1)
    if remove_dc:
        mix = mix - offsets[:, None].float()
        if float(mix.abs().max()) < SILENCE_PEAK:
            raise InputError(f"the signal is a constant of {float(offsets[0]):.3g}; choose a passage that sounds")
    elif float(offsets.abs().max()) > 1e-3:
        log.info("the signal has an offset of %.3g, which stays; remove_dc=True removes it", float(offsets.abs().max()))
    if sample_rate != rate:
        log.info("resampled from %d Hz to %d Hz, the priors' rate; the stems go back", sample_rate, rate)
    return mix, [float(value) for value in offsets]
