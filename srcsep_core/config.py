"""Frozen configurations and the three profiles `smoke`, `laptop` and `paper`.

A configuration is complete: two equal configurations give the same artefact, whatever the defaults become
later. `resolved` turns one into the plain data that the cache hashes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from srcsep_core.errors import InputError

SOURCES = ("sine", "square", "saw", "triangle")
VARIANTS = ("released", "paper", "thesis")
OBJECTIVES = ("exact", "released")
NOISE_LEVELS = (0.01, 0.027, 0.077, 0.129, 0.359)

Objective = Literal["exact", "released"]
Noise = Literal["thesis", "released"]


@dataclass(frozen=True)
class FlowConfig:
    """Size of a FloWaveNet prior (thesis Table 1: 4 blocks, 6 flows, 10 layers, width 32, kernel 3).

    `split_every` factors out half of the channels after every so many blocks, never after the last one
    (Kim et al. 2019, as released; the paper and the thesis do not mention it); 0 turns it off.
    """

    blocks: int = 4
    flows: int = 6
    layers: int = 10
    width: int = 32
    kernel_size: int = 3
    split_every: int = 2

    def __post_init__(self) -> None:
        for name in ("blocks", "flows", "layers", "width"):
            if getattr(self, name) < 1:
                raise InputError(f"FlowConfig.{name} is {getattr(self, name)}; use at least 1")
        if self.split_every < 0:
            raise InputError(f"FlowConfig.split_every is {self.split_every}; use 0 for no split, or 1 or more")
        if self.kernel_size % 2 == 0 or self.kernel_size < 1:
            raise InputError(f"FlowConfig.kernel_size is {self.kernel_size}; a centred kernel must be odd")

    @property
    def squeeze_factor(self) -> int:
        """What the length of every signal must be a multiple of."""
        return 2**self.blocks


@dataclass(frozen=True)
class TrainConfig:
    """How a prior is trained.

    `objective` is `exact` (the negative log-likelihood) or `released`, which weighs the log-determinant by
    1/4 as the authors' code does with four grouped sources. With the `multistep` schedule the learning rate is
    multiplied by `decay` at the `milestones`, fractions of `steps` (released: 0.6 at five points between 36 %
    and 100 %); `cosine` takes it to zero. Gradients are clipped by value (released: 30) and, if `clip_norm`
    is set, by norm for every source on its own.
    `noise_sigma` is the standard deviation of the Gaussian noise added to every crop: just so and uncapped
    (`thesis`), or times U(0, 1) per example and clamped to [-1, 1] (`released`, what the authors' code does).
    """

    objective: Objective = "exact"
    steps: int = 168_040
    batch_size: int = 5
    crop: int = 16_384
    learning_rate: float = 1e-4
    schedule: Literal["multistep", "cosine"] = "multistep"
    milestones: tuple[float, ...] = (0.36, 0.52, 0.68, 0.84, 1.0)
    decay: float = 0.6
    warmup_steps: int = 0
    clip_value: float = 30.0
    clip_norm: float | None = None
    noise_sigma: float = 0.0
    noise: Noise = "thesis"
    seed: int = 0
    mixed_precision: bool = False
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(f"unknown objective {self.objective!r}; use one of {', '.join(OBJECTIVES)}")
        for name in ("steps", "batch_size", "crop", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InputError(f"TrainConfig.{name} is {getattr(self, name)}; use at least 1")
        if self.schedule not in ("multistep", "cosine"):
            raise InputError(f"unknown schedule {self.schedule!r}; use multistep or cosine")
        if self.learning_rate < 0:
            raise InputError(f"TrainConfig.learning_rate is {self.learning_rate}; use for example 1e-4")
        if self.warmup_steps < 0:
            raise InputError(f"TrainConfig.warmup_steps is {self.warmup_steps}; use 0 or more")
        if self.noise not in ("thesis", "released"):
            raise InputError(f"unknown noise {self.noise!r}; use thesis or released")
        if self.noise_sigma < 0:
            raise InputError(f"TrainConfig.noise_sigma is {self.noise_sigma}; a standard deviation is not negative")


@dataclass(frozen=True)
class EvalConfig:
    """The test set of the cross-likelihood: how many signals a source, how long, and their seed."""

    signals: int = 1500
    length: int = 16_384
    seed: int = 1234
    batch_size: int = 16

    def __post_init__(self) -> None:
        for name in ("signals", "length", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"EvalConfig.{name} is {getattr(self, name)}; use at least 1")


@dataclass(frozen=True)
class Profile:
    """Everything that scales with the machine; `fine_tune` is for the noise levels, from noise-free weights."""

    name: str
    flow: FlowConfig
    train: TrainConfig
    fine_tune: TrainConfig
    evaluation: EvalConfig

    def training(self, **changes: Any) -> TrainConfig:
        """The profile's training configuration with some fields replaced."""
        return dataclasses.replace(self.train, **changes)

    def fine_tuning(self, **changes: Any) -> TrainConfig:
        """The profile's fine-tuning configuration with some fields replaced."""
        return dataclasses.replace(self.fine_tune, **changes)


_LAPTOP_TRAINING = TrainConfig(
    steps=2400,
    batch_size=8,
    crop=2048,
    learning_rate=3e-3,
    schedule="cosine",
    milestones=(),
    warmup_steps=50,
    clip_norm=50.0,
    checkpoint_every=100,
)

_LAPTOP_FINE_TUNING = dataclasses.replace(_LAPTOP_TRAINING, steps=400, learning_rate=2e-3, warmup_steps=20, seed=1)
_SMOKE = {"crop": 1024, "warmup_steps": 10, "checkpoint_every": 20}

PROFILES: dict[str, Profile] = {
    "smoke": Profile(
        "smoke",
        FlowConfig(blocks=2, flows=2, layers=3, width=8),
        dataclasses.replace(_LAPTOP_TRAINING, steps=60, **_SMOKE),
        dataclasses.replace(_LAPTOP_FINE_TUNING, steps=20, **_SMOKE),
        EvalConfig(signals=16, length=1024),
    ),
    "laptop": Profile(
        "laptop",
        FlowConfig(blocks=4, flows=4, layers=6, width=16),
        _LAPTOP_TRAINING,
        _LAPTOP_FINE_TUNING,
        EvalConfig(signals=256, length=2048),
    ),
    "paper": Profile(
        "paper",
        FlowConfig(),
        TrainConfig(mixed_precision=True),
        TrainConfig(steps=20_000, mixed_precision=True, seed=1),
        EvalConfig(),
    ),
}


def get_profile(name: str) -> Profile:
    """The profile called `name`; raises `InputError` for any other name."""
    if name not in PROFILES:
        raise InputError(f"unknown profile {name!r}; use one of {', '.join(PROFILES)}")
    return PROFILES[name]


def resolved(config: Any) -> Any:
    """Plain JSON data of a (nested) configuration, every field written out."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: _resolved_field(config, field) for field in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {str(key): resolved(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [resolved(value) for value in config]
    return config


def _resolved_field(config: Any, field: dataclasses.Field[Any]) -> Any:
    """A field's plain data, with 10 written for a float field as 10.0, so that equal configurations hash alike."""
    value = resolved(getattr(config, field.name))
    if "float" not in str(field.type):
        return value
    if isinstance(value, list):
        return [float(item) for item in value]
    return value if value is None else float(value)
