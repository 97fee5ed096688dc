"""What every invertible transform has to keep: inverse, log-determinant, gradients, state."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from srcsep_core.errors import InputError
from srcsep_core.flows.base import Compose, Inverse, Transform
from srcsep_core.flows.coupling import AffineCoupling
from srcsep_core.flows.layers import ActNorm, Squeeze, SwapHalves
from srcsep_core.flows.multiscale import Split
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig
from srcsep_core.priors.flowavenet import ConditionalFlowConfig, FlowConfig, flowavenet

Perturb = Callable[..., None]


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
    """A transform under one fixed condition of two channels, another for every row."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform
        rows = [[0.3, -1.0], [1.0, 0.0], [-0.5, 2.0], [0.1, 0.2]]
        self.condition = torch.tensor(rows, dtype=torch.float64)[..., None]

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
    """How a transform is made, and the shape (C, T) of a row it takes."""

    make: Callable[[], Transform]
    row: tuple[int, int] = (2, 6)


NO_SPLIT = FlowConfig(blocks=2, flows=2, layers=2, width=4, split_every=0)
ALL_SPLIT = FlowConfig(blocks=3, flows=1, layers=1, width=4, split_every=1)
SECOND_SPLIT = FlowConfig(blocks=3, flows=2, layers=1, width=4, split_every=2)
ODD_FLOWS = FlowConfig(blocks=2, flows=3, layers=1, width=4, split_every=1)
CONDITIONAL = ConditionalFlowConfig(blocks=2, flows=1, layers=1, width=4, split_every=1, context=2)

CASES = {
    "squeeze": Case(Squeeze),
    "actnorm": Case(lambda: ActNorm(2)),
    "actnorm, groups": Case(lambda: ActNorm(2, groups=2)),
    "swap": Case(SwapHalves),
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
    "FloWaveNet, groups, condition": Case(
        lambda: UnderCondition(flowavenet(CONDITIONAL, groups=2).transform), row=(1, 16)
    ),
}
WITH_PARAMETERS = {name: case for name, case in CASES.items() if list(case.make().parameters())}

ROWS = 4
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


@each_case
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


# Values follow their positions


def test_squeeze_puts_even_and_odd_samples_into_neighbouring_channels() -> None:
    x = torch.arange(12.0).reshape(1, 2, 6)
    y, _ = Squeeze()(x)
    assert y[0].tolist() == [[0, 2, 4], [1, 3, 5], [6, 8, 10], [7, 9, 11]]


def test_squeeze_refuses_an_odd_length() -> None:
    with pytest.raises(InputError, match="7 samples; cut the signal to 6"):
        Squeeze()(torch.zeros(1, 1, 7))


def test_swap_exchanges_the_halves() -> None:
    y, _ = SwapHalves()(torch.arange(4.0).reshape(1, 4, 1))
    assert y.flatten().tolist() == [2, 3, 0, 1]


def test_log_det_by_position_moves_with_its_channel() -> None:
    norm = ActNorm(2).eval()
    norm.log_scale.data = torch.tensor([[[1.0], [2.0]]])
    _, by_position = Compose([norm, SwapHalves()]).forward_map(torch.zeros(1, 2, 3))
    assert by_position[0].tolist() == [[2, 2, 2], [1, 1, 1]]


def test_inverse_exchanges_the_two_directions(perturb: Perturb) -> None:
    transform = coupling(2).double()
    perturb(transform)
    x = signal(CASES["coupling"])
    for ours, theirs in zip(Inverse(transform)(x), transform.inverse(x), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(Inverse(transform).inverse(x), transform(x), strict=True):
        assert torch.equal(ours, theirs)


# Coupling


def test_coupling_passes_its_first_half_on(perturb: Perturb) -> None:
    transform = coupling(2).double()
    perturb(transform)
    x = signal(CASES["coupling"])
    y, _ = transform(x)
    assert torch.equal(y[:, 0], x[:, 0])
    assert not torch.isclose(y[:, 1], x[:, 1]).any()


def test_coupling_transforms_its_second_half_as_the_docstring_says(perturb: Perturb) -> None:
    transform = coupling(2).double()
    perturb(transform)
    x = signal(CASES["coupling"])
    a, b = x.chunk(2, dim=1)
    log_s, t = transform.net(a).chunk(2, dim=1)
    y, log_det = transform(x)
    torch.testing.assert_close(y[:, 1:], (b - t) / log_s.exp())
    torch.testing.assert_close(log_det, -log_s.sum(dim=(1, 2)))


def test_additive_coupling_shifts_its_second_half(perturb: Perturb) -> None:
    transform = coupling(2, shift_only=True).double()
    perturb(transform)
    x = signal(CASES["additive coupling, groups, condition"])
    a, b = x.chunk(2, dim=1)
    y, log_det = transform(x)
    torch.testing.assert_close(y, torch.cat([a, b - transform.net(a)], dim=1))
    assert not log_det.any()


def test_condition_goes_through_a_composition_and_its_inverse(perturb: Perturb) -> None:
    transform = composition(context=1).double().eval()
    perturb(transform)
    x = signal(CASES["compose"])
    low, high = (torch.full((ROWS, 1, 1), value, dtype=torch.float64) for value in (-1.0, 1.0))
    y, log_det = transform(x, low)
    assert not torch.isclose(y, transform(x, high)[0]).all()
    back, back_log_det = Inverse(transform)(y, low)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(back_log_det, -log_det, rtol=0, atol=1e-10)
    assert not torch.isclose(Inverse(transform)(y, high)[0], x).all()


def test_coupling_keeps_the_precision_of_the_input_where_the_network_runs_in_a_lower_one(perturb: Perturb) -> None:
    transform = coupling(2)
    perturb(transform)
    with torch.autocast("cpu", torch.bfloat16):
        y, by_position = transform.forward_map(signal(CASES["coupling"]).float())
        _, log_det = transform.inverse(y)
    assert y.dtype == by_position.dtype == log_det.dtype == torch.float32


# Split


def test_split_books_the_learned_gaussian_of_what_leaves(perturb: Perturb) -> None:
    """Normal(b; t(a), exp(log_s(a))) is the standard normal at the standardised b plus what is booked as learned."""
    net = coupling(2)
    transform = Split(ActNorm(1), net).double().eval()
    perturb(transform)
    x = signal(CASES["split"])
    a, b = x.chunk(2, dim=1)
    log_s, t = net.net(a).chunk(2, dim=1)
    y, log_det, learned = transform.book(x)
    standard, gaussian = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(t, log_s.exp())
    torch.testing.assert_close(standard.log_prob(y[:, 1:]) + learned[:, 1:], gaussian.log_prob(b))
    assert not learned[:, :1].any() and not log_det[:, 1:].any()
    torch.testing.assert_close(log_det[:, :1], transform.inner.log_scale.expand_as(a))


def test_split_sends_its_first_half_through_the_rest_of_the_flow(perturb: Perturb) -> None:
    inner = coupling(2).double()
    transform = Split(inner, coupling(4)).double()
    perturb(transform)
    x = signal(CASES["split, condition"])
    assert torch.equal(transform(x)[0][:, :2], inner(x[:, :2])[0])


def test_only_a_split_learns_about_the_latent(perturb: Perturb) -> None:
    for name, learns in {"compose": False, "nested": True, "inverse of split": False}.items():
        transform = CASES[name].make().double().eval()
        perturb(transform)
        assert bool(transform.book(signal(CASES[name])).learned.any()) == learns


def test_learned_part_moves_with_its_channel() -> None:
    """The second half, which leaves, comes first after a swap."""
    transform = Compose([Split(Compose([]), ActNorm(2)), SwapHalves()]).eval()
    split = transform.transforms[0]
    split.coupling.log_scale.data = torch.tensor([[[0.0], [2.0]]])
    _, log_det, learned = transform.book(torch.zeros(1, 2, 3))
    assert learned[0].tolist() == [[2, 2, 2], [0, 0, 0]]
    assert not log_det.any()


# ActNorm


def shifted_batch(groups: int) -> Tensor:
    """Rows (6 * groups, 2, 50) with a mean and a scale of its own for every group and channel."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(6, groups, 2, 50, generator=generator, dtype=torch.float64)
    level = torch.arange(1, 2 * groups + 1, dtype=torch.float64).view(1, groups, 2, 1)
    return (level * noise + 10 * level).view(6 * groups, 2, 50)


@pytest.mark.parametrize("groups", [1, 3])
def test_actnorm_normalises_its_first_batch_by_channel_and_group(groups: int) -> None:
    y, _ = ActNorm(2, groups=groups).double()(shifted_batch(groups))
    y = y.view(6, groups, 2, 50)
    std, mean = torch.std_mean(y, dim=(0, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-9)
    torch.testing.assert_close(std, torch.ones_like(std), rtol=0, atol=1e-5)


def test_actnorm_is_set_by_its_first_batch_alone() -> None:
    norm = ActNorm(2).double()
    norm(shifted_batch(1))
    scale, shift = norm.log_scale.clone(), norm.shift.clone()
    norm(5 * shifted_batch(1) + 1)
    assert torch.equal(norm.log_scale, scale)
    assert torch.equal(norm.shift, shift)


def test_actnorm_in_evaluation_mode_is_the_identity_until_it_is_set() -> None:
    norm = ActNorm(2).double().eval()
    x = shifted_batch(1)
    assert torch.equal(norm(x)[0], x)
    assert not norm.initialised


def test_loaded_actnorm_is_not_set_anew(tmp_path: Path) -> None:
    norm = ActNorm(2).double()
    x = shifted_batch(1)
    y, _ = norm(x)
    save_file(norm.state_dict(), tmp_path / "norm.safetensors")
    loaded = ActNorm(2).double().train()
    loaded.load_state_dict(load_file(tmp_path / "norm.safetensors"))
    loaded(5 * x + 1)
    assert torch.equal(loaded(x)[0], y)


def test_actnorm_survives_a_constant_channel() -> None:
    y, log_det = ActNorm(2)(torch.full((3, 2, 8), 0.5))
    assert y.isfinite().all()
    assert log_det.isfinite().all()
