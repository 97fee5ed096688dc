"""Priors in the unit that samplers count in.

The noise levels of samplers, and what they take for a difference, are for sources as loud as the toy world's. A sampler
does the same to signals and levels that are all so many times smaller: so priors of quieter sources are asked in a unit
of their own (`World.unit`), and no sampler needs to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from srcsep_core.data.base import World
from srcsep_core.priors.base import DenoisingPrior, JointDenoiser, SharingPrior


@dataclass(frozen=True)
class InUnit:
    """A prior of signals that are `unit` times those it is asked about."""

    prior: DenoisingPrior
    unit: float

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """The posterior mean of the clean signal given the noisy `x`: (B, 1, T)."""
        return self.prior.denoise(self.unit * x, self.unit * sigma) / self.unit


@dataclass(frozen=True)
class SharingInUnit(InUnit):
    """A prior that shares `shared` with others, of the same unit, and is its `label`."""

    shared: JointDenoiser
    label: int


@dataclass(frozen=True)
class JointInUnit:
    """What several priors share, in their unit."""

    denoiser: JointDenoiser
    unit: float

    def denoise_rows(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        """The posterior mean of rows (M, 1, T), row m under the prior with label `labels[m]`; same shape."""
        return self.denoiser.denoise_rows(self.unit * x, self.unit * sigma, labels) / self.unit


def in_unit(priors: Mapping[str, DenoisingPrior], world: World) -> dict[str, DenoisingPrior]:
    """The priors of a world's sources in its unit, as denoisers; in the unit 1 all that they are."""
    if world.unit == 1.0:
        return dict(priors)
    joint: dict[int, JointDenoiser] = {}
    found: dict[str, DenoisingPrior] = {}
    for name, prior in priors.items():
        if isinstance(prior, SharingPrior):
            shared = joint.setdefault(id(prior.shared), JointInUnit(prior.shared, world.unit))
            found[name] = SharingInUnit(prior, world.unit, shared, prior.label)
        else:
            found[name] = InUnit(prior, world.unit)
    return found
