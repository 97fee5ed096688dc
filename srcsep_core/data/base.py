"""What a kind of data is: the contract of a World, the test set drawn from it, and the worlds there are.

A world is one file in this folder: a frozen dataclass that is a `World`, registered once with `register_world`.
Nothing outside that file needs its sources, its rate or its loudness.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from srcsep_core.config import check_choice, check_least, resolved
from srcsep_core.errors import InputError
from srcsep_core.registry import Registry

Noise = Literal["gaussian", "scaled_clamped"]
NOISES: tuple[Noise, ...] = ("gaussian", "scaled_clamped")
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class EvalConfig:
    """A test set: how many signals a source, how long, their seed, and the noise added to them.

    `amplitude` is `evaluation` (the world's own law of test signals: the toy variant `whole_periods` fixes it at 1.0,
    as the authors' code does) or `training` (drawn as in training).
    """

    signals: int = 1500
    length: int = 16_384
    seed: int = 1234
    batch_size: int = 16
    data_sigma: float = 0.0
    amplitude: Literal["evaluation", "training"] = "evaluation"

    def __post_init__(self) -> None:
        check_least(self, 1, "signals", "length", "batch_size")
        if self.data_sigma < 0:
            raise InputError(f"EvalConfig.data_sigma is {self.data_sigma}; a standard deviation is not negative")
        check_choice("amplitude", self.amplitude, ("evaluation", "training"))


class World(ABC):
    """A kind of data: single sources by name, drawn in batches of one length at one rate.

    Implementations are frozen dataclasses whose fields determine every signal; `variant` and `sources` are two of
    them.
    """

    name: ClassVar[str]
    aligned: ClassVar[bool] = False  # whether the sources of one draw belong together, as the stems of a song
    steady: ClassVar[bool] = True  # whether every signal of a source is about as loud as is typical of it
    variant: str
    sources: tuple[str, ...]

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Samples per second (Hz)."""

    @property
    @abstractmethod
    def typical_rms(self) -> Mapping[str, float]:
        """The root mean square of a source of usual loudness, by source."""

    @property
    def unit(self) -> float:
        """What samplers take for 1: their settings are for sources as loud as the toy world's."""
        return 1.0

    @property
    def trained_on(self) -> str:
        """The variant that priors for this one are trained on: this one, unless all of it is for testing."""
        return self.variant

    @property
    def colours(self) -> Mapping[str, str]:
        """The colour of each source in figures; a source without one gets a default."""
        return {}

    @property
    def flat_topped(self) -> frozenset[str]:
        """The sources that rest at full scale by nature, which in others is clipping."""
        return frozenset()

    @abstractmethod
    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train") -> Tensor:
        """Source signals (batch, K, length) on the generator's device, values in [-1, 1].

        A world of finitely many recordings keeps the splits disjoint; one that is drawn without end tells them apart
        by the generators' seeds.
        """

    @abstractmethod
    def only(self, sources: Sequence[str]) -> Self:
        """The same world with some of its sources, in this order."""

    def for_evaluation(self, amplitude: str) -> Self:
        """The law of test signals, where it differs from that of training."""
        return self

    def test_set(self, evaluation: EvalConfig, *, sigma: float | None = None) -> Tensor:
        """The deterministic test set of an evaluation: (signals, K, T) on the CPU, with its noise, uncapped.

        `sigma` overrides the evaluation's noise level; the clean signals and the unit noise stay the same.
        """
        generator = torch.Generator().manual_seed(evaluation.seed)
        chosen = self.for_evaluation(evaluation.amplitude)
        clean = chosen.draw(evaluation.signals, evaluation.length, generator, split="test")
        return add_noise(clean, evaluation.data_sigma if sigma is None else sigma, generator)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything that the signals depend on, as plain data for content keys."""
        facts: dict[str, Any] = resolved(self)
        return facts


def distinct(batch: int, count: int, among: int, generator: torch.Generator) -> Tensor:
    """Numbers below `among`, `count` different ones in every row: (batch, count)."""
    if count > among:
        raise InputError(f"{count} different signals were asked for and there are {among}; ask for fewer")
    device = generator.device
    if count == 1:
        return torch.randint(among, (batch, 1), generator=generator, device=device)
    return torch.rand(batch, among, generator=generator, device=device).topk(count, dim=1).indices


def add_noise(x: Tensor, sigma: float, generator: torch.Generator, *, kind: str = "gaussian") -> Tensor:
    """Signals (B, K, T) plus Gaussian noise of standard deviation `sigma`.

    `gaussian`: that noise, uncapped (thesis). `scaled_clamped`: times U(0, 1) per example, and the sum clamped to
    [-1, 1] (the authors' code).
    """
    check_choice("noise", kind, NOISES)
    if not sigma:
        return x
    noise = sigma * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    if kind == "gaussian":
        return x + noise
    share = torch.rand(x.shape[0], 1, 1, generator=generator, device=x.device, dtype=x.dtype)
    return (x + share * noise).clamp(-1, 1)


@dataclass(frozen=True)
class _Known:
    """A registered world: how it is made, its variants, and whether it is the one that is meant if none is named."""

    make: Callable[[str], World]
    variants: tuple[str, ...]
    default: bool


_WORLDS: Registry[_Known] = Registry("world", "srcsep_core.data")


def register_world(
    name: str, make: Callable[[str], World], variants: tuple[str, ...], *, default: bool = False
) -> None:
    """Make a world known: `make(variant)` builds it, for each of its `variants`, its own default first.

    `default`: it is meant where no variant is named. Raises `InputError` if another world has the name.
    """
    _WORLDS.add(name, _Known(make, variants, default))


def world_of(variant: str = "") -> World:
    """The world that has the variant; without one the first variant of the default world.

    Raises `InputError` for a variant that no world has.
    """
    known = _WORLDS.all().values()
    variant = variant or next(one.variants[0] for one in known if one.default)
    check_choice("variant", variant, variants_of())
    return next(one.make(variant) for one in known if variant in one.variants)


def trained_for(variant: str = "") -> World:
    """The world that the priors are trained on which are asked about a variant (`World.trained_on`)."""
    return world_of(world_of(variant).trained_on)


def all_sources() -> dict[str, None]:
    """The sources of every world, each once."""
    return dict.fromkeys(source for variant in variants_of() for source in world_of(variant).sources)


def variants_of() -> dict[str, str]:
    """Every variant there is, and the name of its world; those of the default world first."""
    known = sorted(_WORLDS.all().items(), key=lambda item: not item[1].default)
    return {variant: name for name, one in known for variant in one.variants}


def worlds_of() -> tuple[str, ...]:
    """The names of the worlds, the default one first."""
    return tuple(dict.fromkeys(variants_of().values()))
