"""RealNVP, a flow of affine couplings that factors channels out as they are.

Source: Dinh et al. 2017 (arXiv 1605.08803), sections 3.2 to 3.6. Deviates from print to be comparable with the other
flows here: WaveNets for its residual networks, as many and as large as a FloWaveNet's; activation normalisation (Kingma
& Dhariwal 2018) for its batch normalisation, which makes a likelihood depend on the batch; channels leave as often as a
FloWaveNet's; log-scales are not bounded by a hyperbolic tangent. What is left between the two is the Gaussian of the
channels that leave: standard here, learned there.
"""

from __future__ import annotations

from srcsep_core.flows.layers import SwapHalves
from srcsep_core.flows.multiscale import nest
from srcsep_core.priors.flow import Flow
from srcsep_core.priors.flow_kind import family_kind
from srcsep_core.priors.flow_parts import FlowConfig, affine_steps, built
from srcsep_core.priors.kinds import register


def realnvp(config: FlowConfig, groups: int = 1) -> Flow:
    """The flow of `groups` sources; T must be a multiple of 2**blocks."""
    steps = affine_steps(config, groups, lambda channels: SwapHalves())
    return built(realnvp, config, nest(steps, blocks=config.blocks, split_every=config.split_every), groups)


REALNVP = register(family_kind("realnvp", FlowConfig, realnvp))
