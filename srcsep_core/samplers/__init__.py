"""Samplers of the posterior over sources given a mix, one a file; all take any prior that denoises.

A file of this folder registers its sampler with `base.sampler`; `SAMPLERS` has them all by name.
"""

from srcsep_core.registry import import_files
from srcsep_core.samplers.base import SAMPLERS, Sampler, Separation, State
from srcsep_core.samplers.exchange import ExchangeConfig, ExchangingGibbsConfig, exchange, gibbs_exchange
from srcsep_core.samplers.gibbs import GibbsConfig, gibbs
from srcsep_core.samplers.langevin import LangevinConfig, langevin, unconstrained_langevin
from srcsep_core.samplers.means import MeansConfig, means
from srcsep_core.samplers.pnf import PnFSamplerConfig, pnf
from srcsep_core.samplers.projection import ProjectionConfig, projection

import_files(__name__)

__all__ = [
    "SAMPLERS",
    "ExchangeConfig",
    "ExchangingGibbsConfig",
    "GibbsConfig",
    "LangevinConfig",
    "MeansConfig",
    "PnFSamplerConfig",
    "ProjectionConfig",
    "Sampler",
    "Separation",
    "State",
    "exchange",
    "gibbs",
    "gibbs_exchange",
    "langevin",
    "means",
    "pnf",
    "projection",
    "unconstrained_langevin",
]
