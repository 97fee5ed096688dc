"""Songs as musdb18 lays them out on a disk, and their stems decoded (Rafii et al. 2017; `musdb`, Stoeter et al.).

Under a root lie `train` and `test`; a song is a file `NAME.stem.mp4` of five streams, or a folder NAME of WAV files
(MUSDB18-HQ). `musdb` reads them where ffmpeg and ffprobe are on the PATH, which it needs when it is imported. Elsewhere
the streams are decoded by PyAV and the WAV files by libsndfile, to the same samples: musdb gives 16 bits a sample,
and so do these.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from srcsep_core.audio import read_audio
from srcsep_core.data.stem_classes import SOURCES
from srcsep_core.errors import InputError

STREAMS = {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4}
STEM_FILE = ".stem.mp4"
SUBSETS = ("train", "test")

Subset = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Track:
    """A song on a disk: its name, the part of musdb18 it belongs to, and its file or folder."""

    name: str
    subset: Subset
    path: Path

    @property
    def wav(self) -> bool:
        """Whether it is a folder of WAV files."""
        return not self.path.name.endswith(STEM_FILE)

    @property
    def size(self) -> int:
        """What its files hold, in bytes."""
        files = [self.path / f"{source}.wav" for source in SOURCES] if self.wav else [self.path]
        return sum(file.stat().st_size for file in files if file.exists())


def tracks_in(root: Path) -> list[Track]:
    """The songs under a root, or a folder in it, by subset and name; those of musdb's own validation split apart.

    Raises `InputError` where there are none.
    """
    found, held_out = [], validation_songs()
    nested = [root, *(sorted(root.iterdir()) if root.is_dir() else [])]
    root = next((folder for folder in nested if any((folder / subset).is_dir() for subset in SUBSETS)), root)
    for subset in SUBSETS:
        folder = root / subset
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.name.endswith(STEM_FILE) or (path.is_dir() and any(path.glob("*.wav"))):
                name = path.name.removesuffix(STEM_FILE)
                part: Subset = "test" if subset == "test" else "validation" if name in held_out else "train"
                found.append(Track(name, part, path))
    if not found:
        raise InputError(
            f"{root} is not musdb18: it has no folder train or test with files *{STEM_FILE} or folders of WAV files; "
            "name the folder that holds them"
        )
    return found


def validation_songs() -> frozenset[str]:
    """The songs of the training part that musdb keeps for validation."""
    return frozenset(_rules()["validation_tracks"])


def excerpts_address() -> str:
    """Where musdb has the public excerpts of seven seconds of every song."""
    return str(_rules()["sample-url"])


@cache
def _rules() -> dict[str, Any]:
    """What musdb is set up with; read without importing it."""
    import yaml

    rules: dict[str, Any] = yaml.safe_load((_package("musdb") / "configs" / "mus.yaml").read_text())
    return rules


def excerpt() -> Track:
    """The song of six seconds that comes with stempeg: The Easton Ellises, Falcon 69."""
    (path,) = (_package("stempeg") / "data").glob(f"*{STEM_FILE}")
    return Track(path.name.removesuffix(STEM_FILE), "test", path)


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {name} is not installed; install it with pip")
    return Path(spec.submodule_search_locations[0])


def musdb_works() -> bool:
    """Whether musdb can be imported: it asks for ffmpeg and ffprobe."""
    return bool(shutil.which("ffmpeg") and shutil.which("ffprobe"))


def stems_of(track: Track, *, through_musdb: bool | None = None) -> Iterator[tuple[str, Tensor, int]]:
    """Each source of a song in turn: its name, samples (C, T) of 16 bits in [-1, 1], and their rate (Hz).

    One after the other, so that no more than one is in memory. `through_musdb`: whether musdb decodes them; where it
    works if not said. Raises `InputError` for a stem that is missing or cannot be decoded.
    """
    through_musdb = musdb_works() if through_musdb is None else through_musdb
    reader = _from_musdb if through_musdb else _from_wav if track.wav else _from_streams
    for source in SOURCES:
        if track.wav and not (track.path / f"{source}.wav").exists():
            raise InputError(f"{track.name} has no {source}.wav; copy it anew")
        samples, rate = reader(track, source)
        if not samples.shape[-1]:
            raise InputError(f"{track.name}: the stem {source} holds 0 samples; copy the song anew")
        yield source, samples, rate


def _from_wav(track: Track, source: str) -> tuple[Tensor, int]:
    audio = read_audio(track.path / f"{source}.wav")
    return _sixteen_bits(audio.samples), audio.sample_rate


def _from_streams(track: Track, source: str) -> tuple[Tensor, int]:
    import av

    try:
        with av.open(str(track.path)) as container:
            streams = container.streams.audio
            if len(streams) <= STREAMS[source]:
                raise InputError(f"{track.name} has {len(streams)} streams and no {source}; copy it anew")
            stream = streams[STREAMS[source]]
            frames = [frame.to_ndarray() for frame in container.decode(stream)]
            rate = int(stream.rate or 0)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{track.path.name} cannot be decoded ({error.strerror}); copy it anew") from error
    if not frames:
        return torch.zeros(2, 0), rate
    return _sixteen_bits(torch.from_numpy(np.concatenate(frames, axis=1))), rate


def _from_musdb(track: Track, source: str) -> tuple[Tensor, int]:
    try:
        song = _musdb_track(track)
        samples = torch.from_numpy(np.atleast_2d(np.asarray(song.sources[source].audio, np.float32).T).copy())
    except Exception as error:  # ffmpeg's failures come through stempeg as any kind
        raise InputError(f"{track.path.name} cannot be decoded ({type(error).__name__}); copy it anew") from error
    return samples, int(song.rate)


def _musdb_track(track: Track) -> Any:
    import musdb

    song = musdb.MultiTrack(name=track.name, path=str(_mixture(track)), is_wav=track.wav, stem_id=STREAMS["mixture"])
    song.sources = {
        source: musdb.Source(
            song,
            name=source,
            path=str(track.path / f"{source}.wav" if track.wav else track.path),
            stem_id=STREAMS[source],
        )
        for source in SOURCES
    }
    return song


def _mixture(track: Track) -> Path:
    if not track.wav:
        return track.path
    mixture = track.path / "mixture.wav"
    return mixture if mixture.exists() else track.path / f"{SOURCES[0]}.wav"


def _sixteen_bits(samples: Tensor) -> Tensor:
    """Rounded to whole multiples of 2^-15 as ffmpeg does, and capped to their range."""
    return (samples * 2**15).round().clamp(-(2**15), 2**15 - 1) / 2**15
