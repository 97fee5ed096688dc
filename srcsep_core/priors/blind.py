"""Networks with slots as kinds: what they are trained for, by name. They are no priors, but are trained and kept alike.

| kind       | has seen       | trained for                                                              |
|------------|----------------|--------------------------------------------------------------------------|
| `vae-bss`  | mixes          | a bound of the mixes' likelihood                                         |
| `ae-bss`   | mixes          | giving mixes back                                                        |
| `mixit`    | mixes of mixes | sharing out two mixes among the slots                                    |
| `pit`      | sources        | the sources of mixes, in the best order                                  |
| `nes`      | the first ones | the second ones, which were never seen alone                             |

With one source a mix `vae-bss` is an ordinary variational auto-encoder of sources alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from srcsep_core.blind.slots import SlotConfig, SlotNet
from srcsep_core.blind.supervised import mixit_losses, nes_losses, pit_losses
from srcsep_core.blind.vae_bss import TERMS, ae_losses, vae_losses
from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained

Losses = Callable[[SlotNet, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class SlotSet(Trained):
    """A network with slots."""

    net: SlotNet

    def prior(self, source: str) -> Any:
        """It has none; raises `InputError`."""
        raise InputError(f"a network with slots has no prior of {source}; separate mixes with it")


def slot_kind(name: str, losses: Losses, *, terms: tuple[str, ...] = (), unit: str = "nats/value") -> Kind:
    """The kind of networks with slots that are trained for this."""

    def task(config: SlotConfig, groups: int = 1, objective: str = "") -> Task:
        def all_losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
            return losses(cast(SlotNet, network), x, generator)

        return Task(name, lambda: SlotNet(config), all_losses, terms, config.view.length, unit)

    def load(config: SlotConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device) -> SlotSet:
        return SlotSet(**vars(about), net=restored(SlotNet(config), weights, device))

    return Kind(
        name, step=name, section="slots", config=SlotConfig, task=task, load=load, scored=False, mixes=True, half=True
    )


VAE_BSS = register(slot_kind("vae-bss", vae_losses, terms=TERMS))
AE_BSS = register(slot_kind("ae-bss", ae_losses, terms=TERMS))
MIXIT = register(slot_kind("mixit", mixit_losses, unit="dB"))
PIT = register(slot_kind("pit", pit_losses, unit="dB"))
NES = register(slot_kind("nes", nes_losses, unit="dB"))
