"""How complex a signal is whatever its class: the length of its losslessly compressed file.

Serra et al. 2020 (arXiv 1909.11480) set a compressor's length against a generative model's: simple inputs are likely
under every model, and the difference of the two is freer of that. Their compressors are of images; ours is FLAC, whose
model of a frame is a linear predictor with coded residuals.
"""

from __future__ import annotations

import io
import math

import numpy as np
import soundfile as sf
import torch
from torch import Tensor

from srcsep_core.errors import InputError


def flac_length(signals: Tensor, sample_rate: int) -> Tensor:
    """The length of each signal (N, T), values in [-1, 1], as 16-bit FLAC: (N,) in nats/sample.

    What a file of digital silence of the same length takes is not counted. Raises `InputError` for another shape.
    """
    if signals.ndim != 2 or not signals.shape[1]:
        raise InputError(f"the signals have shape {tuple(signals.shape)}; pass (N, T) with at least one sample")
    rows = signals.detach().cpu().clamp(-1, 1).double().numpy()
    empty = _bytes(np.zeros(rows.shape[1]), sample_rate)
    lengths = [_bytes(row, sample_rate) - empty for row in rows]
    return torch.tensor(lengths, dtype=torch.float64) * 8 * math.log(2) / rows.shape[1]


def _bytes(row: np.ndarray, sample_rate: int) -> int:
    file = io.BytesIO()
    sf.write(file, row, sample_rate, format="FLAC", subtype="PCM_16")
    return len(file.getvalue())
