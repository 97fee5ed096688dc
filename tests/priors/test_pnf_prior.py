"""The PnF prior: causal, a density at every noise level, with the score of that density."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from srcsep_core.config import resolved
from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.nn.levels import draw_levels, level_features
from srcsep_core.priors.flow_parts import ConditionalFlowConfig
from srcsep_core.priors.flowavenet import flowavenet
from srcsep_core.priors.pnf import PnFConfig, PnFNet, PnFPrior, pnf_task
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import train

TINY = PnFConfig(layers=2, width=6, head_width=8, context=3)
LEVELS = (0.01, 0.1, 1.0, 10.0)
each_level = pytest.mark.parametrize("sigma", LEVELS)
MakeNet = Callable[..., PnFNet]


@pytest.fixture
def make_net(perturb: Callable[..., None]) -> MakeNet:
    """A function that makes a float64 network with random weights, in evaluation mode."""

    def make(config: PnFConfig = TINY, groups: int = 1) -> PnFNet:
        net = PnFNet(config, groups).double().eval()
        perturb(net, 0.3)
        return net

    return make


@pytest.fixture
def prior(make_net: MakeNet) -> PnFPrior:
    return PnFPrior(make_net())


def noise(*shape: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    """Gaussian numbers of standard deviation `scale`, float64."""
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Density


@each_level
@torch.no_grad()
def test_density_given_a_past_integrates_to_one(sigma: float, make_net: MakeNet) -> None:
    """By quadrature over the last of three samples, steps of a tenth of sigma."""
    net = make_net()
    reach = TINY.limit + 10 * sigma
    grid = torch.linspace(-reach, reach, 2 * int(10 * reach / sigma) + 1, dtype=torch.float64)
    past = noise(1, 1, 2, scale=0.5).expand(len(grid), 1, 2)
    density = net.log_prob_map(torch.cat([past, grid.view(-1, 1, 1)], dim=2), sigma)[:, 0, 2].exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-6)


@torch.no_grad()
def test_density_is_the_mixture_of_gaussians_written_out(make_net: MakeNet) -> None:
    net, x = make_net(), noise(2, 1, 5, scale=0.5)
    found = net.log_prob_map(x, 0.2)
    weights = net.logits(x, 0.2).softmax(dim=2)
    for b in range(2):
        for t in range(5):
            normal = torch.distributions.Normal(net.centres.double(), 0.2)
            density = (weights[b, 0, :, t] * normal.log_prob(x[b, 0, t]).exp()).sum()
            assert found[b, 0, t].item() == pytest.approx(density.log().item(), abs=1e-9)


@torch.no_grad()
def test_far_out_the_density_is_finite_and_falls_like_a_gaussian(make_net: MakeNet) -> None:
    net = make_net().float()
    x = torch.tensor([1.0, 2.0, 5.0, 50.0]).view(-1, 1, 1)
    found = net.log_prob_map(x, 0.01)[:, 0, 0]
    assert found.isfinite().all() and (found.diff() < 0).all()
    nearest = -((x[-1].item() - TINY.limit) ** 2) / (2 * 0.01**2)
    assert found[-1].item() == pytest.approx(nearest, rel=1e-3)


@torch.no_grad()
def test_noise_level_matters_to_the_network_and_to_the_density(make_net: MakeNet) -> None:
    net, x = make_net(), noise(1, 1, 8, scale=0.5)
    logits = [net.logits(x, sigma) for sigma in LEVELS]
    densities = [net.log_prob(x, sigma) for sigma in LEVELS]
    for index in range(3):
        assert (logits[index] - logits[index + 1]).abs().max() > 0.01
        assert (densities[index] - densities[index + 1]).abs().max() > 0.01
    # At the first sample there is no past whose scale could tell.
    assert (logits[0][..., 0] - logits[1][..., 0]).abs().max() > 0.01


@torch.no_grad()
def test_every_example_can_have_a_level_of_its_own(make_net: MakeNet) -> None:
    net, x = make_net(groups=2), noise(3, 2, 8, scale=0.5)
    together = net.log_prob_map(x, torch.tensor([0.05, 0.5, 5.0], dtype=torch.float64))
    for index, sigma in enumerate((0.05, 0.5, 5.0)):
        torch.testing.assert_close(together[index], net.log_prob_map(x, sigma)[index])


# What depends on what


def test_logits_depend_on_earlier_samples_alone(make_net: MakeNet) -> None:
    net, x = make_net(), noise(1, 1, 20, scale=0.5).requires_grad_(True)
    logits = net.logits(x, 0.3)[0, 0].square().sum(dim=0)
    jacobian = torch.stack([torch.autograd.grad(value, x, retain_graph=True)[0][0, 0] for value in logits])
    assert not jacobian.triu().any()
    assert (jacobian.diagonal(-1) != 0).float().mean() > 0.8


# Groups


@torch.no_grad()
def test_grouped_network_equals_the_extracted_ones(make_net: MakeNet) -> None:
    net, x = make_net(groups=3), noise(4, 3, 20, scale=0.5)
    together = net.log_prob_map(x, 0.1)
    for group in range(3):
        single = net.extract(group)
        torch.testing.assert_close(single.log_prob_map(x[:, group : group + 1], 0.1)[:, 0], together[:, group])
        assert not torch.isclose(together[:, group - 1], together[:, group]).all()
        assert not single.training


# Samples


@torch.no_grad()
def naive_sample(net: PnFNet, batch: int, length: int, sigma: float, generator: torch.Generator) -> Tensor:
    """One sample after the other, with the whole network run over all samples so far each time."""
    x = torch.zeros(batch, net.groups, 0, dtype=torch.float64)
    for _ in range(length):
        longer = torch.cat([x, torch.zeros(batch, net.groups, 1, dtype=torch.float64)], dim=2)
        logits = net.logits(longer, sigma)[..., -1].flatten(0, 1)
        codes = torch.multinomial(logits.float().softmax(dim=1), 1, generator=generator)[:, 0]
        fresh = torch.randn(len(codes), generator=generator, dtype=torch.float64)
        x = torch.cat([x, (net.centres.double()[codes] + sigma * fresh).view(batch, net.groups, 1)], dim=2)
    return x


@pytest.mark.parametrize("groups", [1, 3])
def test_fast_sampling_equals_naive_sampling(groups: int, make_net: MakeNet) -> None:
    net = make_net(groups=groups)
    fast = net.sample(2, 32, 0.1, torch.Generator().manual_seed(5))
    naive = naive_sample(net, 2, 32, 0.1, torch.Generator().manual_seed(5))
    torch.testing.assert_close(fast, naive)


def test_samples_follow_the_density(make_net: MakeNet) -> None:
    """The mean of -log p over samples is the entropy that quadrature gives."""
    prior, sigma = PnFPrior(make_net()), 0.1
    grid = torch.linspace(-2.2, 2.2, 2000, dtype=torch.float64)
    with torch.no_grad():
        log_prob = prior.log_prob(grid.view(-1, 1, 1), sigma)
        entropy = -torch.trapezoid(log_prob.exp() * log_prob, grid)
        drawn = -prior.log_prob(prior.sample((20_000, 1, 1), torch.Generator().manual_seed(0), sigma), sigma)
    assert abs(drawn.mean() - entropy) < 4 * drawn.std() / math.sqrt(20_000)


# Training, state


def test_codes_are_the_nearest_of_linearly_spaced_values(make_net: MakeNet) -> None:
    net = make_net()
    x = noise(1, 1, 1000, scale=0.6)
    nearest = (x[..., None] - net.centres.double()).abs().argmin(dim=-1)
    assert torch.equal(net.codes(x), nearest)
    assert net.codes(torch.tensor([-9.0, -1.05, 1.05, 9.0])).tolist() == [0, 0, 255, 255]
    torch.testing.assert_close(net.centres.diff(), torch.full((255,), 2.1 / 255).double(), rtol=1e-4, atol=0)


def test_untrained_network_gives_every_class_the_same_chance() -> None:
    net = PnFNet(TINY, groups=2)
    loss = net.loss(torch.zeros(3, 2, 10), torch.Generator().manual_seed(0))
    assert loss.tolist() == pytest.approx([math.log(256)] * 2)


def test_loss_is_the_cross_entropy_written_out(make_net: MakeNet) -> None:
    net, clean = make_net(groups=2), noise(3, 2, 9, scale=0.4)
    loss = net.loss(clean, torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(7)
    sigma = draw_levels(3, TINY.sigma_min, TINY.sigma_max, generator).double()
    noisy = clean + sigma[:, None, None] * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    chosen = net.logits(noisy, sigma).log_softmax(dim=2).gather(2, net.codes(clean)[:, :, None])
    torch.testing.assert_close(loss, -chosen.mean(dim=(0, 2, 3)))


def test_short_training_lowers_the_loss_of_every_source(tmp_path: Path) -> None:
    config = PnFConfig(layers=3, width=8, head_width=16)
    training = TrainConfig(steps=60, batch_size=4, crop=128, learning_rate=1e-2, checkpoint_every=60, clip_norm=10.0)
    task = pnf_task(config, len(SOURCES))
    trained = train(task, ToyWorld(), training, device=torch.device("cpu"), work_folder=tmp_path)
    curve = trained.curve.pivot(index="step", columns="source", values="loss")
    assert (curve.iloc[-1] < curve.iloc[0] - 0.05).all()
    assert not trained.network.training


# Noise levels as an input


def test_features_are_those_of_the_conditional_flow(tiny_flow: object) -> None:
    config = ConditionalFlowConfig(**resolved(tiny_flow), context=5)
    flow = flowavenet(config)
    levels = torch.tensor([0.01, 0.1, 0.5])
    found = level_features(levels, 3, channels=5, low=0.01, high=0.5, like=levels)
    context = flow.context(levels, 3)
    assert context is not None and torch.equal(found, context)
    torch.testing.assert_close(found[0, :, 0], torch.ones(5))
    torch.testing.assert_close(found[2, :, 0], torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0]))


def test_levels_are_drawn_uniformly_in_their_logarithm(generator: torch.Generator) -> None:
    logs = draw_levels(10_000, 0.01, 10.0, generator).log10()
    assert logs.min() >= -2 and logs.max() <= 1
    assert logs.mean().item() == pytest.approx(-0.5, abs=0.04)
    assert logs.var().item() == pytest.approx(9 / 12, rel=0.05)


# Bad input


def test_prior_of_several_sources_and_sample_of_several_channels_are_refused(prior: PnFPrior) -> None:
    with pytest.raises(InputError, match="4 groups"):
        PnFPrior(PnFNet(TINY, groups=4))
    with pytest.raises(InputError, match=r"one channel, not 2; use \(B, 1, T\)"):
        prior.sample((1, 2, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "layers is 0"),
        ({"context": 0}, "context is 0"),
        ({"kernel_size": 1}, "kernel_size is 1"),
        ({"limit": 0.0}, r"limit is 0\.0"),
        ({"sigma_min": 0.0}, r"sigma 0\.0\.\.10\.0"),
        ({"sigma_max": 0.01}, r"sigma 0\.01\.\.0\.01"),
        ({"classes": 100}, "100 classes lie 0.02121 apart, wider than sigma_min 0.01; use 211 classes"),
    ],
)
def test_senseless_configuration_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **change)  # type: ignore[arg-type]
