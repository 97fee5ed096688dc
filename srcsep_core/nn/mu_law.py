"""Grouped WaveNets over mu-law classes, with one of two likelihoods.

`SoftmaxNet` is a density on the continuous signal: a causal softmax over classes, and within each class a known
density, so that its nats/sample can be compared with a flow's. `SigmoidNet` is what the authors' code computes instead:
it is not causal, and has a sigmoid over its logits.

Sources: van den Oord et al. 2016 (arXiv 1609.03499), Eqs. 1-2 and section 2.2; Paine et al. 2016
(arXiv 1611.09482) for the sampling; Frank & Ilse 2020, Eq. 5; the authors' released code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from srcsep_core.audio import MU_LAW_CLASSES, mu_law_decode, mu_law_encode
from srcsep_core.config import check_choice, check_least
from srcsep_core.errors import InputError
from srcsep_core.nn.autoregressive import AutoregressiveNet, ClassNet

SIGMOID_CODES = 255


@dataclass(frozen=True)
class WaveNetPriorConfig:
    """Size of a WaveNet prior of 256 mu-law classes.

    `output` is `softmax` (causal, a density) or `sigmoid` (what the authors' code computes: first and last but one
    convolution not causal, raw codes 0..254 as input, a sigmoid over the logits). `scale` is the amplitude that the
    outermost class of the softmax reaches: noise is not capped, so it must exceed 1.
    """

    output: str = "softmax"
    layers: int = 10
    width: int = 64
    head_width: int = 256
    kernel_size: int = 3
    scale: float = 2.0

    def __post_init__(self) -> None:
        check_choice("output", self.output, NETS)
        check_least(self, 1, "layers", "width", "head_width")
        if self.kernel_size < 2:
            raise InputError(f"WaveNetPriorConfig.kernel_size is {self.kernel_size}; use at least 2 to see the past")
        if self.scale <= 0:
            raise InputError(f"WaveNetPriorConfig.scale is {self.scale}; use for example 2")


class SoftmaxNet(AutoregressiveNet):
    """The exact likelihood: the logits at t depend on the classes before t alone."""

    protocol = "log_prob"
    edges: Tensor

    def __init__(self, config: WaveNetPriorConfig, groups: int = 1) -> None:
        super().__init__(config, groups)
        self.register_buffer("edges", class_edges(config.scale), persistent=False)

    @staticmethod
    def shape(config: WaveNetPriorConfig) -> dict[str, Any]:
        return {"in_channels": 2, "out_channels": MU_LAW_CLASSES}

    def codes(self, x: Tensor) -> Tensor:
        """Classes 0..255 of signals, int64 of the same shape; values beyond the scale belong to the outermost class."""
        scale = self.config.scale
        return mu_law_encode((x / scale).clamp(-1, 1))

    def logits(self, x: Tensor) -> Tensor:
        """The network's output (B, groups, 256, T) for signals (B, groups, T)."""
        self.check(x)
        return self.outputs(self._inputs(self.codes(x)))

    def _inputs(self, codes: Tensor) -> Tensor:
        """What the network sees of classes (B, groups, T): companded and linear value, (B, groups, 2, T)."""
        dtype = next(self.parameters()).dtype
        companded = 2 * codes.to(dtype) / (MU_LAW_CLASSES - 1) - 1
        return torch.stack([companded, mu_law_decode(codes).to(dtype) * self.config.scale], dim=2)

    def log_prob_map(self, x: Tensor) -> Tensor:
        """Exact log-density in nats of every sample given those before it: (B, groups, T) to the same shape.

        The softmax probability of the sample's class times the density within the class: uniform between the
        edges of an inner class, exponential from the inner edge outwards in the two outermost ones, whose mean
        excess is the width of the class beside them. Integrates to 1 over the real line.
        """
        logits = self.logits(x).flatten(0, 1)
        codes = self.codes(x)
        nll = cross_entropy(logits.float(), codes.flatten(0, 1), reduction="none").view_as(x)
        return -nll + self._within(x, codes)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-likelihood in nats of every source's signal: (B, groups, T) to (B, groups)."""
        return self.log_prob_map(x).double().sum(dim=2)

    def reported(self, x: Tensor) -> Tensor:
        """The log-likelihood in nats/sample, (B, groups, T) to (B, groups)."""
        return self.log_prob(x) / x.shape[2]

    def loss(self, x: Tensor) -> Tensor:
        """Negative log-density in nats/sample of every source, (groups,)."""
        return -self.log_prob_map(x).mean(dim=(0, 2))

    def sample(self, batch: int, length: int, generator: torch.Generator) -> Tensor:
        """Draw signals (batch, groups, length)."""
        weight = next(self.parameters())

        def emit(codes: Tensor) -> tuple[Tensor, Tensor]:
            uniform = torch.rand(len(codes), generator=generator, device=weight.device, dtype=torch.float64)
            return self._place(codes, uniform), self._inputs(codes.view(batch, self.groups, 1))

        return self.draw(batch, length, generator, emit).to(weight.dtype)

    def _within(self, x: Tensor, codes: Tensor) -> Tensor:
        """Log-density of `x` within its class."""
        width = self.edges.diff()
        log_width = torch.cat([width[:1], width, width[-1:]]).log().to(x.dtype)
        excess = torch.relu(x - self.edges[-1].to(x.dtype)) + torch.relu(self.edges[0].to(x.dtype) - x)
        return -log_width[codes] - excess / width[0].to(x.dtype)

    def _place(self, codes: Tensor, uniform: Tensor) -> Tensor:
        """A value within each class, from a uniform number: the inverse of the distribution within the class."""
        width = self.edges.diff()
        inner = codes.clamp(1, MU_LAW_CLASSES - 2)
        value = self.edges[inner - 1] + uniform * width[inner - 1]
        tail = -torch.log1p(-uniform) * width[0]
        value = torch.where(codes == 0, self.edges[0] - tail, value)
        return torch.where(codes == MU_LAW_CLASSES - 1, self.edges[-1] + tail, value)


class SigmoidNet(ClassNet):
    """What the authors' code computes: the logits at t are for t + 1 and see samples up to t + kernel_size - 1."""

    protocol = "mean_sigmoid"

    @staticmethod
    def shape(config: WaveNetPriorConfig) -> dict[str, Any]:
        """Raw codes come in, and the ends see two samples too many."""
        return {"in_channels": 1, "out_channels": MU_LAW_CLASSES, "centred_ends": True}

    def codes(self, x: Tensor) -> Tensor:
        """Classes 0..254 of signals, int64 of the same shape; values beyond +-1 belong to the outermost class."""
        return mu_law_encode(x.clamp(-1, 1), SIGMOID_CODES)

    def logits(self, x: Tensor) -> Tensor:
        """The network's output (B, groups, 256, T) for signals (B, groups, T)."""
        self.check(x)
        return self.outputs(self.codes(x)[:, :, None].to(x.dtype))

    def reported(self, x: Tensor) -> Tensor:
        """The number that the authors store as a WaveNet's likelihood, (B, groups, T) to (B, groups).

        The sigmoid of the logit of the sample's own class, averaged over time: a value in [0, 1] that is no likelihood
        (the 256 sigmoids do not sum to one, and the network has seen the sample that it predicts and the one after).
        """
        sigmoids, target = self._sigmoids(x)
        return sigmoids.gather(2, target[:, :, None])[:, :, 0].mean(dim=2)

    def loss(self, x: Tensor) -> Tensor:
        """The authors' training loss of every source, (groups,): cross-entropy of sigmoids in place of logits.

        It is log(256) = 5.55 before training and never less than log(255 + e) - 1 = 4.55 (at most log(1 + 255 e) =
        6.54), far from what a softmax can reach.
        """
        sigmoids, target = self._sigmoids(x)
        loss = cross_entropy(sigmoids.flatten(0, 1).float(), target.flatten(0, 1), reduction="none")
        return loss.view(target.shape).mean(dim=(0, 2))

    def _sigmoids(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The sigmoids (B, groups, 256, T - 1) for all samples but the first, and their classes (B, groups, T - 1)."""
        if x.shape[-1] < 2:
            raise InputError(f"the signal has {x.shape[-1]} sample(s); a prediction of the next one needs 2 or more")
        return self.logits(x)[..., :-1].sigmoid(), self.codes(x)[..., 1:]


MuLawNet = SoftmaxNet | SigmoidNet
NETS: dict[str, type[SoftmaxNet] | type[SigmoidNet]] = {"softmax": SoftmaxNet, "sigmoid": SigmoidNet}


def mu_law_net(config: WaveNetPriorConfig, groups: int = 1) -> MuLawNet:
    """The network of `groups` sources that has the output of the configuration."""
    return NETS[config.output](config, groups)


def class_edges(scale: float) -> Tensor:
    """The 255 amplitudes between the 256 mu-law classes of x / scale, ascending, float64."""
    mu = MU_LAW_CLASSES - 1
    companded = (2 * torch.arange(mu, dtype=torch.float64) + 1) / mu - 1
    return scale * companded.sign() * torch.expm1(companded.abs() * math.log1p(mu)) / mu
