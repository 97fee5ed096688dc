"""FloWaveNet, a flow of affine couplings with WaveNets, halves swapped between them: its builder.

Source: Kim et al. 2019 (arXiv 1811.02155); thesis "Prior architecture".
"""

from __future__ import annotations

from srcsep_core.flows.layers import SwapHalves
from srcsep_core.flows.multiscale import nest
from srcsep_core.nn.wavenet import WaveNetConfig, receptive_field
from srcsep_core.priors.flow import Flow
from srcsep_core.priors.flow_kind import flow_kind
from srcsep_core.priors.flow_parts import FlowConfig, affine_steps, built, learned_gaussian
from srcsep_core.priors.kinds import register


def flowavenet(config: FlowConfig, groups: int = 1) -> Flow:
    """The flow of `groups` sources (Kim et al. 2019, Figure 1); T must be a multiple of 2**blocks."""
    steps = affine_steps(config, groups, lambda channels: SwapHalves())
    split = learned_gaussian(config, groups)
    transform = nest(steps, blocks=config.blocks, split_every=config.split_every, split=split)
    return built(flowavenet, config, transform, groups)


def flow_receptive_field(config: FlowConfig) -> tuple[int, int]:
    """How many samples (before, after) its own one entry of the latent can depend on.

    Every coupling of block b reaches its WaveNet's half receptive field times 2**b samples, and the pairs that
    b squeezes put side by side add the distance to the far ends of a group of 2**b samples. This is the
    derivation that the thesis refers to ("Appendix recp size") and lacks. The sum is an upper
    bound: the reach of the couplings is attained, the far end of a group only but for a few samples.
    """
    reach = 0
    for index in range(1, config.blocks + 1):
        net = WaveNetConfig(1, 1, config.layers, config.width, config.kernel_size)
        reach += config.flows * receptive_field(net)[0] * 2**index
    edge = config.squeeze_factor - 1
    return reach + edge, reach + edge


FLOWAVENET = register(flow_kind("flowavenet", "flow", FlowConfig, flowavenet))
