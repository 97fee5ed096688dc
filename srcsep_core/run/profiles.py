"""The three profiles `smoke`, `laptop` and `full`: everything that scales with the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from srcsep_core.config import check_choice, resolved
from srcsep_core.data.base import EvalConfig, trained_for
from srcsep_core.errors import InputError
from srcsep_core.nn.denoiser import DenoiserConfig
from srcsep_core.posteriors.encoder import EncoderConfig
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.pnf import PnFConfig
from srcsep_core.priors.wavenet import WaveNetPriorConfig
from srcsep_core.run.blind_plans import BLIND
from srcsep_core.run.family_plans import FAMILIES
from srcsep_core.run.plans import (
    DENOISER_TRAIN,
    FULL_TRAIN,
    LAPTOP_PAGES,
    LAPTOP_TRAIN,
    SMOKE_TRAIN,
    EvalPlan,
    KindPlan,
    PagePlan,
)
from srcsep_core.run.song_plans import SONGS, of_frames
from srcsep_core.training.config import NOISE_LEVELS, TrainConfig


@dataclass(frozen=True)
class Profile:
    """Everything that scales with the machine.

    `noise_levels` are those that priors are conditioned on, `kinds` the plans by kind of prior, `evaluation` and `plan`
    how they are measured, `pages` what notebooks measure themselves. `on_the_spot`: its priors are trained in seconds,
    so that notebooks need not be told to. `families` are kinds that are compared with each other and are in none of the
    paper's tables; one of the paper's may stand among them, in a size of its own. `worlds` holds the plans of worlds
    that `kinds` and `families` are not for, by name.
    """

    name: str
    noise_levels: tuple[float, ...]
    kinds: Mapping[str, KindPlan]
    evaluation: EvalConfig
    plan: EvalPlan
    pages: PagePlan = LAPTOP_PAGES
    on_the_spot: bool = False
    families: Mapping[str, KindPlan] = field(default_factory=dict)
    worlds: Mapping[str, Mapping[str, KindPlan]] = field(default_factory=dict)

    def of(self, variant: str) -> Profile:
        """The profile with the plans of the world that has the variant."""
        own = self.worlds.get(trained_for(variant).name)
        return self if own is None else replace(self, kinds=own, families={})

    def plan_of(self, model: str) -> KindPlan:
        """The plan of a kind of prior; raises `InputError` if the profile has none."""
        plans = {**self.families, **self.kinds}
        if model not in plans:
            raise InputError(f"the profile {self.name} has no plan for {model!r}; it has {', '.join(plans)}")
        return plans[model]

    def with_plan(self, model: str, **changes: Any) -> Profile:
        """The profile with fields of one kind's plan replaced."""
        return replace(self, kinds={**self.kinds, model: replace(self.plan_of(model), **changes)})


def _flows(
    network: FlowConfig,
    train: TrainConfig,
    fine_tune: TrainConfig,
    *,
    scratch: Mapping[str, Any] | None = None,
    conditional: Mapping[str, Any] | None = None,
    step_seconds: float | None = None,
) -> KindPlan:
    """Flows are trained in every way; from scratch and with the level as an input as `train`, but for these fields.

    Those that are told the noise level cover it up to 0.5, and up to where samplers start.
    """
    sizes = resolved(network)
    return KindPlan(
        network,
        train,
        fine_tune,
        scratch=replace(train, **{"seed": 1, **(scratch or {})}),
        conditional=replace(train, **{"seed": 1, **(conditional or {})}),
        conditional_networks=tuple(ConditionalFlowConfig(**sizes, sigma_max=top) for top in (0.5, 10.0)),
        ablated=(0.359,),
        step_seconds=step_seconds,
    )


def _profile(
    name: str,
    noise_levels: tuple[float, ...],
    *,
    signals: Mapping[str, int],
    draws: tuple[int, int],
    length: int = 4000,
    long: int = 16_384,
    inputs: int = 8000,
    pages: PagePlan = LAPTOP_PAGES,
    on_the_spot: bool = False,
    **kinds: KindPlan,
) -> Profile:
    """A profile of these kinds: `signals` by test set, of `length` samples or `long` ones; draws of random inputs.

    Constant and random inputs have `inputs` samples, or `long` ones; `pages` is what notebooks do themselves. The plans
    of songs are in `song_plans`, those of blind separation in `blind_plans`, those of families in `family_plans`.
    """
    sets = {
        which: EvalConfig(signals=count, length=long if which.startswith("long") else length)
        for which, count in signals.items()
    }
    evaluation = sets.pop("evaluation")
    plan = EvalPlan(**sets, input_lengths=(inputs, long), draws=draws)
    worlds = {"rendered": SONGS[name], "musdb18": of_frames(SONGS[name]), **BLIND[name]}
    return Profile(name, noise_levels, kinds, evaluation, plan, pages, on_the_spot, FAMILIES[name], worlds)


_LAPTOP_TUNING = replace(LAPTOP_TRAIN, steps=400, learning_rate=2e-3, warmup_steps=20, seed=1)
_SMOKE_TUNING = replace(SMOKE_TRAIN, steps=10, learning_rate=2e-3, seed=1)
_FULL_TUNING = TrainConfig(steps=20_000, mixed_precision=True, seed=1)

_ALL = (
    _profile(
        "smoke",
        (0.359,),
        flowavenet=_flows(
            FlowConfig(blocks=2, flows=2, layers=3, width=8),
            SMOKE_TRAIN,
            _SMOKE_TUNING,
            scratch={"steps": 10},
            conditional={"steps": 10, "seed": 0},
            step_seconds=0.2,
        ),
        wavenet=KindPlan(
            WaveNetPriorConfig(layers=6, width=8, head_width=16), SMOKE_TRAIN, _SMOKE_TUNING, step_seconds=0.2
        ),
        denoiser=KindPlan(
            DenoiserConfig(channels=(16, 32, 32, 64), middle=1, window=256),
            replace(DENOISER_TRAIN, steps=40, crop=256, warmup_steps=10, checkpoint_every=20),
            step_seconds=0.05,
        ),
        pnf=KindPlan(PnFConfig(layers=6, width=8, head_width=16), replace(SMOKE_TRAIN, crop=256), step_seconds=0.05),
        encoder=KindPlan(
            EncoderConfig(layers=6, width=8, head_width=16, window=256),
            replace(SMOKE_TRAIN, crop=256),
            teachers=("denoiser", "oracle"),
            step_seconds=0.1,
        ),
        signals={"evaluation": 16, "noisy": 6, "oracle": 4, "long": 2, "curve": 4, "long_curve": 1},
        draws=(2, 2),
        length=512,
        long=1024,
        inputs=512,
        pages=PagePlan(
            modes=EvalConfig(signals=4, length=512),
            scores=EvalConfig(signals=4, length=512),
            denoised=2,
            drift=20,
            sampled=2048,
        ),
        on_the_spot=True,
    ),
    _profile(
        "laptop",
        NOISE_LEVELS,
        flowavenet=_flows(
            FlowConfig(blocks=4, flows=4, layers=6, width=16),
            LAPTOP_TRAIN,
            _LAPTOP_TUNING,
            scratch={"steps": 400},
            conditional={"steps": 1000},
            step_seconds=1.2,
        ),
        wavenet=KindPlan(
            WaveNetPriorConfig(layers=9, width=16, head_width=64),
            LAPTOP_TRAIN,
            replace(_LAPTOP_TUNING, steps=240),
            step_seconds=0.9,
        ),
        denoiser=KindPlan(DenoiserConfig(), DENOISER_TRAIN, step_seconds=0.3),
        pnf=KindPlan(PnFConfig(), replace(LAPTOP_TRAIN, steps=2000, crop=1024, learning_rate=2e-3), step_seconds=0.3),
        encoder=KindPlan(
            EncoderConfig(),
            replace(LAPTOP_TRAIN, steps=1500, crop=1024, learning_rate=2e-3),
            teachers=("denoiser", "oracle"),
            step_seconds=0.5,
        ),
        signals={"evaluation": 96, "noisy": 32, "oracle": 16, "long": 3, "curve": 8, "long_curve": 2},
        draws=(6, 2),
    ),
    _profile(
        "full",
        NOISE_LEVELS,
        flowavenet=_flows(FlowConfig(), FULL_TRAIN, _FULL_TUNING),
        wavenet=KindPlan(WaveNetPriorConfig(), replace(FULL_TRAIN, crop=3074), replace(_FULL_TUNING, crop=3074)),
        denoiser=KindPlan(
            DenoiserConfig(channels=(64, 128, 256, 384), middle=4),
            replace(DENOISER_TRAIN, steps=100_000, batch_size=32),
        ),
        pnf=KindPlan(PnFConfig(layers=10, width=64, head_width=256), replace(FULL_TRAIN, crop=3074)),
        encoder=KindPlan(
            EncoderConfig(width=128, head_width=256),
            replace(LAPTOP_TRAIN, steps=100_000, batch_size=32, crop=1024, learning_rate=1e-3, checkpoint_every=1000),
            teachers=("denoiser", "oracle"),
        ),
        signals={"evaluation": 1500, "noisy": 1500, "oracle": 256, "long": 1500, "curve": 1500, "long_curve": 1500},
        draws=(32, 32),
        pages=replace(LAPTOP_PAGES, denoised=64),
    ),
)
PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}


def get_profile(name: str) -> Profile:
    """The profile called `name`; raises `InputError` for any other name."""
    check_choice("profile", name, PROFILES)
    return PROFILES[name]
