"""What is known of a long file before it is separated: its first reading, in parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from srcsep_core.audio import SILENCE_PEAK, mono, resample
from srcsep_core.audio_parts import AudioFacts, audio_facts, audio_parts
from srcsep_core.checks import check_finite
from srcsep_core.errors import InputError
from srcsep_core.run.artefacts import file_digest
from srcsep_core.samplers.base import rms
from srcsep_core.separate.band import split_band
from srcsep_core.separate.recording import ALIKE_DB, check_clipped, check_rate, clipped_runs
from srcsep_core.separate.separators import Windows
from srcsep_core.separate.settings import SeparateConfig
from srcsep_core.separate.windows import SILENCE, cut, window_starts


@dataclass(frozen=True)
class Survey:
    """What is known of a whole file before it is separated.

    `stereo`: see `Recording`. Of every channel that is separated (one, for the mean): its mean `offsets`, its `peaks`,
    and the `loudness` of its windows that sound (root mean square, as the priors hear it). `above`: whether something
    lies above the priors' band. Parts begin at `starts` (samples) and are `length` long.
    """

    facts: AudioFacts
    sha256: str
    stereo: str
    offsets: tuple[float, ...]
    peaks: tuple[float, ...]
    loudness: tuple[float, ...]
    above: bool
    starts: tuple[int, ...]
    length: int

    def channels(self, part: Tensor, *, remove_dc: bool) -> Tensor:
        """The channels to separate of a part (C, T) of the file."""
        rows = mono(part) if self.stereo == "mean" else part
        return rows - torch.tensor(self.offsets)[:, None] if remove_dc else rows

    def shares(self, index: int) -> int:
        """How many samples a part has in common with the one before; 0 for the first."""
        return self.length - (self.starts[index] - self.starts[index - 1]) if index else 0


def part_starts(frames: int, length: int, overlap: int) -> tuple[tuple[int, ...], int]:
    """Where equally long parts of at most `length` samples begin, which share `overlap` or more, and how long they are.

    One part of all the `frames` where there are no more.
    """
    if frames <= length:
        return (0,), frames
    count = math.ceil((frames - overlap) / (length - overlap))
    each = math.ceil((frames + (count - 1) * overlap) / count)
    return tuple(np.linspace(0, frames - each, count).astype(int).tolist()), each


def survey(path: Path, config: SeparateConfig, heard: Windows, *, flat_tops: bool, part_s: float) -> Survey:
    """Read a file once. Raises `InputError` for what `separate_audio` does not take, before anything is separated."""
    facts, rate = audio_facts(path), heard.sample_rate
    check_rate(facts.sample_rate, rate)
    window = heard.window or rate
    overlap = math.ceil(window * facts.sample_rate / rate)
    starts, length = part_starts(facts.frames, round(part_s * facts.sample_rate), overlap)
    several = facts.channels > 1
    runs, apart, energy, above = 0, 0.0, 0.0, False
    sums, peaks, squares = [], [], []
    for part in audio_parts(path, starts, length):
        check_finite(part, f"the file {path}")
        runs += clipped_runs(part)
        rows = torch.cat([mono(part), part]) if several else part
        apart += float((part - mono(part)).double().square().sum())
        energy += float(part.double().square().sum())
        sums.append(rows.double().mean(dim=1))
        peaks.append(rows.abs().amax(dim=1))
        low = rows if rate == facts.sample_rate else resample(rows, from_rate=facts.sample_rate, to_rate=rate)
        places = window_starts(low.shape[1], window, config.search.overlap or window // 4)
        squares.append(torch.stack([rms(cut(row, places, window)) for row in low]))
        above |= split_band(part, low[-facts.channels :], rate=rate, sample_rate=facts.sample_rate)[1] is not None
    check_clipped(runs, flat_tops=flat_tops)
    alike = apart <= 10 ** (ALIKE_DB / 10) * energy
    stereo = "one" if not several else config.stereo if config.stereo != "auto" else "mean" if alike else "each"
    chosen = slice(None) if not several else slice(0, 1) if stereo == "mean" else slice(1, None)
    every = torch.cat(squares, dim=1)[chosen]
    sounds = every > SILENCE * rms(every)[:, None]
    loudness = [float(rms(row[there])) if bool(there.any()) else 0.0 for row, there in zip(every, sounds, strict=True)]
    peak = torch.stack(peaks).amax(dim=0)[chosen]
    if float(peak.max()) < SILENCE_PEAK:
        raise InputError(f"the file {path} is silent (peak {float(peak.max()):.1g}); choose one that sounds")
    means = torch.stack(sums).mean(dim=0)[chosen]
    return Survey(
        facts,
        file_digest(path),
        stereo,
        tuple(means.tolist()),
        tuple(peak.tolist()),
        tuple(loudness),
        above,
        starts,
        length,
    )
