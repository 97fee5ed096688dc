"""Glow, a flow of affine couplings between which all channels are mixed by an invertible 1x1 convolution.

Source: Kingma & Dhariwal 2018 (arXiv 1807.03039), Figure 2; Prenger et al. 2019 (WaveGlow, arXiv 1811.00002) for
WaveNets as its networks; thesis section "Glow". Deviates from print to be comparable with the other flows here: blocks,
networks and the learned Gaussians of factored-out channels are a FloWaveNet's, in which the mixing takes the place of
the swap of halves.
"""

from __future__ import annotations

from srcsep_core.flows.mixing import InvertibleConv
from srcsep_core.flows.multiscale import nest
from srcsep_core.priors.flow import Flow
from srcsep_core.priors.flow_kind import family_kind
from srcsep_core.priors.flow_parts import FlowConfig, affine_steps, built, learned_gaussian
from srcsep_core.priors.kinds import register


def glow(config: FlowConfig, groups: int = 1) -> Flow:
    """The flow of `groups` sources; T must be a multiple of 2**blocks."""
    steps = affine_steps(config, groups, lambda channels: InvertibleConv(channels, groups=groups))
    split = learned_gaussian(config, groups)
    transform = nest(steps, blocks=config.blocks, split_every=config.split_every, split=split)
    return built(glow, config, transform, groups)


GLOW = register(family_kind("glow", FlowConfig, glow))
