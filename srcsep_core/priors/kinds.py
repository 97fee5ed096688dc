"""The kinds of prior there are. A kind is one file of this folder, which registers itself once.

A `Kind` says how a prior of its sort is trained and loaded, and what it can do. Training, evaluation, separation, the
command line and the tables ask it, and know no kind by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from srcsep_core.config import check_choice
from srcsep_core.data.base import World
from srcsep_core.errors import InputError
from srcsep_core.nn.wavenet import without_norms
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.sets import LikelihoodSet, PriorSet, Trained
from srcsep_core.registry import Registry


@dataclass(frozen=True)
class Task:
    """What is trained: how a fresh network is made, and its loss.

    `losses(network, x, generator)` takes clean or noised signals (B, G, T) and returns (1 + terms, G): the loss of
    every source (in `unit`), then what `terms` name, which goes into the loss curve.
    """

    name: str
    build: Callable[[], nn.Module]
    losses: Callable[[nn.Module, Tensor, torch.Generator], Tensor]
    terms: tuple[str, ...] = ()
    multiple_of: int = 1
    unit: str = "nats/sample"


@dataclass(frozen=True)
class Kind:
    """A kind of prior.

    name: as tables, commands and profiles have it; step: the stem of its artefacts' names; section: what its
    network's configuration is called there; config: that configuration's class.
    task(config, groups, objective): what is trained for `groups` sources.
    load(config, weights, about, device): the set of priors with these weights.
    objectives: what it can be trained for, the true likelihood (or the only one) first; adapt(config, objective): the
    network for an objective.
    density: it has likelihoods that are evaluated. scored: samplers can use it. ladder: samplers take its sets through
    a `NoiseLadder`, one set a level. batch_samples: how many samples to evaluate at once (0: as many as asked for).
    mixes: it is trained on mixes and no prior, but trained and kept like one (`all_kinds` leaves it out). half: its
    weights are kept in half precision whatever it is trained for.
    teach(config, priors, steps): what is trained, in so many steps, of a kind that learns from one prior a source.
    """

    name: str
    step: str
    section: str
    config: type
    task: Callable[[Any, int, str], Task]
    load: Callable[[Any, Mapping[str, Tensor], Trained, torch.device], PriorSet]
    objectives: tuple[str, ...] = ("likelihood",)
    adapt: Callable[[Any, str], Any] = lambda config, objective: config
    density: bool = False
    scored: bool = True
    ladder: bool = False
    batch_samples: int = 0
    mixes: bool = False
    half: bool = False
    teach: Callable[[Any, Sequence[DenoisingPrior], int], Task] | None = None

    def levels(self, config: Any) -> tuple[float, float] | None:
        """The noise levels that a network of this configuration is told and covers; None: it has one level."""
        return getattr(config, "levels", None)


_KINDS: Registry[Kind] = Registry("kind of prior", "srcsep_core.priors")


def register(kind: Kind) -> Kind:
    """Make a kind known; raises `InputError` if another one has its name."""
    return _KINDS.add(kind.name, kind)


def all_kinds() -> dict[str, Kind]:
    """Every kind by name, in alphabetical order: those of the files of this folder, and what others registered."""
    return {name: kind for name, kind in _KINDS.all().items() if not kind.mixes}


def all_objectives() -> dict[str, None]:
    """What priors are trained for, of any kind."""
    return dict.fromkeys(objective for kind in all_kinds().values() for objective in kind.objectives)


def kind_of(name: str) -> Kind:
    """The kind called `name`, of prior or of what is kept like one; raises `InputError` for any other name."""
    kinds = _KINDS.all()
    check_choice("model", name, kinds)
    return kinds[name]


_ORACLES: dict[type[World], Callable[[Any, float | None], LikelihoodSet]] = {}


def register_oracle(world: type[World], make: Callable[[Any, float | None], LikelihoodSet]) -> None:
    """Make the true densities of a kind of data known: `make(world, sigma)` is their set."""
    _ORACLES[world] = make


def has_oracle(world: World) -> bool:
    """Whether the true density of the world's sources can be computed."""
    all_kinds()  # whose folder holds the oracles too
    return type(world) in _ORACLES


def oracle_of(world: World, sigma: float | None = None) -> LikelihoodSet:
    """The true densities of a world's sources, at the noise level `sigma` if given.

    Raises `InputError` for a world of which they are not known.
    """
    if not has_oracle(world):
        raise InputError(f"the true density of {world.variant} is not known; use trained priors")
    return _ORACLES[type(world)](world, sigma)


def restored(network: nn.Module, weights: Mapping[str, Tensor], device: torch.device) -> Any:
    """The network with these weights on the device, to be asked and not trained."""
    network.load_state_dict(weights)
    return without_norms(network.to(device)).eval()
