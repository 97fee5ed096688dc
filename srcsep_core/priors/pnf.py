"""The PnF prior: autoregressive over a noisy past, with an exact smoothed density at every noise level.

The network sees noisy samples before t and gives the probabilities of 256 linearly spaced clean values at t; the noisy
sample is one of these plus Gaussian noise, so its density is a mixture of Gaussians known in closed form, and the score
of the whole noisy signal follows by differentiation. One network per source covers all noise levels.

Source: Jayaram & Thickstun 2021 (PnF, arXiv 2105.08164), section 3: the smoothed autoregressive density, linear in
place of mu-law classes. Deviates from print: one network is conditioned on the level, trained from scratch on all of
them, where PnF fine-tunes a noise-free WaveNet once for every level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.nn.utils import parametrize

from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.nn.levels import draw_levels, level_features
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig, copy_group
from srcsep_core.priors.base import denoised_from_score, gradient_of
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained

DATA_SCALE = 0.65  # standard deviation of the toy signals, as in DenoiserConfig.sigma_data
ROWS = 16  # signals of one differentiation: 256 logits a sample fill the memory cache soon

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
        for name in ("layers", "width", "head_width", "context"):
            if getattr(self, name) < 1:
                raise InputError(f"PnFConfig.{name} is {getattr(self, name)}; use at least 1")
        for name in ("kernel_size", "classes"):
            if getattr(self, name) < 2:
                raise InputError(f"PnFConfig.{name} is {getattr(self, name)}; use at least 2")
        if self.limit <= 0:
            raise InputError(f"PnFConfig.limit is {self.limit}; use for example 1.05")
        if not 0 < self.sigma_min < self.sigma_max:
            raise InputError(f"PnFConfig spans sigma {self.sigma_min}..{self.sigma_max}; use 0 < sigma_min < sigma_max")
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


class PnFPriors(nn.Module):
    """The grouped network of `groups` independent causal WaveNets on signals (B, groups, T), source g under network g.

    Noise levels are standard deviations: one for all signals, or one a signal, (B,).
    """

    centres: Tensor

    def __init__(self, config: PnFConfig, groups: int = 1) -> None:
        super().__init__()
        self.config = config
        self.groups = groups
        self.net = WaveNet(
            WaveNetConfig(
                in_channels=2,
                out_channels=config.classes,
                layers=config.layers,
                width=config.width,
                head_width=config.head_width,
                kernel_size=config.kernel_size,
                groups=groups,
                causal=True,
                context=config.context,
            )
        )
        centres = torch.linspace(-config.limit, config.limit, config.classes, dtype=torch.float64)
        self.register_buffer("centres", centres.float(), persistent=False)

    def codes(self, clean: Tensor) -> Tensor:
        """The nearest class of clean values, int64 of the same shape; beyond the limit it is the outermost."""
        limit, top = self.config.limit, self.config.classes - 1
        return ((clean + limit) * (top / (2 * limit))).round().clamp(0, top).long()

    def logits(self, x: Tensor, sigma: Level) -> Tensor:
        """Unnormalised log-probabilities (B, groups, classes, T) of the clean value at t, given noisy samples before t.

        `x` are noisy signals (B, groups, T) at level `sigma`. Raises `InputError` for a level out of range.
        """
        check_waveform(x, channels=self.groups, dtype=next(self.parameters()).dtype)
        level, context = self._levels(sigma, len(x))
        past = pad(self._inputs(x, level[:, None, None]).flatten(0, 1), (1, 0))[..., :-1]
        out: Tensor = self.net(past, context)
        return out.view(*x.shape[:2], self.config.classes, x.shape[2])

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
        sigma = draw_levels(len(clean), self.config.sigma_min, self.config.sigma_max, generator).to(clean)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
        logits = self.logits(clean + sigma[:, None, None] * noise, sigma).flatten(0, 1)
        nll = cross_entropy(logits, self.codes(clean).flatten(0, 1), reduction="none")
        return nll.view_as(clean).mean(dim=(0, 2))

    def extract(self, group: int) -> PnFPriors:
        """A copy of one group's network as a network of its own."""
        return copy_group(self, PnFPriors(self.config, groups=1), group)

    @torch.no_grad()
    def sample(self, batch: int, length: int, sigma: float, generator: torch.Generator) -> Tensor:
        """Draw noisy signals (batch, groups, length) at level `sigma`, one sample after the other.

        Cached activations: the cost of a sample does not grow with the number before it.
        """
        weight = next(self.parameters())
        level, context = self._levels(sigma, batch)
        memory = self.net.start()
        inputs = weight.new_zeros(batch * self.groups, 2)
        samples: list[Tensor] = []
        with parametrize.cached():
            for _ in range(length):
                logits = self.net.step(inputs, memory, context)
                codes = torch.multinomial(logits.float().softmax(dim=1), 1, generator=generator)[:, 0]
                noise = torch.randn(len(codes), generator=generator, device=weight.device, dtype=weight.dtype)
                samples.append(self.centres.to(weight)[codes] + sigma * noise)
                newest = samples[-1].view(batch, self.groups, 1)
                inputs = self._inputs(newest, level[:, None, None]).view(-1, 2)
        return torch.stack(samples, dim=1).view(batch, self.groups, length)

    def _inputs(self, x: Tensor, level: Tensor) -> Tensor:
        """What the network sees of noisy samples (B, groups, T): scaled and squashed value, (B, groups, 2, T)."""
        return torch.stack([x / (level.square() + DATA_SCALE**2).sqrt(), x.tanh()], dim=2)

    def _levels(self, sigma: Level, batch: int) -> tuple[Tensor, Tensor]:
        """The noise level of every example, (B,), and the network's condition, (B * groups, context channels, 1)."""
        config, weight = self.config, next(self.parameters())
        level = torch.as_tensor(sigma, dtype=weight.dtype, device=weight.device).expand(batch)
        features = level_features(
            level, batch, channels=config.context, low=config.sigma_min, high=config.sigma_max, like=weight
        )
        return level, features.repeat_interleave(self.groups, dim=0)


class PnFPrior(nn.Module):
    """The PnF prior of one source: density, score and samples at every noise level of its range.

    Where no level is given it is the lowest, `sigma_min`, the closest that this model comes to the clean signal.
    """

    def __init__(self, net: PnFPriors) -> None:
        super().__init__()
        if net.groups != 1:
            raise InputError(f"a prior is of one source but the network has {net.groups} groups; use extract(group)")
        self.net = net

    @property
    def sigma_min(self) -> float:
        """The lowest noise level that there is a density for."""
        return self.net.config.sigma_min

    @property
    def sigma_range(self) -> tuple[float, float]:
        """The lowest and the highest noise level (std) that there is a density for."""
        return self.net.config.sigma_min, self.net.config.sigma_max

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Exact log-density in nats of noisy signals at level `sigma`, summed over time: (B, 1, T) to (B,)."""
        return self.net.log_prob(x, self._level(sigma))[:, 0]

    def log_prob_map(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density of every noisy sample given those before it, (B, 1, T) to (B, T)."""
        return self.net.log_prob_map(x, self._level(sigma))[:, 0]

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Gradient of the log-density at the noisy `x`, (B, 1, T): through the sample itself and all that follow it.

        Raises `InputError` for a level out of the range that the network was trained on.
        """
        level = self._level(sigma)
        check_waveform(x, dtype=next(self.parameters()).dtype)
        return gradient_of(lambda leaf: self.net.log_prob_map(leaf, level).sum(dim=(1, 2)), x, rows=ROWS)

    def denoise(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """The posterior mean of the clean signal given the noisy `x`, x + sigma^2 score: (B, 1, T)."""
        level = self._level(sigma)
        return denoised_from_score(x, self.score(x, level), level)

    def sample(
        self, shape: tuple[int, int, int], generator: torch.Generator | None = None, sigma: float | None = None
    ) -> Tensor:
        """Draw signals of shape (B, 1, T), with the noise of level `sigma` in them."""
        batch, channels, length = shape
        if channels != 1:
            raise InputError(f"a prior of one source draws one channel, not {channels}; use (B, 1, T)")
        if generator is None:
            generator = torch.Generator(next(self.parameters()).device)
            generator.seed()
        return self.net.sample(batch, length, self._level(sigma), generator)

    def _level(self, sigma: float | None) -> float:
        return self.sigma_min if sigma is None else sigma


@dataclass(frozen=True)
class PnFSet(Trained):
    """Trained autoregressive priors with a noisy past, in one grouped network."""

    net: PnFPriors

    def prior(self, source: str) -> PnFPrior:
        """One source's prior, cut out of the grouped network."""
        return PnFPrior(self.net.extract(self.index(source)))


def pnf_task(config: PnFConfig, groups: int, objective: str = "") -> Task:
    """Train PnF networks to tell the clean class from a noisy past, at noise levels drawn afresh for every example."""

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return cast(PnFPriors, network).loss(x, generator)[None]

    return Task("pnf", lambda: PnFPriors(config, groups), losses)


def _load(config: PnFConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device) -> PnFSet:
    return PnFSet(**vars(about), net=restored(PnFPriors(config, len(about.sources)), weights, device))


PNF = register(Kind(name="pnf", step="pnf", section="pnf", config=PnFConfig, task=pnf_task, load=_load))
