"""Conditional affine transforms: one half of the channels sets scale and shift of the other half."""

from __future__ import annotations

import torch
from torch import Tensor

from srcsep_core.flows.base import Transform
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig


class AffineCoupling(Transform):
    """(a, b) to (a, (b - t(a)) * exp(-log_s(a))) with a WaveNet for log_s and t.

    The log-determinant is -sum(log_s), and the network's zero-initialised last layer makes the transform the
    identity before training. The log-determinant stays in the precision of the input when the network runs
    in a lower one.

    The same transform serves as the *split* (factor-out): b leaves the flow, and Normal(b; t(a), exp(log_s(a)))
    is its learned Gaussian (Kim et al. 2019, section 3.3; Dinh et al. 2017, arXiv 1605.08803, section 3.6).

    Source: thesis Eqs. 42-44, Kim et al. 2019, Eq. 5. Deviates from print: Eq. 42 feeds the network the half
    that is transformed, which cannot be inverted; Eq. 44 sums s for log s.
    """

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.net = WaveNet(config)

    @classmethod
    def over(
        cls, channels: int, *, layers: int, width: int, kernel_size: int = 3, groups: int = 1, context: int = 0
    ) -> AffineCoupling:
        """A coupling of `channels` channels (an even number) with a centred WaveNet."""
        return cls(WaveNetConfig(channels // 2, channels, layers, width, kernel_size, groups, context=context))

    def _affine(self, a: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        log_s, t = self.net(a, context).to(a.dtype).chunk(2, dim=1)
        return log_s, t

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = x.chunk(2, dim=1)
        log_s, t = self._affine(a, context)
        y = torch.cat([a, (b - t) * torch.exp(-log_s)], dim=1)
        return y, torch.cat([torch.zeros_like(a), -log_s], dim=1)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = y.chunk(2, dim=1)
        log_s, t = self._affine(a, context)
        return torch.cat([a, b * log_s.exp() + t], dim=1), log_s.sum(dim=(1, 2))
