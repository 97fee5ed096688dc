"""The three profiles `smoke`, `laptop` and `full`: everything that scales with the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from srcsep_core.config import check_choice, resolved
from srcsep_core.data.base import EvalConfig, world_of
from srcsep_core.errors import InputError
from srcsep_core.nn.denoiser import DenoiserConfig
from srcsep_core.nn.stem_denoiser import StemDenoiserConfig
from srcsep_core.priors.convtasnet import ConvTasNetConfig
from srcsep_core.priors.flowavenet import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.pnf import PnFConfig
from srcsep_core.priors.wavenet import WaveNetPriorConfig
from srcsep_core.training.config import NOISE_LEVELS, TrainConfig


@dataclass(frozen=True)
class EvalPlan:
    """How the many sets of priors are measured; `Profile.evaluation` is for the noise-free ones.

    `noisy`: cross-likelihood of priors with a noise level; `oracle`: of the oracle; `long`: of all at the long
    length; `curve` and `long_curve`: noise curves; then the lengths of constant and random inputs (authors' code: 8000)
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
class PagePlan:
    """How much the notebooks themselves measure and draw, beside what steps make.

    `modes`: signals whose plausible waves are counted; `scores`: signals on which flows' scores are measured;
    `denoised`: how many signals the denoiser's scores; `drift`: steps of the authors' Langevin dynamics;
    `sampled`: samples of a signal drawn from a prior sample by sample.
    """

    modes: EvalConfig
    scores: EvalConfig
    denoised: int
    drift: int
    sampled: int


LAPTOP_PAGES = PagePlan(
    modes=EvalConfig(signals=24, length=4000),
    scores=EvalConfig(signals=12, length=2048),
    denoised=16,
    drift=300,
    sampled=7350,
)


@dataclass(frozen=True)
class KindPlan:
    """How one kind of prior is trained: its network, and one training configuration for each way.

    `train` is for noise-free priors (or the only way), `fine_tune` for a noise level from noise-free weights, `scratch`
    for one from fresh weights, `conditional` for `conditional_networks`, which take the noise level as an input, the
    narrowest range first. None: the kind is not trained that way. At the levels `ablated` objective and noise are also
    mixed. `step_seconds`: what a training step takes on one core, about; None: never timed.
    """

    network: Any
    train: TrainConfig
    fine_tune: TrainConfig | None = None
    scratch: TrainConfig | None = None
    conditional: TrainConfig | None = None
    conditional_networks: tuple[Any, ...] = ()
    ablated: tuple[float, ...] = ()
    step_seconds: float | None = None

    @property
    def window(self) -> int:
        """The length of signals (samples) that the priors work on: the network's own, or the crop trained on."""
        return int(getattr(self.network, "window", self.train.crop))


@dataclass(frozen=True)
class Profile:
    """Everything that scales with the machine.

    `noise_levels` are those that priors are conditioned on, `kinds` the plans by kind of prior, `evaluation` and `plan`
    how they are measured, `pages` what notebooks measure themselves. `on_the_spot`: its priors are trained in seconds,
    so that notebooks need not be told to. `worlds` holds the plans of worlds that `kinds` is not for, by name.
    """

    name: str
    noise_levels: tuple[float, ...]
    kinds: Mapping[str, KindPlan]
    evaluation: EvalConfig
    plan: EvalPlan
    pages: PagePlan = LAPTOP_PAGES
    on_the_spot: bool = False
    worlds: Mapping[str, Mapping[str, KindPlan]] = field(default_factory=dict)

    def of(self, variant: str) -> Profile:
        """The profile with the plans of the world that has the variant."""
        own = self.worlds.get(world_of(variant).name)
        return self if own is None else replace(self, kinds=own)

    def plan_of(self, model: str) -> KindPlan:
        """The plan of a kind of prior; raises `InputError` if the profile has none."""
        if model not in self.kinds:
            raise InputError(f"the profile {self.name} has no plan for {model!r}; it has {', '.join(self.kinds)}")
        return self.kinds[model]

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
    worlds: Mapping[str, Mapping[str, KindPlan]],
    **kinds: KindPlan,
) -> Profile:
    """A profile of these kinds: `signals` by test set, of `length` samples or `long` ones; draws of random inputs.

    Constant and random inputs have `inputs` samples, or `long` ones; `pages` is what notebooks do themselves, `worlds`
    the plans of other worlds than the toy one.
    """
    sets = {
        which: EvalConfig(signals=count, length=long if which.startswith("long") else length)
        for which, count in signals.items()
    }
    evaluation = sets.pop("evaluation")
    plan = EvalPlan(**sets, input_lengths=(inputs, long), draws=draws)
    return Profile(name, noise_levels, kinds, evaluation, plan, pages, on_the_spot, worlds)


_LAPTOP = TrainConfig(
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
_LAPTOP_TUNING = replace(_LAPTOP, steps=400, learning_rate=2e-3, warmup_steps=20, seed=1)
_DENOISER = replace(
    _LAPTOP, steps=9000, crop=1024, learning_rate=1e-3, warmup_steps=100, clip_norm=1.0, mixed_precision=True
)
_SMOKE = replace(_LAPTOP, steps=40, crop=1024, warmup_steps=10, checkpoint_every=20)
_SMOKE_TUNING = replace(_SMOKE, steps=10, learning_rate=2e-3, seed=1)
_STEMS = StemDenoiserConfig(domain="spectrogram", channels=(48, 96, 192), strides=(2, 2))
_STEMS_TRAIN = replace(_DENOISER, steps=3000, crop=8192, batch_size=4)
_MIXES_TRAIN = replace(_STEMS_TRAIN, batch_size=8)
_FULL = TrainConfig(mixed_precision=True)
_FULL_TUNING = TrainConfig(steps=20_000, mixed_precision=True, seed=1)

_ALL = (
    _profile(
        "smoke",
        (0.359,),
        flowavenet=_flows(
            FlowConfig(blocks=2, flows=2, layers=3, width=8),
            _SMOKE,
            _SMOKE_TUNING,
            scratch={"steps": 10},
            conditional={"steps": 10, "seed": 0},
            step_seconds=0.2,
        ),
        wavenet=KindPlan(WaveNetPriorConfig(layers=6, width=8, head_width=16), _SMOKE, _SMOKE_TUNING, step_seconds=0.2),
        denoiser=KindPlan(
            DenoiserConfig(channels=(16, 32, 32, 64), middle=1, window=256),
            replace(_DENOISER, steps=40, crop=256, warmup_steps=10, checkpoint_every=20),
            step_seconds=0.05,
        ),
        pnf=KindPlan(PnFConfig(layers=6, width=8, head_width=16), replace(_SMOKE, crop=256), step_seconds=0.05),
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
        worlds={
            "rendered": {
                "denoiser": KindPlan(
                    replace(_STEMS, channels=(16, 32), strides=(4,), middle=1, window=1024),
                    replace(_STEMS_TRAIN, steps=40, crop=1024, warmup_steps=10, checkpoint_every=20),
                    step_seconds=0.1,
                ),
                "convtasnet": KindPlan(
                    ConvTasNetConfig(features=32, bottleneck=16, hidden=32, layers=3, stacks=1),
                    replace(_MIXES_TRAIN, steps=40, crop=1024, warmup_steps=10, checkpoint_every=20),
                    step_seconds=0.1,
                ),
            }
        },
    ),
    _profile(
        "laptop",
        NOISE_LEVELS,
        flowavenet=_flows(
            FlowConfig(blocks=4, flows=4, layers=6, width=16),
            _LAPTOP,
            _LAPTOP_TUNING,
            scratch={"steps": 400},
            conditional={"steps": 1000},
            step_seconds=1.2,
        ),
        wavenet=KindPlan(
            WaveNetPriorConfig(layers=9, width=16, head_width=64),
            _LAPTOP,
            replace(_LAPTOP_TUNING, steps=240),
            step_seconds=0.9,
        ),
        denoiser=KindPlan(DenoiserConfig(), _DENOISER, step_seconds=0.3),
        pnf=KindPlan(PnFConfig(), replace(_LAPTOP, steps=2000, crop=1024, learning_rate=2e-3), step_seconds=0.3),
        signals={"evaluation": 96, "noisy": 32, "oracle": 16, "long": 3, "curve": 8, "long_curve": 2},
        draws=(6, 2),
        worlds={
            "rendered": {
                "denoiser": KindPlan(_STEMS, _STEMS_TRAIN, step_seconds=1.4),
                "convtasnet": KindPlan(ConvTasNetConfig(), _MIXES_TRAIN, step_seconds=1.4),
            }
        },
    ),
    _profile(
        "full",
        NOISE_LEVELS,
        flowavenet=_flows(FlowConfig(), _FULL, _FULL_TUNING),
        wavenet=KindPlan(WaveNetPriorConfig(), replace(_FULL, crop=3074), replace(_FULL_TUNING, crop=3074)),
        denoiser=KindPlan(
            DenoiserConfig(channels=(64, 128, 256, 384), middle=4), replace(_DENOISER, steps=100_000, batch_size=32)
        ),
        pnf=KindPlan(PnFConfig(layers=10, width=64, head_width=256), replace(_FULL, crop=3074)),
        signals={"evaluation": 1500, "noisy": 1500, "oracle": 256, "long": 1500, "curve": 1500, "long_curve": 1500},
        draws=(32, 32),
        pages=replace(LAPTOP_PAGES, denoised=64),
        worlds={
            "rendered": {
                "denoiser": KindPlan(
                    replace(_STEMS, channels=(96, 192, 384), middle=4, window=32_768),
                    replace(_STEMS_TRAIN, steps=400_000, batch_size=16, crop=32_768),
                ),
                "convtasnet": KindPlan(
                    ConvTasNetConfig(features=512, kernel=16), replace(_MIXES_TRAIN, steps=400_000, crop=32_768)
                ),
            }
        },
    ),
)
PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}


def get_profile(name: str) -> Profile:
    """The profile called `name`; raises `InputError` for any other name."""
    check_choice("profile", name, PROFILES)
    return PROFILES[name]
