"""What flows with WaveNets are made of: their size, their couplings, and what a builder makes of them.

A builder (`flowavenet`, `glow`, `realnvp`, `nice`) says which transforms a block has and what becomes of the channels
that leave; everything else is the same, so that flows of one size differ by what their builder says.

Source: Kim et al. 2019 (arXiv 1811.02155); thesis "Prior architecture".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from srcsep_core.config import check_least
from srcsep_core.errors import InputError
from srcsep_core.flows.base import Transform
from srcsep_core.flows.coupling import AffineCoupling
from srcsep_core.flows.layers import ActNorm
from srcsep_core.nn.levels import NoiseRange, check_range
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig
from srcsep_core.priors.flow import Flow

SPLIT_LAYERS = 2  # of the WaveNet that gives factored-out channels their Gaussian


@dataclass(frozen=True)
class FlowConfig:
    """Size of a FloWaveNet prior (thesis Table 1: 4 blocks, 6 flows, 10 layers, width 32, kernel 3).

    `split_every` factors out half of the channels after every so many blocks, never after the last one
    (Kim et al. 2019, as released; the paper and the thesis do not mention it); 0 turns it off.
    """

    blocks: int = 4
    flows: int = 6
    layers: int = 10
    width: int = 32
    kernel_size: int = 3
    split_every: int = 2

    def __post_init__(self) -> None:
        check_least(self, 1, "blocks", "flows", "layers", "width")
        if self.split_every < 0:
            raise InputError(f"FlowConfig.split_every is {self.split_every}; use 0 for no split, or 1 or more")
        if self.kernel_size % 2 == 0 or self.kernel_size < 1:
            raise InputError(f"FlowConfig.kernel_size is {self.kernel_size}; a centred kernel must be odd")

    @property
    def squeeze_factor(self) -> int:
        """What the length of every signal must be a multiple of."""
        return 2**self.blocks


@dataclass(frozen=True)
class ConditionalFlowConfig(FlowConfig):
    """A flow that takes the noise level as an input, from `sigma_min` to `sigma_max` (standard deviations).

    `context` is the number of cosine features of log sigma that every coupling network is given.
    """

    context: int = 8
    sigma_min: float = 0.01
    sigma_max: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self)
        check_least(self, 1, "context")

    @property
    def levels(self) -> tuple[float, float]:
        """The noise levels that the network covers."""
        return self.sigma_min, self.sigma_max


def built(build: Callable[[FlowConfig, int], Flow], config: FlowConfig, transform: Transform, groups: int) -> Flow:
    """The flow of a transform that `build` made of `config`, told the noise level if the configuration says so."""
    levels = None
    if isinstance(config, ConditionalFlowConfig):
        levels = NoiseRange(config.sigma_min, config.sigma_max, config.context)
    single = partial(build, config, 1)
    return Flow(transform, groups=groups, multiple_of=config.squeeze_factor, levels=levels, single=single)


def wavenet_coupling(
    config: FlowConfig, channels: int, groups: int, *, layers: int = 0, shift_only: bool = False
) -> AffineCoupling:
    """A coupling of `channels` channels with a WaveNet of the configuration's size (`layers`: its own unless given)."""
    context = config.context if isinstance(config, ConditionalFlowConfig) else 0
    made = channels // 2 if shift_only else channels
    shape = (channels // 2, made, layers or config.layers, config.width, config.kernel_size, groups)
    return AffineCoupling(WaveNet(WaveNetConfig(*shape, context=context)), shift_only)


def affine_steps(
    config: FlowConfig, groups: int, mix: Callable[[int], Transform]
) -> Callable[[int, int], list[Transform]]:
    """What a block does: `flows` times ActNorm, an affine coupling, and `mix(channels)`, which moves the channels."""

    def steps(_: int, channels: int) -> list[Transform]:
        made: list[Transform] = []
        for _ in range(config.flows):
            made += [ActNorm(channels, groups=groups), wavenet_coupling(config, channels, groups), mix(channels)]
        return made

    return steps


def learned_gaussian(config: FlowConfig, groups: int) -> Callable[[int], AffineCoupling]:
    """The coupling that gives the channels that leave a Gaussian which depends on those that stay."""
    return lambda channels: wavenet_coupling(config, channels, groups, layers=SPLIT_LAYERS)
