"""FloWaveNet, a flow of squeezes and affine couplings with WaveNets: its configuration and its builder.

Source: Kim et al. 2019 (arXiv 1811.02155); thesis "Prior architecture".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from srcsep_core.config import check_least
from srcsep_core.errors import InputError
from srcsep_core.flows.base import Compose, Inverse, Transform
from srcsep_core.flows.coupling import AffineCoupling
from srcsep_core.flows.layers import ActNorm, Squeeze, SwapHalves
from srcsep_core.flows.multiscale import Split
from srcsep_core.nn.levels import NoiseRange, check_range
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig, receptive_field
from srcsep_core.priors.flow import Flow
from srcsep_core.priors.flow_kind import flow_kind
from srcsep_core.priors.kinds import register


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


def flowavenet(config: FlowConfig, groups: int = 1) -> Flow:
    """The flow of `groups` sources (Kim et al. 2019, Figure 1); T must be a multiple of 2**blocks."""
    levels = None
    if isinstance(config, ConditionalFlowConfig):
        levels = NoiseRange(config.sigma_min, config.sigma_max, config.context)
    single = partial(flowavenet, config)
    transform = _block(config, 1, 2, groups)
    return Flow(transform, groups=groups, multiple_of=config.squeeze_factor, levels=levels, single=single)


def _block(config: FlowConfig, index: int, channels: int, groups: int) -> Compose:
    """Block `index` of `channels` channels with all blocks after it, which it holds; keeps the shape of its input.

    It is a squeeze, `flows` times (ActNorm, coupling, swap), perhaps a split, the later blocks, and the squeeze undone.
    """
    steps: list[Transform] = [Squeeze()]
    for _ in range(config.flows):
        steps += [ActNorm(channels, groups=groups), _coupling(config, channels, config.layers, groups), SwapHalves()]
    if index < config.blocks:
        if config.split_every and index % config.split_every == 0:
            coupling = _coupling(config, channels, 2, groups)
            steps.append(Split(_block(config, index + 1, channels, groups), coupling))
        else:
            steps.append(_block(config, index + 1, 2 * channels, groups))
    return Compose([*steps, Inverse(Squeeze())])


def _coupling(config: FlowConfig, channels: int, layers: int, groups: int) -> AffineCoupling:
    context = config.context if isinstance(config, ConditionalFlowConfig) else 0
    shape = (channels // 2, channels, layers, config.width, config.kernel_size, groups)
    return AffineCoupling(WaveNet(WaveNetConfig(*shape, context=context)))


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
