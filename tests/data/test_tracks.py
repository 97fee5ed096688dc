"""Songs on a disk: found in both layouts, decoded to the same samples with ffmpeg and without, what is wrong named."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from song_trees import RATE, stems, write_stem_song, write_wav_song

from srcsep_core.data.stem_classes import SOURCES
from srcsep_core.data.tracks import (
    STEM_FILE,
    Track,
    excerpt,
    musdb_works,
    stems_of,
    tracks_in,
    validation_songs,
)
from srcsep_core.errors import InputError

HELD_OUT = "Leaf - Summerghost"
# CI installs ffmpeg, so that there the comparisons with musdb are never left out.
needs_ffmpeg = pytest.mark.skipif(
    not musdb_works() and "CI" not in os.environ, reason="musdb needs ffmpeg and ffprobe, which are not on the PATH"
)


@pytest.fixture(params=["wav", "stem"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three songs, one of them among musdb's validation songs, one mono."""
    for subset, name, seed in (("train", "A - One", 1), ("train", HELD_OUT, 2), ("test", "B - Two", 3)):
        song = stems(seed, 1.2, channels=1 if seed == 3 else 2)
        if request.param == "wav":
            write_wav_song(tmp_path / subset / name, song)
        else:
            write_stem_song(tmp_path / subset / f"{name}{STEM_FILE}", song)
    return tmp_path


def test_songs_are_found_with_their_split(tree: Path) -> None:
    found = [(track.name, track.subset) for track in tracks_in(tree)]
    assert found == [("A - One", "train"), (HELD_OUT, "validation"), ("B - Two", "test")]


def test_validation_songs_are_the_fourteen_of_musdb() -> None:
    assert len(validation_songs()) == 14 and HELD_OUT in validation_songs()


def test_stems_are_what_was_written(tree: Path) -> None:
    """WAV to the last bit; AAC nearly, and not shifted in time."""
    track = tracks_in(tree)[0]
    made = stems(1, 1.2)
    for source, samples, rate in stems_of(track, through_musdb=False):
        assert rate == RATE and samples.shape[0] == 2
        expected = torch.from_numpy(made[source].T.copy())
        got = samples[:, : expected.shape[1]]
        assert got.shape[1] >= expected.shape[1] - 1024
        error = (got - expected[:, : got.shape[1]]).square().mean().sqrt()
        assert error < (2**-15 if track.wav else 0.02)


@needs_ffmpeg
def test_decoded_without_musdb_is_what_musdb_gives(tree: Path) -> None:
    for track in tracks_in(tree):
        ours = list(stems_of(track, through_musdb=False))
        theirs = list(stems_of(track, through_musdb=True))
        for (source, samples, rate), (name, reference, reference_rate) in zip(ours, theirs, strict=True):
            assert (source, rate) == (name, reference_rate)
            assert samples.shape == reference.shape
            assert (samples - reference).abs().max() <= 2**-15


@needs_ffmpeg
def test_musdb_itself_finds_the_same_songs(tree: Path) -> None:
    import musdb

    wav = tracks_in(tree)[0].wav
    for split, subset in (("train", "train"), ("valid", "train"), (None, "test")):
        theirs = {track.name for track in musdb.DB(str(tree), is_wav=wav, subsets=subset, split=split).tracks}
        wanted = {"valid": "validation", "train": "train", None: "test"}[split]
        assert theirs == {track.name for track in tracks_in(tree) if track.subset == wanted}


@needs_ffmpeg
def test_excerpt_is_the_same_with_and_without_musdb() -> None:
    for (_, ours, _), (_, theirs, _) in zip(
        stems_of(excerpt(), through_musdb=False), stems_of(excerpt(), through_musdb=True), strict=True
    ):
        assert ours.shape == theirs.shape and (ours - theirs).abs().max() <= 2**-15


def test_excerpt_is_a_song_of_six_seconds() -> None:
    track = excerpt()
    assert "Falcon 69" in track.name and track.size == 950_721
    lengths = {source: samples.shape[1] / rate for source, samples, rate in stems_of(track, through_musdb=False)}
    assert list(lengths) == list(SOURCES) and all(6 < length < 6.2 for length in lengths.values())


def test_root_without_songs_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match="is not musdb18"):
        tracks_in(tmp_path)


def test_missing_stem_is_named(tmp_path: Path) -> None:
    write_wav_song(tmp_path / "train" / "A", stems(1, 1.0))
    (tmp_path / "train" / "A" / "bass.wav").unlink()
    with pytest.raises(InputError, match=r"A has no bass\.wav"):
        list(stems_of(tracks_in(tmp_path)[0]))


@pytest.mark.parametrize("through_musdb", [False, pytest.param(True, marks=needs_ffmpeg)])
def test_damaged_file_is_named(tmp_path: Path, through_musdb: bool) -> None:
    path = tmp_path / "train" / f"A{STEM_FILE}"
    write_stem_song(path, stems(1, 1.0))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"A\.stem\.mp4 cannot be decoded"):
        list(stems_of(tracks_in(tmp_path)[0], through_musdb=through_musdb))


def test_file_of_too_few_streams_is_named(tmp_path: Path) -> None:
    path = tmp_path / f"A{STEM_FILE}"
    soundfile.write(tmp_path / "A.wav", np.zeros((RATE, 2)), RATE)
    shutil.move(tmp_path / "A.wav", path)
    with pytest.raises(InputError, match="1 streams and no drums"):
        list(stems_of(Track("A", "test", path), through_musdb=False))
