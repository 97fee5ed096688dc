"""Samplers of the posterior over sources given a mix, one a file; all take any prior with a score."""

from collections.abc import Callable
from typing import Any

from srcsep_core.samplers.base import Separation, State
from srcsep_core.samplers.gibbs import GibbsConfig, gibbs
from srcsep_core.samplers.langevin import LangevinConfig, langevin, released_langevin
from srcsep_core.samplers.pnf import PnFSamplerConfig, pnf
from srcsep_core.samplers.projection import ProjectionConfig, projection

SAMPLERS: dict[str, Callable[..., Separation]] = {
    "gibbs": gibbs,
    "langevin": langevin,
    "projection": projection,
    "pnf": pnf,
}
SAMPLER_CONFIGS: dict[str, Any] = {
    "gibbs": GibbsConfig,
    "langevin": LangevinConfig,
    "projection": ProjectionConfig,
    "pnf": PnFSamplerConfig,
}

__all__ = [
    "SAMPLERS",
    "SAMPLER_CONFIGS",
    "GibbsConfig",
    "LangevinConfig",
    "PnFSamplerConfig",
    "ProjectionConfig",
    "Separation",
    "State",
    "gibbs",
    "langevin",
    "pnf",
    "projection",
    "released_langevin",
]
