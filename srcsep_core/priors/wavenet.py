"""The WaveNet prior: autoregressive over mu-law classes, one per source, several in one network.

Its networks, and their sources, are in `srcsep_core/nn/mu_law.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from srcsep_core.errors import InputError
from srcsep_core.nn.mu_law import MuLawNet, SoftmaxNet, WaveNetPriorConfig, mu_law_net
from srcsep_core.priors.base import check_drawn, check_single, fresh_generator
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained

OUTPUTS = {"likelihood": "softmax", "sigmoid": "sigmoid"}  # by objective


class WaveNetPrior(nn.Module):
    """The exact prior of one source, trained at noise level `sigma` (standard deviation; 0: noise-free).

    It has a density and can be sampled. It has no score: the density depends on the classes of the past samples
    alone, so that its gradient is zero or undefined.
    """

    def __init__(self, net: MuLawNet, sigma: float = 0.0) -> None:
        super().__init__()
        check_single(net.groups)
        if not isinstance(net, SoftmaxNet):
            raise InputError(
                f"this WaveNet was built with the output {net.config.output!r}, which is not a density; "
                "use one built with 'softmax'"
            )
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
        batch, length = check_drawn(shape)
        return self.net.sample(batch, length, generator or fresh_generator(next(self.parameters()).device))


@dataclass(frozen=True)
class WaveNetSet(Trained):
    """Trained WaveNets, in one grouped network."""

    net: MuLawNet

    @property
    def multiple_of(self) -> int:
        """Any length will do."""
        return 1

    def at(self, sigma: float) -> WaveNetSet:
        """Another level is another set: see `Trained.other_level`."""
        return self.other_level(sigma)

    @torch.no_grad()
    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        """The density of the softmax (`log_prob`), or what the authors report of the sigmoids (`mean_sigmoid`)."""
        reported = self.net.reported(x.to(next(self.net.parameters()).device))
        return {self.net.protocol: reported.double()}

    def prior(self, source: str) -> WaveNetPrior:
        """One source's prior, cut out of the grouped network; of the softmax only."""
        return WaveNetPrior(self.net.extract(self.index(source)), self.sigma)


def wavenet_task(config: WaveNetPriorConfig, groups: int, objective: str = "") -> Task:
    """Train WaveNets by maximum likelihood, or with the authors' loss where the output is the sigmoid."""

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return cast(MuLawNet, network).loss(x)[None]

    return Task(f"wavenet {config.output}", lambda: mu_law_net(config, groups), losses)


def _load(
    config: WaveNetPriorConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device
) -> WaveNetSet:
    net = restored(mu_law_net(config, len(about.sources)), weights, device)
    return WaveNetSet(**vars(about), net=net)


WAVENET = register(
    Kind(
        name="wavenet",
        step="wavenet",
        section="wavenet",
        config=WaveNetPriorConfig,
        task=wavenet_task,
        load=_load,
        objectives=tuple(OUTPUTS),
        adapt=lambda config, objective: replace(config, output=OUTPUTS[objective]),
        density=True,
        scored=False,
        batch_samples=4096,  # 256 logits a sample should stay in the processor's cache
    )
)
