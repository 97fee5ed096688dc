"""The WaveNet prior: causal, a density on the real line, sampled fast; and the one with sigmoids, which is neither."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy import stats
from torch import Tensor

from srcsep_core.audio import mu_law_encode
from srcsep_core.data.toy import SOURCES, ToyWorld, draw_test_set
from srcsep_core.errors import InputError
from srcsep_core.nn.mu_law import SigmoidNet, SoftmaxNet, WaveNetPriorConfig, class_edges, mu_law_net
from srcsep_core.nn.wavenet import receptive_field
from srcsep_core.priors.base import DensityPrior, Prior, ScorePrior
from srcsep_core.priors.wavenet import WaveNetPrior, WaveNetSet, wavenet_task
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import train

Perturb = Callable[..., None]
MakeNet = Callable[..., Any]
"""Makes the network of a configuration: a `SoftmaxNet` or a `SigmoidNet`."""

SOFTMAX = WaveNetPriorConfig(layers=2, width=6, head_width=8)
SIGMOID = replace(SOFTMAX, output="sigmoid")
# Own sigmoid 1 and all others 0, and the contrary.
LOWEST_LOSS, HIGHEST_LOSS = math.log(255 + math.e) - 1, math.log(1 + 255 * math.e)
# The cross-entropy is summed in float32 whatever the network's precision.
FLOAT32_NATS = 1e-5


@pytest.fixture
def make_net(perturb: Perturb) -> MakeNet:
    """A function that makes a float64 network with random weights, in evaluation mode."""

    def make(config: WaveNetPriorConfig = SOFTMAX, groups: int = 1) -> SoftmaxNet | SigmoidNet:
        net = mu_law_net(config, groups).double().eval()
        perturb(net, 0.3)
        return net

    return make


@pytest.fixture
def prior(make_net: MakeNet) -> WaveNetPrior:
    return WaveNetPrior(make_net())


def uniform(*shape: int, reach: float = 1.0, seed: int = 0) -> Tensor:
    """Numbers between -reach and reach, float64."""
    generator = torch.Generator().manual_seed(seed)
    return reach * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)


def influence(values: Callable[[Tensor], Tensor], length: int) -> Tensor:
    """Entry (t, u) says whether the value at t (the last axis) changes with sample u, which moves to another class."""
    x = uniform(8, 1, length)
    before = values(x).flatten(0, -2)
    rows = []
    for u in range(length):
        moved = x.clone()
        moved[..., u] += torch.where(moved[..., u] > 0, -0.5, 0.5)
        rows.append(((values(moved).flatten(0, -2) - before).abs() > 1e-9).any(dim=0))
    return torch.stack(rows, dim=1)


# What depends on what


@pytest.mark.parametrize("kernel_size", [2, 3])
@torch.no_grad()
def test_logits_depend_on_earlier_samples_alone(kernel_size: int, make_net: MakeNet) -> None:
    net = make_net(replace(SOFTMAX, kernel_size=kernel_size))
    seen = influence(net.logits, 20)
    assert not seen.triu().any()
    assert seen.diagonal(-1).all()


@torch.no_grad()
def test_log_density_of_a_sample_depends_on_it_and_earlier_ones(make_net: MakeNet) -> None:
    seen = influence(make_net().log_prob_map, 20)
    assert not seen.triu(diagonal=1).any()
    assert seen.diagonal().all()
    assert seen.diagonal(-1).all()


@pytest.mark.parametrize("config", [SOFTMAX, replace(SOFTMAX, layers=3), replace(SOFTMAX, kernel_size=2)], ids=str)
@torch.no_grad()
def test_receptive_field_is_what_the_logits_see(config: WaveNetPriorConfig, make_net: MakeNet) -> None:
    """That of the stack, and one sample more because its input is delayed by one."""
    net = make_net(config)
    before, after = receptive_field(net.net.config)
    assert (before, after) == ((config.kernel_size - 1) * 2**config.layers, 0)
    middle = before + 3
    seen = influence(net.logits, middle + 3)[middle].nonzero()
    assert (middle - int(seen.min()), middle - int(seen.max())) == (before + 1, 1)


@torch.no_grad()
def test_sigmoid_network_sees_the_sample_that_it_predicts_and_the_one_after(
    make_net: MakeNet,
) -> None:
    """The logits at t are for t + 1 and depend on samples up to t + 2."""
    net = make_net(replace(SIGMOID, width=16))
    net.net.front.parametrizations.weight.original0 /= 128  # raw codes would drive every gate into its flat ends
    before, after = receptive_field(net.net.config)
    assert after == 2
    middle = before + 3
    seen = influence(net.logits, middle + 6)[middle].nonzero()
    assert (middle - int(seen.min()), int(seen.max()) - middle) == (before, 2)


def test_one_half_of_what_the_sigmoid_network_sees_too_much_is_from_its_first_convolution(
    make_net: MakeNet,
) -> None:
    net = make_net(SIGMOID)
    inputs = (127 * uniform(8, 1, 30)).requires_grad_(True)

    def latest(values: Tensor) -> int:
        (gradient,) = torch.autograd.grad(values[..., 15].sum(), inputs)
        return int(gradient.abs().amax(dim=(0, 1)).nonzero().max()) - 15

    assert latest(net.net.front(inputs)) == 1
    assert latest(net.net(inputs)) == 2


@torch.no_grad()
def test_past_counts_by_its_class_alone(make_net: MakeNet) -> None:
    net = make_net()
    edges = net.edges
    x = torch.tensor([100, 30, 180, 127, 60, 222])
    low, high = (((1 - a) * edges[x] + a * edges[x + 1])[None, None] for a in (0.1, 0.9))
    assert torch.equal(net.logits(low), net.logits(high))
    assert torch.equal(net.log_prob(low), net.log_prob(high))


# Classes


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_edges_lie_between_the_classes_of_the_mu_law(scale: float) -> None:
    edges = class_edges(scale)
    classes = torch.arange(255)
    assert torch.equal(mu_law_encode((edges - 1e-9) / scale), classes)
    assert torch.equal(mu_law_encode((edges + 1e-9) / scale), classes + 1)
    assert edges[-1] < scale
    torch.testing.assert_close(edges, -edges.flip(0))


def test_width_of_the_classes_is_that_of_the_mu_law() -> None:
    """Proportional to 1 + 255 |x| of the curve's slope, so 256 times finer at zero than at the ends."""
    edges = class_edges(1.0)
    middle = (edges[1:] + edges[:-1]) / 2
    slope = 2 / 255 * math.log(256) * (1 / 255 + middle.abs())
    torch.testing.assert_close(edges.diff(), slope, rtol=1e-3, atol=0)


def test_class_of_a_value_is_between_its_edges(make_net: MakeNet) -> None:
    net = make_net()
    x = uniform(1, 1, 5000, reach=3.0)
    assert torch.equal(net.codes(x), torch.bucketize(x, net.edges))
    assert net.codes(x).unique().tolist()[0] == 0 and net.codes(x).max() == 255


def within(net: SoftmaxNet, x: Tensor) -> Tensor:
    """The density of values (N,) within their classes."""
    rows = x[None, None]
    return net._within(rows, net.codes(rows)).exp()[0, 0]


def test_density_within_an_inner_class_is_one_over_its_width(make_net: MakeNet) -> None:
    net = make_net()
    edges = net.edges
    for share in (0.01, 0.5, 0.99):
        x = edges[:-1] + share * edges.diff()
        torch.testing.assert_close(within(net, x), 1 / edges.diff(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("side", [-1, 1])
def test_density_within_an_outermost_class_is_exponential(side: int, make_net: MakeNet) -> None:
    net = make_net()
    width = float(net.edges[-1] - net.edges[-2])
    excess = width * torch.linspace(1e-6, 20, 200, dtype=torch.float64)
    expected = torch.from_numpy(stats.expon(scale=width).pdf(excess.numpy()))
    torch.testing.assert_close(within(net, side * (net.edges[-1] + excess)), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_sigmoid_codes_are_0_to_254_of_the_mu_law_with_mu_254(scale: float, make_net: MakeNet) -> None:
    """The scale is that of the softmax alone; what is beyond +-1 is clipped."""
    net = make_net(replace(SIGMOID, scale=scale))
    x = uniform(2, 1, 1000)
    curve = x.sign() * torch.log1p(254 * x.abs()) / math.log(255)
    assert torch.equal(net.codes(x), ((curve + 1) / 2 * 254 + 0.5).floor().long())
    ends = torch.tensor([[[-5.0, -1.0, 0.0, 1.0, 5.0]]], dtype=torch.float64)
    assert net.codes(ends).flatten().tolist() == [0, 0, 127, 254, 254]


# The density


def midpoints(low: float, high: float, count: int) -> tuple[Tensor, Tensor]:
    """Points and weights of the midpoint rule."""
    step = (high - low) / count
    points = low + step * (torch.arange(count, dtype=torch.float64) + 0.5)
    return points, torch.full_like(points, step)


def companded_grid(count: int) -> tuple[Tensor, Tensor]:
    """Points and weights of the midpoint rule between about -5 and 5, finest at zero."""
    c = torch.linspace(-1.15, 1.15, 2 * count + 1, dtype=torch.float64)
    x = 2 * c.sign() * torch.expm1(c.abs() * math.log(256)) / 255
    return x[1::2], x[2::2] - x[:-2:2]


def quadrature(edges: Tensor, tail: int = 40) -> tuple[Tensor, Tensor]:
    """Points and weights for the real line: the middle of every inner class, and the tails out to 20 widths."""
    width = float(edges[-1] - edges[-2])
    points, weights = midpoints(0.0, 20 * width, tail)
    inner = (edges[1:] + edges[:-1]) / 2
    x = torch.cat([edges[0] - points, inner, edges[-1] + points])
    return x, torch.cat([weights, edges.diff(), weights])


@torch.no_grad()
def test_density_of_one_sample_integrates_to_one_on_a_fine_grid(prior: WaveNetPrior) -> None:
    """The grid does not know where the classes are."""
    x, weight = companded_grid(40_000)
    density = prior.log_prob(x.view(-1, 1, 1)).exp()
    probability = prior.net.logits(x[:1].view(1, 1, 1)).softmax(dim=2)
    assert probability.max() > 5 * probability.min()
    assert abs((density * weight).sum() - 1) < 5e-4


@torch.no_grad()
def test_density_of_two_samples_integrates_to_one(prior: WaveNetPrior) -> None:
    x, weight = quadrature(prior.net.edges)
    total = torch.zeros((), dtype=torch.float64)
    for first, first_weight in zip(x.split(50), weight.split(50), strict=True):
        pairs = torch.cartesian_prod(first, x)[:, None]
        mass = torch.outer(first_weight, weight).flatten()
        total += (prior.log_prob(pairs).exp() * mass).sum()
    assert abs(total - 1) < 1e-3  # midpoints half a mean excess apart leave out 1 % of the tails


@pytest.mark.parametrize("first", [-2.5, 0.0, 0.02, 1.3])
@torch.no_grad()
def test_density_of_the_second_sample_given_the_first_integrates_to_one(first: float, prior: WaveNetPrior) -> None:
    x, weight = companded_grid(20_000)
    pairs = torch.stack([torch.full_like(x, first), x], dim=1)[:, None]
    marginal = prior.log_prob(torch.full((1, 1, 1), first, dtype=torch.float64))
    conditional = (prior.log_prob(pairs) - marginal).exp()
    assert abs((conditional * weight).sum() - 1) < 1e-3


@torch.no_grad()
def test_log_prob_is_the_log_softmax_of_the_classes_less_their_log_widths(
    make_net: MakeNet,
) -> None:
    net = make_net(groups=2)
    x = uniform(3, 2, 12, reach=1.9)
    codes = mu_law_encode(x / 2)
    log_softmax = net.logits(x).log_softmax(dim=2)
    edges = net.edges
    expected = torch.zeros(3, 2, dtype=torch.float64)
    for b in range(3):
        for g in range(2):
            for t in range(12):
                c = int(codes[b, g, t])
                expected[b, g] += log_softmax[b, g, c, t] - math.log(edges[c] - edges[c - 1])
    torch.testing.assert_close(net.log_prob(x), expected, rtol=0, atol=12 * FLOAT32_NATS)
    torch.testing.assert_close(net.log_prob_map(x).sum(dim=2), net.log_prob(x), rtol=0, atol=1e-12)


@torch.no_grad()
def test_untrained_network_finds_every_class_alike() -> None:
    net = SoftmaxNet(SOFTMAX).double()
    x = uniform(2, 1, 10, reach=1.9)
    width = net.edges.diff()[net.codes(x) - 1]
    torch.testing.assert_close(net.log_prob_map(x), -(256 * width).log(), rtol=0, atol=FLOAT32_NATS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@torch.no_grad()
def test_values_beyond_the_scale_have_a_finite_density_that_falls(dtype: torch.dtype, perturb: Perturb) -> None:
    net = SoftmaxNet(SOFTMAX).to(dtype)
    perturb(net)
    far = torch.tensor([2.0, 2.1, 5.0, 50.0], dtype=dtype)
    for side in (-1, 1):
        found = net.log_prob(side * far.view(-1, 1, 1))[:, 0]
        width = float(net.edges[-1] - net.edges[-2])
        assert found.isfinite().all()
        torch.testing.assert_close(found - found[0], -(far.double() - 2) / width, rtol=1e-4, atol=1e-4)


def test_log_prob_has_one_value_a_signal_in_double_precision(perturb: Perturb) -> None:
    net = SoftmaxNet(SOFTMAX, groups=2)
    perturb(net)
    x = uniform(3, 2, 16).float()
    assert net.log_prob(x).shape == (3, 2) and net.log_prob(x).dtype == torch.float64
    assert net.log_prob_map(x).shape == (3, 2, 16) and net.log_prob_map(x).dtype == torch.float32
    single = WaveNetPrior(net.extract(1))
    assert single.log_prob(x[:, 1:]).shape == (3,)
    assert single.log_prob_map(x[:, 1:]).shape == (3, 16)


def test_wavenet_prior_has_a_density_and_no_score(prior: WaveNetPrior) -> None:
    assert isinstance(prior, DensityPrior)
    assert not isinstance(prior, ScorePrior)
    assert not isinstance(prior, Prior)


# Groups


@torch.no_grad()
def test_grouped_network_equals_the_extracted_ones(make_net: MakeNet) -> None:
    net = make_net(groups=3)
    x = uniform(4, 3, 20)
    together = net.log_prob_map(x)
    for group in range(3):
        single = net.extract(group)
        own = x[:, group : group + 1]
        torch.testing.assert_close(single.logits(own)[:, 0], net.logits(x)[:, group], rtol=0, atol=1e-12)
        torch.testing.assert_close(single.log_prob_map(own)[:, 0], together[:, group], rtol=0, atol=FLOAT32_NATS)
        assert not torch.isclose(together[:, group - 1], together[:, group]).all()


@torch.no_grad()
def test_grouped_sigmoid_network_equals_the_extracted_ones(make_net: MakeNet) -> None:
    net = make_net(SIGMOID, groups=3)
    x = uniform(4, 3, 20)
    scores, loss = net.reported(x), net.loss(x)
    for group in range(3):
        single, own = net.extract(group), x[:, group : group + 1]
        torch.testing.assert_close(single.reported(own)[:, 0], scores[:, group], rtol=0, atol=1e-12)
        torch.testing.assert_close(single.loss(own)[0], loss[group], rtol=0, atol=FLOAT32_NATS)


def test_groups_do_not_mix(make_net: MakeNet) -> None:
    net = make_net(groups=2)
    x = uniform(2, 2, 16)
    (gradient,) = torch.autograd.grad(net.log_prob(x)[0, 1], net.net.out.weight)
    first, second = gradient.chunk(2)
    assert not first.any()
    assert second.any()


def test_extracted_network_keeps_mode_and_precision_and_is_a_copy(make_net: MakeNet) -> None:
    net = make_net(groups=2)
    single = net.extract(1)
    assert not single.training and net.train().extract(0).training
    assert {p.dtype for p in single.parameters()} == {torch.float64}
    before = net.log_prob(uniform(1, 2, 8))
    with torch.no_grad():
        for parameter in single.parameters():
            parameter.zero_()
    assert torch.equal(net.log_prob(uniform(1, 2, 8)), before)


# Samples


@torch.no_grad()
def naive_sample(net: SoftmaxNet, batch: int, length: int, generator: torch.Generator) -> Tensor:
    """One sample after the other, with the whole network run over all samples so far each time."""
    x = torch.zeros(batch, net.groups, 0, dtype=torch.float64)
    for _ in range(length):
        longer = torch.cat([x, torch.zeros(batch, net.groups, 1, dtype=torch.float64)], dim=2)
        logits = net.logits(longer)[..., -1].flatten(0, 1)
        codes = torch.multinomial(logits.float().softmax(dim=1), 1, generator=generator)[:, 0]
        share = torch.rand(len(codes), generator=generator, dtype=torch.float64)
        x = torch.cat([x, net._place(codes, share).view(batch, net.groups, 1)], dim=2)
    return x


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_fast_sampling_equals_naive_sampling(kernel_size: int, groups: int, make_net: MakeNet) -> None:
    """Over four times the receptive field, so that the memory has long been full."""
    net = make_net(replace(SOFTMAX, kernel_size=kernel_size), groups)
    length = 4 * (kernel_size - 1) * 2**SOFTMAX.layers
    fast = net.sample(2, length, torch.Generator().manual_seed(5))
    assert fast.shape == (2, groups, length)
    assert torch.equal(fast, naive_sample(net, 2, length, torch.Generator().manual_seed(5)))


def test_same_generator_gives_the_same_sample_and_another_another(prior: WaveNetPrior) -> None:
    first, again, other = (prior.sample((2, 1, 16), torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()


def test_sampling_with_a_generator_leaves_the_global_random_state_alone(
    prior: WaveNetPrior, generator: torch.Generator
) -> None:
    before = torch.get_rng_state()
    prior.sample((2, 1, 4), generator)
    assert torch.equal(torch.get_rng_state(), before)


def test_sample_has_the_shape_and_precision_asked_for(prior: WaveNetPrior) -> None:
    assert prior.sample((3, 1, 5)).shape == (3, 1, 5)
    assert prior.sample((1, 1, 2)).dtype == torch.float64
    assert WaveNetPrior(SoftmaxNet(SOFTMAX)).sample((1, 1, 2)).dtype == torch.float32


def test_place_within_a_class_is_the_inverse_of_its_distribution(make_net: MakeNet) -> None:
    """In every class: the share of the class below the value (in the lowest class, above it) is the given number."""
    net = make_net()
    edges, classes = net.edges, torch.arange(256)
    width = float(edges[-1] - edges[-2])
    for share in (0.0, 0.1, 0.5, 0.999):
        x = net._place(classes, torch.full((256,), share, dtype=torch.float64))
        inner = (x[1:-1] - edges[:-1]) / edges.diff()
        torch.testing.assert_close(inner, torch.full_like(inner, share), rtol=0, atol=1e-9)
        for excess in (x[-1] - edges[-1], edges[0] - x[0]):
            assert stats.expon(scale=width).cdf(float(excess)) == pytest.approx(share, abs=1e-9)


def test_place_moves_through_a_class_at_one_over_its_density(make_net: MakeNet) -> None:
    net = make_net()
    classes = torch.arange(256)
    share = torch.full((256,), 0.3, dtype=torch.float64)
    speed = (net._place(classes, share + 1e-6) - net._place(classes, share - 1e-6)).abs() / 2e-6
    x = net._place(classes, share)
    assert torch.equal(net.codes(x[None, None])[0, 0], classes)
    torch.testing.assert_close(speed * within(net, x), torch.ones_like(speed), rtol=0, atol=1e-5)


def test_samples_follow_the_density(make_net: MakeNet) -> None:
    """The mean of -log p over samples is the entropy that quadrature gives."""
    prior = WaveNetPrior(make_net())
    x, weight = quadrature(prior.net.edges, tail=2000)
    with torch.no_grad():
        log_prob = prior.log_prob(x.view(-1, 1, 1))
        entropy = -(log_prob.exp() * log_prob * weight).sum()
        drawn = -prior.log_prob(prior.sample((20_000, 1, 1), torch.Generator().manual_seed(0)))
    assert abs(drawn.mean() - entropy) < 4 * drawn.std() / math.sqrt(20_000)


# The mean sigmoid


@torch.no_grad()
def test_sigmoid_loss_and_mean_equal_a_computation_by_hand(make_net: MakeNet) -> None:
    net = make_net(SIGMOID, groups=2)
    x = uniform(3, 2, 9)
    codes = mu_law_encode(x, 255)
    logits = net.logits(x)
    score, loss = torch.zeros(3, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for b in range(3):
        for g in range(2):
            for t in range(8):
                sigmoids = 1 / (1 + torch.exp(-logits[b, g, :, t]))
                own = sigmoids[codes[b, g, t + 1]]
                score[b, g] += own / 8
                loss[g] += (sigmoids.exp().sum().log() - own) / (3 * 8)
    torch.testing.assert_close(net.reported(x), score, rtol=0, atol=1e-12)
    torch.testing.assert_close(net.loss(x).double(), loss, rtol=0, atol=FLOAT32_NATS)


@pytest.mark.parametrize("scale", [0.0, 0.3, 50.0])
@torch.no_grad()
def test_sigmoid_loss_and_mean_stay_in_their_narrow_ranges(scale: float, perturb: Perturb) -> None:
    net = SigmoidNet(SIGMOID, groups=2).double()
    perturb(net, scale)
    loss, score = (f(uniform(4, 2, 40)) for f in (net.loss, net.reported))
    assert (loss >= LOWEST_LOSS - 1e-6).all() and (loss <= HIGHEST_LOSS + 1e-6).all()
    assert (score >= 0).all() and (score <= 1).all()


@pytest.mark.parametrize(
    ("own", "others", "loss", "score"),
    [(60.0, -60.0, LOWEST_LOSS, 1), (0.0, 0.0, math.log(256), 0.5), (-60.0, 60.0, HIGHEST_LOSS, 0)],
)
@torch.no_grad()
def test_sigmoid_loss_and_mean_of_constant_logits(own: float, others: float, loss: float, score: float) -> None:
    """From a network that gives the class of silence all and every other nothing, to one that does the contrary."""
    net = SigmoidNet(SIGMOID).double()
    net.net.out.bias.fill_(others)
    net.net.out.bias[127] = own
    silence = torch.zeros(1, 1, 10, dtype=torch.float64)
    assert net.loss(silence).item() == pytest.approx(loss, abs=1e-5)
    assert net.reported(silence).item() == pytest.approx(score)


def test_range_of_the_sigmoid_loss() -> None:
    assert (round(LOWEST_LOSS, 2), round(math.log(256), 2), round(HIGHEST_LOSS, 2)) == (4.55, 5.55, 6.54)


def test_untrained_sigmoid_network_scores_one_half() -> None:
    net = SigmoidNet(SIGMOID, groups=2)
    x = uniform(2, 2, 10).float()
    assert torch.equal(net.reported(x), torch.full((2, 2), 0.5))
    assert net.loss(x).tolist() == pytest.approx([math.log(256)] * 2)


# Training, state


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_short_training_lowers_the_loss_of_every_source(output: str, tmp_path: Path) -> None:
    config = WaveNetPriorConfig(output, layers=3, width=8, head_width=16)
    training = TrainConfig(steps=60, batch_size=4, crop=200, learning_rate=1e-2, checkpoint_every=60, clip_norm=10.0)
    task = wavenet_task(config, len(SOURCES))
    trained = train(task, ToyWorld(), training, device=torch.device("cpu"), work_folder=tmp_path)
    curve = trained.curve.pivot(index="step", columns="source", values="loss")
    assert (curve.iloc[-1] < curve.iloc[0] - 0.02).all()
    assert not trained.network.training


@pytest.mark.parametrize("config", [SOFTMAX, SIGMOID], ids=["softmax", "sigmoid"])
def test_gradient_reaches_every_parameter(config: WaveNetPriorConfig, make_net: MakeNet) -> None:
    net = make_net(config, groups=2)
    net.loss(uniform(4, 2, 40)).sum().backward()
    unreached = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached


@torch.no_grad()
def test_softmax_loss_is_the_negative_log_likelihood_by_sample(make_net: MakeNet) -> None:
    net = make_net(groups=2)
    x = uniform(3, 2, 16)
    torch.testing.assert_close(net.loss(x), -net.log_prob(x).mean(dim=0) / 16)


def test_saved_and_loaded_network_is_the_same(make_net: MakeNet, tmp_path: Path) -> None:
    net = make_net(groups=2)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    loaded = SoftmaxNet(SOFTMAX, 2).double().eval()
    loaded.load_state_dict(load_file(tmp_path / "net.safetensors"))
    x = uniform(2, 2, 16)
    assert torch.equal(loaded.log_prob(x), net.log_prob(x))
    assert "edges" not in net.state_dict()


# Bad input


def test_prior_of_a_sigmoid_network_is_refused(make_net: MakeNet) -> None:
    about = (("sine",), ToyWorld(sources=("sine",)), 0.0, pd.DataFrame(), Path())
    net = make_net(SIGMOID)
    for call in (lambda: WaveNetPrior(net), lambda: WaveNetSet(*about, net=net).prior("sine")):
        with pytest.raises(InputError, match="output 'sigmoid', which is not a density; use one built with 'softmax'"):
            call()


@pytest.mark.parametrize("call", [SigmoidNet.loss, SigmoidNet.reported])
def test_sigmoid_numbers_need_two_samples(call: Callable[..., Tensor], make_net: MakeNet) -> None:
    with pytest.raises(InputError, match=r"1 sample\(s\); a prediction of the next one needs 2 or more"):
        call(make_net(SIGMOID), uniform(1, 1, 1))


BAD_INPUT = {
    "no channel axis": (torch.zeros(2, 16), r"\(2, 16\)"),
    "stereo": (torch.zeros(2, 2, 16), r"expected 1 channel\(s\), got 2"),
    "empty batch": (torch.zeros(0, 1, 16), "empty"),
    "empty signal": (torch.zeros(2, 1, 0), "0 samples"),
    "whole numbers": (torch.zeros(2, 1, 16, dtype=torch.int16), "torch.int16"),
    "NaN": (torch.tensor([0.0, math.nan] * 8).view(1, 1, 16), "8 of 16 samples are NaN"),
    "infinite": (torch.tensor([0.0] * 15 + [-math.inf]).view(1, 1, 16), "1 of 16 samples are NaN or infinite"),
    "other precision": (torch.zeros(1, 1, 4), "float32 but the model is torch.float64"),
}


@pytest.mark.parametrize(("x", "message"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
@pytest.mark.parametrize("call", ["log_prob", "log_prob_map"])
def test_bad_input_is_named(call: str, x: Tensor, message: str, prior: WaveNetPrior) -> None:
    with pytest.raises(InputError, match=message):
        getattr(prior, call)(x)


@pytest.mark.parametrize(("x", "message"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_of_the_mean_sigmoid_is_named(x: Tensor, message: str, make_net: MakeNet) -> None:
    with pytest.raises(InputError, match=message if x.numel() else "empty|sample"):
        make_net(SIGMOID).reported(x)


def test_prior_of_several_sources_is_refused() -> None:
    with pytest.raises(InputError, match="4 groups"):
        WaveNetPrior(SoftmaxNet(SOFTMAX, groups=4))


def test_sample_of_several_channels_is_refused(prior: WaveNetPrior) -> None:
    with pytest.raises(InputError, match=r"one channel, not 2; use \(B, 1, T\)"):
        prior.sample((1, 2, 4))


def test_toy_signals_have_a_density(perturb: Perturb) -> None:
    net = SoftmaxNet(SOFTMAX, len(SOURCES))
    perturb(net)
    assert net.log_prob(draw_test_set(ToyWorld(), 2, 64, seed=0)).isfinite().all()
