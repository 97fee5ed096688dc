"""The plans of the kinds that are compared with each other (`Profile.families`), by profile.

Flows of one space are of one size and trained alike, and so are autoencoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from srcsep_core.priors.beta_vae import BetaVAEConfig
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.spectral import MelConfig, StftConfig
from srcsep_core.priors.vae import VAEConfig
from srcsep_core.priors.vqvae import VQVAEConfig
from srcsep_core.run.plans import FULL_TRAIN, LAPTOP_TRAIN, SMOKE_TRAIN, KindPlan

FLOWS = ("flowavenet", "nice", "realnvp", "glow")
_LONG = replace(LAPTOP_TRAIN, batch_size=32, learning_rate=1e-3, checkpoint_every=1000)
_CODES, _CODES_FULL = (
    replace(LAPTOP_TRAIN, steps=4000, learning_rate=1e-2),
    replace(_LONG, steps=100_000, crop=8192),
)
_SPECTRA, _SPECTRA_FULL = (
    replace(LAPTOP_TRAIN, steps=2500, crop=4000),
    replace(_LONG, steps=40_000, crop=16_000),
)
_SMALL = {"frame": 16, "latent": 4, "width": 16, "layers": 1}
_LARGE = {"frame": 32, "width": 256, "layers": 6}

FAMILIES: Mapping[str, Mapping[str, KindPlan]] = {
    "smoke": {
        **dict.fromkeys(
            FLOWS, KindPlan(FlowConfig(blocks=2, flows=2, layers=3, width=8), SMOKE_TRAIN, step_seconds=0.1)
        ),
        "vae": KindPlan(VAEConfig(**_SMALL), SMOKE_TRAIN, step_seconds=0.02),
        "beta-vae": KindPlan(BetaVAEConfig(**_SMALL), SMOKE_TRAIN, step_seconds=0.02),
        "vq-vae": KindPlan(VQVAEConfig(**_SMALL, entries=16), SMOKE_TRAIN, step_seconds=0.02),
        "mel-flow": KindPlan(
            MelConfig(blocks=3, flows=2, layers=2, width=8, fft=64, hop=16), SMOKE_TRAIN, step_seconds=0.05
        ),
        "stft-flow": KindPlan(
            StftConfig(blocks=3, flows=2, layers=2, width=8, fft=16, hop=8), SMOKE_TRAIN, step_seconds=0.05
        ),
    },
    "laptop": {
        **dict.fromkeys(
            FLOWS,
            KindPlan(
                FlowConfig(blocks=4, flows=4, layers=6, width=12), replace(LAPTOP_TRAIN, steps=1500), step_seconds=0.85
            ),
        ),
        "vae": KindPlan(VAEConfig(frame=32), _CODES, step_seconds=0.05),
        "beta-vae": KindPlan(BetaVAEConfig(frame=32), _CODES, step_seconds=0.05),
        "vq-vae": KindPlan(VQVAEConfig(frame=32, latent=8), _CODES, step_seconds=0.05),
        "mel-flow": KindPlan(MelConfig(flows=6, layers=3, width=16), _SPECTRA, step_seconds=0.1),
        "stft-flow": KindPlan(
            StftConfig(blocks=6, flows=6, layers=3, width=16, fft=128, hop=80), _SPECTRA, step_seconds=0.1
        ),
    },
    "full": {
        **dict.fromkeys(FLOWS, KindPlan(FlowConfig(), FULL_TRAIN)),
        "vae": KindPlan(VAEConfig(**_LARGE), _CODES_FULL),
        "beta-vae": KindPlan(BetaVAEConfig(**_LARGE), _CODES_FULL),
        "vq-vae": KindPlan(VQVAEConfig(**_LARGE, entries=512), _CODES_FULL),
        "mel-flow": KindPlan(MelConfig(blocks=6, flows=8, layers=4, width=64, fft=1024), _SPECTRA_FULL),
        "stft-flow": KindPlan(StftConfig(flows=8, layers=4, width=64), _SPECTRA_FULL),
    },
}
