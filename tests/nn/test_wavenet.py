"""The WaveNet stack: its reach, its causality, its groups."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig, copy_group, gated_unit, receptive_field, without_norms

Perturb = Callable[..., None]

STACKS = {
    "centred": WaveNetConfig(1, 2, layers=3, width=8),
    "centred, one layer": WaveNetConfig(1, 2, layers=1, width=8),
    "centred, wide kernel": WaveNetConfig(2, 2, layers=2, width=8, kernel_size=5),
    "centred, even kernel": WaveNetConfig(1, 2, layers=3, width=8, kernel_size=2),
    "causal": WaveNetConfig(1, 2, layers=3, width=8, causal=True),
    "causal, kernel 2": WaveNetConfig(1, 2, layers=4, width=8, kernel_size=2, causal=True),
    "causal, wide head": WaveNetConfig(2, 5, layers=2, width=4, causal=True, head_width=16),
    "causal, centred ends": WaveNetConfig(1, 2, layers=3, width=8, causal=True, head_width=16, centred_ends=True),
    "causal, centred ends, wide kernel": WaveNetConfig(
        1, 2, layers=2, width=8, kernel_size=5, causal=True, centred_ends=True
    ),
}
each_stack = pytest.mark.parametrize("config", STACKS.values(), ids=STACKS.keys())


def dependence(net: nn.Module, channels: int, length: int) -> Tensor:
    """Entry (t, u) says whether output t depends on input u, by gradient over a batch of random inputs."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, channels, length, generator=generator, dtype=torch.float64, requires_grad=True)
    outputs = net(x).sum(dim=(0, 1))
    rows = [torch.autograd.grad(outputs[t], x, retain_graph=True)[0] for t in range(length)]
    return torch.stack(rows).abs().amax(dim=(1, 2)) > 0


@each_stack
def test_receptive_field_is_the_support_of_the_gradient(config: WaveNetConfig, perturb: Perturb) -> None:
    net = WaveNet(config).double()
    perturb(net)
    before, after = receptive_field(config)
    middle = before + 3
    seen = dependence(net, config.in_channels, middle + after + 4)[middle].nonzero()
    assert (middle - int(seen.min()), int(seen.max()) - middle) == (before, after)


def test_receptive_field_of_the_thesis_figure_and_its_front_convolution() -> None:
    """Kernel 2 and dilations 1..8 see 15 samples before their own, 16 in all; the front convolution adds one."""
    assert receptive_field(STACKS["causal, kernel 2"]) == (15 + 1, 0)


def test_centred_ends_of_kernel_3_see_two_samples_of_the_future() -> None:
    before, after = receptive_field(STACKS["causal, centred ends"])
    assert (before, after) == (receptive_field(STACKS["causal"])[0], 2)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_causal_stack_sees_no_later_input(kernel_size: int, perturb: Perturb) -> None:
    net = WaveNet(WaveNetConfig(1, 2, layers=3, width=8, kernel_size=kernel_size, causal=True)).double()
    perturb(net)
    seen = dependence(net, channels=1, length=24)
    assert not seen.triu(diagonal=1).any()
    assert seen.diagonal().all()


def test_centred_stack_sees_both_sides(perturb: Perturb) -> None:
    net = WaveNet(STACKS["centred"]).double()
    perturb(net)
    seen = dependence(net, channels=1, length=24)
    assert torch.equal(seen, seen.T)
    assert seen.triu(diagonal=1).any()


@each_stack
def test_output_is_zero_before_training(config: WaveNetConfig, generator: torch.Generator) -> None:
    x = torch.randn(3, config.in_channels, 40, generator=generator)
    assert not WaveNet(config)(x).any()


def test_grouped_stack_equals_separate_ones(perturb: Perturb, generator: torch.Generator) -> None:
    sizes = {"in_channels": 2, "out_channels": 4, "layers": 2, "width": 3}
    grouped = WaveNet(WaveNetConfig(**sizes, groups=3)).double()
    perturb(grouped)
    x = torch.randn(2, 3, 2, 16, generator=generator, dtype=torch.float64)
    together = grouped(x.reshape(6, 2, 16)).view(2, 3, 4, 16)
    for group in range(3):
        single = WaveNet(WaveNetConfig(**sizes)).double()
        own = {name: value.chunk(3)[group] for name, value in grouped.state_dict().items()}
        single.load_state_dict(own)
        torch.testing.assert_close(single(x[:, group]), together[:, group], rtol=0, atol=1e-12)


def test_gradient_reaches_every_parameter_once_the_last_layer_is_not_zero(
    perturb: Perturb, generator: torch.Generator
) -> None:
    net = WaveNet(WaveNetConfig(1, 2, layers=3, width=4))
    perturb(net.out)
    net(torch.randn(4, 1, 32, generator=generator)).square().sum().backward()
    unreached = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached


# Condition


def test_condition_has_no_effect_before_training(perturb: Perturb, generator: torch.Generator) -> None:
    net = WaveNet(WaveNetConfig(1, 2, layers=2, width=4, context=3))
    perturb(net.out)
    x = torch.randn(2, 1, 16, generator=generator)
    outputs = [net(x, torch.randn(2, 3, 1, generator=generator)) for _ in range(2)]
    assert outputs[0].any()
    assert torch.equal(*outputs)


def test_condition_of_a_row_changes_that_row_alone_and_all_of_it(perturb: Perturb, generator: torch.Generator) -> None:
    net = WaveNet(WaveNetConfig(1, 2, layers=2, width=16, context=3)).double()
    perturb(net)
    x = torch.randn(3, 1, 16, generator=generator, dtype=torch.float64)
    context = torch.randn(3, 3, 1, generator=generator, dtype=torch.float64)
    other = context.clone()
    other[1] += 1
    changed = ~torch.isclose(net(x, context), net(x, other), rtol=0, atol=1e-12)
    assert changed[1].all()
    assert not changed[[0, 2]].any()


def test_grouped_stack_with_a_condition_equals_separate_ones(perturb: Perturb, generator: torch.Generator) -> None:
    sizes = {"in_channels": 1, "out_channels": 2, "layers": 2, "width": 3, "context": 2}
    grouped = WaveNet(WaveNetConfig(**sizes, groups=3)).double()
    perturb(grouped)
    x = torch.randn(2, 3, 1, 16, generator=generator, dtype=torch.float64)
    context = torch.randn(2, 3, 2, 1, generator=generator, dtype=torch.float64)
    together = grouped(x.flatten(0, 1), context.flatten(0, 1)).view(2, 3, 2, 16)
    for group in range(3):
        single = WaveNet(WaveNetConfig(**sizes)).double()
        single.load_state_dict({name: value.chunk(3)[group] for name, value in grouped.state_dict().items()})
        torch.testing.assert_close(single(x[:, group], context[:, group]), together[:, group], rtol=0, atol=1e-12)


# Step by step


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_steps_with_a_memory_equal_the_whole_stack(
    kernel_size: int, groups: int, perturb: Perturb, generator: torch.Generator
) -> None:
    config = WaveNetConfig(2, 5, layers=3, width=4, kernel_size=kernel_size, groups=groups, causal=True, head_width=6)
    net = WaveNet(config).double()
    perturb(net)
    length = 3 * receptive_field(config)[0]
    x = torch.randn(2 * groups, 2, length, generator=generator, dtype=torch.float64)
    memory = net.start()
    steps = torch.stack([net.step(x[..., t], memory) for t in range(length)], dim=2)
    torch.testing.assert_close(steps, net(x), rtol=0, atol=1e-12)


def test_memory_stops_growing_at_the_reach_of_every_convolution() -> None:
    net = WaveNet(WaveNetConfig(1, 2, layers=3, width=4, causal=True))
    memory = net.start()
    for _ in range(40):
        net.step(torch.zeros(2, 1), memory)
    assert [len(past) for past in memory] == [3, 3, 5, 9]


def test_without_norms_it_computes_the_same_bits_and_a_group_can_still_be_cut_out(perturb: Perturb) -> None:
    config = WaveNetConfig(1, 2, layers=2, width=4, groups=3)
    net = WaveNet(config)
    perturb(net)
    x = torch.randn(6, 1, 20, generator=torch.Generator().manual_seed(0))
    expected = net(x)
    bare = without_norms(net)
    assert torch.equal(bare(x), expected)
    assert not [name for name, _ in bare.named_parameters() if "parametrizations" in name]
    single = copy_group(bare, WaveNet(replace(config, groups=1)), 1)
    torch.testing.assert_close(single(x[1::3]), expected[1::3])


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 4e-7), (torch.float64, 1e-15)])
def test_gated_unit_is_a_tanh_times_a_sigmoid(dtype: torch.dtype, within: float) -> None:
    filtered = torch.linspace(-30, 30, 4001, dtype=dtype, requires_grad=True)
    gate = torch.linspace(4, -4, 4001, dtype=dtype)
    found, expected = gated_unit(filtered, gate), filtered.tanh() * gate.sigmoid()
    torch.testing.assert_close(found, expected, rtol=0, atol=within)
    slopes = [torch.autograd.grad(value.sum(), filtered)[0] for value in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=0, atol=2 * within)
