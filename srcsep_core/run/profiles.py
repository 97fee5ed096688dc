"""The three profiles `smoke`, `laptop` and `full`: everything that scales with the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from srcsep_core.config import resolved
from srcsep_core.data.base import EvalConfig
from srcsep_core.errors import InputError
from srcsep_core.nn.denoiser import DenoiserConfig
from srcsep_core.priors.flowavenet import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.pnf import PnFConfig
from srcsep_core.priors.wavenet import WaveNetPriorConfig
from srcsep_core.training.config import NOISE_LEVELS, TrainConfig


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
class KindPlan:
    """How one kind of prior is trained: its network, and one training configuration for each way.

    `train` is for noise-free priors (or the only way), `fine_tune` for a noise level from noise-free weights, `scratch`
    for one from fresh weights, `conditional` for `conditional_networks`, which take the noise level as an input, the
    narrowest range first. None: the kind is not trained that way. At the levels `ablated` objective and noise are also
    mixed.
    """

    network: Any
    train: TrainConfig
    fine_tune: TrainConfig | None = None
    scratch: TrainConfig | None = None
    conditional: TrainConfig | None = None
    conditional_networks: tuple[Any, ...] = ()
    ablated: tuple[float, ...] = ()

    @property
    def window(self) -> int:
        """The length of signals (samples) that the priors work on: the network's own, or the crop trained on."""
        return int(getattr(self.network, "window", self.train.crop))


@dataclass(frozen=True)
class Profile:
    """Everything that scales with the machine.

    `noise_levels` are those that priors are conditioned on, `kinds` the plans by kind of prior, `evaluation` and `plan`
    how they are measured.
    """

    name: str
    noise_levels: tuple[float, ...]
    kinds: Mapping[str, KindPlan]
    evaluation: EvalConfig
    plan: EvalPlan

    def plan_of(self, model: str) -> KindPlan:
        """The plan of a kind of prior; raises `InputError` if the profile has none."""
        if model not in self.kinds:
            raise InputError(f"the profile {self.name} has no plan for {model!r}; it has {', '.join(self.kinds)}")
        return self.kinds[model]

    def with_plan(self, model: str, **changes: Any) -> Profile:
        """The profile with fields of one kind's plan replaced."""
        return replace(self, kinds={**self.kinds, model: replace(self.plan_of(model), **changes)})


def _ranges(flow: FlowConfig) -> tuple[ConditionalFlowConfig, ...]:
    """The flows that are told the noise level: up to 0.5, and up to where samplers start."""
    return tuple(ConditionalFlowConfig(**resolved(flow), sigma_max=top) for top in (0.5, 10.0))


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
_FULL_TRAINING = TrainConfig(mixed_precision=True)
_FULL_FINE_TUNING = TrainConfig(steps=20_000, mixed_precision=True, seed=1)

PROFILES: dict[str, Profile] = {
    "smoke": Profile(
        "smoke",
        noise_levels=(0.359,),
        kinds={
            "flowavenet": KindPlan(
                FlowConfig(blocks=2, flows=2, layers=3, width=8),
                train=_SMOKE_TRAINING,
                fine_tune=_SMOKE_FINE_TUNING,
                scratch=replace(_SMOKE_TRAINING, steps=10, seed=1),
                conditional=replace(_SMOKE_TRAINING, steps=10),
                conditional_networks=_ranges(FlowConfig(blocks=2, flows=2, layers=3, width=8)),
                ablated=(0.359,),
            ),
            "wavenet": KindPlan(
                WaveNetPriorConfig(layers=6, width=8, head_width=16),
                train=_SMOKE_TRAINING,
                fine_tune=_SMOKE_FINE_TUNING,
            ),
            "score": KindPlan(
                DenoiserConfig(channels=(16, 32, 32, 64), middle=1, window=256),
                train=replace(_LAPTOP_SCORE, steps=40, crop=256, warmup_steps=10, checkpoint_every=20),
            ),
            "pnf": KindPlan(PnFConfig(layers=6, width=8, head_width=16), train=replace(_SMOKE_TRAINING, crop=256)),
        },
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
        kinds={
            "flowavenet": KindPlan(
                FlowConfig(blocks=4, flows=4, layers=6, width=16),
                train=_LAPTOP_TRAINING,
                fine_tune=_LAPTOP_FINE_TUNING,
                scratch=replace(_LAPTOP_TRAINING, steps=400, seed=1),
                conditional=replace(_LAPTOP_TRAINING, steps=1000, seed=1),
                conditional_networks=_ranges(FlowConfig(blocks=4, flows=4, layers=6, width=16)),
                ablated=(0.359,),
            ),
            "wavenet": KindPlan(
                WaveNetPriorConfig(layers=9, width=16, head_width=64),
                train=_LAPTOP_TRAINING,
                fine_tune=replace(_LAPTOP_FINE_TUNING, steps=240),
            ),
            "score": KindPlan(DenoiserConfig(), train=_LAPTOP_SCORE),
            "pnf": KindPlan(PnFConfig(), train=replace(_LAPTOP_TRAINING, steps=2000, crop=1024, learning_rate=2e-3)),
        },
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
    "full": Profile(
        "full",
        noise_levels=NOISE_LEVELS,
        kinds={
            "flowavenet": KindPlan(
                FlowConfig(),
                train=_FULL_TRAINING,
                fine_tune=_FULL_FINE_TUNING,
                scratch=replace(_FULL_TRAINING, seed=1),
                conditional=replace(_FULL_TRAINING, seed=1),
                conditional_networks=_ranges(FlowConfig()),
                ablated=(0.359,),
            ),
            "wavenet": KindPlan(
                WaveNetPriorConfig(),
                train=replace(_FULL_TRAINING, crop=3074),
                fine_tune=replace(_FULL_FINE_TUNING, crop=3074),
            ),
            "score": KindPlan(
                DenoiserConfig(channels=(64, 128, 256, 384), middle=4),
                train=replace(_LAPTOP_SCORE, steps=100_000, batch_size=32),
            ),
            "pnf": KindPlan(PnFConfig(layers=10, width=64, head_width=256), train=replace(_FULL_TRAINING, crop=3074)),
        },
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


FORMER_NAMES = {"paper": "full"}


def get_profile(name: str) -> Profile:
    """The profile called `name`; raises `InputError` for any other name."""
    if name in FORMER_NAMES:
        raise InputError(f"the profile {name} is called {FORMER_NAMES[name]} now; use {FORMER_NAMES[name]}")
    if name not in PROFILES:
        raise InputError(f"unknown profile {name!r}; use one of {', '.join(PROFILES)}")
    return PROFILES[name]
