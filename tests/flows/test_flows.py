"""Where each transform puts its values, and what it books: see `test_transform_contract` for what all of them keep."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.flows.base import Compose, Inverse
from srcsep_core.flows.coupling import AffineCoupling
from srcsep_core.flows.layers import ActNorm, Squeeze, SwapHalves
from srcsep_core.flows.mixing import InvertibleConv
from srcsep_core.flows.multiscale import Split
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig

Perturb = Callable[..., None]
ROWS = 4


def coupling(channels: int, context: int = 0, shift_only: bool = False) -> AffineCoupling:
    out = channels // 2 if shift_only else channels
    net = WaveNet(WaveNetConfig(channels // 2, out, layers=2, width=6, context=context))
    return AffineCoupling(net, shift_only)


def signal(channels: int = 2, length: int = 6) -> Tensor:
    return torch.randn(ROWS, channels, length, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


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
    x = signal()
    for ours, theirs in zip(Inverse(transform)(x), transform.inverse(x), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(Inverse(transform).inverse(x), transform(x), strict=True):
        assert torch.equal(ours, theirs)


# Coupling


def test_coupling_passes_its_first_half_on(perturb: Perturb) -> None:
    transform = coupling(2).double()
    perturb(transform)
    x = signal()
    y, _ = transform(x)
    assert torch.equal(y[:, 0], x[:, 0])
    assert not torch.isclose(y[:, 1], x[:, 1]).any()


def test_coupling_transforms_its_second_half_as_the_docstring_says(perturb: Perturb) -> None:
    transform = coupling(2).double()
    perturb(transform)
    x = signal()
    a, b = x.chunk(2, dim=1)
    log_s, t = transform.net(a).chunk(2, dim=1)
    y, log_det = transform(x)
    torch.testing.assert_close(y[:, 1:], (b - t) / log_s.exp())
    torch.testing.assert_close(log_det, -log_s.sum(dim=(1, 2)))


def test_additive_coupling_shifts_its_second_half(perturb: Perturb) -> None:
    transform = coupling(2, shift_only=True).double()
    perturb(transform)
    x = signal()
    a, b = x.chunk(2, dim=1)
    y, log_det = transform(x)
    torch.testing.assert_close(y, torch.cat([a, b - transform.net(a)], dim=1))
    assert not log_det.any()


def test_condition_goes_through_a_composition_and_its_inverse(perturb: Perturb) -> None:
    norm, swap = ActNorm(4), SwapHalves()
    transform = Compose([Squeeze(), norm, coupling(4, context=1), swap, coupling(4, context=1)]).double().eval()
    perturb(transform)
    x = signal()
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
        y, by_position = transform.forward_map(signal().float())
        _, log_det = transform.inverse(y)
    assert y.dtype == by_position.dtype == log_det.dtype == torch.float32


# Split


def test_split_books_the_learned_gaussian_of_what_leaves(perturb: Perturb) -> None:
    """Normal(b; t(a), exp(log_s(a))) is the standard normal at the standardised b plus what is booked as learned."""
    net = coupling(2)
    transform = Split(ActNorm(1), net).double().eval()
    perturb(transform)
    x = signal()
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
    x = signal(4, 3)
    assert torch.equal(transform(x)[0][:, :2], inner(x[:, :2])[0])


def test_only_a_split_learns_about_the_latent(perturb: Perturb) -> None:
    split = Split(ActNorm(1), coupling(2))
    for made, learns in ((Compose([coupling(2)]), False), (Compose([split]), True), (Inverse(split), False)):
        transform = made.double().eval()
        perturb(transform)
        assert bool(transform.book(signal()).learned.any()) == learns


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


def test_invertible_convolution_starts_as_a_rotation_and_stays_invertible() -> None:
    """log |det| is 0 at first; whatever the weights are the matrix keeps its sign and its inverse."""
    made = InvertibleConv(6).double()
    x = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y, log_det = made(x)
    torch.testing.assert_close(y.square().sum(), x.square().sum(), rtol=1e-5, atol=0)
    torch.testing.assert_close(log_det, torch.zeros(2, dtype=torch.float64), atol=1e-5, rtol=0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    y, log_det = made(x)
    matrix = made.forward_map(torch.eye(6, dtype=torch.float64)[None])[0][0]
    torch.testing.assert_close(log_det, (5 * matrix.slogdet().logabsdet).expand(2))
    torch.testing.assert_close(made.inverse(y)[0], x, atol=1e-9, rtol=0)
