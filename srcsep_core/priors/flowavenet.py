"""The FloWaveNet prior: a normalizing flow on the waveform, one per source, several in one network.

Sources: Kim et al. 2019 (arXiv 1811.02155); Frank & Ilse 2020, Eqs. 6-7; thesis "Prior architecture",
Eqs. 38-45. Deviates from print: log |det| for Eq. 38; -1/2 (log 2 pi + z^2) for Eq. 45.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from srcsep_core.config import ConditionalFlowConfig, FlowConfig
from srcsep_core.errors import InputError, check_waveform
from srcsep_core.flows.base import Compose, Transform
from srcsep_core.flows.coupling import AffineCoupling
from srcsep_core.flows.layers import ActNorm, Squeeze, SwapHalves
from srcsep_core.nn.levels import level_features
from srcsep_core.nn.wavenet import WaveNetConfig, copy_group, receptive_field
from srcsep_core.priors.base import denoised_from_score, gradient_of


class FlowTerms(NamedTuple):
    """The two halves of the log-likelihood by position, and the latent, each of shape (rows, 1, T).

    log_pz: log-density of the latent, the learned Gaussians of factored-out channels included (the number the
    authors report); log_det: what the released evaluation leaves out. Their sum is the exact log-likelihood.
    """

    z: Tensor
    log_pz: Tensor
    log_det: Tensor


class Block(nn.Module):
    """Squeeze, then `flows` times (ActNorm, coupling, swap), then perhaps a split."""

    def __init__(self, config: FlowConfig, channels: int, *, split: bool, groups: int) -> None:
        super().__init__()
        sizes = {"width": config.width, "kernel_size": config.kernel_size, "context": context_channels(config)}
        steps: list[Transform] = []
        for _ in range(config.flows):
            steps += [
                ActNorm(channels, groups=groups),
                AffineCoupling.over(channels, layers=config.layers, **sizes, groups=groups),
                SwapHalves(),
            ]
        self.squeeze = Squeeze()
        self.steps = Compose(steps)
        self.split = AffineCoupling.over(channels, layers=2, **sizes, groups=groups) if split else None


class FloWaveNet(nn.Module):
    """The grouped network of `groups` independent flows, on rows (B * groups, 1, T).

    Row r belongs to group r mod groups; no operation mixes rows or groups, so one grouped network equals as
    many separate ones. T must be a multiple of 2**blocks.
    """

    def __init__(self, config: FlowConfig, groups: int = 1) -> None:
        super().__init__()
        self.config = config
        self.groups = groups
        self.blocks = nn.ModuleList()
        channels = 1
        for index in range(1, config.blocks + 1):
            channels *= 2
            split = bool(config.split_every) and index % config.split_every == 0 and index < config.blocks
            self.blocks.append(Block(config, channels, split=split, groups=groups))
            channels = channels // 2 if split else channels

    def terms(self, x: Tensor, context: Tensor | None = None) -> FlowTerms:
        """Latent, log p_Z and log |det| by position for rows `x` of shape (B * groups, 1, T)."""
        h, log_det = x, torch.zeros_like(x)
        left: list[tuple[Tensor, Tensor, Tensor]] = []
        for block in self.blocks:
            assert isinstance(block, Block)
            h, part = block.steps.forward_map(block.squeeze.rearrange(h), context)
            log_det = block.steps.rearrange(block.squeeze.rearrange(log_det)) + part
            if block.split is not None:
                h, part = block.split.forward_map(h, context)
                (h, out), (log_det, log_det_out) = h.chunk(2, dim=1), log_det.chunk(2, dim=1)
                left.append((out, _standard_normal(out) + part.chunk(2, dim=1)[1], log_det_out))
        merged: tuple[Tensor, ...] = (h, _standard_normal(h), log_det)
        for block in reversed(self.blocks):
            assert isinstance(block, Block)
            if block.split is not None:
                merged = tuple(torch.cat(pair, dim=1) for pair in zip(merged, left.pop(), strict=True))
            merged = tuple(block.squeeze.restore(values) for values in merged)
        return FlowTerms(*merged)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The waveform rows (B * groups, 1, T) of a latent of the same shape."""
        h, left = z, []
        for block in self.blocks:
            assert isinstance(block, Block)
            h = block.squeeze.rearrange(h)
            if block.split is not None:
                h, out = h.chunk(2, dim=1)
                left.append(out)
        for block in reversed(self.blocks):
            assert isinstance(block, Block)
            if block.split is not None:
                h, _ = block.split.inverse(torch.cat([h, left.pop()], dim=1), context)
            h, _ = block.steps.inverse(h, context)
            h = block.squeeze.restore(h)
        return h

    def context(self, sigma: Tensor | float | None, rows: int) -> Tensor | None:
        """The condition (rows, channels, 1) of a noise-conditional network, None of any other.

        `sigma` is one level for all, or one a row, of shape (rows,); see `level_features`. Raises `InputError` if a
        level is missing or out of range.
        """
        config = self.config
        if not isinstance(config, ConditionalFlowConfig):
            return None
        if sigma is None:
            raise InputError("this network is conditioned on the noise level; pass sigma")
        low, high, weight = config.sigma_min, config.sigma_max, next(self.parameters())
        return level_features(sigma, rows, channels=config.context, low=low, high=high, like=weight)

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Exact log-likelihood in nats of every source's signal under its own flow: (B, G, T) to (B, G)."""
        terms = self.source_terms(x, sigma)
        return (terms.log_pz + terms.log_det).sum(dim=2)

    def source_terms(self, x: Tensor, sigma: Tensor | float | None = None) -> FlowTerms:
        """`terms` for (B, G, T) signals, source g under flow g; each result of shape (B, G, T).

        `sigma` (one for all, or (B,)) is for a noise-conditional network only.
        """
        self.check(x, channels=self.groups)
        rows = x.reshape(-1, 1, x.shape[2])
        if isinstance(sigma, Tensor) and sigma.ndim:
            sigma = sigma.repeat_interleave(self.groups)
        terms = self.terms(rows, self.context(sigma, len(rows)))
        return FlowTerms(*(values.view_as(x) for values in terms))

    def check(self, x: Tensor, channels: int = 1) -> None:
        """Raise `InputError` unless this network can take the signals `x` of shape (B, channels, T)."""
        precision = next(self.parameters()).dtype
        check_waveform(x, multiple_of=self.config.squeeze_factor, channels=channels, dtype=precision)

    def extract(self, group: int) -> FloWaveNet:
        """A copy of one group's flow as a network of its own."""
        return copy_group(self, FloWaveNet(self.config, groups=1), group)


class FloWaveNetPrior(nn.Module):
    """The prior of one source, trained at noise level `sigma` (standard deviation; 0: noise-free)."""

    def __init__(self, flow: FloWaveNet, sigma: float = 0.0) -> None:
        super().__init__()
        if flow.groups != 1:
            raise InputError(f"a prior is of one source but the network has {flow.groups} groups; use extract(group)")
        self.flow = flow
        self.sigma = sigma

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Exact log-likelihood in nats, summed over time: (B, 1, T) to (B,); `sigma` as in `score`."""
        return self.log_prob_map(x, sigma).sum(dim=1)

    def log_prob_map(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-likelihood by sample, (B, 1, T) to (B, T): log p_Z and log |det| at each sample's position."""
        terms = self._terms(x, self._level(sigma))
        return (terms.log_pz + terms.log_det)[:, 0]

    def terms(self, x: Tensor) -> FlowTerms:
        """Latent, log p_Z and log |det| by sample, each (B, 1, T)."""
        return self._terms(x, self.sigma)

    def _terms(self, x: Tensor, sigma: float) -> FlowTerms:
        self.flow.check(x)
        return self.flow.terms(x, self.flow.context(sigma, len(x)))

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Gradient of the log-likelihood at `x`, (B, 1, T).

        `sigma`, if given, must be the level trained at, or for a noise-conditional network lie in its range.
        """
        level = self._level(sigma)
        self.flow.check(x)
        return gradient_of(lambda leaf: self.log_prob(leaf, level), x)

    def denoise(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """The posterior mean of the clean signal given the noisy `x`, x + sigma^2 score: (B, 1, T).

        `sigma` as in `score`; the noise-free prior gives `x` back.
        """
        level = self._level(sigma)
        return denoised_from_score(x, self.score(x, level), level)

    @property
    def sigma_range(self) -> tuple[float, float] | None:
        """The lowest and the highest noise level (std) of a noise-conditional network, None of any other."""
        config = self.flow.config
        return (config.sigma_min, config.sigma_max) if isinstance(config, ConditionalFlowConfig) else None

    def _level(self, sigma: float | None) -> float:
        """The noise level to use; raises `InputError` for one that this prior does not have."""
        conditional = isinstance(self.flow.config, ConditionalFlowConfig)
        if sigma is not None and not conditional and not math.isclose(sigma, self.sigma, rel_tol=1e-6):
            raise InputError(
                f"this prior was trained at sigma {self.sigma:g}, not {sigma:g}; load the one for that level"
            )
        return self.sigma if sigma is None else sigma

    @torch.no_grad()
    def sample(
        self,
        shape: tuple[int, int, int],
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw signals of shape (B, 1, T); `temperature` scales the latent's standard deviation."""
        reference = next(self.parameters())
        device = generator.device if generator is not None else reference.device
        z = torch.randn(shape, generator=generator, device=device, dtype=reference.dtype).to(reference.device)
        self.flow.check(z)
        with parametrize.cached():
            return self.flow.inverse(z * temperature, self.flow.context(self.sigma, len(z)))


def flow_receptive_field(config: FlowConfig) -> tuple[int, int]:
    """How many samples (before, after) its own one entry of the latent can depend on.

    Every coupling of block b reaches its WaveNet's half receptive field times 2**b samples, and the pairs that
    b squeezes put side by side add the distance to the far ends of a group of 2**b samples. This is the
    derivation that the thesis refers to ("Appendix recp size") and lacks. The sum is an upper
    bound: the reach of the couplings is attained, the far end of a group only but for a few samples.
    """
    reach = 0
    for index in range(1, config.blocks + 1):
        net = WaveNetConfig(1, 1, config.layers, config.width, config.kernel_size)
        reach += config.flows * receptive_field(net)[0] * 2**index
    edge = config.squeeze_factor - 1
    return reach + edge, reach + edge


def context_channels(config: FlowConfig) -> int:
    """How many channels the condition of a network has; 0 if it has none."""
    return config.context if isinstance(config, ConditionalFlowConfig) else 0


def _standard_normal(z: Tensor) -> Tensor:
    return -0.5 * (math.log(2 * math.pi) + z.square())
