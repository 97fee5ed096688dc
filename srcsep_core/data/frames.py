"""A store of frames: the stems of many songs, decoded once, cut into short stretches and mapped into memory.

A store is a folder with one `.npy` file a song, 16-bit integers of shape (frames, K, length), beside it a small JSON
file that says what it was made of, and `songs.json`, written last, with the songs in order, what was left out and why,
and a fingerprint of all samples. Made again, it takes what is there; stopped at any moment, nothing is half there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srcsep_core.config import resolved
from srcsep_core.errors import InputError, StoreError

SONGS = "songs.json"
FULL_SCALE = 2**15 - 1


@dataclass(frozen=True)
class Cut:
    """How a song becomes frames: how many of what length (samples) at which rate (Hz), and what is done before.

    `channel`: the left one, or the mean of all. `normalised`: every stem without its mean, its peak at one.
    The frames lie evenly over the song, the first at its start and the last at its end.
    """

    sample_rate: int
    length: int
    frames: int = 150
    channel: str = "mean"
    normalised: bool = False

    def starts(self, samples: int) -> np.ndarray:
        """Where the frames of a song of that many samples start."""
        return np.floor(np.linspace(0, samples - self.length, self.frames)).astype(np.int64)

    def prepared(self, stem: Tensor) -> Tensor:
        """A stem (T,) as it is before it is cut."""
        if not self.normalised:
            return stem
        centred = stem - stem.mean()
        peak = centred.abs().max()
        return centred / peak if peak > 0 else centred

    def of(self, stem: Tensor) -> Tensor:
        """The frames of a stem (T,), which has at least one frame's length: (frames, length)."""
        stem = self.prepared(stem)
        return torch.stack([stem[start : start + self.length] for start in self.starts(len(stem))])


@dataclass(frozen=True)
class Left:
    """A song that was left out, or taken with a remark, and why."""

    name: str
    why: str


class FrameStore:
    """Frames of songs in a folder: read if it is complete."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def complete(self) -> bool:
        """Whether all songs are in it that could be."""
        return (self.folder / SONGS).exists()

    @cached_property
    def _index(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / SONGS).read_text())
        return found

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the names, splits and samples of all songs, and of how they were cut."""
        return str(self._index["fingerprint"])

    @property
    def remarks(self) -> list[Left]:
        """What was left out, and what is odd about songs that were not."""
        return [Left(**one) for one in self._index["remarks"]]

    def songs(self, split: str | None = None) -> list[str]:
        """The names of the songs of a split, or of all."""
        return [one["name"] for one in self._index["songs"] if split in (None, one["split"])]

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: str) -> Tensor:
        """Stretches (batch, K, length) of frames drawn at random from the songs of a split."""
        files = [self._frames(one["file"]) for one in self._index["songs"] if one["split"] == split]
        if not files:
            raise InputError(f"{self.folder} has no song for {split}; it has {len(self.songs())} for other uses")
        frames, whole = files[0].shape[0], files[0].shape[-1]
        if not 1 <= length <= whole:
            raise InputError(f"frames have {whole} samples and {length} were asked for; ask for 1 to {whole}")
        draws = torch.rand(batch, 3, generator=generator, device=generator.device, dtype=torch.float64).cpu()
        rows = []
        for song, frame, place in draws.tolist():
            chosen = files[int(song * len(files))][int(frame * frames)]
            start = int(place * (whole - length + 1))
            rows.append(np.asarray(chosen[:, start : start + length]))
        return (torch.from_numpy(np.stack(rows)).float() / FULL_SCALE).to(generator.device)

    def all_frames(self, split: str) -> Tensor:
        """Every frame of a split in order, (frames of all songs, K, length)."""
        files = [self._frames(one["file"]) for one in self._index["songs"] if one["split"] == split]
        return torch.from_numpy(np.concatenate(files)).float() / FULL_SCALE

    def _frames(self, file: str) -> np.ndarray:
        return np.asarray(np.load(self.folder / file, mmap_mode="r"))


@dataclass(frozen=True)
class Song:
    """What a store is made from: a song's name, split, facts that say whether its file changed, and its stems.

    `stems` gives the stems at the store's rate, (T,) each, and what is odd about them.
    """

    name: str
    split: str
    facts: dict[str, Any]
    stems: Callable[[], tuple[list[Tensor], str]]


def make_frames(folder: Path, cut: Cut, songs: Sequence[Song], *, done: Callable[[str], None]) -> FrameStore:
    """Make a store of these songs; those that are there already are kept. `done` is told the name of each.

    A song that cannot be read is left out and named. Raises `StoreError` where the disk is full, and `InputError`
    where no song could be read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SONGS).unlink(missing_ok=True)
        rows, remarks = [], []
        for song in songs:
            row = _kept(folder, cut, song)
            if isinstance(row, Left):
                remarks.append(vars(row))
            else:
                rows.append({key: row[key] for key in ("name", "split", "file", "sha256")})
                remarks += [{"name": song.name, "why": row["odd"]}] if row["odd"] else []
            done(song.name)
        if not rows:
            raise InputError(f"none of {len(songs)} songs could be read; the first: {remarks[0]['why']}")
        facts = {"cut": resolved(cut), "songs": rows}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        _write(folder / SONGS, {**facts, "remarks": remarks, "fingerprint": digest})
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreError(
            f"no space left for frames in {folder}; free some and run the same again, what is there is kept"
        ) from error
    return FrameStore(folder)


def _kept(folder: Path, cut: Cut, song: Song) -> dict[str, Any] | Left:
    """The row of a song, whose frames are made unless they are there."""
    name = hashlib.sha256(f"{song.split}/{song.name}".encode()).hexdigest()[:16]
    file, about = folder / f"{name}.npy", folder / f"{name}.json"
    facts = {**song.facts, "cut": resolved(cut)}
    if file.exists() and about.exists():
        row: dict[str, Any] = json.loads(about.read_text())
        if row["made_from"] == facts:
            return row
    try:
        stems, odd = song.stems()
    except InputError as error:
        return Left(song.name, str(error))
    shortest = min(len(stem) for stem in stems)
    if shortest < cut.length:
        seconds = shortest / cut.sample_rate
        return Left(song.name, f"it lasts {seconds:.2f} s, less than a frame of {cut.length / cut.sample_rate:.2f} s")
    frames = torch.stack([cut.of(stem[:shortest]) for stem in stems], dim=1)
    samples = (frames * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE).to(torch.int16).numpy()
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            np.save(stream, samples)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    row = {
        "name": song.name,
        "split": song.split,
        "file": file.name,
        "sha256": hashlib.sha256(samples.tobytes()).hexdigest(),
        "odd": odd,
        "made_from": facts,
    }
    _write(about, row)
    return row


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
