"""What a network sees of a signal: a picture of non-negative values, and how shares of it come back as signals.

A view takes signals (..., T) to pictures (..., D), whose values are at most 1 in a mix. Sources add up to their mix in
the picture raised to `1 / power`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from srcsep_core.checks import check_waveform
from srcsep_core.config import check_least, check_positive
from srcsep_core.errors import InputError

TINY = 1e-8


class View(ABC):
    """What a network sees of signals of `length` samples: `size` = (rows, columns) values of a picture."""

    power: float

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    @abstractmethod
    def length(self) -> int:
        """The samples of a signal."""

    @abstractmethod
    def magnitude(self, x: Tensor) -> Tensor:
        """What adds up, of signals (B, K, T): (B, K, rows * columns), non-negative.

        Raises `InputError` for signals of another length, NaN, infinity, and pictures with negative values.
        """

    @abstractmethod
    def loudest(self, magnitude: Tensor) -> Tensor:
        """What a picture is scaled by: of the magnitudes of mixes (B, 1, D), (B, 1, 1)."""

    @abstractmethod
    def shared(self, mix: Tensor, share: Tensor) -> Tensor:
        """The parts (B, K, T) of mixes (B, 1, T) that have these shares (B, K, D) of their magnitudes."""

    def picture(self, mix: Tensor) -> Tensor:
        """The pictures (B, D) of mixes (B, 1, T), values in [0, 1]."""
        if mix.shape[1] != 1:
            raise InputError(f"the mixes have {mix.shape[1]} channels; take them apart one channel at a time")
        magnitude = self.magnitude(mix)
        return (magnitude / self.loudest(magnitude)).pow(self.power)[:, 0]

    def sum(self, pictures: Tensor) -> Tensor:
        """The pictures (B, D) of the sum of what pictures (B, K, D) are of."""
        if self.power == 1.0:
            return pictures.sum(dim=1)
        return (pictures.clamp(min=TINY).pow(1 / self.power).sum(dim=1) + TINY).pow(self.power)

    def masked(self, mix: Tensor, pictures: Tensor) -> Tensor:
        """The mixes (B, 1, T), shared out as pictures (B, K, D) ask: (B, K, T), whose sum is the mix.

        VAEM of Neri et al. 2021: s_k * x / sum_j s_j. What none asks for is shared equally.
        """
        return self.shared(mix, self.shares(pictures))

    def shares(self, pictures: Tensor) -> Tensor:
        """How large a part of the sum each of the pictures (B, K, D) is."""
        weights = pictures.clamp(min=0).pow(1 / self.power)
        total = weights.sum(dim=1, keepdim=True)
        return torch.where(total > TINY, weights / total.clamp(min=TINY), 1 / pictures.shape[1])

    def unmasked(self, mix: Tensor, pictures: Tensor) -> Tensor:
        """The signals (B, K, T) of pictures (B, K, D) as they are, with the scale and the phase of the mix."""
        magnitude = self.magnitude(mix)
        wanted = pictures.pow(1 / self.power) * self.loudest(magnitude)
        return self.shared(mix, wanted / magnitude.clamp(min=TINY))

    def check(self, x: Tensor) -> None:
        """Raise `InputError` unless `x` (B, K, T) are finite signals of the length."""
        check_waveform(x, channels=None)
        if x.shape[2] != self.length:
            rows, columns = self.size
            raise InputError(
                f"the signals have {x.shape[2]} samples but this network sees {rows} x {columns} values of "
                f"{self.length} samples; cut or pad them to {self.length}"
            )


@dataclass(frozen=True)
class Pixels(View):
    """Pictures as they are: `height` x `width` pixels in [0, 1]."""

    height: int = 8
    width: int = 8
    power: float = 1.0

    def __post_init__(self) -> None:
        check_least(self, 1, "height", "width")
        check_positive(self, "power")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def length(self) -> int:
        """All pixels."""
        return self.height * self.width

    def magnitude(self, x: Tensor) -> Tensor:
        """The pixels."""
        self.check(x)
        if (x < 0).any():
            raise InputError(
                f"the pictures have values down to {float(x.min()):.3g}; use pixels in [0, 1], for example x - x.min()"
            )
        return x

    def loudest(self, magnitude: Tensor) -> Tensor:
        """1, the largest pixel of a picture. Raises `InputError` above 2; mixes of estimates may lie between."""
        if (magnitude > 2).any():
            raise InputError(f"the pictures have values up to {float(magnitude.max()):.3g}; divide them by it")
        return torch.ones_like(magnitude[:, :, :1])

    def shared(self, mix: Tensor, share: Tensor) -> Tensor:
        """The pixels times the shares."""
        return share * mix

    def unmasked(self, mix: Tensor, pictures: Tensor) -> Tensor:
        """The pictures themselves."""
        return pictures.pow(1 / self.power)


@dataclass(frozen=True)
class Spectrogram(View):
    """Magnitudes of a short-time Fourier transform to the `power`, over the loudest of the mix.

    The lowest `bins` of windows of 2 * bins samples (Hann) every `hop`, and the first `frames` of them; the highest bin
    and the last frame, which are left out, go with their neighbours. Parts of a mix have its phase.
    """

    bins: int = 128
    frames: int = 32
    hop: int = 128
    power: float = 0.5

    def __post_init__(self) -> None:
        check_least(self, 1, "bins", "frames", "hop")
        check_positive(self, "power")
        if self.hop > self.bins:
            raise InputError(f"hop {self.hop} is above half the window, {self.bins}; windows must overlap by half")

    @property
    def size(self) -> tuple[int, int]:
        """Bins and frames."""
        return self.bins, self.frames

    @property
    def length(self) -> int:
        """The samples that the frames cover."""
        return self.frames * self.hop

    def magnitude(self, x: Tensor) -> Tensor:
        """The magnitudes of the bins and frames that are seen."""
        self.check(x)
        return self._transform(x).abs()[..., : self.bins, : self.frames].flatten(-2)

    def loudest(self, magnitude: Tensor) -> Tensor:
        """The highest."""
        return magnitude.amax(dim=2, keepdim=True).clamp(min=TINY)

    def shared(self, mix: Tensor, share: Tensor) -> Tensor:
        """The mix's transform times the shares, taken back."""
        weights = pad(share.unflatten(-1, self.size), (0, 1, 0, 1), mode="replicate")
        parts = (weights * self._transform(mix)).flatten(0, 1)
        signals = torch.istft(parts, 2 * self.bins, self.hop, window=self._window(mix), length=self.length)
        return signals.unflatten(0, share.shape[:2])

    def _transform(self, x: Tensor) -> Tensor:
        whole = torch.stft(x.flatten(0, 1), 2 * self.bins, self.hop, window=self._window(x), return_complex=True)
        return whole.unflatten(0, x.shape[:2])

    def _window(self, x: Tensor) -> Tensor:
        return torch.hann_window(2 * self.bins, dtype=x.dtype, device=x.device)
