"""The WaveNet prior: autoregressive over mu-law classes, one per source, several in one network.

`WaveNetPriors` with the `exact` likelihood is a density on the continuous signal: a causal softmax over classes,
and within each class a known density, so that its nats/sample can be compared with a flow's. `released_score` is
what the authors' code reports instead, from a network that is not causal and has a sigmoid over its logits.

Sources: van den Oord et al. 2016 (arXiv 1609.03499), Eqs. 1-2 and section 2.2; Paine et al. 2016
(arXiv 1611.09482) for the sampling; Frank & Ilse 2020, Eq. 5; the authors' released code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.nn.utils import parametrize

from srcsep_core.audio import MU_LAW_CLASSES, mu_law_decode, mu_law_encode
from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig, copy_group
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained

RELEASED_CODES = 255
LIKELIHOODS = ("exact", "released")


@dataclass(frozen=True)
class WaveNetPriorConfig:
    """Size of a WaveNet prior of 256 mu-law classes.

    `likelihood` is `exact` (causal, softmax, a density) or `released` (what the authors' code computes: first and
    last but one convolution not causal, raw codes 0..254 as input, a sigmoid over the logits). `scale` is the
    amplitude that the outermost class of the exact model reaches: noise is not capped, so it must exceed 1.
    """

    likelihood: str = "exact"
    layers: int = 10
    width: int = 64
    head_width: int = 256
    kernel_size: int = 3
    scale: float = 2.0

    def __post_init__(self) -> None:
        if self.likelihood not in LIKELIHOODS:
            raise InputError(f"unknown likelihood {self.likelihood!r}; use one of {', '.join(LIKELIHOODS)}")
        for name in ("layers", "width", "head_width"):
            if getattr(self, name) < 1:
                raise InputError(f"WaveNetPriorConfig.{name} is {getattr(self, name)}; use at least 1")
        if self.kernel_size < 2:
            raise InputError(f"WaveNetPriorConfig.kernel_size is {self.kernel_size}; use at least 2 to see the past")
        if self.scale <= 0:
            raise InputError(f"WaveNetPriorConfig.scale is {self.scale}; use for example 2")


class WaveNetPriors(nn.Module):
    """The grouped network of `groups` independent WaveNets on signals (B, groups, T), source g under network g.

    With the `exact` likelihood the logits at t depend on the classes before t alone. With the `released` one the
    logits at t are meant for t + 1 and depend on samples up to t + kernel_size - 1.
    """

    edges: Tensor

    def __init__(self, config: WaveNetPriorConfig, groups: int = 1) -> None:
        super().__init__()
        self.config = config
        self.groups = groups
        exact = config.likelihood == "exact"
        self.net = WaveNet(
            WaveNetConfig(
                in_channels=2 if exact else 1,
                out_channels=MU_LAW_CLASSES,
                layers=config.layers,
                width=config.width,
                head_width=config.head_width,
                kernel_size=config.kernel_size,
                groups=groups,
                causal=True,
                centred_ends=not exact,
            )
        )
        self.register_buffer("edges", class_edges(config.scale), persistent=False)

    def codes(self, x: Tensor) -> Tensor:
        """Classes of signals, int64 of the same shape: 0..255 of `x / scale` (exact), 0..254 of `x` (released).

        Values beyond the range belong to the outermost class.
        """
        if self.config.likelihood == "released":
            return mu_law_encode(x.clamp(-1, 1), RELEASED_CODES)
        scale = self.config.scale
        return mu_law_encode((x / scale).clamp(-1, 1))

    def logits(self, x: Tensor) -> Tensor:
        """The network's output (B, groups, 256, T) for signals (B, groups, T)."""
        check_waveform(x, channels=self.groups, dtype=next(self.parameters()).dtype)
        codes = self.codes(x)
        if self.config.likelihood == "released":
            inputs = codes.reshape(-1, 1, x.shape[2]).to(x.dtype)
        else:
            inputs = pad(self._inputs(codes).flatten(0, 1), (1, 0))[..., :-1]
        out: Tensor = self.net(inputs)
        return out.view(*x.shape[:2], MU_LAW_CLASSES, x.shape[2])

    def _inputs(self, codes: Tensor) -> Tensor:
        """What the exact network sees of classes (B, groups, T): companded and linear value, (B, groups, 2, T)."""
        dtype = next(self.parameters()).dtype
        companded = 2 * codes.to(dtype) / (MU_LAW_CLASSES - 1) - 1
        return torch.stack([companded, mu_law_decode(codes).to(dtype) * self.config.scale], dim=2)

    def log_prob_map(self, x: Tensor) -> Tensor:
        """Exact log-density in nats of every sample given those before it: (B, groups, T) to the same shape.

        The softmax probability of the sample's class times the density within the class: uniform between the
        edges of an inner class, exponential from the inner edge outwards in the two outermost ones, whose mean
        excess is the width of the class beside them. Integrates to 1 over the real line.
        """
        self._require("exact")
        logits = self.logits(x).reshape(-1, MU_LAW_CLASSES, x.shape[2])
        codes = self.codes(x)
        target = codes.reshape(-1, x.shape[2])
        nll = cross_entropy(logits.float(), target, reduction="none").view_as(x)
        return -nll + self._within(x, codes)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-likelihood in nats of every source's signal: (B, groups, T) to (B, groups)."""
        return self.log_prob_map(x).double().sum(dim=2)

    def _within(self, x: Tensor, codes: Tensor) -> Tensor:
        """Log-density of `x` within its class."""
        width = self.edges.diff()
        log_width = torch.cat([width[:1], width, width[-1:]]).log().to(x.dtype)
        excess = torch.relu(x - self.edges[-1].to(x.dtype)) + torch.relu(self.edges[0].to(x.dtype) - x)
        return -log_width[codes] - excess / width[0].to(x.dtype)

    def extract(self, group: int) -> WaveNetPriors:
        """A copy of one group's network as a network of its own."""
        return copy_group(self, WaveNetPriors(self.config, groups=1), group)

    @torch.no_grad()
    def sample(self, batch: int, length: int, generator: torch.Generator) -> Tensor:
        """Draw signals (batch, groups, length), one sample after the other with cached activations."""
        self._require("exact")
        memory = self.net.start()
        weight = next(self.parameters())
        inputs = weight.new_zeros(batch * self.groups, 2)
        samples = []
        with parametrize.cached():
            for _ in range(length):
                logits = self.net.step(inputs, memory)
                codes = torch.multinomial(logits.float().softmax(dim=1), 1, generator=generator)[:, 0]
                uniform = torch.rand(len(codes), generator=generator, device=weight.device, dtype=torch.float64)
                samples.append(self._place(codes, uniform))
                inputs = self._inputs(codes.view(batch, self.groups, 1)).view(-1, 2)
        return torch.stack(samples, dim=1).view(batch, self.groups, length).to(weight.dtype)

    def _place(self, codes: Tensor, uniform: Tensor) -> Tensor:
        """A value within each class, from a uniform number: the inverse of the distribution within the class."""
        width = self.edges.diff()
        inner = codes.clamp(1, MU_LAW_CLASSES - 2)
        value = self.edges[inner - 1] + uniform * width[inner - 1]
        tail = -torch.log1p(-uniform) * width[0]
        value = torch.where(codes == 0, self.edges[0] - tail, value)
        return torch.where(codes == MU_LAW_CLASSES - 1, self.edges[-1] + tail, value)

    def _require(self, likelihood: str) -> None:
        if self.config.likelihood != likelihood:
            raise InputError(
                f"this WaveNet was built with the {self.config.likelihood!r} likelihood, which "
                f"{'is not a density' if likelihood == 'exact' else 'has no released score'}; "
                f"use one built with {likelihood!r}"
            )


class WaveNetPrior(nn.Module):
    """The exact prior of one source, trained at noise level `sigma` (standard deviation; 0: noise-free).

    It has a density and can be sampled. It has no score: the density depends on the classes of the past samples
    alone, so that its gradient is zero or undefined.
    """

    def __init__(self, net: WaveNetPriors, sigma: float = 0.0) -> None:
        super().__init__()
        if net.groups != 1:
            raise InputError(f"a prior is of one source but the network has {net.groups} groups; use extract(group)")
        self.net = net
        self.sigma = sigma

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-likelihood in nats, summed over time: (B, 1, T) to (B,)."""
        return self.net.log_prob(x)[:, 0]

    def log_prob_map(self, x: Tensor) -> Tensor:
        """Log-density of every sample given those before it, (B, 1, T) to (B, T)."""
        return self.net.log_prob_map(x)[:, 0]

    def sample(self, shape: tuple[int, int, int], generator: torch.Generator | None = None) -> Tensor:
        """Draw signals of shape (B, 1, T)."""
        batch, channels, length = shape
        if channels != 1:
            raise InputError(f"a prior of one source draws one channel, not {channels}; use (B, 1, T)")
        if generator is None:
            generator = torch.Generator(next(self.parameters()).device)
            generator.seed()
        return self.net.sample(batch, length, generator)


def class_edges(scale: float) -> Tensor:
    """The 255 amplitudes between the 256 mu-law classes of x / scale, ascending, float64."""
    mu = MU_LAW_CLASSES - 1
    companded = (2 * torch.arange(mu, dtype=torch.float64) + 1) / mu - 1
    return scale * companded.sign() * torch.expm1(companded.abs() * math.log1p(mu)) / mu


def exact_loss(priors: WaveNetPriors, x: Tensor) -> Tensor:
    """Negative log-density in nats/sample of every source, (groups,)."""
    return -priors.log_prob_map(x).mean(dim=(0, 2))


def released_loss(priors: WaveNetPriors, x: Tensor) -> Tensor:
    """The released training loss of every source, (groups,): cross-entropy of sigmoids in place of logits.

    It is log(256) = 5.55 before training and never less than log(255 + e) - 1 = 4.55 (at most log(1 + 255 e) = 6.54),
    far from what a softmax can reach.
    """
    scores = _released_scores(priors, x)
    target = priors.codes(x)[..., 1:].reshape(-1, scores.shape[3])
    loss = cross_entropy(scores.flatten(0, 1).float(), target, reduction="none")
    return loss.view(len(x), priors.groups, -1).mean(dim=(0, 2))


def released_score(priors: WaveNetPriors, x: Tensor) -> Tensor:
    """The number that the authors store as a WaveNet's likelihood, (B, groups, T) to (B, groups).

    The sigmoid of the logit of the sample's own class, averaged over time: a value in [0, 1] that is no likelihood
    (the 256 sigmoids do not sum to one, and the network has seen the sample that it predicts and the one after).
    """
    scores = _released_scores(priors, x)
    target = priors.codes(x)[..., 1:].unsqueeze(2)
    return scores.gather(2, target)[:, :, 0].mean(dim=2)


def _released_scores(priors: WaveNetPriors, x: Tensor) -> Tensor:
    priors._require("released")
    if x.shape[-1] < 2:
        raise InputError(f"the signal has {x.shape[-1]} sample(s); a prediction of the next one needs 2 or more")
    return priors.logits(x)[..., :-1].sigmoid()


@dataclass(frozen=True)
class WaveNetSet(Trained):
    """Trained WaveNets, in one grouped network."""

    net: WaveNetPriors

    @property
    def multiple_of(self) -> int:
        """Any length will do."""
        return 1

    def at(self, sigma: float) -> WaveNetSet:
        """Another level is another set: see `Trained.other_level`."""
        return self.other_level(sigma)

    @torch.no_grad()
    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        """The density of the exact network, or the score of the released one."""
        x = x.to(next(self.net.parameters()).device)
        with parametrize.cached():
            if self.net.config.likelihood == "exact":
                return {"exact": self.net.log_prob(x) / x.shape[2]}
            return {"released": released_score(self.net, x).double()}

    def prior(self, source: str) -> WaveNetPrior:
        """One source's prior, cut out of the grouped network; the exact likelihood only."""
        return WaveNetPrior(self.net.extract(self.index(source)), self.sigma)


def wavenet_task(config: WaveNetPriorConfig, groups: int, objective: str = "") -> Task:
    """Train WaveNets by maximum likelihood, or with the authors' sigmoid loss where the network is the released one."""
    loss = exact_loss if config.likelihood == "exact" else released_loss

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return loss(cast(WaveNetPriors, network), x)[None]

    return Task(f"wavenet {config.likelihood}", lambda: WaveNetPriors(config, groups), losses)


def _load(
    config: WaveNetPriorConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device
) -> WaveNetSet:
    net = restored(WaveNetPriors(config, len(about.sources)), weights, device)
    return WaveNetSet(**vars(about), net=net)


WAVENET = register(
    Kind(
        name="wavenet",
        step="wavenet",
        section="wavenet",
        config=WaveNetPriorConfig,
        task=wavenet_task,
        load=_load,
        objectives=LIKELIHOODS,
        adapt=lambda config, objective: replace(config, likelihood=objective),
        density=True,
        scored=False,
        batch_samples=8192,  # 256 logits a sample should stay in the processor's cache
    )
)
