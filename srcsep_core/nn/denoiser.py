"""A class-conditional 1-D network for denoising at every noise level (a small U-Net with attention at the bottleneck).

Sources: Ronneberger et al. 2015 (arXiv 1505.04597) for the shape; Karras et al. 2022 (arXiv 2206.00364), section 5 and
Eqs. 2-3 and 7-8, for the preconditioning around it and its loss.
"""

from __future__ import annotations

import math
import warnings
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from srcsep_core.errors import InputError
from srcsep_core.nn.blocks import EMBEDDING, Attention, ResidualBlock

KERNEL = 5
FREQUENCIES = 32
SIGMA_RANGE = (1e-3, 50.0)
ROWS = 64  # of one call of the network


@dataclass(frozen=True)
class DenoiserConfig:
    """Size of a class-conditional denoiser, and the noise levels it is trained on.

    `channels` by level of the U-Net, `strides` between them, `middle` attention layers of `heads` heads at the
    bottleneck. Training draws log(sigma) from Normal(`log_sigma_mean`, `log_sigma_std`^2); `sigma_data` is the standard
    deviation of the data (Karras et al. 2022, Table 1). `window` is the signal length it is trained on and used at.
    `classes`: of a network built on its own; one that is trained has as many as its world has sources.
    """

    classes: int = 4
    channels: tuple[int, ...] = (32, 64, 128, 192)
    strides: tuple[int, ...] = (4, 4, 2)
    middle: int = 2
    heads: int = 4
    sigma_data: float = 0.65
    log_sigma_mean: float = -0.3
    log_sigma_std: float = 1.4
    window: int = 1024

    def __post_init__(self) -> None:
        if len(self.strides) != len(self.channels) - 1 or not self.strides:
            raise InputError(
                f"DenoiserConfig has {len(self.channels)} channels and {len(self.strides)} strides; "
                "give one stride fewer than channels"
            )
        for width in self.channels:
            if width < 8 or width % 8:
                raise InputError(f"DenoiserConfig.channels holds {width}; use multiples of 8")
        if self.heads < 1 or self.channels[-1] % (2 * self.heads):
            raise InputError(
                f"{self.heads} heads do not fit {self.channels[-1]} channels; use a divisor of half of them"
            )
        if self.middle < 1 or self.classes < 1:
            raise InputError(f"DenoiserConfig has middle {self.middle} and classes {self.classes}; use at least 1")
        if self.window % self.stride or self.window < self.stride:
            raise InputError(f"the window of {self.window} samples is not a multiple of the strides, {self.stride}")
        if not (self.sigma_data > 0 and self.log_sigma_std > 0):
            raise InputError(
                f"sigma_data is {self.sigma_data} and log_sigma_std {self.log_sigma_std}; use positive numbers"
            )

    @property
    def levels(self) -> tuple[float, float]:
        """The noise levels that it can be asked for."""
        return SIGMA_RANGE

    @property
    def stride(self) -> int:
        """The product of the strides: what the length of every signal must be a multiple of."""
        return math.prod(self.strides)

    def training_noise(self, noise: Tensor, clean: Tensor, generator: torch.Generator) -> Tensor:
        """The noise of unit variance that clean signals (B, G, T) are trained in, from white `noise`: here that."""
        return noise

    def raw_network(self) -> DenoiserNet:
        """The network F, freshly initialised."""
        return DenoiserNet(self)


class DenoiserNet(nn.Module):
    """The raw network F: signals (B, 1, T), noise conditions (B,) and class numbers (B,) to (B, 1, T).

    T must be a multiple of the product of the strides. The condition is log(sigma) / 4 (Karras et al. 2022, Table 1).
    """

    groups = 1
    conv: ClassVar[type[nn.Module]] = nn.Conv1d
    transposed: ClassVar[type[nn.Module]] = nn.ConvTranspose1d
    kernel: ClassVar[int] = KERNEL

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        widths, strides = config.channels, config.strides
        self.register_buffer("frequencies", torch.linspace(0, math.log(200), FREQUENCIES).exp(), persistent=False)
        self.noise = nn.Sequential(nn.Linear(2 * FREQUENCIES, EMBEDDING), nn.SiLU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.label = nn.Embedding(config.classes, EMBEDDING)
        self.stem = self.first(widths[0])
        self.encoder = nn.ModuleList(self.block(width, width) for width in widths[:-1])
        self.down = nn.ModuleList(
            self.conv(width, wider, stride, stride)
            for width, wider, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.middle = nn.ModuleList(self.block(widths[-1], widths[-1]) for _ in range(config.middle + 1))
        self.attention = nn.ModuleList(self.attend(widths[-1], config.heads) for _ in range(config.middle))
        self.up = nn.ModuleList(
            self.transposed(wider, width, stride, stride)
            for width, wider, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.decoder = nn.ModuleList(self.block(2 * width, width) for width in widths[:-1])
        self.head = nn.Sequential(nn.GroupNorm(8, widths[0]), nn.SiLU(), self.last(widths[0]))
        nn.init.zeros_(cast(nn.Conv1d, self.head[2]).weight)

    def first(self, width: int) -> nn.Module:
        """The layer that takes signals (B, 1, T) to the features of the first level."""
        return nn.Conv1d(1, width, self.kernel, padding=self.kernel // 2)

    def last(self, width: int) -> nn.Module:
        """The layer that takes those features to signals."""
        return nn.Conv1d(width, 1, self.kernel, padding=self.kernel // 2)

    def block(self, channels: int, out_channels: int) -> ResidualBlock:
        """A residual block of this network's convolutions."""
        return ResidualBlock(channels, out_channels, self.conv, self.kernel)

    def attend(self, channels: int, heads: int) -> nn.Module:
        """An attention layer of the bottleneck."""
        return Attention(channels, heads)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        """F(x): (B, 1, T)."""
        angles = noise[:, None] * cast(Tensor, self.frequencies)
        condition = silu(self.noise(torch.cat([angles.cos(), angles.sin()], dim=1)) + self.label(label))
        kind = cast(Tensor, self.stem.weight).dtype
        x, condition = x.to(kind), condition.to(kind)
        h = self.stem(x)
        skips = []
        for block, down in zip(self.encoder, self.down, strict=True):
            h = block(h, condition)
            skips.append(h)
            h = down(h)
        for block, attention in zip(self.middle, self.attention, strict=False):
            h = attention(block(h, condition))
        h = self.middle[-1](h, condition)
        for up, block, skip in zip(reversed(self.up), reversed(self.decoder), reversed(skips), strict=True):
            h = block(torch.cat([up(h), skip], dim=1), condition)
        out: Tensor = self.head(h).to(angles.dtype)
        return out

    def rounded(self) -> DenoiserNet:
        """A copy that computes in bfloat16, but for the embedding of the level and the class."""
        copy = deepcopy(self)
        for name, part in copy.named_children():
            if name not in ("noise", "label"):
                part.bfloat16()
        return copy


class PreconditionedNet(nn.Module):
    """D(x; sigma, class): the preconditioned network (Karras et al. 2022, Eq. 7)."""

    groups = 1

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.net = config.raw_network()

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        """The estimate of the clean signal for rows (B, 1, T), noise levels (B,) and class numbers (B,): (B, 1, T)."""
        skip, out = self._scales(sigma)
        return skip * x + out * self.raw(x, sigma, label)

    @torch.no_grad()
    def denoise_rows(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        """The estimates of the clean signals at one level for rows (M, 1, T) of classes (M,): (M, 1, T).

        Raises `InputError` for signals of another length than the window. The level is not held against `SIGMA_RANGE`:
        the last steps of a sampler may fall a rounding error short of it.
        """
        if x.shape[-1] != self.config.window:
            raise InputError(
                f"the signals have {x.shape[-1]} samples but this denoiser works on {self.config.window}; cut them"
            )
        parts = [
            self(some, some.new_full((len(some),), sigma), own)
            for some, own in zip(x.split(ROWS), labels.split(ROWS), strict=True)
        ]
        return torch.cat(parts)

    def at(self, window: int) -> PreconditionedNet:
        """The same network for signals of `window` samples: no weight knows the length, and attention only distances.

        Raises `InputError` for a length that the strides do not divide.
        """
        if window == self.config.window:
            return self
        copy = PreconditionedNet(replace(self.config, window=window)).to(next(self.parameters()).device)
        copy.load_state_dict(self.state_dict())
        return copy.eval()

    def rounded(self) -> PreconditionedNet:
        """A copy whose raw network computes in bfloat16.

        What that rounds off is small at every level: F is multiplied by about sigma where sigma is small.
        """
        copy = PreconditionedNet(self.config)
        copy.net = self.net.rounded()
        return copy.eval().requires_grad_(False)

    def traced(self) -> PreconditionedNet:
        """A copy whose raw network runs without Python between its operations; the same numbers to the last bit.

        Threads that ask at the same time wait for one another's Python otherwise.
        (`torch.jit.trace` is deprecated; what replaces it needs a compiler, or has Python between the operations.)
        """
        example = torch.zeros(2, 1, self.config.window), torch.zeros(2), torch.zeros(2, dtype=torch.long)
        copy = PreconditionedNet(self.config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            copy.net = torch.jit.trace(self.net, example, check_trace=False)
        return copy.eval().requires_grad_(False)

    def raw(self, x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        """The network's own output F for scaled input, (B, 1, T)."""
        data = self.config.sigma_data
        scaled = x / (sigma.square() + data**2).sqrt()[:, None, None]
        result: Tensor = self.net(scaled, sigma.log() / 4, label)
        return result

    def _scales(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """c_skip and c_out, (B, 1, 1) each."""
        data, total = self.config.sigma_data, sigma.square() + self.config.sigma_data**2
        return (data**2 / total)[:, None, None], (sigma * data / total.sqrt())[:, None, None]

    def loss(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """The denoising loss of every class, (G,), for clean signals (B, G, T), class g in channel g.

        Mean squared error of F against its target, which is the weight lambda(sigma) = (sigma^2 + sigma_data^2) /
        (sigma sigma_data)^2 on that of D (Karras et al. 2022, Eqs. 2 and 8). No unit: 1 is no better than the mean.
        What the noise is made of is the configuration's (`training_noise`).
        """
        batch, groups, length = clean.shape
        rows = clean.reshape(-1, 1, length)
        label = torch.arange(groups, device=clean.device).repeat(batch)
        normal = torch.randn(len(rows), generator=generator, device=clean.device)
        sigma = (self.config.log_sigma_mean + self.config.log_sigma_std * normal).exp()
        noise = torch.randn(rows.shape, generator=generator, device=clean.device)
        noise = self.config.training_noise(noise.view_as(clean), clean, generator).view_as(rows)
        noisy = rows + sigma[:, None, None] * noise
        skip, out = self._scales(sigma)
        target = (rows - skip * noisy) / out
        error = (self.raw(noisy, sigma, label).float() - target).square().mean(dim=(1, 2))
        return error.view(batch, groups).mean(dim=0)
