"""A song, and denoisers of stems with fresh weights: for tests where what they estimate does not matter."""

from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.data.base import world_of
from srcsep_core.nn.denoiser import PreconditionedNet
from srcsep_core.nn.stem_denoiser import StemDenoiserConfig
from srcsep_core.priors.denoiser import DenoiserSet
from srcsep_core.separate import SeparateConfig
from srcsep_core.separate.separators import SourcePriors, priors_from

NAMES = ("drums", "bass")
CONFIG = SeparateConfig(variant="songs_8k", profile="smoke", allow_clipped=True)
SIZE = StemDenoiserConfig(channels=(8, 8), strides=(4,), middle=1, window=1024, domain="waveform", classes=4)


def fresh_priors() -> SourcePriors:
    """Priors of windows of 1024 samples."""
    world = world_of("songs_8k")
    found = DenoiserSet(world.sources, world, 0.0, pd.DataFrame(), Path(), PreconditionedNet(SIZE).eval())
    return priors_from(CONFIG.request, found, "fresh", torch.device("cpu"))


def song(length: int) -> Tensor:
    """A mix (1, length) of `NAMES` at 8 kHz."""
    drawn = world_of("songs_8k").only(NAMES).draw(1, length, torch.Generator().manual_seed(4), split="test")
    return drawn.sum(dim=1)
