"""How priors are trained: the frozen configuration of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from srcsep_core.config import check_choice, check_least
from srcsep_core.data.base import NOISES, Noise
from srcsep_core.errors import InputError

NOISE_LEVELS = (0.01, 0.027, 0.077, 0.129, 0.359)


@dataclass(frozen=True)
class TrainConfig:
    """How a prior is trained.

    `objective` is one of the kind's own: `likelihood` (its negative logarithm), or what the authors' code has in its
    place, `quarter_log_det` of a flow, which weighs the log-determinant by 1/4 (it divides by four grouped sources), or
    `sigmoid` of a WaveNet.
    With the `multistep` schedule the learning rate is multiplied by `decay` at the `milestones`, fractions of `steps`
    (authors' code: 0.6 at five points between 36 % and 100 %); `cosine` takes it to zero. Gradients are clipped by
    value (authors' code: 30) and, if `clip_norm` is set, by norm for every source on its own.
    `noise_sigma` is the standard deviation of the Gaussian noise added to every crop: just so and uncapped
    (`gaussian`, thesis), or times U(0, 1) per example and clamped to [-1, 1] (`scaled_clamped`, the authors' code).
    """

    objective: str = "likelihood"
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
    noise: Noise = "gaussian"
    seed: int = 0
    mixed_precision: bool = False
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        check_least(self, 1, "steps", "batch_size", "crop", "checkpoint_every")
        check_choice("schedule", self.schedule, ("multistep", "cosine"))
        if self.learning_rate < 0:
            raise InputError(f"TrainConfig.learning_rate is {self.learning_rate}; use for example 1e-4")
        if self.warmup_steps < 0:
            raise InputError(f"TrainConfig.warmup_steps is {self.warmup_steps}; use 0 or more")
        check_choice("noise", self.noise, NOISES)
        if self.noise_sigma < 0:
            raise InputError(f"TrainConfig.noise_sigma is {self.noise_sigma}; a standard deviation is not negative")


def own_noise(objective: str) -> Noise:
    """The noise of an objective: what the thesis says for the likelihood, the authors' code's for their own ones."""
    return "gaussian" if objective == "likelihood" else "scaled_clamped"
