"""The three profiles `smoke`, `laptop` and `paper`: everything that scales with the machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from srcsep_core.config import NOISE_LEVELS, DenoiserConfig, EvalConfig, PnFConfig, TrainConfig, WaveNetPriorConfig
from srcsep_core.errors import InputError
from srcsep_core.priors.flowavenet import FlowConfig


@dataclass(frozen=True)
class EvalPlan:
    """How the many sets of priors are measured; `Profile.evaluation` is for the noise-free ones.

    `noisy`: cross-likelihood of priors with a noise level; `oracle`: of the oracle; `long`: of all at the long
    length; `curve` and `long_curve`: noise curves; then the lengths of constant and random inputs (released: 8000)
    and how many draws.
    """

    noisy: EvalConfig
    oracle: EvalConfig
    long: EvalConfig
    curve: EvalConfig
    long_curve: EvalConfig
    input_lengths: tuple[int, int]
    draws: tuple[int, int]


@dataclass(frozen=True)
class Profile:
    """Everything that scales with the machine.

    `noise_levels` are those that priors are conditioned on. `train` is for noise-free flows, `fine_tune` for a noise
    level from noise-free weights, `scratch` for one from fresh weights, `conditional` for the flow that takes the
    noise level as an input.
    """

    name: str
    noise_levels: tuple[float, ...]
    flow: FlowConfig
    train: TrainConfig
    fine_tune: TrainConfig
    scratch: TrainConfig
    conditional: TrainConfig
    wavenet: WaveNetPriorConfig
    wavenet_train: TrainConfig
    wavenet_fine_tune: TrainConfig
    denoiser: DenoiserConfig
    score_train: TrainConfig
    pnf: PnFConfig
    pnf_train: TrainConfig
    evaluation: EvalConfig
    plan: EvalPlan

    def training(self, **changes: Any) -> TrainConfig:
        """The profile's training configuration with some fields replaced."""
        return replace(self.train, **changes)

    def fine_tuning(self, **changes: Any) -> TrainConfig:
        """The profile's fine-tuning configuration with some fields replaced."""
        return replace(self.fine_tune, **changes)


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

_LAPTOP_FINE_TUNING = replace(_LAPTOP_TRAINING, steps=400, learning_rate=2e-3, warmup_steps=20, seed=1)
_SMOKE_TRAINING = replace(_LAPTOP_TRAINING, steps=40, crop=1024, warmup_steps=10, checkpoint_every=20)
_SMOKE_FINE_TUNING = replace(_SMOKE_TRAINING, steps=10, learning_rate=2e-3, seed=1)
_LAPTOP_SCORE = replace(
    _LAPTOP_TRAINING, steps=9000, crop=1024, learning_rate=1e-3, warmup_steps=100, clip_norm=1.0, mixed_precision=True
)
_PAPER_TRAINING = TrainConfig(mixed_precision=True)
_PAPER_FINE_TUNING = TrainConfig(steps=20_000, mixed_precision=True, seed=1)

PROFILES: dict[str, Profile] = {
    "smoke": Profile(
        "smoke",
        noise_levels=(0.359,),
        flow=FlowConfig(blocks=2, flows=2, layers=3, width=8),
        train=_SMOKE_TRAINING,
        fine_tune=_SMOKE_FINE_TUNING,
        scratch=replace(_SMOKE_TRAINING, steps=10, seed=1),
        conditional=replace(_SMOKE_TRAINING, steps=10),
        wavenet=WaveNetPriorConfig(layers=6, width=8, head_width=16),
        wavenet_train=_SMOKE_TRAINING,
        wavenet_fine_tune=_SMOKE_FINE_TUNING,
        denoiser=DenoiserConfig(channels=(16, 32, 32, 64), middle=1, window=256),
        score_train=replace(_LAPTOP_SCORE, steps=40, crop=256, warmup_steps=10, checkpoint_every=20),
        pnf=PnFConfig(layers=6, width=8, head_width=16),
        pnf_train=replace(_SMOKE_TRAINING, crop=256),
        evaluation=EvalConfig(signals=16, length=512),
        plan=EvalPlan(
            noisy=EvalConfig(signals=6, length=512),
            oracle=EvalConfig(signals=4, length=512),
            long=EvalConfig(signals=2, length=1024),
            curve=EvalConfig(signals=4, length=512),
            long_curve=EvalConfig(signals=1, length=1024),
            input_lengths=(512, 1024),
            draws=(2, 2),
        ),
    ),
    "laptop": Profile(
        "laptop",
        noise_levels=NOISE_LEVELS,
        flow=FlowConfig(blocks=4, flows=4, layers=6, width=16),
        train=_LAPTOP_TRAINING,
        fine_tune=_LAPTOP_FINE_TUNING,
        scratch=replace(_LAPTOP_TRAINING, steps=400, seed=1),
        conditional=replace(_LAPTOP_TRAINING, steps=1000, seed=1),
        wavenet=WaveNetPriorConfig(layers=9, width=16, head_width=64),
        wavenet_train=_LAPTOP_TRAINING,
        wavenet_fine_tune=replace(_LAPTOP_FINE_TUNING, steps=240),
        denoiser=DenoiserConfig(),
        score_train=_LAPTOP_SCORE,
        pnf=PnFConfig(),
        pnf_train=replace(_LAPTOP_TRAINING, steps=2000, crop=1024, learning_rate=2e-3),
        evaluation=EvalConfig(signals=96, length=4000),
        plan=EvalPlan(
            noisy=EvalConfig(signals=32, length=4000),
            oracle=EvalConfig(signals=16, length=4000),
            long=EvalConfig(signals=3, length=16_384),
            curve=EvalConfig(signals=8, length=4000),
            long_curve=EvalConfig(signals=2, length=16_384),
            input_lengths=(8000, 16_384),
            draws=(6, 2),
        ),
    ),
    "paper": Profile(
        "paper",
        noise_levels=NOISE_LEVELS,
        flow=FlowConfig(),
        train=_PAPER_TRAINING,
        fine_tune=_PAPER_FINE_TUNING,
        scratch=replace(_PAPER_TRAINING, seed=1),
        conditional=replace(_PAPER_TRAINING, seed=1),
        wavenet=WaveNetPriorConfig(),
        wavenet_train=replace(_PAPER_TRAINING, crop=3074),
        wavenet_fine_tune=replace(_PAPER_FINE_TUNING, crop=3074),
        denoiser=DenoiserConfig(channels=(64, 128, 256, 384), middle=4),
        score_train=replace(_LAPTOP_SCORE, steps=100_000, batch_size=32),
        pnf=PnFConfig(layers=10, width=64, head_width=256),
        pnf_train=replace(_PAPER_TRAINING, crop=3074),
        evaluation=EvalConfig(length=4000),
        plan=EvalPlan(
            noisy=EvalConfig(length=4000),
            oracle=EvalConfig(signals=256, length=4000),
            long=EvalConfig(length=16_384),
            curve=EvalConfig(length=4000),
            long_curve=EvalConfig(length=16_384),
            input_lengths=(8000, 16_384),
            draws=(32, 32),
        ),
    ),
}


def get_profile(name: str) -> Profile:
    """The profile called `name`; raises `InputError` for any other name."""
    if name not in PROFILES:
        raise InputError(f"unknown profile {name!r}; use one of {', '.join(PROFILES)}")
    return PROFILES[name]
