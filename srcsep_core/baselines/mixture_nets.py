"""Networks trained on mixes as separators: what supervision makes of the same songs in the same time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from srcsep_core.baselines.base import Estimator, Given, Method, register
from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.priors.convtasnet import CONVTASNET
from srcsep_core.priors.hdemucs import HDEMUCS
from srcsep_core.priors.mixture_nets import SeparatingSet


def _trained(given: Given) -> Estimator:
    """Of the estimates of all classes those that were named; what they leave of the mix is shared equally among them.

    The last is the consistency of Wisdom et al. 2019 (arXiv 1811.08521).
    """
    trained = given.trained
    assert isinstance(trained, SeparatingSet)

    @torch.no_grad()
    def estimate(mix: Tensor, sources: Sequence[str], _: torch.Generator) -> Tensor:
        check_waveform(mix)
        if len(set(sources)) < len(sources):
            raise InputError(f"the sources {', '.join(sources)} repeat a class; this network has one stem a class")
        total = len(sources) * mix
        stems = torch.cat([trained.net(row[None]) for row in total])[:, [trained.index(name) for name in sources]]
        return stems + (total - stems.sum(dim=1, keepdim=True)) / len(sources)

    return Estimator(estimate)


for kind in (CONVTASNET, HDEMUCS):
    register(Method(kind.name, "mixes", _trained, model=kind.name))
