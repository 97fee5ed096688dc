"""What every invertible transform has to keep: inverse, log-determinant, gradients, state.

The flows of registered kinds are here by themselves; another transform joins by a line of `CASES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from srcsep_core.flows.base import Compose, Inverse, Transform
from srcsep_core.flows.coupling import AffineCoupling
from srcsep_core.flows.layers import ActNorm, Squeeze, SwapHalves
from srcsep_core.flows.mixing import InvertibleConv
from srcsep_core.flows.multiscale import Split
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig
from srcsep_core.priors.flow import Flow
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.flowavenet import flowavenet
from srcsep_core.priors.kinds import all_kinds
from srcsep_core.run.profiles import get_profile

Perturb = Callable[..., None]
ROWS = 4


def coupling(channels: int, groups: int = 1, context: int = 0, shift_only: bool = False) -> AffineCoupling:
    out = channels // 2 if shift_only else channels
    net = WaveNet(WaveNetConfig(channels // 2, out, layers=2, width=6, groups=groups, context=context))
    return AffineCoupling(net, shift_only)


def plain_coupling(channels: int, shift_only: bool = False) -> AffineCoupling:
    """With a network that knows no condition, and is zero at first."""
    net = nn.Conv1d(channels // 2, channels // 2 if shift_only else channels, kernel_size=3, padding=1)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    return AffineCoupling(net, shift_only)


def flow_step(groups: int = 1, context: int = 0) -> list[Transform]:
    return [ActNorm(4, groups=groups), coupling(4, groups, context), SwapHalves()]


def composition(groups: int = 1, context: int = 0) -> Compose:
    return Compose([Squeeze(), *flow_step(groups, context), *flow_step(groups, context)])


def nested(groups: int = 1, context: int = 0) -> Compose:
    """Two scales, the outer one with a step after its split, in which factored-out channels go on."""
    inner = Compose([Squeeze(), *flow_step(groups, context), Inverse(Squeeze())])
    split = Split(inner, coupling(4, groups, context))
    return Compose([Squeeze(), *flow_step(groups, context), split, SwapHalves(), Inverse(Squeeze())])


class UnderCondition(Transform):
    """A transform under one fixed condition, another for every row."""

    def __init__(self, transform: Transform, channels: int = 2) -> None:
        super().__init__()
        self.transform = transform
        generator = torch.Generator().manual_seed(2)
        self.condition = torch.randn(ROWS, channels, 1, generator=generator, dtype=torch.float64)

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.forward_map(x, self.condition)

    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse_map(y, self.condition)

    def rearrange(self, values: Tensor) -> Tensor:
        return self.transform.rearrange(values)

    def restore(self, values: Tensor) -> Tensor:
        return self.transform.restore(values)


@dataclass(frozen=True)
class Case:
    """How a transform is made, and the shape (C, T) of a row it takes; `mixes`: not but a rearrangement at first."""

    make: Callable[[], Transform]
    row: tuple[int, int] = (2, 6)
    mixes: bool = False


NO_SPLIT = FlowConfig(blocks=2, flows=2, layers=2, width=4, split_every=0)
ALL_SPLIT = FlowConfig(blocks=3, flows=1, layers=1, width=4, split_every=1)
SECOND_SPLIT = FlowConfig(blocks=3, flows=2, layers=1, width=4, split_every=2)
ODD_FLOWS = FlowConfig(blocks=2, flows=3, layers=1, width=4, split_every=1)

CASES = {
    "squeeze": Case(Squeeze),
    "actnorm": Case(lambda: ActNorm(2)),
    "actnorm, groups": Case(lambda: ActNorm(2, groups=2)),
    "swap": Case(SwapHalves),
    "1x1 convolution": Case(lambda: InvertibleConv(4), row=(4, 3), mixes=True),
    "1x1 convolution, groups": Case(lambda: InvertibleConv(2, groups=2), mixes=True),
    "coupling": Case(lambda: coupling(2)),
    "coupling, groups": Case(lambda: coupling(2, groups=2)),
    "coupling, condition": Case(lambda: UnderCondition(coupling(2, context=2))),
    "coupling, other network": Case(lambda: plain_coupling(4), row=(4, 3)),
    "additive coupling": Case(lambda: coupling(2, shift_only=True)),
    "additive coupling, groups, condition": Case(
        lambda: UnderCondition(coupling(2, groups=2, context=2, shift_only=True))
    ),
    "additive coupling, other network": Case(lambda: plain_coupling(4, shift_only=True), row=(4, 3)),
    "split": Case(lambda: Split(ActNorm(1), coupling(2))),
    "split without a network": Case(lambda: Split(coupling(2)), row=(4, 3)),
    "split with an additive coupling": Case(lambda: Split(SwapHalves(), coupling(4, shift_only=True)), row=(4, 3)),
    "split, condition": Case(lambda: UnderCondition(Split(coupling(2, context=2), coupling(4, context=2))), row=(4, 3)),
    "split in a split": Case(lambda: Split(Split(ActNorm(1), coupling(2)), coupling(4)), row=(4, 3)),
    "compose": Case(composition),
    "compose, groups": Case(lambda: composition(groups=2)),
    "compose, groups, condition": Case(lambda: UnderCondition(composition(groups=2, context=2))),
    "compose of nothing": Case(lambda: Compose([])),
    "nested": Case(nested, row=(2, 8)),
    "nested, groups, condition": Case(lambda: UnderCondition(nested(groups=2, context=2)), row=(2, 8)),
    "inverse of actnorm": Case(lambda: Inverse(ActNorm(2))),
    "inverse of coupling": Case(lambda: Inverse(coupling(2))),
    "inverse of split": Case(lambda: Inverse(Split(ActNorm(1), coupling(2)))),
    "inverse of compose": Case(lambda: Inverse(composition()), row=(4, 3)),
    "inverse of inverse": Case(lambda: Inverse(Inverse(composition()))),
    "FloWaveNet, no split": Case(lambda: flowavenet(NO_SPLIT).transform, row=(1, 16)),
    "FloWaveNet, all split": Case(lambda: flowavenet(ALL_SPLIT, groups=2).transform, row=(1, 16)),
    "FloWaveNet, second split": Case(lambda: flowavenet(SECOND_SPLIT).transform, row=(1, 16)),
    "FloWaveNet, odd flows": Case(lambda: flowavenet(ODD_FLOWS).transform, row=(1, 16)),
}


def registered_flows() -> Iterator[tuple[str, Case]]:
    """Of two groups, with the networks of the smoke profile."""
    for name, kind in all_kinds().items():
        plan = get_profile("smoke").plan_of(name)
        for index, network in enumerate((plan.network, *plan.conditional_networks)):
            task = kind.task(network, 2, kind.objectives[0])
            flow = task.build()
            if isinstance(flow, Flow):
                channels = flow.levels.features if flow.levels is not None else 0
                mixes = any(isinstance(part, InvertibleConv) for part in flow.modules())
                yield f"{name} {index}", Case(partial(of_flow, task.build, channels), (1, flow.multiple_of), mixes)


def of_flow(build: Callable[[], nn.Module], channels: int) -> Transform:
    """The transform of a flow, under a condition if it takes one of so many channels."""
    flow = build()
    assert isinstance(flow, Flow)
    return UnderCondition(flow.transform, channels) if channels else flow.transform


CASES |= dict(registered_flows())
WITH_PARAMETERS = {name: case for name, case in CASES.items() if list(case.make().parameters())}

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
each_case_with_parameters = pytest.mark.parametrize("case", WITH_PARAMETERS.values(), ids=WITH_PARAMETERS.keys())


def signal(case: Case, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, *case.row, generator=generator, dtype=torch.float64)


def jacobian_log_det(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """log |det| of every row's own Jacobian, (B,); it is checked that rows do not mix."""
    size = x[0].numel()
    jacobian = torch.autograd.functional.jacobian(function, x).reshape(ROWS, size, ROWS, size)
    own = torch.stack([jacobian[row, :, row] for row in range(ROWS)])
    assert jacobian.count_nonzero() == own.count_nonzero()
    return own.slogdet().logabsdet


@pytest.fixture
def transform(case: Case, perturb: Perturb) -> Transform:
    """The case's transform in float64 and evaluation mode, every parameter off its initial value."""
    made = case.make().double().eval()
    perturb(made)
    return made


@each_case
def test_each_direction_undoes_the_other(case: Case, transform: Transform) -> None:
    x = signal(case)
    y, _ = transform(x)
    back, _ = transform.inverse(y)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(transform(back)[0], y, rtol=0, atol=1e-10)


@each_case
def test_log_det_of_both_directions_is_that_of_the_jacobian(case: Case, transform: Transform) -> None:
    x = signal(case)
    y, log_det = transform(x)
    _, back = transform.inverse(y)
    assert log_det.shape == back.shape == (ROWS,)
    torch.testing.assert_close(log_det, jacobian_log_det(lambda x: transform(x)[0], x), rtol=0, atol=1e-10)
    torch.testing.assert_close(back, jacobian_log_det(lambda y: transform.inverse(y)[0], y), rtol=0, atol=1e-10)


@each_case
def test_log_det_by_position_sums_to_log_det_in_both_directions(case: Case, transform: Transform) -> None:
    x = signal(case)
    for open_sum, closed in ((transform.forward_map, transform), (transform.inverse_map, transform.inverse)):
        y, by_position = open_sum(x if closed is transform else transform(x)[0])
        again, log_det = closed(x if closed is transform else transform(x)[0])
        assert torch.equal(y, again)
        torch.testing.assert_close(by_position.expand_as(y).sum(dim=(1, 2)), log_det, rtol=0, atol=1e-12)


@each_case
def test_both_accounts_sum_to_log_det_by_position(case: Case, transform: Transform) -> None:
    x = signal(case)
    y, by_position = transform.forward_map(x)
    booked = transform.book(x)
    assert torch.equal(booked.y, y)
    total = (booked.log_det + booked.learned).expand_as(y)
    torch.testing.assert_close(total, by_position.expand_as(y), rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items() if not case.mixes])
def test_values_move_as_the_untrained_transform_moves_them(case: Case) -> None:
    """Before training, couplings and ActNorm are the identity, so only the rearrangement is left."""
    transform = case.make().double().eval()
    x = signal(case)
    y = transform.rearrange(x)
    assert torch.equal(y, transform(x)[0])
    assert torch.equal(transform.restore(y), x)


@each_case_with_parameters
def test_gradient_reaches_every_parameter(case: Case, transform: Transform) -> None:
    y, log_det = transform(signal(case))
    (y.square().sum() + log_det.sum()).backward()
    unreached = [name for name, p in transform.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached


@each_case_with_parameters
def test_saved_and_loaded_transform_is_the_same(case: Case, transform: Transform, tmp_path: Path) -> None:
    save_file(transform.state_dict(), tmp_path / "transform.safetensors")
    loaded = case.make().double().eval()
    loaded.load_state_dict(load_file(tmp_path / "transform.safetensors"))
    x = signal(case)
    for ours, theirs in zip(transform(x), loaded(x), strict=True):
        assert torch.equal(ours, theirs)
