"""Samplers of the posterior over sources given a mix, one a file; all take any prior that can denoise."""

from collections.abc import Callable
from typing import Any

from srcsep_core.samplers.base import Separation, State
from srcsep_core.samplers.exchange import ExchangeConfig, ExchangingGibbsConfig, exchange, gibbs_exchange
from srcsep_core.samplers.gibbs import GibbsConfig, gibbs
from srcsep_core.samplers.langevin import LangevinConfig, langevin, released_langevin
from srcsep_core.samplers.pnf import PnFSamplerConfig, pnf
from srcsep_core.samplers.projection import ProjectionConfig, projection

SAMPLERS: dict[str, Callable[..., Separation]] = {
    "gibbs": gibbs,
    "gibbs-exchange": gibbs_exchange,
    "langevin": langevin,
    "projection": projection,
    "pnf": pnf,
}
SAMPLER_CONFIGS: dict[str, Any] = {
    "gibbs": GibbsConfig,
    "gibbs-exchange": ExchangingGibbsConfig,
    "langevin": LangevinConfig,
    "projection": ProjectionConfig,
    "pnf": PnFSamplerConfig,
}

__all__ = [
    "SAMPLERS",
    "SAMPLER_CONFIGS",
    "ExchangeConfig",
    "ExchangingGibbsConfig",
    "GibbsConfig",
    "LangevinConfig",
    "PnFSamplerConfig",
    "ProjectionConfig",
    "Separation",
    "State",
    "exchange",
    "gibbs",
    "gibbs_exchange",
    "langevin",
    "pnf",
    "projection",
    "released_langevin",
]
