"""Conv-TasNet: a network trained on mixes, to stand beside the priors. It is none, but is trained and kept as one.

Source: Luo & Mesgarani 2019 (Conv-TasNet, arXiv 1809.07454); the network is torchaudio's. Deviations: it is trained
with the absolute error of every class, silent ones among them, as Defossez et al. 2019 (arXiv 1909.01174) do, for a mix
may lack a class; and mixes are brought to one loudness before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from srcsep_core.config import check_least
from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained

LEVELS_DB = 6.0  # of the classes of a mix, either way
SILENT = 1e-6


@dataclass(frozen=True)
class ConvTasNetConfig:
    """Size of the network.

    `features` of the encoder, whose kernels of `kernel` samples are half of that apart; channels of the mask's
    `bottleneck` and `hidden` ones of its blocks; `layers` a stack, dilated by powers of two, and `stacks`.
    """

    features: int = 256
    kernel: int = 32
    bottleneck: int = 128
    hidden: int = 256
    layers: int = 8
    stacks: int = 3

    def __post_init__(self) -> None:
        check_least(self, 1, "features", "bottleneck", "hidden", "layers", "stacks")
        if self.kernel < 2 or self.kernel % 2:
            raise InputError(f"ConvTasNetConfig.kernel is {self.kernel}; use an even number of samples")


class SeparatingNet(nn.Module):
    """Sums of sources (B, 1, T) to an estimate of every class, (B, G, T)."""

    groups = 1

    def __init__(self, config: ConvTasNetConfig, classes: int) -> None:
        super().__init__()
        from torchaudio.models import ConvTasNet

        self.net = ConvTasNet(
            num_sources=classes,
            enc_kernel_size=config.kernel,
            enc_num_feats=config.features,
            msk_num_feats=config.bottleneck,
            msk_num_hidden_feats=config.hidden,
            msk_num_layers=config.layers,
            msk_num_stacks=config.stacks,
            msk_activate="relu",
        )

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
        raise InputError(f"a network trained on mixes has no prior of {source}; use method convtasnet")


def _task(config: ConvTasNetConfig, groups: int = 0, objective: str = "") -> Task:
    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        assert isinstance(network, SeparatingNet)
        return network.loss(x, generator)[None]

    return Task("convtasnet", lambda: SeparatingNet(config, groups), losses, multiple_of=config.kernel // 2, unit="")


def _load(
    config: ConvTasNetConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device
) -> SeparatingSet:
    return SeparatingSet(**vars(about), net=restored(SeparatingNet(config, len(about.sources)), weights, device))


CONVTASNET = register(
    Kind(
        name="convtasnet",
        step="convtasnet",
        section="convtasnet",
        config=ConvTasNetConfig,
        task=_task,
        load=_load,
        scored=False,
        mixes=True,
    )
)
