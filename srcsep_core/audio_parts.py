"""Audio files that are not held in memory as a whole: read from front to back, and written piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from srcsep_core.audio import reading, without_time
from srcsep_core.errors import InputError

LARGEST_WAV = 4_294_000_000  # bytes, that the header of a WAV file can count


@dataclass(frozen=True)
class AudioFacts:
    """What a file of audio holds: `frames` samples a channel at `sample_rate` Hz; `subtype` as in `Audio`."""

    sample_rate: int
    channels: int
    frames: int
    subtype: str

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.frames / self.sample_rate


def audio_facts(path: str | Path) -> AudioFacts:
    """What a file of audio holds, without reading its samples. Raises `InputError` as `read_audio` does."""
    with reading(path := Path(path)), soundfile.SoundFile(path) as file:
        return AudioFacts(file.samplerate, file.channels, file.frames, file.subtype)


def audio_parts(path: str | Path, starts: Sequence[int], length: int) -> Iterator[Tensor]:
    """The stretches (C, length) of a file that begin at `starts` (samples, rising), read once from front to end.

    The last one is as long as there is. Raises `InputError` as `read_audio` does, and where the file ends too early.
    """
    with reading(path := Path(path)), soundfile.SoundFile(path) as file:
        held, at = np.zeros((0, file.channels), np.float32), 0  # what was read from sample `at` on
        for start in starts:
            if start > min(at + len(held), file.frames):
                file.seek(min(start, file.frames))
            held, at = held[start - at :], start
            held = np.concatenate([held, file.read(length - len(held), dtype="float32", always_2d=True)])
            if not len(held):
                raise InputError(f"the file {path} ends before sample {start}; record or export it again")
            yield torch.from_numpy(held.T.copy())


class FloatWriter:
    """A WAV file of 32-bit floats that is written piece by piece, to the same bytes as `encode_audio` gives at once.

    Raises `InputError` if `frames` samples of so many channels are more than a WAV file can hold.
    """

    def __init__(self, path: Path, sample_rate: int, channels: int, frames: int) -> None:
        if 4 * channels * frames > LARGEST_WAV:
            raise InputError(
                f"{frames / sample_rate / 3600:.1f} hours of {channels} channel(s) at {sample_rate} Hz are more than a "
                "WAV file holds; cut the recording"
            )
        self.path = path
        self.file = soundfile.SoundFile(path, "w", sample_rate, channels, format="WAV", subtype="FLOAT")

    def write(self, samples: Tensor) -> None:
        """Append samples (C, T)."""
        self.file.write(samples.detach().cpu().float().numpy().T)

    def close(self) -> None:
        """Finish the file."""
        self.file.close()
        with open(self.path, "r+b") as file:
            head = file.read(256)
            file.seek(0)
            file.write(without_time(head))
