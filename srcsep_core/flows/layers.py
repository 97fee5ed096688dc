"""Transforms without a network: squeeze, activation normalisation, the swap of halves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srcsep_core.errors import InputError
from srcsep_core.flows.base import Transform


class Squeeze(Transform):
    """Even and odd samples become separate channels: (B, C, T) to (B, 2C, T / 2).

    Channel c turns into channels 2c (even samples) and 2c + 1 (odd samples). Volume-preserving.
    Source: Kim et al. 2019, section 3.3; thesis "Prior architecture".
    """

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.rearrange(x), x.new_zeros(())

    def rearrange(self, values: Tensor) -> Tensor:
        rows, channels, length = values.shape
        if length % 2:
            raise InputError(f"cannot squeeze an odd length of {length} samples; cut the signal to {length - 1}")
        return values.reshape(rows, channels, length // 2, 2).transpose(2, 3).reshape(rows, 2 * channels, length // 2)

    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.restore(y), y.new_zeros(())

    def restore(self, values: Tensor) -> Tensor:
        rows, channels, length = values.shape
        return values.reshape(rows, channels // 2, 2, length).transpose(2, 3).reshape(rows, channels // 2, 2 * length)


class ActNorm(Transform):
    """y = exp(log_scale) * x + shift per channel, set from the first training batch to mean 0 and std 1.

    The log-determinant is T * sum(log_scale). Whether the layer has been set is part of its state, so that a
    loaded or resumed model is never set anew. Until then it is the identity.
    Source: Kingma & Dhariwal 2018 (arXiv 1807.03039), section 3.1; thesis Eqs. 40-41.
    """

    initialised: Tensor

    def __init__(self, channels: int, *, groups: int = 1) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(groups, channels, 1))
        self.shift = nn.Parameter(torch.zeros(groups, channels, 1))
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))

    def _rows(self, values: Tensor, x: Tensor) -> Tensor:
        return values.repeat(x.shape[0] // values.shape[0], 1, 1)

    @torch.no_grad()
    def _initialise(self, x: Tensor) -> None:
        grouped = x.reshape(-1, *self.shift.shape[:2], x.shape[2])
        mean = grouped.mean(dim=(0, 3))[..., None]
        std = grouped.var(dim=(0, 3), correction=0)[..., None].sqrt()
        self.log_scale.copy_(-(std + 1e-6).log())
        self.shift.copy_(-mean * self.log_scale.exp())
        self.initialised.fill_(True)

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.training and not self.initialised:
            self._initialise(x)
        log_scale = self._rows(self.log_scale, x)
        return x * log_scale.exp() + self._rows(self.shift, x), log_scale

    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale = self._rows(self.log_scale, y)
        return (y - self._rows(self.shift, y)) * (-log_scale).exp(), -log_scale


class SwapHalves(Transform):
    """Exchange the first and the second half of the channels (Kim et al. 2019, "flip")."""

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.rearrange(x), x.new_zeros(())

    def rearrange(self, values: Tensor) -> Tensor:
        first, second = values.chunk(2, dim=1)
        return torch.cat([second, first], dim=1)

    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.restore(y), y.new_zeros(())

    def restore(self, values: Tensor) -> Tensor:
        return self.rearrange(values)
