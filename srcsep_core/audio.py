"""Audio files, resampling, mu-law and the short-time Fourier transform.

With `audio_parts` the only user of torchaudio and soundfile.

Samples are float32 tensors (C, T), in [-1, 1] unless a file of floats holds more; rates are in Hz.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import torch
from torch import Tensor

from srcsep_core.checks import check_finite
from srcsep_core.errors import InputError

Signal = Tensor | np.ndarray

Subtype = Literal["PCM_16", "FLOAT"]

FORMATS = {".wav": "WAV", ".flac": "FLAC"}
MU_LAW_CLASSES = 256
SILENCE_PEAK = 1e-5
FILTER_WIDTH = 64  # zero crossings of the resampling filter on each side


@dataclass(frozen=True)
class Audio:
    """A recording: `samples` (C, T), float32, and its `sample_rate` in Hz.

    `subtype` is how the file holds a sample, as libsndfile calls it (`PCM_16`, `PCM_24`, `FLOAT`, `VORBIS`), and
    `sha256` (hex) that of the very bytes that were read.
    """

    samples: Tensor
    sample_rate: int
    subtype: str
    sha256: str


def read_audio(path: str | Path) -> Audio:
    """Read a whole WAV, FLAC, OGG or MP3 file; integers of 32 and floats of 64 bits are rounded to float32.

    Raises `InputError` if the file is missing, cannot be read, changes meanwhile, is in an unsupported format or holds
    no samples.
    """
    with reading(path := Path(path)):
        content = _read_still(path)
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            samples, sample_rate, subtype = file.read(dtype="float32", always_2d=True), file.samplerate, file.subtype
    if len(samples) == 0:
        raise InputError(f"the file {path} holds 0 samples; record or export it again")
    return Audio(torch.from_numpy(samples.T.copy()), sample_rate, subtype, hashlib.sha256(content).hexdigest())


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in one sentence why a file of audio cannot be read."""
    if not path.is_file():
        raise InputError(f"there is no file {path}; check the path")
    try:
        yield
    except OSError as error:
        raise InputError(f"the file {path} cannot be read ({error.strerror}); check its permissions") from error
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"the file {path} is not audio that can be decoded ({error.error_string}); convert it to WAV or FLAC"
        ) from error


def _read_still(path: Path) -> bytes:
    """The bytes of a file that nobody writes to meanwhile."""
    before = path.stat()
    content = path.read_bytes()
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(content) != after.st_size:
        raise InputError(f"the file {path} changed while it was read; wait until it is complete, then try again")
    return content


def encode_audio(samples: Tensor, sample_rate: int, suffix: str = ".flac", subtype: Subtype = "PCM_16") -> bytes:
    """The content of a WAV or FLAC file (`suffix`) with `samples` (C, T): 16-bit in [-1, 1], or a WAV of 32-bit floats.

    Floats keep every sample, of any level, finer than 24 bits would. The same samples give the same bytes.

    Raises `InputError` for another suffix, a wrong shape, no samples, NaN or infinity, samples outside [-1, 1] for
    16 bits (they would be clipped), and a number of channels or a rate that the format does not have.
    """
    if suffix.lower() not in FORMATS:
        raise InputError(f"audio cannot be written as {suffix!r}; use {' or '.join(FORMATS)}")
    if subtype == "FLOAT" and suffix.lower() != ".wav":
        raise InputError(f"a {suffix} file cannot hold floats; use .wav")
    _check_samples(samples)
    if subtype == "PCM_16":
        _check_range(samples)
    buffer = io.BytesIO()
    values = samples.detach().cpu().double().numpy().T
    try:
        if subtype == "FLOAT":
            frames = values.astype(np.float32)
        else:
            frames = (values * 32768).round().clip(-32768, 32767).astype(np.int16)
        soundfile.write(buffer, frames, sample_rate, format=FORMATS[suffix.lower()], subtype=subtype)
    except (soundfile.LibsndfileError, OverflowError, TypeError) as error:
        raise InputError(
            f"{suffix} cannot hold {samples.shape[0]} channel(s) at {sample_rate} Hz; "
            "use 1 to 8 channels and a whole sample rate such as 16000 Hz"
        ) from error
    return without_time(buffer.getvalue()) if subtype == "FLOAT" else buffer.getvalue()


def without_time(content: bytes) -> bytes:
    """A WAV file of floats without the time of writing, which libsndfile puts 12 bytes into the chunk `PEAK`."""
    place = content.find(b"PEAK")
    return content if place < 0 else content[: place + 12] + bytes(4) + content[place + 16 :]


def check_signal(
    samples: Tensor,
    sample_rate: int,
    *,
    expected_rate: int | None = None,
    minimum: int = 1,
    channels: int | None = 1,
) -> None:
    """Raise `InputError` unless `samples` (C, T) are a sounding signal that a model can use.

    It must have `channels` channels (None: any number), `expected_rate` Hz (None: any rate), at least `minimum`
    samples, finite values, and a peak of 1e-5 or more.
    """
    _check_samples(samples)
    count, length = samples.shape
    if channels is not None and count != channels:
        remedy = "average them with mono(samples)" if channels == 1 else "select the channels to use"
        raise InputError(f"the signal has {count} channels but {channels} is needed; {remedy}")
    if expected_rate is not None and sample_rate != expected_rate:
        raise InputError(
            f"the sample rate is {sample_rate} Hz but {expected_rate} Hz is needed; "
            f"resample it with resample(samples, from_rate={sample_rate}, to_rate={expected_rate})"
        )
    if length < minimum:
        raise InputError(f"the signal has {length} samples but {minimum} are needed; use a longer signal")
    peak = float(samples.abs().max())
    if peak < SILENCE_PEAK:
        raise InputError(f"the signal is silent (peak {peak:.1g}); choose a passage that sounds or raise its gain")


def mono(samples: Tensor) -> Tensor:
    """The average of the channels: (C, T) to (1, T)."""
    _check_samples(samples)
    return samples.mean(dim=0, keepdim=True)


def resample(samples: Tensor, *, from_rate: int, to_rate: int) -> Tensor:
    """Band-limited resampling (C, T) to (C, ceil(T * to_rate / from_rate)), rates in whole Hz.

    What lies below 0.95 of half the lower rate passes, what lies above 1.03 of it does not. Windowed sinc
    interpolation (Smith 2002, "Digital audio resampling", as in torchaudio).
    """
    _check_samples(samples)
    for rate in (from_rate, to_rate):
        if rate < 1 or rate != int(rate):
            raise InputError(f"the sample rate {rate} is not a whole number of Hz; use for example 16000")
    from torchaudio.functional import resample as torchaudio_resample

    return torchaudio_resample(samples, int(from_rate), int(to_rate), lowpass_filter_width=FILTER_WIDTH)


def mu_law_encode(samples: Tensor, classes: int = MU_LAW_CLASSES) -> Tensor:
    """Samples in [-1, 1] of any shape to mu-law classes, int64 0..classes-1 (ITU-T G.711 curve, mu = classes - 1)."""
    check_finite(samples)
    _check_range(samples)
    from torchaudio.functional import mu_law_encoding

    return mu_law_encoding(samples, classes)


def mu_law_decode(codes: Tensor, classes: int = MU_LAW_CLASSES) -> Tensor:
    """Mu-law classes 0..classes-1 of any shape to samples in [-1, 1], float32; the inverse of `mu_law_encode`."""
    if codes.is_floating_point() or codes.is_complex():
        raise InputError(f"mu-law classes are whole numbers, got {codes.dtype}; encode with mu_law_encode")
    if codes.numel() and (int(codes.min()) < 0 or int(codes.max()) >= classes):
        raise InputError(
            f"mu-law classes span {int(codes.min())}..{int(codes.max())} but must lie in "
            f"0..{classes - 1}; encode with mu_law_encode"
        )
    from torchaudio.functional import mu_law_decoding

    return mu_law_decoding(codes, classes)


@dataclass(frozen=True)
class Stft:
    """A short-time Fourier transform of F frequencies and N frames.

    magnitude_db (..., F, N): 0 dB is a sine of amplitude 1; phase_rad (..., F, N) in [-pi, pi], counted from
    the first sample of the frame; frequencies_hz (F,); times_s (N,): the middle of each frame.
    """

    magnitude_db: Tensor
    phase_rad: Tensor
    frequencies_hz: Tensor
    times_s: Tensor


def stft_magnitude_phase(
    x: Tensor, sample_rate: int, *, window: int = 512, hop: int = 128, floor_db: float = -120.0
) -> Stft:
    """Magnitude and phase of the signal `x` (T,) or (C, T): Hann window of `window` samples every `hop` samples.

    Every frame lies wholly within the signal, so nothing is invented at its ends. Magnitudes below `floor_db`
    are set to it. The bins at 0 Hz and at half the sample rate read up to 6 dB too high, because the scale is
    that of a sine, whose energy is shared by two bins.
    Raises `InputError` for another shape, values that are not finite, window < 2, hop < 1 and T < window.
    """
    if x.ndim not in (1, 2):
        raise InputError(f"expected a signal of shape (T,) or (C, T), got {tuple(x.shape)}; take one signal")
    check_finite(x)
    if window < 2 or hop < 1:
        raise InputError(f"window {window} or hop {hop} is too small; use for example 512 and 128")
    if x.shape[-1] < window:
        raise InputError(
            f"the signal has {x.shape[-1]} samples but the window {window}; use a longer signal or a shorter window"
        )
    weights = torch.hann_window(window, dtype=x.dtype, device=x.device)
    spectrum = torch.stft(x, window, hop, window=weights, center=False, return_complex=True)
    magnitude = spectrum.abs() * 2 / weights.sum()
    frequencies, frames = spectrum.shape[-2:]
    return Stft(
        magnitude_db=20 * magnitude.clamp_min(10 ** (floor_db / 20)).log10(),
        phase_rad=spectrum.angle(),
        frequencies_hz=torch.arange(frequencies, device=x.device) * sample_rate / window,
        times_s=(torch.arange(frames, device=x.device) * hop + window / 2) / sample_rate,
    )


def stack_tracks(tracks: Mapping[str, Signal]) -> Tensor:
    """Named one-channel signals, each (T,) or (1, T), as one tensor (K, T), float32 on the CPU.

    Raises `InputError` if there are no tracks, and for a track that is empty, has several channels, is not
    finite or differs in length; the message names the track.
    """
    if not tracks:
        raise InputError("there are 0 tracks; pass at least one, as {'name': samples}")
    rows: dict[str, Tensor] = {}
    for name, track in tracks.items():
        row = track.detach().cpu().float() if isinstance(track, Tensor) else _from_numpy(track)
        if row.ndim == 0 or row.numel() != row.shape[-1]:
            raise InputError(f"track {name!r} has the shape {tuple(row.shape)}; pass one channel of shape (T,)")
        if row.numel() == 0:
            raise InputError(f"track {name!r} has 0 samples; pass a longer signal")
        check_finite(row, f"track {name!r}")
        rows[name] = row.reshape(-1)
    lengths = {name: len(row) for name, row in rows.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"the tracks differ in length ({found} samples); cut them to {min(lengths.values())}")
    return torch.stack(list(rows.values()))


def _from_numpy(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))


def _check_samples(samples: Tensor) -> None:
    if samples.ndim != 2:
        raise InputError(
            f"expected samples of shape (C, T), got {tuple(samples.shape)}; "
            "add the channel axis with samples[None] or take one signal"
        )
    if samples.numel() == 0:
        raise InputError(f"the signal is empty (shape {tuple(samples.shape)}); pass at least one sample")
    check_finite(samples)


def _check_range(samples: Tensor) -> None:
    peak = float(samples.abs().max()) if samples.numel() else 0.0
    if peak > 1.0:
        raise InputError(f"the signal peaks at {peak:.4g}, outside [-1, 1]; divide it by its peak first")
