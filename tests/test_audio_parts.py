"""Files in pieces: read to the same samples, written to the same bytes, as in one."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from srcsep_core.audio import encode_audio
from srcsep_core.audio_parts import FloatWriter, audio_facts, audio_parts
from srcsep_core.errors import InputError


@pytest.fixture
def samples() -> Tensor:
    return 3 * torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def path(samples: Tensor, tmp_path: Path) -> Path:
    found = tmp_path / "x.wav"
    found.write_bytes(encode_audio(samples, 8000, ".wav", "FLOAT"))
    return found


def test_facts_are_those_of_the_file(path: Path) -> None:
    facts = audio_facts(path)
    assert (facts.sample_rate, facts.channels, facts.frames, facts.subtype) == (8000, 2, 1000, "FLOAT")
    assert facts.duration_s == 0.125


@pytest.mark.parametrize("starts", [[0, 300, 600], [0, 100, 900], [0, 500], [50]])
def test_parts_are_stretches_of_the_whole(starts: list[int], path: Path, samples: Tensor) -> None:
    for start, part in zip(starts, audio_parts(path, starts, 400), strict=True):
        assert torch.equal(part, samples[:, start : start + 400])


def test_pieces_are_written_as_the_whole_is(path: Path, samples: Tensor, tmp_path: Path) -> None:
    writer = FloatWriter(tmp_path / "y.wav", 8000, 2, 1000)
    for piece in samples.split([1, 300, 699], dim=1):
        writer.write(piece)
    writer.close()
    assert (tmp_path / "y.wav").read_bytes() == path.read_bytes()


def test_what_cannot_be_read_or_written_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        audio_facts(tmp_path / "nothing.wav")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(InputError, match="is not audio that can be decoded"):
        audio_facts(tmp_path / "text.wav")
    with pytest.raises(InputError, match="ends before sample 2000"):
        list(audio_parts(path, [0, 2000], 400))
    with pytest.raises(InputError, match=r"5.0 hours of 2 channel.* more than a WAV file holds; cut the recording"):
        FloatWriter(tmp_path / "long.wav", 44_100, 2, 5 * 3600 * 44_100)
    assert not (tmp_path / "long.wav").exists()
