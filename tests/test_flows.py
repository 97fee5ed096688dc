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

Perturb = Callable[..., None]


def coupling(channels: int, groups: int = 1, context: int = 0) -> AffineCoupling:
    return AffineCoupling.over(channels, layers=2, width=6, groups=groups, context=context)


def flow_step(groups: int = 1, context: int = 0) -> list[Transform]:
    return [ActNorm(4, groups=groups), coupling(4, groups, context), SwapHalves()]


def composition(groups: int = 1, context: int = 0) -> Compose:
    return Compose([Squeeze(), *flow_step(groups, context), *flow_step(groups, context)])


class UnderCondition(Transform):
    """A transform under one fixed condition of two channels, another for every row."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform
        self.condition = torch.tensor([[0.3, -1.0], [1.0, 0.0], [-0.5, 2.0], [0.1, 0.2]], dtype=torch.float64)[
            ..., None
        ]

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.forward_map(x, self.condition)

    def rearrange(self, values: Tensor) -> Tensor:
        return self.transform.rearrange(values)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(y, self.condition)


@dataclass(frozen=True)
class Case:
    """How a transform is made, and the shape (C, T) of a row it takes."""

    make: Callable[[], nn.Module]
    row: tuple[int, int] = (2, 6)


FORWARD_CASES = {
    "squeeze": Case(Squeeze),
    "actnorm": Case(lambda: ActNorm(2)),
    "actnorm, groups": Case(lambda: ActNorm(2, groups=2)),
    "coupling": Case(lambda: coupling(2)),
    "coupling, groups": Case(lambda: coupling(2, groups=2)),
    "swap": Case(SwapHalves),
    "compose": Case(composition),
    "compose, groups": Case(lambda: composition(groups=2)),
    "coupling, condition": Case(lambda: UnderCondition(coupling(2, context=2))),
    "compose, condition": Case(lambda: UnderCondition(composition(context=2))),
    "compose, groups, condition": Case(lambda: UnderCondition(composition(groups=2, context=2))),
}
CASES = FORWARD_CASES | {
    "inverse of actnorm": Case(lambda: Inverse(ActNorm(2))),
    "inverse of coupling": Case(lambda: Inverse(coupling(2))),
    "inverse of compose": Case(lambda: Inverse(composition()), row=(4, 3)),
    "inverse of inverse": Case(lambda: Inverse(Inverse(composition()))),
}
WITH_PARAMETERS = {name: case for name, case in CASES.items() if list(case.make().parameters())}

ROWS = 4
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
each_forward_case = pytest.mark.parametrize("case", FORWARD_CASES.values(), ids=FORWARD_CASES.keys())
each_case_with_parameters = pytest.mark.parametrize("case", WITH_PARAMETERS.values(), ids=WITH_PARAMETERS.keys())


def signal(case: Case, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, *case.row, generator=generator, dtype=torch.float64)


@pytest.fixture
def transform(case: Case, perturb: Perturb) -> nn.Module:
    """The case's transform in float64 and evaluation mode, every parameter off its initial value."""
    made = case.make().double().eval()
    perturb(made)
    return made


@each_case
def test_inverse_undoes_forward(case: Case, transform: nn.Module) -> None:
    x = signal(case)
    y, _ = transform(x)
    torch.testing.assert_close(transform.inverse(y)[0], x, rtol=0, atol=1e-10)


@each_case
def test_forward_undoes_inverse(case: Case, transform: nn.Module) -> None:
    y, _ = transform(signal(case))
    x, _ = transform.inverse(y)
    torch.testing.assert_close(transform(x)[0], y, rtol=0, atol=1e-10)


@each_case
def test_log_det_is_that_of_the_jacobian(case: Case, transform: nn.Module) -> None:
    x = signal(case)
    _, log_det = transform(x)
    jacobian = torch.autograd.functional.jacobian(lambda x: transform(x)[0], x)
    size = case.row[0] * case.row[1]
    jacobian = jacobian.reshape(ROWS, size, ROWS, size)
    own = torch.stack([jacobian[row, :, row] for row in range(ROWS)])
    torch.testing.assert_close(log_det, own.slogdet().logabsdet, rtol=0, atol=1e-10)


@each_case
def test_rows_do_not_mix(case: Case, transform: nn.Module) -> None:
    x = signal(case).requires_grad_(True)
    (gradient,) = torch.autograd.grad(transform(x)[0][1].square().sum(), x)
    others = [row for row in range(ROWS) if row != 1]
    assert gradient[1].any()
    assert not gradient[others].any()


@each_case
def test_log_det_has_one_value_a_row(case: Case, transform: nn.Module) -> None:
    y, log_det = transform(signal(case))
    _, back = transform.inverse(y)
    assert log_det.shape == back.shape == (ROWS,)


@each_case
def test_log_det_of_the_inverse_is_the_negative(case: Case, transform: nn.Module) -> None:
    y, log_det = transform(signal(case))
    _, back = transform.inverse(y)
    torch.testing.assert_close(back, -log_det, rtol=0, atol=1e-10)


@each_forward_case
def test_log_det_by_position_sums_to_log_det(case: Case, transform: Transform) -> None:
    x = signal(case)
    y, by_position = transform.forward_map(x)
    again, log_det = transform(x)
    assert torch.equal(y, again)
    torch.testing.assert_close(by_position.expand_as(y).sum(dim=(1, 2)), log_det, rtol=0, atol=1e-12)


@each_case_with_parameters
def test_gradient_reaches_every_parameter(case: Case, transform: nn.Module) -> None:
    y, log_det = transform(signal(case))
    (y.square().sum() + log_det.sum()).backward()
    unreached = [name for name, p in transform.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached


@each_case_with_parameters
def test_saved_and_loaded_transform_is_the_same(case: Case, transform: nn.Module, tmp_path: Path) -> None:
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


@each_forward_case
def test_rearrange_moves_values_as_the_untrained_transform_does(case: Case) -> None:
    """Before training, couplings and ActNorm are the identity, so only the rearrangement is left."""
    transform = case.make().double().eval()
    x = signal(case)
    assert torch.equal(transform.rearrange(x), transform(x)[0])


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


def test_coupling_is_the_identity_before_training() -> None:
    x = signal(CASES["coupling"])
    y, log_det = coupling(2).double()(x)
    assert torch.equal(y, x)
    assert not log_det.any()


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
