"""How priors of songs, rendered or of musdb18, and what is trained on mixes of them, are trained, by profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from srcsep_core.nn.stem_denoiser import StemDenoiserConfig
from srcsep_core.priors.convtasnet import ConvTasNetConfig
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.hdemucs import HDemucsConfig
from srcsep_core.priors.wavenet import WaveNetPriorConfig
from srcsep_core.run.plans import DENOISER_TRAIN, LAPTOP_TRAIN, KindPlan
from srcsep_core.training.config import TrainConfig

FRAME = 8192  # samples: no frame of musdb18 is shorter

_STEMS = StemDenoiserConfig(domain="long spectrogram", channels=(48, 96, 192), strides=(2, 2), window=16_384)
_STEMS_TRAIN = replace(DENOISER_TRAIN, steps=3600, crop=16_384, batch_size=2)
_MIXES_TRAIN = replace(DENOISER_TRAIN, steps=3000, crop=8192, batch_size=8)
_DENSITIES_TRAIN = replace(LAPTOP_TRAIN, steps=1500)
_WAVENETS_TRAIN = replace(LAPTOP_TRAIN, steps=1000)
_SMOKE: Mapping[str, Any] = {"steps": 40, "crop": 1024, "warmup_steps": 10, "checkpoint_every": 20}
_MIXES_SMOKE, _DENSITIES_SMOKE = replace(_MIXES_TRAIN, **_SMOKE), replace(LAPTOP_TRAIN, **_SMOKE)
_MIXES_FULL = replace(_MIXES_TRAIN, steps=400_000, crop=32_768)
_DENSITIES_FULL = TrainConfig(steps=93_030, batch_size=2, mixed_precision=True)

SONGS: Mapping[str, Mapping[str, KindPlan]] = {
    "smoke": {
        "denoiser": KindPlan(
            replace(_STEMS, channels=(16, 32), strides=(4,), middle=1, window=1024),
            replace(_STEMS_TRAIN, **_SMOKE),
            step_seconds=0.1,
        ),
        "convtasnet": KindPlan(
            ConvTasNetConfig(features=32, bottleneck=16, hidden=32, layers=3, stacks=1),
            _MIXES_SMOKE,
            step_seconds=0.1,
        ),
        "hdemucs": KindPlan(
            HDemucsConfig(channels=4, depth=3, bins=64),
            _MIXES_SMOKE,
            step_seconds=0.1,
        ),
        "flowavenet": KindPlan(
            FlowConfig(blocks=2, flows=2, layers=3, width=8), _DENSITIES_SMOKE, background=True, step_seconds=0.2
        ),
        "wavenet": KindPlan(WaveNetPriorConfig(layers=6, width=8, head_width=16), _DENSITIES_SMOKE, step_seconds=0.2),
    },
    "laptop": {
        "denoiser": KindPlan(_STEMS, _STEMS_TRAIN, step_seconds=1.25),
        "convtasnet": KindPlan(ConvTasNetConfig(), _MIXES_TRAIN, step_seconds=1.4),
        "flowavenet": KindPlan(
            FlowConfig(blocks=4, flows=4, layers=6, width=16), _DENSITIES_TRAIN, background=True, step_seconds=1.5
        ),
        "wavenet": KindPlan(WaveNetPriorConfig(layers=9, width=16, head_width=64), _WAVENETS_TRAIN, step_seconds=0.9),
    },
    "full": {
        "denoiser": KindPlan(
            replace(_STEMS, channels=(96, 192, 384), middle=4, window=32_768),
            replace(_STEMS_TRAIN, steps=400_000, batch_size=16, crop=32_768),
        ),
        "convtasnet": KindPlan(ConvTasNetConfig(features=512, kernel=16), _MIXES_FULL),
        "hdemucs": KindPlan(HDemucsConfig(), _MIXES_FULL),
        "flowavenet": KindPlan(FlowConfig(blocks=8, flows=6, layers=10, width=48), _DENSITIES_FULL, background=True),
        "wavenet": KindPlan(WaveNetPriorConfig(), _DENSITIES_FULL),
    },
}


def of_frames(plans: Mapping[str, KindPlan]) -> Mapping[str, KindPlan]:
    """The plans for songs that are kept as frames: a denoiser of longer windows has more of them, each a frame long."""
    plan = plans["denoiser"]
    parts = max(1, plan.window // FRAME)
    train = replace(plan.train, crop=plan.train.crop // parts, batch_size=plan.train.batch_size * parts)
    framed = replace(plan, network=replace(plan.network, window=plan.window // parts), train=train)
    return {**plans, "denoiser": framed}
