"""Long recordings are separated part by part: the stems sum to them, keep their names, and nothing else is held."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile
import torch
from codebook import RATE, codebook_priors, codebook_wave
from fresh_stems import CONFIG, NAMES, fresh_priors, song
from torch import Tensor

from srcsep_core.audio import encode_audio, read_audio
from srcsep_core.errors import InputError
from srcsep_core.separate import Clock, SeparateConfig, long, separate_long
from srcsep_core.separate.separators import SourcePriors
from srcsep_core.separate.survey import part_starts


@pytest.fixture(scope="module")
def priors() -> SourcePriors:
    return fresh_priors()


def written(samples: Tensor, rate: int, folder: Path, name: str = "song.wav") -> Path:
    path = folder / name
    path.write_bytes(encode_audio(samples, rate, ".wav", "FLOAT"))
    return path


def stems_of(folder: Path) -> Tensor:
    return torch.stack([read_audio(path).samples for path in sorted(folder.glob("0*.wav"))])


@pytest.mark.parametrize(
    ("frames", "length", "overlap"), [(100, 200, 10), (200, 200, 10), (201, 200, 10), (5003, 200, 64)]
)
def test_parts_cover_everything_and_share_enough(frames: int, length: int, overlap: int) -> None:
    starts, each = part_starts(frames, length, overlap)
    assert starts[0] == 0 and starts[-1] + each == frames and each <= length
    assert all(before + each - after >= overlap for before, after in pairwise(starts))


@pytest.mark.parametrize("rate", [8000, 22_050])
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_on_disk_sum_to_the_recording(
    rate: int, channels: int, tmp_path: Path, priors: SourcePriors, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = song(24_000) if channels == 1 else torch.cat([song(24_000), 0.3 * song(24_000).flip(1)])
    lengths: list[int] = []
    separate = long.separate_audio

    def spy(samples: Tensor, *args: object, **settings: object) -> object:
        lengths.append(samples.shape[1])
        return separate(samples, *args, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(long, "separate_audio", spy)
    path = written(recording, rate, tmp_path)
    found = separate_long(path, NAMES, CONFIG, out=tmp_path / "out", priors=priors, part_s=8000 / rate)
    stems = stems_of(tmp_path / "out")
    assert stems.shape[1:] == recording.shape and len(stems) == 2 + (rate > 8000)
    torch.testing.assert_close(stems.sum(dim=0), recording, rtol=1e-4, atol=1e-6)
    assert max(lengths) <= 8000 and len(lengths) == channels * len(found.report["parts"]) > 3
    record = json.loads((tmp_path / "out" / "separation.json").read_text())
    assert record["files"] == sorted(p.name for p in (tmp_path / "out").glob("0*.wav")) + record["files"][-3:]
    assert found.report["stereo"] == ("one" if channels == 1 else "each") and len(found.report["gain"]) == channels
    windows = found.report["channels"][0]["windows"]
    assert windows[-1]["start_s"] > 0.8 * 24_000 / rate and found.verdict.windows > 15


def test_as_in_one_piece_where_there_is_but_one_part(tmp_path: Path, priors: SourcePriors) -> None:
    recording = song(9000)
    path = written(recording, 8000, tmp_path)
    separate_long(path, NAMES, CONFIG, out=tmp_path / "parts", priors=priors)
    whole = long.separate_audio(recording, 8000, NAMES, CONFIG, priors=priors)
    torch.testing.assert_close(stems_of(tmp_path / "parts"), whole.stems, rtol=1e-3, atol=1e-4)


def test_a_quiet_beginning_has_the_gain_of_the_whole_and_silence_stays_silent(
    tmp_path: Path, priors: SourcePriors
) -> None:
    recording = torch.cat([torch.zeros(1, 9000), 0.05 * song(9000), song(9000)], dim=1)
    found = separate_long(
        written(recording, 8000, tmp_path), NAMES, CONFIG, out=tmp_path / "out", priors=priors, part_s=1.0
    )
    stems = stems_of(tmp_path / "out")
    assert stems[..., :7000].abs().max() == 0
    loud = long.separate_audio(song(9000), 8000, NAMES, CONFIG, priors=priors).report["gain"][0]
    assert found.report["gain"][0] < 2 * loud
    torch.testing.assert_close(stems.sum(dim=0), recording, rtol=1e-4, atol=1e-6)


def test_two_of_one_class_stay_themselves_from_part_to_part(tmp_path: Path) -> None:
    waves = torch.stack([codebook_wave("sine", 10, 3000), codebook_wave("sine", 13, 3000)])
    config = SeparateConfig(profile="smoke", gain=1.0)
    path = written(waves.mean(dim=0)[None], RATE, tmp_path)
    found = separate_long(
        path, ("sine", "sine"), config, out=tmp_path / "out", priors=codebook_priors(), part_s=600 / RATE
    )
    assert len(found.report["parts"]) > 4
    stems = 2 * stems_of(tmp_path / "out")[:, 0]
    errors = [(stems[order] - waves).square().mean() for order in ([0, 1], [1, 0])]
    assert min(errors) < 1e-2


def test_time_that_is_up_leaves_the_rest_as_it_is_and_is_not_trusted(tmp_path: Path, priors: SourcePriors) -> None:
    clock, recording = Clock(), song(24_000)

    done: list[int] = []
    separate = long.separate_audio

    def stopping(*args: object, **settings: object) -> object:
        result = separate(*args, **settings)  # type: ignore[arg-type]
        done.append(1)
        if len(done) == 2:
            clock.stop()
        return result

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(long, "separate_audio", stopping)
        found = separate_long(
            written(recording, 8000, tmp_path),
            NAMES,
            CONFIG,
            out=tmp_path / "out",
            priors=priors,
            clock=clock,
            part_s=1.0,
        )
    stems = stems_of(tmp_path / "out")
    torch.testing.assert_close(stems.sum(dim=0), recording, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(stems[0, :, -4000:], recording[:, -4000:] / 2, rtol=1e-5, atol=1e-7)
    assert not found.verdict.trust and found.verdict.why[0].startswith("stopped at 1 s: the mix itself")


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (torch.zeros(1, 9000), "is silent"),
        (torch.full((1, 9000), torch.nan), "not finite|NaN"),
        (2 * torch.ones(1, 9000).cumsum(1).sin().clamp(-0.5, 0.5), "stays at full scale"),
    ],
)
def test_bad_files_are_named_before_anything_is_separated(
    samples: Tensor, match: str, tmp_path: Path, priors: SourcePriors
) -> None:
    soundfile.write(tmp_path / "bad.wav", samples.numpy().T, 8000, subtype="FLOAT")
    config = SeparateConfig(variant="songs_8k", profile="smoke")
    with pytest.raises(InputError, match=match):
        separate_long(tmp_path / "bad.wav", NAMES, config, out=tmp_path / "out", priors=priors, part_s=0.5)
    assert not (tmp_path / "out").exists()


def test_a_file_that_changes_meanwhile_leaves_nothing_behind(
    tmp_path: Path, priors: SourcePriors, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, separate = written(song(16_000), 8000, tmp_path), long.separate_audio

    def changing(*args: object, **settings: object) -> object:
        with open(path, "ab") as file:
            file.write(b"more")
        return separate(*args, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(long, "separate_audio", changing)
    with pytest.raises(InputError, match=r"song.wav changed meanwhile; wait until it is complete"):
        separate_long(path, NAMES, CONFIG, out=tmp_path / "out", priors=priors, part_s=1.0)
    assert not (tmp_path / "out").exists()
