"""Priors for the explorer: Gaussians in bands of frequency, separated in milliseconds; and some that take an hour."""

from __future__ import annotations

import threading
import time

import torch
from torch import Tensor


class BandPrior:
    """A Gaussian whose energy lies in a band of Fourier coefficients, of variance 1 each sample at most."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        variance = torch.full((x.shape[2] // 2 + 1,), 1e-6)
        variance[self.low : self.high] = 1.0
        keep = variance / (variance + sigma**2)
        return torch.fft.irfft(torch.fft.rfft(x) * keep, x.shape[2])


class SlowPrior(BandPrior):
    """After `quick` calls every one takes an hour, in tensor operations of a millisecond; `slow` tells of the first."""

    def __init__(self, band: BandPrior, quick: int, slow: threading.Event) -> None:
        super().__init__(band.low, band.high)
        self.quick, self.slow = quick, slow

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        if self.quick:
            self.quick -= 1
            return super().denoise(x, sigma)
        self.slow.set()
        for _ in range(3_600_000):
            x = x + 0.0
            time.sleep(0.001)
        return x


BANDS = {
    "sine": BandPrior(0, 16),
    "square": BandPrior(16, 129),
    "saw": BandPrior(0, 16),
    "triangle": BandPrior(16, 129),
}


def slow_bands(quick: int, slow: threading.Event) -> dict[str, SlowPrior]:
    """Every one of `BANDS` as a slow prior."""
    return {name: SlowPrior(band, quick, slow) for name, band in BANDS.items()}
