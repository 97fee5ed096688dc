"""Frozen configurations of networks, training and evaluation.

A configuration is complete: two equal configurations give the same artefact, whatever the defaults become
later. `resolved` turns one into the plain data that the cache hashes.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from srcsep_core.errors import InputError

SOURCES = ("sine", "square", "saw", "triangle")
VARIANTS = ("released", "paper", "thesis", "whole_periods")
Objective = Literal["exact", "released"]
Noise = Literal["thesis", "released"]
OBJECTIVES: tuple[Objective, ...] = ("exact", "released")
NOISE_LEVELS = (0.01, 0.027, 0.077, 0.129, 0.359)


@dataclass(frozen=True)
class WaveNetPriorConfig:
    """Size of a WaveNet prior of 256 mu-law classes.

    `likelihood` is `exact` (causal, softmax, a density) or `released` (what the authors' code computes: first and
    last but one convolution not causal, raw codes 0..254 as input, a sigmoid over the logits). `scale` is the
    amplitude that the outermost class of the exact model reaches: noise is not capped, so it must exceed 1.
    """

    likelihood: Objective = "exact"
    layers: int = 10
    width: int = 64
    head_width: int = 256
    kernel_size: int = 3
    scale: float = 2.0

    def __post_init__(self) -> None:
        if self.likelihood not in OBJECTIVES:
            raise InputError(f"unknown likelihood {self.likelihood!r}; use one of {', '.join(OBJECTIVES)}")
        for name in ("layers", "width", "head_width"):
            if getattr(self, name) < 1:
                raise InputError(f"WaveNetPriorConfig.{name} is {getattr(self, name)}; use at least 1")
        if self.kernel_size < 2:
            raise InputError(f"WaveNetPriorConfig.kernel_size is {self.kernel_size}; use at least 2 to see the past")
        if self.scale <= 0:
            raise InputError(f"WaveNetPriorConfig.scale is {self.scale}; use for example 2")


@dataclass(frozen=True)
class DenoiserConfig:
    """Size of the class-conditional denoiser of a score prior, and the noise levels it is trained on.

    `channels` by level of the U-Net, `strides` between them, `middle` attention layers of `heads` heads at the
    bottleneck. Training draws log(sigma) from Normal(`log_sigma_mean`, `log_sigma_std`^2); `sigma_data` is the standard
    deviation of the data (Karras et al. 2022, Table 1). `window` is the signal length it is trained on and used at.
    """

    classes: int = len(SOURCES)
    channels: tuple[int, ...] = (32, 64, 128, 192)
    strides: tuple[int, ...] = (4, 4, 2)
    middle: int = 2
    heads: int = 4
    sigma_data: float = 0.65
    log_sigma_mean: float = -0.3
    log_sigma_std: float = 1.4
    window: int = 1024

    def __post_init__(self) -> None:
        if len(self.strides) != len(self.channels) - 1 or not self.strides:
            raise InputError(
                f"DenoiserConfig has {len(self.channels)} channels and {len(self.strides)} strides; "
                "give one stride fewer than channels"
            )
        for width in self.channels:
            if width < 8 or width % 8:
                raise InputError(f"DenoiserConfig.channels holds {width}; use multiples of 8")
        if self.heads < 1 or self.channels[-1] % (2 * self.heads):
            raise InputError(
                f"{self.heads} heads do not fit {self.channels[-1]} channels; use a divisor of half of them"
            )
        if self.middle < 1 or self.classes < 1:
            raise InputError(f"DenoiserConfig has middle {self.middle} and classes {self.classes}; use at least 1")
        if self.window % self.stride or self.window < self.stride:
            raise InputError(f"the window of {self.window} samples is not a multiple of the strides, {self.stride}")
        if not (self.sigma_data > 0 and self.log_sigma_std > 0):
            raise InputError(
                f"sigma_data is {self.sigma_data} and log_sigma_std {self.log_sigma_std}; use positive numbers"
            )

    @property
    def stride(self) -> int:
        """The product of the strides: what the length of every signal must be a multiple of."""
        return math.prod(self.strides)


@dataclass(frozen=True)
class PnFConfig:
    """Size of a PnF prior: a causal WaveNet over a noisy past that gives the probabilities of `classes` clean values.

    The values are spaced linearly from -`limit` to `limit`, which must hold the clean signals. Noise levels span
    `sigma_min` to `sigma_max` (standard deviations); `context` is the number of cosine features of log sigma. The
    spacing of the values, 2 `limit` / (`classes` - 1), must not exceed `sigma_min`, or the density would have a comb
    of peaks.
    """

    layers: int = 9
    width: int = 16
    head_width: int = 64
    kernel_size: int = 3
    classes: int = 256
    limit: float = 1.05
    context: int = 8
    sigma_min: float = 0.01
    sigma_max: float = 10.0

    def __post_init__(self) -> None:
        for name in ("layers", "width", "head_width", "context"):
            if getattr(self, name) < 1:
                raise InputError(f"PnFConfig.{name} is {getattr(self, name)}; use at least 1")
        for name in ("kernel_size", "classes"):
            if getattr(self, name) < 2:
                raise InputError(f"PnFConfig.{name} is {getattr(self, name)}; use at least 2")
        if self.limit <= 0:
            raise InputError(f"PnFConfig.limit is {self.limit}; use for example 1.05")
        if not 0 < self.sigma_min < self.sigma_max:
            raise InputError(f"PnFConfig spans sigma {self.sigma_min}..{self.sigma_max}; use 0 < sigma_min < sigma_max")
        spacing = 2 * self.limit / (self.classes - 1)
        if spacing > self.sigma_min:
            raise InputError(
                f"{self.classes} classes lie {spacing:.4g} apart, wider than sigma_min {self.sigma_min:g}; "
                f"use {math.ceil(2 * self.limit / self.sigma_min) + 1} classes or a larger sigma_min"
            )


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
    """A test set: how many signals a source, how long, their seed, and the noise added to them.

    `amplitude` is `released` (what the released evaluation does: the `released` variant fixes it at 1.0) or
    `training` (drawn as in training).
    """

    signals: int = 1500
    length: int = 16_384
    seed: int = 1234
    batch_size: int = 16
    data_sigma: float = 0.0
    amplitude: Literal["released", "training"] = "released"

    def __post_init__(self) -> None:
        for name in ("signals", "length", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"EvalConfig.{name} is {getattr(self, name)}; use at least 1")
        if self.data_sigma < 0:
            raise InputError(f"EvalConfig.data_sigma is {self.data_sigma}; a standard deviation is not negative")
        if self.amplitude not in ("released", "training"):
            raise InputError(f"unknown amplitude {self.amplitude!r}; use released or training")


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
