"""The variational auto-encoder with slots as a separator of recordings: of mixes of as many notes as it has slots.

It has never seen a note alone. Which slot holds which note differs from window to window; windows are joined so that
they agree where they overlap. `scripts/blind.py` measures it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from srcsep_core.baselines.base import Estimator, Given, Method, register
from srcsep_core.errors import InputError
from srcsep_core.priors.blind import VAE_BSS, SlotSet


def _trained(given: Given) -> Estimator:
    assert isinstance(given.trained, SlotSet)
    net = given.trained.net

    def estimate(mix: Tensor, sources: Sequence[str], _: torch.Generator) -> Tensor:
        if len(sources) != net.config.slots:
            raise InputError(
                f"{len(sources)} source(s) were named and this network has {net.config.slots} slots; name as many"
            )
        return net.separate(mix)

    return Estimator(estimate)


register(Method(VAE_BSS.name, "nothing", _trained, model=VAE_BSS.name, apart=True))
