"""Denoisers of the stems of songs: trained against each other, on the waveform or on its spectrogram.

What is left of a mix when the estimates of the other sources are taken away is a source in noise only while the chain
is right; before, it is a source among other sources. So in a share of the training signals a part of the noise is other
classes of the same songs (`interfering`), and the network must listen to its class. Every signal is still a
single source with what is added to it, at a level that the network is told.

The network in the time-frequency domain sees the short-time Fourier transform and gives one; the diffusion lives on the
waveform all the same, as in Shi et al. 2025 (arXiv 2512.07226), whose idea it is. Its convolutions know at which
frequency they are by an offset learned for each, and its bottleneck attends along time and along frequency by turns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from srcsep_core.config import check_choice
from srcsep_core.errors import InputError
from srcsep_core.nn.blocks import Attention
from srcsep_core.nn.denoiser import DenoiserConfig, DenoiserNet

SPECTRA: Mapping[str, int] = {"spectrogram": 256, "long spectrogram": 512}
"""The length of the transform in samples, by domain; it moves on by a quarter of that."""
DOMAINS = ("waveform", *SPECTRA)
PATCH = 2  # bins and frames
LEVELS_DB = 6.0  # of interfering classes, either way
SILENT = 1e-3  # root mean square


@dataclass(frozen=True)
class StemDenoiserConfig(DenoiserConfig):
    """Size and training of a denoiser of stems (see `DenoiserConfig`).

    `interference`: the share of the signals in whose noise other classes sound. `domain`: `waveform`, or one of
    `SPECTRA`, whose `strides` are in bins and in frames. `sigma_data` is the root mean square of a usual stem of the
    rendered songs.
    """

    domain: str = "waveform"
    interference: float = 0.75
    sigma_data: float = 0.1
    log_sigma_mean: float = -2.5
    window: int = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("domain", self.domain, DOMAINS)
        if not 0 <= self.interference <= 1:
            raise InputError(f"StemDenoiserConfig.interference is {self.interference}; use a share of 0 to 1")
        if self.spectrum and self.window % (self.spectrum // 4):
            raise InputError(
                f"the window of {self.window} samples is not a multiple of {self.spectrum // 4}, a frame's step"
            )

    @property
    def spectrum(self) -> int:
        """The length of the transform in samples; 0 on the waveform."""
        return SPECTRA.get(self.domain, 0)

    def training_noise(self, noise: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
        """The noise with other classes in it (`interfering`)."""
        return interfering(clean, noise, self.interference, generator) if self.interference else noise

    def raw_network(self) -> DenoiserNet:
        """The network F, freshly initialised."""
        return SpectralNet(self) if self.spectrum else DenoiserNet(self)


def interfering(clean: Tensor, noise: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The noise (B, G, T) of unit variance with, in a `share` of the signals, other sources in place of a part of it.

    The part of the variance is uniform in [0, 1]. They are some of the other classes, each as likely as not (at least
    one), of another draw of the batch `clean` (B, G, T) or of the same, with levels of +-`LEVELS_DB` dB.
    """
    batch, groups, _ = clean.shape
    if groups < 2:
        return noise

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=clean.device)

    order = uniform(batch, groups, groups)
    order[:, torch.arange(groups), torch.arange(groups)] = 2.0  # never the class itself
    taken = (order < 0.5) | (order == order.amin(dim=2, keepdim=True))
    gains = 10 ** (LEVELS_DB * (2 * uniform(batch, groups, groups) - 1) / 20) * taken
    others = torch.einsum("bgh,bht->bgt", gains, clean[(uniform(batch) * batch).long()])
    loudness = others.square().mean(dim=2, keepdim=True).sqrt()
    part = uniform(batch, groups, 1) * (uniform(batch, groups, 1) < share) * (loudness > SILENT)
    return (1 - part).sqrt() * noise + part.sqrt() * others / loudness.clamp(min=SILENT)


class SpectralNet(DenoiserNet):
    """The raw network F over the short-time Fourier transform; as `DenoiserNet` from outside."""

    conv: ClassVar[type[nn.Module]] = nn.Conv2d
    transposed: ClassVar[type[nn.Module]] = nn.ConvTranspose2d
    kernel: ClassVar[int] = 3

    @property
    def spectrum(self) -> int:
        """The length of the transform in samples."""
        return cast(StemDenoiserConfig, self.config).spectrum

    def first(self, width: int) -> nn.Module:
        """Signals (B, 1, T) to features (B, width, bins, frames)."""
        return Analysis(width, self.config.stride * PATCH, self.spectrum)

    def last(self, width: int) -> nn.Module:
        """Features to signals."""
        return Synthesis(width, self.config.window, self.spectrum)

    def attend(self, channels: int, heads: int) -> nn.Module:
        """Attention along time, then along frequency."""
        return AxialAttention(channels, heads)


def _hann(length: int, like: Tensor) -> Tensor:
    return torch.hann_window(length, device=like.device)


def _loudness(spectrum: int) -> float:
    """The standard deviation of either part of a coefficient of white noise of unit variance."""
    return math.sqrt(0.375 * spectrum / 2)


class Analysis(nn.Module):
    """The transform of length `spectrum` in patches of `PATCH` bins and frames, padded to `multiple` frames."""

    def __init__(self, width: int, multiple: int, spectrum: int) -> None:
        super().__init__()
        self.multiple, self.spectrum = multiple, spectrum
        self.patches = nn.Conv2d(2, width, PATCH, PATCH)
        self.place = nn.Parameter(torch.zeros(1, width, spectrum // 2 // PATCH, 1))

    @property
    def weight(self) -> Tensor:
        """Of its convolution."""
        return self.patches.weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, T) to (B, width, bins, frames)."""
        window = _hann(self.spectrum, x)
        transform = torch.stft(x[:, 0].float(), self.spectrum, self.spectrum // 4, window=window, return_complex=True)
        parts = torch.view_as_real(transform[:, :-1]).permute(0, 3, 1, 2) / _loudness(self.spectrum)
        frames = parts.shape[3]
        parts = pad(parts, (0, -frames % self.multiple)).to(self.weight.dtype)
        out: Tensor = self.patches(parts) + self.place
        return out


class Synthesis(nn.Module):
    """From patches of a transform of length `spectrum` back to a signal of `length` samples."""

    def __init__(self, width: int, length: int, spectrum: int) -> None:
        super().__init__()
        self.length, self.spectrum = length, spectrum
        self.patches = nn.ConvTranspose2d(width, 2, PATCH, PATCH)

    @property
    def weight(self) -> Tensor:
        """Of its convolution."""
        return self.patches.weight

    def forward(self, h: Tensor) -> Tensor:
        """(B, width, bins, frames) to (B, 1, T)."""
        hop = self.spectrum // 4
        parts = _loudness(self.spectrum) * self.patches(h)[..., : self.length // hop + 1].float()
        transform = torch.view_as_complex(pad(parts, (0, 0, 0, 1)).permute(0, 2, 3, 1).contiguous())
        window = _hann(self.spectrum, parts)
        return torch.istft(transform, self.spectrum, hop, window=window, length=self.length)[:, None]


class AxialAttention(nn.Module):
    """Self-attention along time within each band, then along frequency within each frame."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.time, self.frequency = Attention(channels, heads), Attention(channels, heads)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, bins, frames) to the same shape."""
        batch, channels, bins, frames = x.shape
        rows = x.permute(0, 2, 1, 3).reshape(-1, channels, frames)
        rows = cast(Tensor, self.time(rows)).view(batch, bins, channels, frames)
        columns = rows.permute(0, 3, 2, 1).reshape(-1, channels, bins)
        columns = cast(Tensor, self.frequency(columns)).view(batch, frames, channels, bins)
        return columns.permute(0, 2, 3, 1)
