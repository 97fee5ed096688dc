"""The PnF prior: density, score and samples of one source at every noise level of a range.

Source: Jayaram & Thickstun 2021 (PnF, arXiv 2105.08164), section 3. The network, and where it deviates from print, is
in `srcsep_core/nn/pnf.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from srcsep_core.nn.pnf import PnFConfig, PnFNet
from srcsep_core.priors.base import GradientPrior, check_drawn, check_single, fresh_generator
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained


class PnFPrior(GradientPrior, nn.Module):
    """The PnF prior of one source: density, score and samples at every noise level of its range.

    Where no level is given it is the lowest, `sigma_min`, the closest that this model comes to the clean signal.
    The gradient of a sample goes through the sample itself and all that follow it.
    """

    rows = 16  # 256 logits a sample fill the memory cache soon

    def __init__(self, net: PnFNet) -> None:
        super().__init__()
        check_single(net.groups)
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
        return self.net.log_prob(x, self.level(sigma))[:, 0]

    def log_prob_map(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density of every noisy sample given those before it, (B, 1, T) to (B, T)."""
        return self.net.log_prob_map(x, self.level(sigma))[:, 0]

    def sample(
        self, shape: tuple[int, int, int], generator: torch.Generator | None = None, sigma: float | None = None
    ) -> Tensor:
        """Draw signals of shape (B, 1, T), with the noise of level `sigma` in them."""
        batch, length = check_drawn(shape)
        generator = generator or fresh_generator(next(self.parameters()).device)
        return self.net.sample(batch, length, self.level(sigma), generator)

    def level(self, sigma: float | None) -> float:
        """The noise level to use, of the range that the network was trained on."""
        return self.sigma_min if sigma is None else sigma


@dataclass(frozen=True)
class PnFSet(Trained):
    """Trained autoregressive priors with a noisy past, in one grouped network."""

    net: PnFNet

    def prior(self, source: str) -> PnFPrior:
        """One source's prior, cut out of the grouped network."""
        return PnFPrior(self.net.extract(self.index(source)))


def pnf_task(config: PnFConfig, groups: int, objective: str = "") -> Task:
    """Train PnF networks to tell the clean class from a noisy past, at noise levels drawn afresh for every example."""

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return cast(PnFNet, network).loss(x, generator)[None]

    return Task("pnf", lambda: PnFNet(config, groups), losses)


def _load(config: PnFConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device) -> PnFSet:
    return PnFSet(**vars(about), net=restored(PnFNet(config, len(about.sources)), weights, device))


PNF = register(Kind(name="pnf", step="pnf", section="pnf", config=PnFConfig, task=pnf_task, load=_load))
