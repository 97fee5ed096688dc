"""What autoencoders of audio frames are made of: cutting into frames, a stack of layers over them, a Gaussian decoder.

A frame is so many samples side by side, which a network takes for the channels of one position. Sources are groups of
one network, in the rows of `nn.wavenet`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from srcsep_core.nn.wavenet import GroupedConv1d

SIGMA_MIN = 1e-3
SIGMA_START = 0.3
HASTE = 10.0


def to_frames(x: Tensor, frame: int) -> Tensor:
    """Rows (rows, 1, T) cut into frames of `frame` samples, (rows, frame, T / frame)."""
    return x.reshape(len(x), -1, frame).mT


def from_frames(frames: Tensor) -> Tensor:
    """Frames (rows, frame, N) joined to rows (rows, 1, N * frame): the inverse of `to_frames`."""
    return frames.mT.reshape(len(frames), 1, -1)


class FrameStack(nn.Module):
    """Dilated residual convolutions over frames, rows (B * G, C_in, N) to (B * G, C_out, N).

    `layers` layers h + conv1x1(ReLU(conv(ReLU(h)))) with kernel size 3 and dilations 1, 2, 4, ..., neither gated nor
    with skip connections: the temporal encoder of NSynth (Engel et al. 2017, arXiv 1704.01279, section 2.1). `zero`:
    the output is zero before training.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, width: int, layers: int, groups: int, zero: bool = False
    ) -> None:
        super().__init__()
        self.front = GroupedConv1d(in_channels, width, groups=groups)
        self.wide = nn.ModuleList(
            GroupedConv1d(width, width, groups=groups, kernel_size=3, dilation=2**layer) for layer in range(layers)
        )
        self.mixed = nn.ModuleList(GroupedConv1d(width, width, groups=groups, zero=True) for _ in range(layers))
        self.out = GroupedConv1d(width, out_channels, groups=groups, zero=zero)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stack to rows `x` of shape (B * G, in_channels, N)."""
        h = self.front(x)
        for wide, mixed in zip(self.wide, self.mixed, strict=True):
            h = h + mixed(wide(h.relu()).relu())
        out: Tensor = self.out(h.relu())
        return out


class GaussianOutput(nn.Module):
    """Normal(mean, sigma^2) at every sample, with one learned sigma a group, at least `SIGMA_MIN`.

    Its logarithm is `HASTE` times a weight: Adam moves every weight by as much a step, and this one has further to go.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((groups,), math.log(SIGMA_START - SIGMA_MIN) / HASTE))

    @property
    def sigma(self) -> Tensor:
        """The standard deviation of each group, (G,)."""
        return SIGMA_MIN + (HASTE * self.log_scale).exp()

    def log_prob(self, x: Tensor, mean: Tensor) -> Tensor:
        """The log-density in nats of rows `x` around `mean`, summed over a row: (B * G, C, N) to (B, G)."""
        sigma = self.sigma
        error = (x - mean).square().sum(dim=(1, 2)).view(-1, len(sigma))
        size = x[0].numel()
        return -0.5 * (error / sigma.square() + size * math.log(2 * math.pi)) - size * sigma.log()
