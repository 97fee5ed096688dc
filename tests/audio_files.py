"""Audio files for tests."""

from pathlib import Path

from torch import Tensor

from srcsep_core.audio import Subtype, encode_audio


def write_audio(path: Path, samples: Tensor, sample_rate: int, subtype: Subtype = "PCM_16") -> Path:
    """Write samples (C, T) as WAV or FLAC, by the suffix of `path`, into a folder that is made; returns the path."""
    content = encode_audio(samples, sample_rate, path.suffix, subtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
