"""The priors' band: the way back from their rate, and what of a recording lies above half of it."""

from __future__ import annotations

import logging
import math

from torch import Tensor
from torch.nn.functional import pad

from srcsep_core.audio import FILTER_WIDTH, resample
from srcsep_core.separate.recording import relative_db

log = logging.getLogger(__name__)

ABOVE_BAND_DB = -60.0  # of the mix


def back(signals: Tensor, *, rate: int, sample_rate: int, length: int) -> Tensor:
    """Signals (..., T) at the priors' `rate` (Hz) at the recording's `sample_rate` and `length`."""
    if rate == sample_rate:
        return signals
    rows = resample(signals.flatten(0, -2), from_rate=rate, to_rate=sample_rate)[:, :length]
    return pad(rows, (0, length - rows.shape[1])).view(*signals.shape[:-1], length)


def split_band(mix: Tensor, heard: Tensor, *, rate: int, sample_rate: int) -> tuple[Tensor, Tensor | None, float]:
    """What the stems sum to, (C, T), and what lies above the priors' band, (C, T), with its level in dB of the mix.

    `mix` (C, T) is the recording at `sample_rate` (Hz) and `heard` what the priors hear of it, at their `rate`. Below
    `ABOVE_BAND_DB` nothing is split off. The level does not count what the two filters make of the recording's ends.
    """
    if sample_rate <= rate:
        return mix, None, -math.inf
    band = back(heard, rate=rate, sample_rate=sample_rate, length=mix.shape[1])
    above = mix - band
    ends = min(math.ceil(2.1 * FILTER_WIDTH * sample_rate / rate), mix.shape[1] // 4)
    level = relative_db(above[:, ends:-ends], mix)
    return (mix, None, level) if level < ABOVE_BAND_DB else (band, above, level)
