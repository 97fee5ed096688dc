"""What takes a mix to its sources: the contract of a Separator, and the methods there are by name.

A `Separator` is anything that takes a mix to stems: a sampler with its priors (`samplers.separator`), a factorisation,
a mask, a network. A method is one file of this folder, which registers itself once. The benchmark, its tables and
`srcsep separate --method` ask the registry, and know no method by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from srcsep_core.config import check_choice
from srcsep_core.data.base import World
from srcsep_core.data.mixes import Mixes
from srcsep_core.errors import InputError
from srcsep_core.registry import Registry
from srcsep_core.samplers.base import Callback, Separation, without_chains

Supervision = Literal["single sources", "mixes", "nothing", "truth"]
"""What a separator has seen: signals of each class on their own, mixes, neither, or what no method may: the truth."""


class Separator(Protocol):
    """Takes mixes to estimates of their sources."""

    def separate(
        self, mix: Tensor, sources: Sequence[str], generator: torch.Generator, callback: Callback | None = None
    ) -> Separation:
        """Estimates of the `sources`, classes by name, in mixes (B, 1, T), the mean of their sources.

        What runs no chains is an `Estimator`. Raises `InputError` for a bad mix and for classes
        that it cannot separate.
        """
        ...


@dataclass(frozen=True)
class Estimator:
    """A separator without chains: `estimate` takes mixes (B, 1, T), their classes and a generator to (B, K, T)."""

    estimate: Callable[[Tensor, Sequence[str], torch.Generator], Tensor]

    def separate(
        self, mix: Tensor, sources: Sequence[str], generator: torch.Generator, callback: Callback | None = None
    ) -> Separation:
        """The estimates; raises `InputError` as `estimate` does."""
        return without_chains(self.estimate(mix, sources, generator))


@dataclass(frozen=True)
class Given:
    """What a method is made from: the world, the length of the mixes (samples), and, where it asks for them:

    trained: the set of priors of its `model`; truth: the very mixes that it will separate, with their true sources.
    """

    world: World
    length: int
    trained: Any = None
    truth: Mixes | None = None

    @property
    def known(self) -> Mixes:
        """The truth; raises `InputError` where there is none."""
        if self.truth is None:
            raise InputError("the true sources are not known here; use a method that works from the mix alone")
        return self.truth


@dataclass(frozen=True)
class Method:
    """A way to separate, by name: the supervision it has, and what makes its separator.

    needs: what it needs besides the mix, in words, which a file does not have (such a method is given the truth).
    model: the kind of prior whose trained set it is made from. apart: it has a table of its own, and is in none of
    the benchmark's.
    """

    name: str
    supervision: Supervision
    make: Callable[[Given], Separator]
    needs: str = ""
    model: str = ""
    apart: bool = False


_METHODS: Registry[Method] = Registry("method", "srcsep_core.baselines")


def register(method: Method) -> Method:
    """Make a method known; raises `InputError` if another one has its name."""
    return _METHODS.add(method.name, method)


def all_methods() -> dict[str, Method]:
    """Every method by name, in alphabetical order: those of the files of this folder, and what others registered."""
    return _METHODS.all()


def method_of(name: str) -> Method:
    """The method called `name`; raises `InputError` for any other name."""
    methods = all_methods()
    check_choice("method", name, methods)
    return methods[name]
