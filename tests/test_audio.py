"""Audio in and out: files keep their samples, and bad input gets one sentence with the value and the remedy."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from audio_files import write_audio
from torch import Tensor

from srcsep_core.audio import (
    Audio,
    check_signal,
    encode_audio,
    mono,
    mu_law_decode,
    mu_law_encode,
    read_audio,
    resample,
    stack_tracks,
    stft_magnitude_phase,
)
from srcsep_core.errors import InputError

RATE = 14_700
HALF_STEP = 0.5 / 32_768


def sine(frequency: float, rate: int = RATE, length: int = RATE, amplitude: float = 0.5) -> Tensor:
    time = torch.arange(length, dtype=torch.float64) / rate
    return (amplitude * torch.sin(2 * math.pi * frequency * time)).float()[None]


def noise(channels: int, length: int) -> Tensor:
    return 0.999 * (2 * torch.rand(channels, length, generator=torch.Generator().manual_seed(0)) - 1)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".FLAC"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_keeps_its_samples_within_16_bits(tmp_path: Path, suffix: str, channels: int) -> None:
    samples = noise(channels, 3001)
    audio = read_audio(write_audio(tmp_path / "new folder" / f"x{suffix}", samples, RATE))
    assert isinstance(audio, Audio)
    assert audio.sample_rate == RATE
    assert audio.samples.shape == samples.shape
    assert audio.samples.dtype == torch.float32
    assert (audio.samples - samples).abs().max() <= HALF_STEP * 1.01
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == [f"x{suffix}"]


@pytest.mark.parametrize("level", [4.0, 1.0, 1e-4])
def test_floats_keep_every_sample_of_any_level(tmp_path: Path, level: float) -> None:
    samples = level * noise(2, 3001)
    audio = read_audio(write_audio(tmp_path / "x.wav", samples, RATE, "FLOAT"))
    assert torch.equal(audio.samples, samples)
    assert (audio.sample_rate, audio.subtype) == (RATE, "FLOAT")


def test_a_recording_says_how_its_file_holds_samples_and_which_bytes_were_read(tmp_path: Path) -> None:
    for subtype in ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        soundfile.write(tmp_path / "x.wav", sine(440.0).T.numpy(), RATE, subtype=subtype)
        audio = read_audio(tmp_path / "x.wav")
        assert audio.subtype == subtype
        assert audio.sha256 == hashlib.sha256((tmp_path / "x.wav").read_bytes()).hexdigest()


def test_a_file_that_changes_while_it_is_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_audio(tmp_path / "x.wav", noise(1, 100), RATE)
    read = Path.read_bytes

    def grow(self: Path) -> bytes:
        content = read(self)
        self.write_bytes(content + bytes(8))
        return content

    monkeypatch.setattr(Path, "read_bytes", grow)
    with pytest.raises(InputError, match=r"x\.wav changed while it was read; wait until it is complete"):
        read_audio(path)


def test_full_scale_and_silence_can_be_written(tmp_path: Path) -> None:
    samples = torch.tensor([[1.0, -1.0, 0.0, 0.0]])
    audio = read_audio(write_audio(tmp_path / "x.wav", samples, RATE))
    assert (audio.samples - samples).abs().max() <= 2 * HALF_STEP
    assert read_audio(write_audio(tmp_path / "zero.flac", torch.zeros(1, 5), RATE)).samples.eq(0).all()


def test_encoding_is_deterministic() -> None:
    assert encode_audio(noise(1, 4000), RATE) == encode_audio(noise(1, 4000), RATE)


def test_floats_hold_no_time_of_day() -> None:
    content = encode_audio(noise(1, 4000), RATE, ".wav", "FLOAT")
    place = content.index(b"PEAK")
    assert content[place + 12 : place + 16] == bytes(4)
    assert torch.equal(torch.frombuffer(bytearray(content[-16_000:]), dtype=torch.float32), noise(1, 4000)[0])


@pytest.mark.parametrize(
    ("name", "samples", "rate", "value", "remedy"),
    [
        ("x.mp4", torch.zeros(1, 9), RATE, "'.mp4'", "use .wav or .flac"),
        ("x", torch.zeros(1, 9), RATE, "''", "use .wav or .flac"),
        ("x.wav", torch.zeros(9), RATE, "(9,)", "samples[None]"),
        ("x.wav", torch.zeros(1, 0), RATE, "(1, 0)", "at least one sample"),
        ("x.wav", torch.tensor([[0.0, math.nan]]), RATE, "1 of 2 samples", "clean or drop"),
        ("x.flac", torch.tensor([[0.0, math.inf]]), RATE, "1 of 2 samples", "clean or drop"),
        ("x.flac", torch.tensor([[0.0, -1.75]]), RATE, "1.75", "divide it by its peak"),
        ("x.flac", torch.zeros(1, 9, dtype=torch.int16), RATE, "torch.int16", "convert it to floating point"),
        ("x.flac", torch.zeros(9, 9), RATE, "9 channel(s)", "1 to 8 channels"),
        ("x.flac", torch.zeros(1, 9), 0, "0 Hz", "whole sample rate"),
        ("x.wav", torch.zeros(1, 9), 14_700.5, "14700.5 Hz", "whole sample rate"),
    ],
)
def test_what_cannot_be_encoded_is_named(
    tmp_path: Path, name: str, samples: Tensor, rate: int, value: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        write_audio(tmp_path / "folder" / name, samples, rate)
    assert value in str(caught.value)
    assert remedy in str(caught.value)
    assert list(tmp_path.rglob("*")) == []


def test_flac_holds_no_floats() -> None:
    with pytest.raises(InputError, match=r"\.flac file cannot hold floats; use \.wav"):
        encode_audio(noise(1, 9), RATE, ".flac", "FLOAT")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*nowhere\.wav; check the path"):
        read_audio(tmp_path / "nowhere.wav")
    with pytest.raises(InputError, match="check the path"):
        read_audio(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "song.wav", "song.raw", "song.mp3"])
@pytest.mark.parametrize("content", [b"", b"These are words, not samples. " * 20])
def test_a_file_that_is_not_audio_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is not audio.*; convert it to WAV or FLAC"):
        read_audio(tmp_path / name)


def test_a_file_without_samples_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), RATE)
    with pytest.raises(InputError, match=r"empty\.wav holds 0 samples; record or export it again"):
        read_audio(tmp_path / "empty.wav")


def test_other_formats_can_be_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.ogg", sine(440.0).T.numpy(), RATE)
    audio = read_audio(tmp_path / "x.ogg")
    assert audio.sample_rate == RATE
    assert audio.samples.shape == (1, RATE)
    assert (audio.samples - sine(440.0)).abs().max() < 0.05


def test_a_good_signal_passes() -> None:
    check_signal(sine(440.0), RATE, expected_rate=RATE, minimum=RATE)
    check_signal(noise(2, 10), RATE, channels=2)
    check_signal(noise(5, 10), 8000, channels=None)


@pytest.mark.parametrize(
    ("samples", "rate", "value", "remedy"),
    [
        (torch.zeros(100), RATE, "(100,)", "samples[None]"),
        (torch.zeros(1, 0), RATE, "(1, 0)", "pass at least one sample"),
        (torch.zeros(0, 100), RATE, "(0, 100)", "pass at least one sample"),
        (torch.full((1, 100), math.nan), RATE, "100 of 100", "clean or drop"),
        (noise(2, 100), RATE, "2 channels", "mono(samples)"),
        (noise(1, 100), 44_100, "44100 Hz", f"resample(samples, from_rate=44100, to_rate={RATE})"),
        (noise(1, 63), RATE, "63 samples but 64", "use a longer signal"),
        (torch.zeros(1, 100), RATE, "silent (peak 0)", "choose a passage that sounds"),
        (torch.full((1, 100), 9e-6), RATE, "silent (peak 9e-06)", "raise its gain"),
    ],
)
def test_a_bad_signal_gets_one_sentence(samples: Tensor, rate: int, value: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        check_signal(samples, rate, expected_rate=RATE, minimum=64)
    assert value in str(caught.value)
    assert remedy in str(caught.value)


def test_mono_is_the_average_of_the_channels() -> None:
    assert torch.equal(mono(torch.tensor([[1.0, 0.5], [0.0, -0.5]])), torch.tensor([[0.5, 0.0]]))


@pytest.mark.parametrize(("from_rate", "to_rate"), [(14_700, 16_000), (44_100, 14_700), (16_000, 16_000)])
def test_a_resampled_sine_keeps_its_frequency_and_amplitude(from_rate: int, to_rate: int) -> None:
    resampled = resample(sine(1000.0, from_rate, from_rate), from_rate=from_rate, to_rate=to_rate)
    assert resampled.shape == (1, to_rate)
    inner = slice(to_rate // 10, -to_rate // 10)
    expected = sine(1000.0, to_rate, to_rate)
    assert (resampled - expected)[:, inner].abs().max() < 0.01
    assert int(torch.fft.rfft(resampled[0]).abs().argmax()) == 1000


def test_resampling_removes_what_the_lower_rate_cannot_hold() -> None:
    for frequency, left in ((3800.0, 0.5), (4120.0, 0.0)):
        resampled = resample(sine(frequency, 16_000, 16_000), from_rate=16_000, to_rate=8000)
        assert abs(float(resampled[:, 800:-800].abs().max()) - left) < 0.005


@pytest.mark.parametrize("rate", [0, -8000, 0.5])
def test_a_rate_that_is_no_rate_is_named(rate: float) -> None:
    with pytest.raises(InputError, match=rf"sample rate {rate} .*; use for example 16000"):
        resample(noise(1, 100), from_rate=RATE, to_rate=rate)  # type: ignore[arg-type]


def test_mu_law_round_trip_stays_within_half_a_class() -> None:
    samples = torch.linspace(-1, 1, 20_001)
    classes = mu_law_encode(samples)
    assert classes.dtype == torch.int64
    assert (int(classes.min()), int(classes.max())) == (0, 255)
    half_class = 256 ** (1 / 255) - 1
    bound = half_class * (samples.abs() + 1 / 255) + 1e-6
    assert ((mu_law_decode(classes) - samples).abs() <= bound).all()


def test_every_mu_law_class_survives() -> None:
    classes = torch.arange(256).reshape(4, 64)
    assert torch.equal(mu_law_encode(mu_law_decode(classes)), classes)


def test_mu_law_names_what_it_cannot_take() -> None:
    with pytest.raises(InputError, match=r"peaks at 1\.5.*; divide it by its peak"):
        mu_law_encode(torch.tensor([0.0, 1.5]))
    with pytest.raises(InputError, match="1 of 1 samples"):
        mu_law_encode(torch.tensor([math.nan]))
    with pytest.raises(InputError, match=r"3\.\.256 .*0\.\.255; encode"):
        mu_law_decode(torch.tensor([3, 256]))
    with pytest.raises(InputError, match=r"torch\.float32; encode"):
        mu_law_decode(torch.tensor([3.0]))


def test_the_stft_of_a_sine_reads_its_level_frequency_and_phase() -> None:
    frequency = RATE / 512 * 32
    stft = stft_magnitude_phase(sine(frequency, amplitude=0.1)[0], RATE)
    frames = 1 + (RATE - 512) // 128
    assert stft.magnitude_db.shape == stft.phase_rad.shape == (257, frames)
    assert stft.frequencies_hz.shape == (257,)
    assert stft.times_s.shape == (frames,)
    assert stft.frequencies_hz[[0, 32, 256]].tolist() == pytest.approx([0, frequency, RATE / 2])
    assert stft.times_s[:2].tolist() == pytest.approx([256 / RATE, 384 / RATE])
    assert (stft.magnitude_db.argmax(dim=0) == 32).all()
    assert (stft.magnitude_db[32] + 20).abs().max() < 0.01
    assert (stft.phase_rad[32] + math.pi / 2).abs().max() < 0.01
    assert stft.magnitude_db.min() == pytest.approx(-120.0)


def test_the_stft_keeps_channels_apart() -> None:
    both = torch.cat([sine(440.0), sine(880.0)])
    stft = stft_magnitude_phase(both, RATE, window=256, hop=64)
    alone = stft_magnitude_phase(both[1], RATE, window=256, hop=64)
    assert torch.equal(stft.magnitude_db[1], alone.magnitude_db)


def test_the_stft_names_what_it_cannot_take() -> None:
    with pytest.raises(InputError, match="100 samples but the window 512; use a longer signal"):
        stft_magnitude_phase(noise(1, 100), RATE)
    with pytest.raises(InputError, match=r"\(1, 1, 600\); take one signal"):
        stft_magnitude_phase(noise(1, 600)[None], RATE)
    with pytest.raises(InputError, match="hop 0 is too small; use for example"):
        stft_magnitude_phase(noise(1, 600), RATE, hop=0)


def test_tracks_are_stacked_in_order() -> None:
    stacked = stack_tracks({"a": np.array([1, 2]), "b": torch.tensor([[3.0, 4.0]], requires_grad=True)})
    assert torch.equal(stacked, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert not stacked.requires_grad


@pytest.mark.parametrize(
    ("tracks", "value", "remedy"),
    [
        ({}, "0 tracks", "pass at least one"),
        ({"a": np.zeros(0)}, "'a' has 0 samples", "pass a longer signal"),
        ({"a": np.zeros((2, 5))}, "'a' has the shape (2, 5)", "pass one channel"),
        ({"a": np.float64(1)}, "'a' has the shape ()", "pass one channel"),
        ({"a": np.ones(3), "b": np.array([0, np.nan, 0])}, "1 of 3 samples of track 'b'", "clean or drop"),
        ({"a": np.ones(3), "b": np.ones(4)}, "a 3, b 4 samples", "cut them to 3"),
    ],
)
def test_bad_tracks_get_one_sentence(tracks: dict[str, np.ndarray], value: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        stack_tracks(tracks)
    assert value in str(caught.value)
    assert remedy in str(caught.value)
