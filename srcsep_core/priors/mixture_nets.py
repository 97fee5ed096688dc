"""Networks trained on mixes, to stand beside the priors. They are none, but are trained and kept as priors are.

A kind of them is a configuration that builds its network. Deviations from the papers of the single ones: trained with
the absolute error of every class, silent ones among them, as Defossez et al. 2019 (arXiv 1909.01174) do, for a mix may
lack a class; and mixes are brought to one loudness before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import Kind, Task, restored
from srcsep_core.priors.sets import Trained

LEVELS_DB = 6.0  # of the classes of a mix, either way
SILENT = 1e-6


class MixtureConfig(Protocol):
    """Size of a network."""

    @property
    def multiple_of(self) -> int:
        """What the length of a training signal must be a multiple of."""
        ...

    def network(self, classes: int) -> nn.Module:
        """The network, freshly initialised: mixes (B, 1, T) of unit loudness to estimates (B, classes, T)."""
        ...


class SeparatingNet(nn.Module):
    """Sums of sources (B, 1, T) to an estimate of every class, (B, G, T)."""

    groups = 1

    def __init__(self, config: MixtureConfig, classes: int) -> None:
        super().__init__()
        self.net = config.network(classes)

    def forward(self, total: Tensor) -> Tensor:
        """The estimates, whatever the loudness of the sum."""
        loudness = total.square().mean(dim=2, keepdim=True).sqrt().clamp(min=SILENT)
        estimates: Tensor = self.net(total / loudness)
        return estimates.float() * loudness

    def loss(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """The absolute error of every class, over the mix's root mean square: (G,), for signals (B, G, T).

        Every class sounds in half of the mixes, and one at least; in half of them the classes are of one song.
        """
        batch, groups, _ = clean.shape

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=clean.device)

        order = uniform(batch, groups)
        taken = (order < 0.5) | (order == order.amin(dim=1, keepdim=True))
        gains = taken * 10 ** (LEVELS_DB * (2 * uniform(batch, groups) - 1) / 20)
        rows = torch.arange(batch, device=clean.device)[:, None]
        others = torch.where(uniform(batch, 1) < 0.5, (uniform(batch, groups) * batch).long(), rows)
        sources = gains[..., None] * clean[others, torch.arange(groups, device=clean.device)]
        total = sources.sum(dim=1, keepdim=True)
        loudness = total.square().mean(dim=2).sqrt().clamp(min=SILENT)
        return ((self(total) - sources).abs().mean(dim=2) / loudness).mean(dim=0)


@dataclass(frozen=True)
class SeparatingSet(Trained):
    """The network of all classes."""

    net: SeparatingNet

    def prior(self, source: str) -> Any:
        """It has none; raises `InputError`."""
        raise InputError(f"a network trained on mixes has no prior of {source}; use it as a method")


def mixture_kind(name: str, config: type) -> Kind:
    """The kind of all networks that configurations of this class build."""

    def task(size: MixtureConfig, groups: int = 0, objective: str = "") -> Task:
        def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
            assert isinstance(network, SeparatingNet)
            return network.loss(x, generator)[None]

        return Task(name, lambda: SeparatingNet(size, groups), losses, multiple_of=size.multiple_of, unit="")

    def load(size: MixtureConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device) -> SeparatingSet:
        return SeparatingSet(**vars(about), net=restored(SeparatingNet(size, len(about.sources)), weights, device))

    return Kind(name, step=name, section=name, config=config, task=task, load=load, scored=False, mixes=True)
