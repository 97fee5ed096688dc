"""What a recording must be like to be separated, and the channels that are taken from it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.audio import SILENCE_PEAK, check_signal, mono
from srcsep_core.errors import InputError

log = logging.getLogger(__name__)

STEREO = ("auto", "mean", "each")
ALIKE_DB = -60.0
FULL_SCALE = 0.9999
CLIPPED_RUN, CLIPPED_RUNS = 3, 8
LARGEST_PEAK = 1e6
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


@dataclass(frozen=True)
class Recording:
    """What is separated of a recording: `mix` (C, T), at the recording's own rate.

    `stereo` says what was done with several channels: `mean`, `each`, or `one` where there was nothing to do. `silent`
    are the numbers of the channels of `mix` that do not sound, from 0; `offsets` are the means of all. `notes` are
    sentences for the report.
    """

    mix: Tensor
    stereo: str
    silent: tuple[int, ...]
    offsets: tuple[float, ...]
    notes: tuple[str, ...]

    @property
    def sounding(self) -> list[int]:
        """The numbers of the other channels."""
        return [c for c in range(len(self.mix)) if c not in self.silent]


def alike(samples: Tensor) -> bool:
    """Whether the channels (C, T) are the same signal: what they differ by is 60 dB or more below them."""
    return relative_db(samples - mono(samples), samples) <= ALIKE_DB


def relative_db(x: Tensor, whole: Tensor) -> float:
    """The energy of `x` relative to that of `whole`, in dB; at least -200."""
    ratio = float(x.double().square().sum()) / max(float(whole.double().square().sum()), 1e-300)
    return 10 * math.log10(max(ratio, 1e-20))


def prepare(
    samples: Tensor, sample_rate: int, *, stereo: str, remove_dc: bool, flat_tops: bool, window: int, rate: int
) -> Recording:
    """What is separated of a recording (C, T).

    `stereo`: the `mean` of the channels, `each`, or `auto`, which is the mean of channels that are alike and each of
    others. `window` and `rate` (Hz) are those of the priors. `remove_dc` takes the offsets off, and `flat_tops` says
    that stretches at full scale are no clipping. What is done is logged.

    Raises `InputError` for a signal that is not finite, silent, shorter than a window or clipped, channels that
    cancel, and a rate that cannot be resampled.
    """
    _check(samples, sample_rate, flat_tops=flat_tops, window=window, rate=rate)
    mix, done, notes = _take_channels(samples.detach().cpu().float(), stereo)
    offsets = mix.double().mean(dim=1)
    if remove_dc:
        mix = mix - offsets[:, None].float()
        if float(mix.abs().max()) < SILENCE_PEAK:
            raise InputError(f"the signal is a constant of {float(offsets[0]):.3g}; choose a passage that sounds")
    elif float(offsets.abs().max()) > 1e-3:
        log.info("the signal has an offset of %.3g, which stays; remove_dc=True removes it", float(offsets.abs().max()))
    silent = tuple(c for c, row in enumerate(mix) if row.abs().max() < SILENCE_PEAK)
    for c in silent:
        notes.append(f"channel {c + 1} is silent (peak below {SILENCE_PEAK:g}) and is not separated")
        log.info(notes[-1])
    if sample_rate != rate:
        notes.append(f"resampled from {sample_rate} Hz to {rate} Hz, the priors' rate; the stems go back")
        log.info(notes[-1])
    return Recording(mix, done, silent, tuple(float(value) for value in offsets), tuple(notes))


def _take_channels(samples: Tensor, stereo: str) -> tuple[Tensor, str, list[str]]:
    """The channels to separate of a recording (C, T), what was done with them (see `Recording`), and what to say."""
    count = len(samples)
    if count == 1:
        return samples, "one", []
    same = alike(samples)
    done = stereo if stereo != "auto" else "mean" if same else "each"
    note = f"the {count} channels {'are alike' if same else 'differ'}: "
    if done == "each":
        note += "each is separated on its own"
        log.info("%s; stereo='mean' averages them", note)
        return samples, done, [note]
    note += "they are averaged to one"
    log.info("%s%s", note, "" if same else "; stereo='each' separates every one")
    mix = mono(samples)
    if float(mix.abs().max()) < SILENCE_PEAK:
        raise InputError(
            f"the mean of the {count} channels is silent (peak below {SILENCE_PEAK:g}); "
            "use stereo='each', or one channel"
        )
    return mix, done, [note]


def _check(samples: Tensor, sample_rate: int, *, flat_tops: bool, window: int, rate: int) -> None:
    """Raise `InputError` as `prepare` does for what shows before the channels are taken."""
    if sample_rate < 1 or sample_rate != int(sample_rate):
        raise InputError(f"the sample rate {sample_rate} is not a whole number of Hz; use for example 16000")
    minimum = math.ceil(window * sample_rate / rate)
    check_signal(samples, sample_rate, minimum=minimum, channels=None)
    check_rate(sample_rate, rate)
    if float(samples.abs().max()) > LARGEST_PEAK:
        raise InputError(f"the signal peaks at {float(samples.abs().max()):.3g}; scale it, as full scale is 1")
    check_clipped(clipped_runs(samples), flat_tops=flat_tops)


def check_rate(sample_rate: int, rate: int) -> None:
    """Raise `InputError` for a rate that cannot be resampled to `rate` (Hz)."""
    common = math.gcd(int(sample_rate), rate)
    if (sample_rate / common) * (rate / common) > LARGEST_KERNEL:
        raise InputError(
            f"the sample rate {sample_rate} Hz cannot be resampled to {rate} Hz in small steps; use 44100 or 48000"
        )


def check_clipped(runs: int, *, flat_tops: bool) -> None:
    """Raise `InputError` for so many `clipped_runs`, unless there may be flat tops."""
    if runs >= CLIPPED_RUNS and not flat_tops:
        raise InputError(
            f"the signal stays at full scale in {runs} places, as clipped recordings do; record it at a lower level, "
            "or pass allow_clipped=True if these are the flat tops of a square wave"
        )
