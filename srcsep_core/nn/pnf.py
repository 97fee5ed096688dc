"""The network of the PnF prior: autoregressive over a noisy past, with an exact smoothed density at every noise level.

The network sees noisy samples before t and gives the probabilities of 256 linearly spaced clean values at t; the noisy
sample is one of these plus Gaussian noise, so its density is a mixture of Gaussians known in closed form, and the score
of the whole noisy signal follows by differentiation. One network per source covers all noise levels.

Source: Jayaram & Thickstun 2021 (PnF, arXiv 2105.08164), section 3: the smoothed autoregressive density, linear in
place of mu-law classes. Deviates from print: one network is conditioned on the level, trained from scratch on all of
them, where PnF fine-tunes a noise-free WaveNet once for every level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from srcsep_core.config import check_least
from srcsep_core.errors import InputError
from srcsep_core.nn.autoregressive import AutoregressiveNet
from srcsep_core.nn.levels import NoiseRange, check_range

DATA_SCALE = 0.65  # standard deviation of the toy signals, as in DenoiserConfig.sigma_data

Level = Tensor | float


@dataclass(frozen=True)
class PnFConfig:
    """Size of a PnF prior: a causal WaveNet over a noisy past that gives the probabilities of `classes` clean values.

    The values are spaced linearly from -`limit` to `limit`, which must hold the clean signals. Noise levels span
    `sigma_min` to `sigma_max` (standard deviations); `context` is the number of cosine features of log sigma. The
    spacing of the values, 2 `limit` / (`classes` - 1), must not exceed `sigma_min`, or the density would have a comb
    of peaks.
    """

    layers: int = 9
    width: int = 16
    head_width: int = 64
    kernel_size: int = 3
    classes: int = 256
    limit: float = 1.05
    context: int = 8
    sigma_min: float = 0.01
    sigma_max: float = 10.0

    def __post_init__(self) -> None:
        check_least(self, 1, "layers", "width", "head_width", "context")
        check_least(self, 2, "kernel_size", "classes")
        if self.limit <= 0:
            raise InputError(f"PnFConfig.limit is {self.limit}; use for example 1.05")
        check_range(self)
        spacing = 2 * self.limit / (self.classes - 1)
        if spacing > self.sigma_min:
            raise InputError(
                f"{self.classes} classes lie {spacing:.4g} apart, wider than sigma_min {self.sigma_min:g}; "
                f"use {math.ceil(2 * self.limit / self.sigma_min) + 1} classes or a larger sigma_min"
            )

    @property
    def levels(self) -> tuple[float, float]:
        """The noise levels that the network covers."""
        return self.sigma_min, self.sigma_max


class PnFNet(AutoregressiveNet):
    """The grouped network of `groups` independent causal WaveNets on signals (B, groups, T), source g under network g.

    Noise levels are standard deviations: one for all signals, or one a signal, (B,).
    """

    centres: Tensor

    def __init__(self, config: PnFConfig, groups: int = 1) -> None:
        super().__init__(config, groups)
        self.range = NoiseRange(config.sigma_min, config.sigma_max, config.context)
        centres = torch.linspace(-config.limit, config.limit, config.classes, dtype=torch.float64)
        self.register_buffer("centres", centres.float(), persistent=False)

    @staticmethod
    def shape(config: PnFConfig) -> dict[str, Any]:
        return {"in_channels": 2, "out_channels": config.classes, "context": config.context}

    def codes(self, clean: Tensor) -> Tensor:
        """The nearest class of clean values, int64 of the same shape; beyond the limit it is the outermost."""
        limit, top = self.config.limit, self.config.classes - 1
        return ((clean + limit) * (top / (2 * limit))).round().clamp(0, top).long()

    def logits(self, x: Tensor, sigma: Level) -> Tensor:
        """Unnormalised log-probabilities (B, groups, classes, T) of the clean value at t, given noisy samples before t.

        `x` are noisy signals (B, groups, T) at level `sigma`. Raises `InputError` for a level out of range.
        """
        self.check(x)
        level, context = self._levels(sigma, len(x))
        return self.outputs(self._inputs(x, level[:, None, None]), context)

    def log_prob_map(self, x: Tensor, sigma: Level) -> Tensor:
        """Log-density in nats of every noisy sample given those before it: (B, groups, T) to the same shape.

        log p_sigma(x_t | x_<t) = LSE_c(l_c - (x_t - c)^2 / 2 sigma^2) - LSE_c(l_c) - log(sigma sqrt(2 pi)) with the
        logits l_c of the clean values c. Integrates to 1 over the real line.
        """
        logits = self.logits(x, sigma)
        level = self._levels(sigma, len(x))[0][:, None, None]
        distance = (x[:, :, None] - self.centres.to(x)[:, None]) / level[..., None]
        smoothed = torch.logsumexp(logits - distance.square() / 2, dim=2)
        return smoothed - torch.logsumexp(logits, dim=2) - (level * math.sqrt(2 * math.pi)).log()

    def log_prob(self, x: Tensor, sigma: Level) -> Tensor:
        """Exact log-density in nats of every source's noisy signal: (B, groups, T) to (B, groups)."""
        return self.log_prob_map(x, sigma).double().sum(dim=2)

    def loss(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy in nats/sample of the clean class given the noisy past, (groups,), for `clean` (B, groups, T).

        The level is drawn afresh for every example, log-uniformly over the network's range and the same for all its
        sources.
        """
        sigma = self.range.draw(len(clean), generator).to(clean)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
        logits = self.logits(clean + sigma[:, None, None] * noise, sigma).flatten(0, 1)
        nll = cross_entropy(logits, self.codes(clean).flatten(0, 1), reduction="none")
        return nll.view_as(clean).mean(dim=(0, 2))

    def sample(self, batch: int, length: int, sigma: float, generator: torch.Generator) -> Tensor:
        """Draw noisy signals (batch, groups, length) at level `sigma`."""
        weight = next(self.parameters())
        level, context = self._levels(sigma, batch)

        def emit(codes: Tensor) -> tuple[Tensor, Tensor]:
            noise = torch.randn(len(codes), generator=generator, device=weight.device, dtype=weight.dtype)
            values = self.centres.to(weight)[codes] + sigma * noise
            return values, self._inputs(values.view(batch, self.groups, 1), level[:, None, None])

        return self.draw(batch, length, generator, emit, context)

    def _inputs(self, x: Tensor, level: Tensor) -> Tensor:
        """What the network sees of noisy samples (B, groups, T): scaled and squashed value, (B, groups, 2, T)."""
        return torch.stack([x / (level.square() + DATA_SCALE**2).sqrt(), x.tanh()], dim=2)

    def _levels(self, sigma: Level, batch: int) -> tuple[Tensor, Tensor]:
        """The noise level of every example, (B,), and the network's condition, (B * groups, context channels, 1)."""
        weight = next(self.parameters())
        level = torch.as_tensor(sigma, dtype=weight.dtype, device=weight.device).expand(batch)
        return level, self.range.condition(level, batch, like=weight).repeat_interleave(self.groups, dim=0)
