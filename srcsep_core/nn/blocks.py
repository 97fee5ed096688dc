"""The blocks of the denoisers' networks: convolutions that a condition modulates, and attention.

Sources: Perez et al. 2018 (FiLM, arXiv 1709.07871) for the modulation; Vaswani et al. 2017 (arXiv 1706.03762) and Su et
al. 2021 (arXiv 2104.09864) for the attention and its positions.
"""

from __future__ import annotations

from functools import cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

EMBEDDING = 128  # of the condition


class ResidualBlock(nn.Module):
    """Two convolutions with group norm; the condition (B, EMBEDDING) scales and shifts between them."""

    def __init__(self, channels: int, out_channels: int, conv: type[nn.Module], kernel: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(8, channels)
        self.conv_in = conv(channels, out_channels, kernel, padding=kernel // 2)
        self.modulation = nn.Linear(EMBEDDING, 2 * out_channels)
        self.norm_out = nn.GroupNorm(8, out_channels)
        self.conv_out = conv(out_channels, out_channels, kernel, padding=kernel // 2)
        self.shortcut = nn.Identity() if channels == out_channels else conv(channels, out_channels, 1)
        nn.init.zeros_(cast(nn.Conv1d, self.conv_out).weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, channels, ...) to (B, out_channels, ...)."""
        scale, shift = self.modulation(condition)[(..., *[None] * (x.dim() - 2))].chunk(2, dim=1)
        h = self.conv_in(silu(self.norm_in(x)))
        h = silu(self.norm_out(h) * (1 + scale) + shift)
        out: Tensor = self.shortcut(x) + self.conv_out(h)
        return out


class Attention(nn.Module):
    """Self-attention over time with rotary positions, which depend on distance alone."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) to the same shape."""
        batch, channels, length = x.shape
        query, key, value = self.qkv(self.norm(x)).view(batch, 3, self.heads, -1, length).transpose(3, 4).unbind(1)
        mixed = scaled_dot_product_attention(_rotate(query), _rotate(key), value)
        out: Tensor = x + self.out(mixed.transpose(2, 3).reshape(batch, channels, length))
        return out


def _rotate(x: Tensor) -> Tensor:
    """Rotate the halves of each head (B, H, T, D) by an angle that grows with time."""
    cos, sin = _rotations(int(x.shape[2]), int(x.shape[3]) // 2, x.device)
    first, second = x.float().chunk(2, dim=3)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], 3).to(x.dtype)


@cache
def _rotations(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angles by time and place in the half of a head, (length, size) each."""
    rates = 100.0 ** (-torch.arange(size, device=device, dtype=torch.float32) / size)
    angles = torch.arange(length, device=device, dtype=torch.float32)[:, None] * rates
    return angles.cos(), angles.sin()
