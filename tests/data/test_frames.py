"""The store of frames: whole or not there, resumed, the same bytes again, what is wrong left out and said."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from srcsep_core.data import frames
from srcsep_core.data.frames import FULL_SCALE, Cut, FrameStore, Song, make_frames
from srcsep_core.errors import InputError, StoreError

CUT = Cut(sample_rate=100, length=50, frames=5)


def song(name: str, split: str = "train", seconds: float = 3.0, *, asked: list[str] | None = None) -> Song:
    """A song of two stems of noise; says in `asked` that it was decoded."""

    def made() -> tuple[list[Tensor], str]:
        if asked is not None:
            asked.append(name)
        generator = torch.Generator().manual_seed(len(name))
        return [torch.rand(int(seconds * 100), generator=generator) - 0.5 for _ in range(2)], ""

    return Song(name, split, {"bytes": 1}, made)


def broken(name: str) -> Song:
    def fails() -> tuple[list[Tensor], str]:
        raise InputError(f"{name} cannot be decoded; copy it anew")

    return Song(name, "train", {"bytes": 1}, fails)


def make(folder: Path, *songs: Song, cut: Cut = CUT) -> FrameStore:
    return make_frames(folder, cut, songs, done=lambda name: None)


def test_frames_lie_evenly_from_start_to_end(tmp_path: Path) -> None:
    store = make(tmp_path, song("one"))
    stems, _ = song("one").stems()
    assert CUT.starts(300).tolist() == [0, 62, 125, 187, 250]
    expected = torch.stack([torch.stack([stem[s : s + 50] for stem in stems]) for s in (0, 62, 125, 187, 250)])
    torch.testing.assert_close(store.all_frames("train"), expected, atol=0.6 / FULL_SCALE, rtol=0)


def test_normalised_stems_have_no_mean_and_their_peak_at_one() -> None:
    cut = Cut(100, 300, frames=1, normalised=True)
    got = cut.of(0.1 * torch.rand(300) + 0.4)
    assert abs(float(got.mean())) < 1e-6 and float(got.abs().max()) == 1
    assert not cut.of(torch.zeros(300)).any()


def test_draws_are_of_the_split_and_determined_by_the_generator(tmp_path: Path) -> None:
    store = make(tmp_path, song("train one"), song("test", "test"), song("another", "validation"))

    def draw(split: str, seed: int = 1) -> Tensor:
        return store.draw(4, 20, torch.Generator().manual_seed(seed), split=split)

    assert draw("train").shape == (4, 2, 20)
    assert torch.equal(draw("train"), draw("train")) and not torch.equal(draw("train"), draw("train", 2))
    whole = store.all_frames("test").reshape(-1)
    windows = whole.unfold(0, 20, 1)
    for row in draw("test"):
        assert (windows == row[0]).all(dim=1).any()


def test_made_again_only_what_is_new_is_decoded(tmp_path: Path) -> None:
    asked: list[str] = []
    first = make(tmp_path, song("one", asked=asked)).fingerprint
    assert make(tmp_path, song("one", asked=asked)).fingerprint == first and asked == ["one"]
    more = make(tmp_path, song("one", asked=asked), song("three", asked=asked))
    assert asked == ["one", "three"] and more.fingerprint != first


def test_a_changed_song_or_cut_is_decoded_anew(tmp_path: Path) -> None:
    asked: list[str] = []
    make(tmp_path, song("one", asked=asked))
    make(tmp_path, song("one", asked=asked), cut=Cut(100, 50, frames=4))
    changed = Song("one", "train", {"bytes": 2}, song("one", asked=asked).stems)
    make(tmp_path, changed, cut=Cut(100, 50, frames=4))
    assert asked == ["one"] * 3


def test_stopped_half_way_nothing_is_half_there_and_the_rest_follows(tmp_path: Path) -> None:
    def stopped() -> tuple[list[Tensor], str]:
        raise KeyboardInterrupt

    asked: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, song("one", asked=asked), Song("two", "train", {"bytes": 1}, stopped))
    assert not FrameStore(tmp_path).complete and not list(tmp_path.glob(".*"))
    store = make(tmp_path, song("one", asked=asked), song("two", asked=asked))
    assert store.complete and asked == ["one", "two"] and store.songs() == ["one", "two"]


def test_half_written_frames_are_made_anew(tmp_path: Path) -> None:
    """A file whose JSON is missing was never finished."""
    first = make(tmp_path, song("one"))
    (file,) = tmp_path.glob("*.npy")
    file.with_suffix(".json").unlink()
    file.write_bytes(b"half")
    assert make(tmp_path, song("one")).fingerprint == first.fingerprint


def test_what_cannot_be_used_is_left_out_and_said(tmp_path: Path) -> None:
    store = make(tmp_path, broken("bad"), song("one"), song("short", seconds=0.2))
    assert store.songs() == ["one"]
    assert [(left.name, left.why) for left in store.remarks] == [
        ("bad", "bad cannot be decoded; copy it anew"),
        ("short", "it lasts 0.20 s, less than a frame of 0.50 s"),
    ]


def test_no_song_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of 1 songs could be read; the first: bad cannot"):
        make(tmp_path, broken("bad"))
    assert not FrameStore(tmp_path).complete


def test_split_without_songs_and_length_beyond_a_frame_are_named(tmp_path: Path) -> None:
    store = make(tmp_path, song("one"))
    with pytest.raises(InputError, match="no song for validation"):
        store.draw(1, 10, torch.Generator(), split="validation")
    with pytest.raises(InputError, match="50 samples and 51"):
        store.draw(1, 51, torch.Generator(), split="train")


def test_full_disk_is_named_and_leaves_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    save = np.save

    def full(stream: object, samples: np.ndarray) -> None:
        if len(asked) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(stream, samples)  # type: ignore[arg-type]

    monkeypatch.setattr(frames.np, "save", full)
    with pytest.raises(StoreError, match="no space left for frames"):
        make(tmp_path, song("one", asked=asked), song("three", asked=asked))
    assert not list(tmp_path.glob(".*")) and len(list(tmp_path.glob("*.npy"))) == 1
    monkeypatch.setattr(frames.np, "save", save)
    make(tmp_path, song("one", asked=asked), song("three", asked=asked))
    assert asked == ["one", "three", "three"]


def test_frames_are_mapped_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, modes = make(tmp_path, song("one")), []
    load = np.load

    def watched(path: Path, mmap_mode: str | None = None) -> np.ndarray:
        modes.append(mmap_mode)
        return np.asarray(load(path, mmap_mode=mmap_mode))  # type: ignore[arg-type]

    monkeypatch.setattr(frames.np, "load", watched)
    store.draw(2, 10, torch.Generator(), split="train")
    assert modes == ["r"]


def test_index_says_how_the_songs_were_cut(tmp_path: Path) -> None:
    make(tmp_path, song("one"))
    assert json.loads((tmp_path / frames.SONGS).read_text())["cut"] == {
        "sample_rate": 100,
        "length": 50,
        "frames": 5,
        "channel": "mean",
        "normalised": False,
    }
