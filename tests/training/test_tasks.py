"""What is trained: the losses of the flow, conditional or not, and of the WaveNet."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from srcsep_core.nn.mu_law import SigmoidNet, SoftmaxNet
from srcsep_core.priors.flow import Flow, FlowTerms, NoiseRange
from srcsep_core.priors.flow_kind import objective_by_source
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.flowavenet import FLOWAVENET, flowavenet
from srcsep_core.priors.wavenet import WaveNetPriorConfig, wavenet_task

Perturb = Callable[..., None]

CONDITIONAL = ConditionalFlowConfig(blocks=1, flows=1, layers=1, width=2, context=2, sigma_min=0.02, sigma_max=0.4)


# Flow


@pytest.mark.parametrize(("objective", "weight"), [("likelihood", 1.0), ("quarter_log_det", 0.25)])
def test_objective_weighs_the_log_determinant(objective: str, weight: float, generator: torch.Generator) -> None:
    z, log_pz, log_det = torch.randn(3, 2, 4, 8, generator=generator)
    loss = objective_by_source(FlowTerms(z, log_pz, log_det), objective)  # type: ignore[arg-type]
    for group in range(4):
        expected = -(log_pz[:, group].sum() + weight * log_det[:, group].sum()) / (2 * 8)
        torch.testing.assert_close(loss[group], expected)


def test_likelihood_objective_is_the_negative_log_likelihood_by_sample(
    tiny_flow: FlowConfig, perturb: Perturb, generator: torch.Generator
) -> None:
    flow = flowavenet(tiny_flow, groups=2).double().eval()
    perturb(flow)
    x = torch.randn(3, 2, 16, generator=generator, dtype=torch.float64)
    loss = objective_by_source(flow.source_terms(x), "likelihood")
    torch.testing.assert_close(loss, -flow.log_prob(x).mean(dim=0) / 16)


@pytest.mark.parametrize("objective", ["likelihood", "quarter_log_det"])
def test_losses_of_a_flow_are_its_objective_and_the_two_terms(
    objective: str, tiny_flow: FlowConfig, perturb: Perturb, generator: torch.Generator
) -> None:
    task = FLOWAVENET.task(tiny_flow, 3, objective)  # type: ignore[arg-type]
    flow = task.build()
    assert isinstance(flow, Flow)
    perturb(flow.eval())
    x = torch.randn(2, 3, 16, generator=generator)
    terms = flow.source_terms(x)
    losses = task.losses(flow, x, generator)
    assert task.terms == ("log_pz", "log_det")
    assert losses.shape == (3, 3)
    assert torch.equal(losses[0], objective_by_source(terms, objective))  # type: ignore[arg-type]
    torch.testing.assert_close(losses[1:], torch.stack([t.mean(dim=(0, 2)) for t in terms[1:]]))


def test_only_the_loss_of_a_flow_has_a_gradient(tiny_flow: FlowConfig, generator: torch.Generator) -> None:
    task = FLOWAVENET.task(tiny_flow, 1, "likelihood")
    flow = task.build()
    losses = task.losses(flow, torch.randn(2, 1, 16, generator=generator), generator)
    gradients = torch.autograd.grad(losses[1:].sum(), list(flow.parameters()), allow_unused=True, retain_graph=True)
    assert not any(g is not None and g.any() for g in gradients)
    losses[0].sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in flow.parameters())


# Conditional flow


class Spy(nn.Module):
    """In place of a flow: keeps what it is called with."""

    def __init__(self, levels: NoiseRange | None = None) -> None:
        super().__init__()
        self.levels = levels
        self.seen: list[tuple[Tensor, Tensor | None]] = []

    def source_terms(self, x: Tensor, sigma: Tensor | None = None) -> FlowTerms:
        """Zeros."""
        self.seen.append((x, sigma))
        return FlowTerms(*torch.zeros(3, *x.shape))


def test_conditional_task_draws_a_level_for_every_example_uniformly_in_its_logarithm(
    generator: torch.Generator,
) -> None:
    spy = Spy(NoiseRange(low=0.02, high=0.4, features=2))
    FLOWAVENET.task(CONDITIONAL, 2, "likelihood").losses(spy, torch.zeros(2000, 2, 2), generator)
    ((_, sigma),) = spy.seen
    assert sigma is not None and sigma.shape == (2000,)
    assert sigma.min() >= 0.02 and sigma.max() <= 0.4
    law = stats.uniform(math.log(0.02), math.log(0.4) - math.log(0.02))
    assert stats.kstest(sigma.log().numpy(), law.cdf).pvalue > 0.01


def test_conditional_task_adds_noise_of_the_level_that_it_passes_on(generator: torch.Generator) -> None:
    """To every source of an example alike in level, independent in sample, uncapped."""
    spy = Spy(NoiseRange(low=0.02, high=0.4, features=2))
    clean = torch.full((200, 2, 500), 0.9)
    FLOWAVENET.task(CONDITIONAL, 2, "likelihood").losses(spy, clean, generator)
    ((x, sigma),) = spy.seen
    assert sigma is not None
    unit = (x - clean) / sigma[:, None, None]
    assert stats.kstest(unit.flatten().numpy(), "norm").pvalue > 0.01
    assert (unit.std(dim=2) - 1).abs().max() < 5 / math.sqrt(2 * 500)
    assert (unit[:, 0] * unit[:, 1]).mean().abs() < 4 / math.sqrt(200 * 500)
    assert x.max() > 1


def test_conditional_task_repeats_with_its_generator_and_leaves_the_signals_alone() -> None:
    spy = Spy(NoiseRange(low=0.02, high=0.4, features=2))
    clean = torch.zeros(4, 2, 8)
    for seed in (3, 3, 4):
        FLOWAVENET.task(CONDITIONAL, 2, "likelihood").losses(spy, clean, torch.Generator().manual_seed(seed))
    (first, _), (again, _), (other, _) = spy.seen
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()
    assert not clean.any()


# WaveNet


@pytest.mark.parametrize(("output", "network"), [("softmax", SoftmaxNet), ("sigmoid", SigmoidNet)])
def test_losses_of_a_wavenet_are_those_of_its_output(
    output: str, network: type[nn.Module], perturb: Perturb, generator: torch.Generator
) -> None:
    config = WaveNetPriorConfig(output, layers=1, width=2, head_width=3)
    task = wavenet_task(config, 3)
    net = task.build()
    assert type(net) is network
    perturb(net)
    x = torch.rand(2, 3, 17, generator=generator) - 0.5
    losses = task.losses(net, x, generator)
    assert (net.config, net.groups) == (config, 3)
    assert (task.name, task.terms, task.multiple_of) == (f"wavenet {output}", (), 1)
    assert losses.shape == (1, 3)
    assert torch.equal(losses[0], net.loss(x))
