"""The worlds of musdb18 and of the excerpt: a small tree of songs with every fault, decoded as each variant says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from song_trees import RATE, stems, write_stem_song, write_wav_song

from srcsep_core.audio import resample
from srcsep_core.data.base import EvalConfig, world_of
from srcsep_core.data.excerpt import CUTS as EXCERPTS
from srcsep_core.data.excerpt import ExcerptWorld
from srcsep_core.data.musdb18 import CUTS, Musdb18World, decode, stored
from srcsep_core.data.stem_classes import SOURCES
from srcsep_core.data.tracks import STEM_FILE
from srcsep_core.errors import InputError

pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Songs in both layouts: whole, damaged, too short, mono, with a silent stem, at another rate, one stem longer."""
    root = tmp_path / "songs"
    write_wav_song(root / "train" / "whole", stems(1, 2.0))
    write_stem_song(root / "train" / f"streams{STEM_FILE}", stems(2, 2.0))
    (root / "train" / f"damaged{STEM_FILE}").write_bytes(b"not a film")
    write_wav_song(root / "train" / "short", stems(3, 0.5))
    write_wav_song(root / "train" / "Leaf - Summerghost", stems(4, 2.0, channels=1))
    write_wav_song(root / "test" / "silent bass", {**stems(5, 2.0), "bass": np.zeros((2 * RATE, 2), np.float32)})
    write_wav_song(root / "test" / "other rate", stems(6, 2.0), rate=48_000)
    write_wav_song(root / "test" / "longer drums", {**stems(7, 2.0), "drums": stems(8, 2.5)["drums"]})
    write_wav_song(root / "test" / "of two songs", {**stems(9, 2.0), "drums": stems(10, 5.0)["drums"]})
    return root


@pytest.mark.parametrize("variant", CUTS)
def test_tree_is_decoded_and_what_is_odd_is_said(tree: Path, variant: str) -> None:
    done: list[str] = []
    store = decode(tree, variant, done=done.append)
    assert store.complete and len(done) == 9
    assert sorted(store.songs("train")) == ["streams", "whole"]
    assert store.songs("validation") == ["Leaf - Summerghost"]
    assert sorted(store.songs("test")) == ["longer drums", "other rate", "silent bass"]
    why = {left.name: left.why for left in store.remarks}
    assert set(why) == {"damaged", "short", "Leaf - Summerghost", "silent bass", "longer drums", "of two songs"}
    assert "cannot be decoded" in why["damaged"] and "less than a frame" in why["short"]
    assert "drums is mono" in why["Leaf - Summerghost"] and why["silent bass"] == "bass is silent"
    assert "cut to the shortest" in why["longer drums"] and "not of one song" in why["of two songs"]


def test_frames_are_the_songs_at_the_rate_of_the_variant(tmp_path: Path) -> None:
    song = stems(1, 2.0)
    write_wav_song(tmp_path / "songs" / "test" / "one", song)
    for variant, cut in CUTS.items():
        frames = decode(tmp_path / "songs", variant).all_frames("test")
        assert frames.shape == (150, 4, cut.length)
        for k, source in enumerate(SOURCES):
            sound = torch.from_numpy(song[source].T.copy())
            one = sound[:1] if cut.channel == "left" else sound.mean(dim=0, keepdim=True)
            at_rate = resample(one, from_rate=RATE, to_rate=cut.sample_rate)[0]
            if cut.normalised:
                at_rate = at_rate - at_rate.mean()
                at_rate = at_rate / at_rate.abs().max()
            torch.testing.assert_close(frames[0, k], at_rate[: cut.length], atol=1e-3, rtol=0)
            torch.testing.assert_close(frames[-1, k], at_rate[len(at_rate) - cut.length :], atol=1e-3, rtol=0)


def test_world_draws_aligned_stems_of_its_split(tree: Path) -> None:
    decode(tree, "musdb18_paper")
    world = world_of("musdb18_paper")
    drawn = world.draw(3, 4000, torch.Generator().manual_seed(1))
    assert drawn.shape == (3, 4, 4000) and drawn.abs().max() <= 1
    again = world.only(("vocals", "drums")).draw(3, 4000, torch.Generator().manual_seed(1))
    assert torch.equal(again, drawn[:, [3, 0]])
    assert not torch.equal(world.test_set(EvalConfig(signals=3, length=4000)), drawn)
    assert world.fingerprint["frames"] == stored("musdb18_paper").fingerprint


def test_world_without_frames_says_how_to_get_them() -> None:
    world = Musdb18World()
    for ask in (lambda: world.fingerprint, lambda: world.draw(1, 10, torch.Generator())):
        with pytest.raises(InputError, match="srcsep data musdb18 --root"):
            ask()


# The excerpt


@pytest.mark.parametrize("variant", EXCERPTS)
def test_excerpt_is_drawn_for_tests_alone(variant: str) -> None:
    world = ExcerptWorld(variant)
    drawn = world.test_set(EvalConfig(signals=5, length=4000))
    assert drawn.shape == (5, 4, 4000) and drawn.isfinite().all()
    windows = world.whole[2].unfold(0, 4000, 1)
    assert (windows == drawn[0, 2]).all(dim=1).any()
    assert all(0.05 < rms < 0.4 for rms in world.typical_rms.values())
    for split in ("train", "validation"):
        with pytest.raises(InputError, match=f"for testing and {split}"):
            world.draw(1, 100, torch.Generator(), split=split)  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", EXCERPTS)
def test_clicks_at_the_ends_of_the_file_are_left_out(variant: str) -> None:
    world = ExcerptWorld(variant)
    assert len(set(world.whole.abs().argmax(dim=1).tolist())) == 4, "a click is the peak of several stems at once"
    assert 5.8 < world.whole.shape[1] / world.sample_rate < 5.95


def test_released_excerpt_is_the_left_channel_peak_normalised() -> None:
    whole = ExcerptWorld("excerpt_released").whole
    assert torch.equal(whole.abs().amax(dim=1), torch.ones(4)) and whole.mean(dim=1).abs().max() < 1e-6


def test_excerpt_shorter_than_asked_is_named() -> None:
    with pytest.raises(InputError, match=r"has \d+ samples"):
        ExcerptWorld().draw(1, 200_000, torch.Generator())
