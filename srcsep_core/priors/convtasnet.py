"""Conv-TasNet, a network trained on mixes.

Source: Luo & Mesgarani 2019 (Conv-TasNet, arXiv 1809.07454); the network is torchaudio's. How it is trained:
`mixture_nets`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from srcsep_core.config import check_least
from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import register
from srcsep_core.priors.mixture_nets import mixture_kind


@dataclass(frozen=True)
class ConvTasNetConfig:
    """Size of the network.

    `features` of the encoder, whose kernels of `kernel` samples are half of that apart; channels of the mask's
    `bottleneck` and `hidden` ones of its blocks; `layers` a stack, dilated by powers of two, and `stacks`.
    """

    features: int = 256
    kernel: int = 32
    bottleneck: int = 128
    hidden: int = 256
    layers: int = 8
    stacks: int = 3

    def __post_init__(self) -> None:
        check_least(self, 1, "features", "bottleneck", "hidden", "layers", "stacks")
        if self.kernel < 2 or self.kernel % 2:
            raise InputError(f"ConvTasNetConfig.kernel is {self.kernel}; use an even number of samples")

    @property
    def multiple_of(self) -> int:
        """What the length of a training signal must be a multiple of."""
        return self.kernel // 2

    def network(self, classes: int) -> nn.Module:
        """The network, freshly initialised."""
        from torchaudio.models import ConvTasNet

        net: nn.Module = ConvTasNet(
            num_sources=classes,
            enc_kernel_size=self.kernel,
            enc_num_feats=self.features,
            msk_num_feats=self.bottleneck,
            msk_num_hidden_feats=self.hidden,
            msk_num_layers=self.layers,
            msk_num_stacks=self.stacks,
            msk_activate="relu",
        )
        return net


CONVTASNET = register(mixture_kind("convtasnet", ConvTasNetConfig))
