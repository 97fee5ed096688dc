"""NICE, a flow of additive couplings: volume-preserving but for one scaling at its end.

Source: Dinh et al. 2014 (arXiv 1410.8516), sections 3.2 and 3.3. Deviates from print to be comparable with the other
flows here: WaveNets for its multilayer perceptrons, as many and as large as a FloWaveNet's, in blocks between squeezes;
a standard normal for its logistic density; its last layer, a scaling, shifts too.
"""

from __future__ import annotations

from srcsep_core.flows.base import Transform
from srcsep_core.flows.layers import ActNorm, SwapHalves
from srcsep_core.flows.multiscale import nest
from srcsep_core.priors.flow import Flow
from srcsep_core.priors.flow_kind import family_kind
from srcsep_core.priors.flow_parts import FlowConfig, built, wavenet_coupling
from srcsep_core.priors.kinds import register


def nice(config: FlowConfig, groups: int = 1) -> Flow:
    """The flow of `groups` sources; T must be a multiple of 2**blocks. Nothing leaves, whatever `split_every` says."""

    def steps(index: int, channels: int) -> list[Transform]:
        made: list[Transform] = []
        for _ in range(config.flows):
            made += [wavenet_coupling(config, channels, groups, shift_only=True), SwapHalves()]
        return [*made, ActNorm(channels, groups=groups)] if index == config.blocks else made

    return built(nice, config, nest(steps, blocks=config.blocks), groups)


NICE = register(family_kind("nice", FlowConfig, nice))
