"""Logarithmic spectra that can be differentiated, as what a density is of: short-time Fourier magnitudes, mel bands.

Power is on the scale of `audio.stft_magnitude_phase`: a sine of amplitude 1 has 1 in its bin. Unlike there, there is a
frame to every `hop` samples, because both ends are padded with zeros: frame k is a Hann window around the middle of
samples k * hop to (k + 1) * hop. The frames within half a window of an end see the signal begin or stop.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def power_spectrum(x: Tensor, *, window: int, hop: int) -> Tensor:
    """Power of signals (rows, 1, T), T a multiple of `hop`: (rows, window / 2 + 1, T / hop), differentiable.

    Window less hop must be even and not negative; the first and the last bin read up to 6 dB too high.
    """
    weights = torch.hann_window(window, dtype=x.dtype, device=x.device)
    edge = (window - hop) // 2
    spectrum = torch.stft(pad(x[:, 0], (edge, edge)), window, hop, window=weights, center=False, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(dim=-1) * (2 / weights.sum()) ** 2


def mel_power(power: Tensor, bands: int, sample_rate: int) -> Tensor:
    """Power (rows, F, N) of bins from 0 Hz to half the rate summed under triangles on the mel scale: (rows, bands, N).

    The scale is 2595 log10(1 + f / 700 Hz) (O'Shaughnessy 1987), the triangles reach 1 at their middle and end at the
    middles of their neighbours (Davis & Mermelstein 1980): torchaudio's defaults.
    """
    return mel_filters(power.shape[1], bands, sample_rate).to(power) @ power


def mel_filters(bins: int, bands: int, sample_rate: int) -> Tensor:
    """The weight of every bin in every mel band, (bands, bins)."""
    from torchaudio.functional import melscale_fbanks

    filters: Tensor = melscale_fbanks(bins, 0.0, sample_rate / 2, bands, sample_rate)
    return filters.T


def log_floored(power: Tensor, floor_db: float) -> Tensor:
    """log(power + floor) in nats, the floor in dB of a sine of amplitude 1; same shape."""
    return (power + 10 ** (floor_db / 10)).log()
