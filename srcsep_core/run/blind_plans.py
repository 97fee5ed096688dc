"""The plans of blind separation, by profile and world: networks with slots, and for notes the prior beside them.

What differs from network to network of a world is what it is trained for; the mixes are of two sources unless
`benchmark.blind` says otherwise. Notes have no warm-up of the divergence: with one, a training in five ends with a slot
that holds most of what there is (`data/measured/vae_bss_warmup.csv`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from srcsep_core.blind.slots import SlotConfig
from srcsep_core.blind.views import Pixels, Spectrogram
from srcsep_core.nn.stem_denoiser import StemDenoiserConfig
from srcsep_core.run.plans import DENOISER_TRAIN, LAPTOP_TRAIN, KindPlan
from srcsep_core.training.config import TrainConfig

Plans = Mapping[str, KindPlan]


def _networks(config: SlotConfig, train: TrainConfig, step_seconds: float | None = None) -> dict[str, KindPlan]:
    """Auto-encoders, and what is trained by its masks; mixes of mixes need a slot for each source of both."""
    wide = replace(config, slots=2 * config.sources)
    networks = {"vae-bss": config, "ae-bss": config, "mixit": wide, "pit": config, "nes": config}
    return {name: KindPlan(network, train, step_seconds=step_seconds) for name, network in networks.items()}


_TRAIN = replace(LAPTOP_TRAIN, batch_size=256, crop=64, learning_rate=2e-3, steps=3000, warmup_steps=0)
_NOTES_TRAIN = replace(_TRAIN, batch_size=128, crop=4096, learning_rate=1e-3, steps=4000, warmup_steps=100)
_SMOKE: Mapping[str, Any] = {"steps": 40, "batch_size": 24, "checkpoint_every": 20}

_DIGITS = SlotConfig(warmup=900)
_MNIST = SlotConfig(view=Pixels(28, 28), hidden=(512, 256, 128), beta=0.5 / 784, warmup=1800)
_NOTES = SlotConfig(view=Spectrogram(), latent=32, hidden=(512, 256, 256), pool=4, rank=4, beta=5e-4, warmup=0)
_PRIOR = StemDenoiserConfig(
    domain="spectrogram", channels=(32, 64, 128), strides=(2, 2), window=4096, interference=0.0, log_sigma_mean=-2.5
)
_PRIOR_TRAIN = replace(DENOISER_TRAIN, steps=8000, crop=4096, batch_size=8)

BLIND: Mapping[str, Mapping[str, Plans]] = {
    "smoke": {
        "digits": _networks(replace(_DIGITS, hidden=(32,), latent=4, warmup=10), replace(_TRAIN, **_SMOKE), 0.01),
        "mnist": _networks(
            replace(_MNIST, hidden=(32,), latent=4, warmup=10), replace(_TRAIN, **_SMOKE, crop=784), 0.02
        ),
        "notes": {
            **_networks(
                replace(_NOTES, view=Spectrogram(32, 16, 32), hidden=(32,), latent=4, warmup=10),
                replace(_NOTES_TRAIN, **_SMOKE, crop=512),
                0.02,
            ),
            "denoiser": KindPlan(
                replace(_PRIOR, channels=(16, 32), strides=(4,), middle=1, window=512),
                replace(_PRIOR_TRAIN, steps=40, crop=512, warmup_steps=10, checkpoint_every=20),
                step_seconds=0.1,
            ),
        },
    },
    "laptop": {
        "digits": _networks(_DIGITS, _TRAIN, 0.005),
        "mnist": _networks(_MNIST, replace(_TRAIN, crop=784, steps=6000)),
        "notes": {
            **_networks(_NOTES, _NOTES_TRAIN, 0.025),
            "denoiser": KindPlan(_PRIOR, _PRIOR_TRAIN, step_seconds=0.2),
        },
    },
    "full": {
        "digits": _networks(replace(_DIGITS, hidden=(700, 600, 500, 400, 300)), replace(_TRAIN, steps=100_000)),
        "mnist": _networks(
            replace(_MNIST, hidden=(700, 600, 500, 400, 300), warmup=23_000),
            replace(_TRAIN, crop=784, steps=100_000, learning_rate=2e-4),
        ),
        "notes": {
            **_networks(
                SlotConfig(
                    view=Spectrogram(256, 128, 64),
                    latent=64,
                    hidden=(2560, 2048, 1536, 1024, 512),
                    beta=0.5 / (256 * 128),
                    warmup=23_000,
                ),
                replace(_NOTES_TRAIN, crop=8192, steps=100_000, learning_rate=2e-4),
            ),
            "denoiser": KindPlan(
                replace(_PRIOR, channels=(96, 192, 384), middle=4, window=8192),
                replace(_PRIOR_TRAIN, steps=100_000, crop=8192, batch_size=32),
            ),
        },
    },
}
