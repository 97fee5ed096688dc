"""Hybrid Demucs, a network trained on mixes, for machines with a GPU.

Source: Defossez 2021 (Hybrid spectrogram and waveform source separation, arXiv 2111.03600); the network is
torchaudio's. How it is trained: `mixture_nets`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from srcsep_core.config import check_least
from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import register
from srcsep_core.priors.mixture_nets import mixture_kind


@dataclass(frozen=True)
class HDemucsConfig:
    """Size of the network: `channels` of the first layer, of `depth` ones that each widen; `bins` of the spectrum."""

    channels: int = 48
    depth: int = 5
    bins: int = 2048

    multiple_of = 1

    def __post_init__(self) -> None:
        check_least(self, 1, "channels", "depth")
        if self.channels % 4:
            raise InputError(f"HDemucsConfig.channels is {self.channels}; use a multiple of 4")
        if self.bins < 4**self.depth or self.bins & (self.bins - 1):
            raise InputError(
                f"HDemucsConfig.bins is {self.bins}; with a depth of {self.depth} use a power of two of at least "
                f"{4**self.depth}"
            )

    def network(self, classes: int) -> nn.Module:
        """The network, freshly initialised."""
        return _OneChannel(self, classes)


class _OneChannel(nn.Module):
    """The network of mono signals: (B, 1, T) to (B, classes, T)."""

    def __init__(self, config: HDemucsConfig, classes: int) -> None:
        super().__init__()
        from torchaudio.models import HDemucs

        names = [str(number) for number in range(classes)]
        self.net = HDemucs(names, audio_channels=1, channels=config.channels, nfft=config.bins, depth=config.depth)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)[:, :, 0]
        return found


HDEMUCS = register(mixture_kind("hdemucs", HDemucsConfig))
