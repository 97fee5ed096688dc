"""Masks of the mix's spectrogram, ideal ones from the true sources, and how a mask shares out a mix.

A mix is the mean of its K sources, (B, 1, T) (Frank & Ilse 2020, Eq. 8); estimates are (B, K, T) at the scale of the
sources, so that the masks here, which share out the mix, are followed by a factor K.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from srcsep_core.baselines.base import Estimator, Given, Method, register
from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError

WINDOW = 256
HOP = 64


def ideal_ratio_mask(mix: Tensor, sources: Tensor, *, window: int = WINDOW, hop: int = HOP) -> Tensor:
    """Oracle: the mix (B, 1, T) masked by |S_k| / sum_j |S_j| of the true sources (B, K, T): (B, K, T).

    The ratio mask with exponent 1 on magnitudes of the STFT (Hann window of `window` samples every `hop`), with the
    phase of the mix (Li & Wang 2009; Narayanan & Wang 2013 take the root of the ratio of powers instead). Its mean
    over the sources is the mix.

    Raises `InputError` for a mix and sources that do not match, NaN, infinity, a signal shorter than the window, and
    hop below 1 or above half the window.
    """
    _check_oracle(mix, sources)
    return masked(mix, magnitude_of(sources, window, hop), window, hop)


def ideal_binary_mask(mix: Tensor, sources: Tensor, *, window: int = WINDOW, hop: int = HOP) -> Tensor:
    """Oracle: each bin of the STFT of the mix (B, 1, T) given to its loudest true source of (B, K, T): (B, K, T).

    For two sources, the binary mask at 0 dB (Wang 2005; Li & Wang 2009), where a bin is the target's if the target is
    louder than the rest. With more sources that rule would drop the bins that nobody dominates; here the loudest gets
    them, so that the mean over the sources is the mix. Of equally loud sources the first gets the bin.

    Raises `InputError` as `ideal_ratio_mask` does.
    """
    _check_oracle(mix, sources)
    magnitude = magnitude_of(sources, window, hop)
    loudest = magnitude.argmax(dim=1, keepdim=True)
    return masked(mix, torch.zeros_like(magnitude).scatter_(1, loudest, 1.0), window, hop)


def _masking(mask: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Given], Estimator]:
    def make(given: Given) -> Estimator:
        truth = given.known.sources
        return Estimator(lambda mix, sources, _: mask(mix, truth.to(mix.device)))

    return make


register(Method("irm", "truth", _masking(ideal_ratio_mask), needs="the true sources of the mix"))
register(Method("ibm", "truth", _masking(ideal_binary_mask), needs="the true sources of the mix"))


def _spectrum(x: Tensor, window: int, hop: int) -> Tensor:
    """Complex STFT of signals (B, K, T): (B, K, F, N), with frames centred on every `hop`-th sample."""
    if window < 2 or not 1 <= hop <= window // 2:
        raise InputError(f"window {window} and hop {hop} cannot be inverted; use for example {WINDOW} and {HOP}")
    if x.shape[-1] < window:
        raise InputError(
            f"the signal has {x.shape[-1]} samples but the window {window}; use a longer signal or a shorter window"
        )
    weights = torch.hann_window(window, dtype=x.dtype, device=x.device)
    spectrum = torch.stft(x.flatten(0, 1), window, hop, window=weights, return_complex=True)
    return spectrum.unflatten(0, x.shape[:2])


def magnitude_of(x: Tensor, window: int, hop: int) -> Tensor:
    """The magnitude of the STFT of signals (B, K, T): (B, K, F, N); raises `InputError` as `ideal_ratio_mask` does."""
    return _spectrum(x, window, hop).abs()


def masked(mix: Tensor, weights: Tensor, window: int, hop: int) -> Tensor:
    """K times the mix (B, 1, T), shared out in proportion to non-negative weights (B, K, F, N): (B, K, T).

    A bin without any weight is shared equally.
    """
    count = weights.shape[1]
    total = weights.sum(dim=1, keepdim=True)
    share = torch.where(total > 0, weights / total, 1 / count)
    spectrum = (count * share * _spectrum(mix, window, hop)).flatten(0, 1)
    hann = torch.hann_window(window, dtype=mix.dtype, device=mix.device)
    return torch.istft(spectrum, window, hop, window=hann, length=mix.shape[-1]).unflatten(0, (len(mix), count))


def _check_oracle(mix: Tensor, sources: Tensor) -> None:
    check_waveform(mix)
    check_waveform(sources, channels=None, dtype=mix.dtype)
    if (mix.shape[0], mix.shape[2]) != (sources.shape[0], sources.shape[2]):
        raise InputError(
            f"the mix has the shape {tuple(mix.shape)} and its sources {tuple(sources.shape)}; "
            "pass the sources of these mixes, (B, K, T)"
        )
