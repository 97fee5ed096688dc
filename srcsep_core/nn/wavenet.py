"""The WaveNet stack: gated, dilated convolutions with residual and skip connections.

Several sources train side by side in one grouped network. The rows of a batch are ordered example-major,
(example 0, source 0), (example 0, source 1), ..., so that (B * G, C, T) and (B, G * C, T) are views of the
same memory and only the convolutions need to know that there are groups.

Sources: van den Oord et al. 2016 (arXiv 1609.03499), section 2; Kim et al. 2019 (arXiv 1811.02155) for the
centred use inside a flow; thesis section "WaveNet".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad
from torch.nn.utils.parametrizations import weight_norm


class GroupedConv1d(nn.Module):
    """A length-preserving dilated convolution over rows (B * G, C_in, T) with separate weights per group.

    Centred zero padding by default; `causal` pads on the left only, so that output t sees inputs up to t.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        groups: int = 1,
        kernel_size: int = 1,
        dilation: int = 1,
        causal: bool = False,
        zero: bool = False,
    ) -> None:
        super().__init__()
        self.groups = groups
        self.dilation = dilation
        reach = dilation * (kernel_size - 1)
        self.left, self.right = (reach, 0) if causal else (reach // 2, reach - reach // 2)
        self.weight = nn.Parameter(torch.zeros(groups * out_channels, in_channels, kernel_size))
        self.bias = nn.Parameter(torch.zeros(groups * out_channels))
        if not zero:
            nn.init.kaiming_normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B * G, C_in, T) to (B * G, C_out, T)."""
        rows, _, length = x.shape
        x = x.reshape(rows // self.groups, -1, length)
        if self.left == self.right:
            y = conv1d(x, self.weight, self.bias, padding=self.left, dilation=self.dilation, groups=self.groups)
        else:
            x = pad(x, (self.left, self.right))
            y = conv1d(x, self.weight, self.bias, dilation=self.dilation, groups=self.groups)
        return y.view(rows, -1, length)


@dataclass(frozen=True)
class WaveNetConfig:
    """Shape of a stack: `layers` gated layers with dilations 1, 2, 4, ..., all of `width` channels."""

    in_channels: int
    out_channels: int
    layers: int
    width: int
    kernel_size: int = 3
    groups: int = 1
    causal: bool = False

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of every gated layer."""
        return tuple(2**i for i in range(self.layers))


def receptive_field(config: WaveNetConfig) -> tuple[int, int]:
    """How many samples (before, after) the current one an output of the stack depends on.

    The front convolution and every gated layer reach (kernel - 1) * dilation in all; a centred stack shares
    that out to both sides, a causal one has it all in the past. The thesis' Figure 3 caption says 18 for
    kernel 2 and dilations 1..8; it is 16 (1 + 1 + 2 + 4 + 8), without a front convolution.
    """
    reaches = [(config.kernel_size - 1) * dilation for dilation in (1, *config.dilations)]
    if config.causal:
        return sum(reaches), 0
    return sum(reach // 2 for reach in reaches), sum(reach - reach // 2 for reach in reaches)


class GatedLayer(nn.Module):
    """h -> ((h + residual) * sqrt(1/2), skip) with tanh(filter) * sigmoid(gate) in between."""

    def __init__(self, config: WaveNetConfig, dilation: int) -> None:
        super().__init__()
        width, groups = config.width, config.groups
        self.gated = weight_norm(
            GroupedConv1d(
                width,
                2 * width,
                groups=groups,
                kernel_size=config.kernel_size,
                dilation=dilation,
                causal=config.causal,
            )
        )
        self.mixed = weight_norm(GroupedConv1d(width, 2 * width, groups=groups))

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """(rows, width, T) to a pair of the same shape."""
        filtered, gate = self.gated(h).chunk(2, dim=1)
        residual, skip = self.mixed(filtered.tanh() * gate.sigmoid()).chunk(2, dim=1)
        return (h + residual) * math.sqrt(0.5), skip


class WaveNet(nn.Module):
    """Front convolution, gated layers, summed skips, then ReLU, 1x1, ReLU and a zero-initialised 1x1.

    (B * G, in_channels, T) to (B * G, out_channels, T). The output is exactly zero before training.
    """

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        groups = config.groups
        self.front = weight_norm(
            GroupedConv1d(
                config.in_channels,
                config.width,
                groups=groups,
                kernel_size=config.kernel_size,
                causal=config.causal,
            )
        )
        self.layers = nn.ModuleList(GatedLayer(config, dilation) for dilation in config.dilations)
        self.head = weight_norm(GroupedConv1d(config.width, config.width, groups=groups))
        self.out = GroupedConv1d(config.width, config.out_channels, groups=groups, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stack to rows `x` of shape (B * G, in_channels, T)."""
        h = self.front(x).relu()
        total = torch.zeros_like(h)
        for layer in self.layers:
            h, skip = layer(h)
            total = total + skip
        out: Tensor = self.out(self.head(total.relu()).relu())
        return out
