"""Samplers of the posterior over sources given a mix, one a file; all take any prior that denoises.

A file of this folder registers its sampler with `base.sampler`; `SAMPLERS` has them all by name.
"""

import importlib
import pkgutil

from srcsep_core.samplers.base import SAMPLERS, Sampler, Separation, State
from srcsep_core.samplers.exchange import ExchangeConfig, ExchangingGibbsConfig, exchange, gibbs_exchange
from srcsep_core.samplers.gibbs import GibbsConfig, gibbs
from srcsep_core.samplers.langevin import LangevinConfig, langevin, unconstrained_langevin
from srcsep_core.samplers.pnf import PnFSamplerConfig, pnf
from srcsep_core.samplers.projection import ProjectionConfig, projection

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "SAMPLERS",
    "ExchangeConfig",
    "ExchangingGibbsConfig",
    "GibbsConfig",
    "LangevinConfig",
    "PnFSamplerConfig",
    "ProjectionConfig",
    "Sampler",
    "Separation",
    "State",
    "exchange",
    "gibbs",
    "gibbs_exchange",
    "langevin",
    "pnf",
    "projection",
    "unconstrained_langevin",
]
