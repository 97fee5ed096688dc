"""Coupling transforms: one half of the channels, through any network, sets shift and scale of the other half."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srcsep_core.flows.base import Transform


class AffineCoupling(Transform):
    """(a, b) to (a, (b - t(a)) * exp(-log_s(a))), with `net` for log_s and t.

    `net` maps the first half of the channels (B, C/2, T) to log_s and t one after the other, (B, C, T); with
    `shift_only` to t alone, (B, C/2, T), and log_s is 0. It is called with the condition as a second argument
    where there is one. The log-determinant is -sum(log_s); it stays in the precision of the input when the network
    runs in a lower one. A network that starts at zero makes the transform the identity before training.

    Source: thesis Eqs. 42-44, Kim et al. 2019 (arXiv 1811.02155), Eq. 5. Deviates from print: Eq. 42 feeds the
    network the half that is transformed, which cannot be inverted; Eq. 44 sums s for log s. `shift_only` is the
    additive coupling of Dinh et al. 2014 (arXiv 1410.8516), section 3.2, with m(a) = -t(a).
    """

    def __init__(self, net: nn.Module, shift_only: bool = False) -> None:
        super().__init__()
        self.net = net
        self.shift_only = shift_only

    def _affine(self, a: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """log_s and t, each of the shape of `a`."""
        made: Tensor = (self.net(a) if context is None else self.net(a, context)).to(a.dtype)
        if self.shift_only:
            return torch.zeros_like(a), made
        log_s, t = made.chunk(2, dim=1)
        return log_s, t

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = x.chunk(2, dim=1)
        log_s, t = self._affine(a, context)
        y = torch.cat([a, (b - t) * torch.exp(-log_s)], dim=1)
        return y, torch.cat([torch.zeros_like(a), -log_s], dim=1)

    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = y.chunk(2, dim=1)
        log_s, t = self._affine(a, context)
        return torch.cat([a, b * log_s.exp() + t], dim=1), torch.cat([torch.zeros_like(a), log_s], dim=1)
