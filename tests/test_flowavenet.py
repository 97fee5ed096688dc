"""The FloWaveNet prior is a density: exact, invertible, one per group, and it says what it cannot take."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from scipy import stats
from torch import Tensor, nn

from srcsep_core.data.toy import ToyWorld, draw_sources
from srcsep_core.errors import InputError
from srcsep_core.flows.coupling import AffineCoupling
from srcsep_core.nn.wavenet import GroupedConv1d, WaveNet, WaveNetConfig
from srcsep_core.paths import shipped_root
from srcsep_core.priors.base import Prior
from srcsep_core.priors.flow import Flow, FlowPrior
from srcsep_core.priors.flow_kind import objective_by_source
from srcsep_core.priors.flowavenet import ConditionalFlowConfig, FlowConfig, flow_receptive_field, flowavenet
from srcsep_core.run.profiles import get_profile
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import clip_gradients

Perturb = Callable[..., None]

SIZES = {
    "no split": FlowConfig(blocks=2, flows=2, layers=2, width=4, split_every=0),
    "split after every block": FlowConfig(blocks=3, flows=1, layers=1, width=4, split_every=1),
    "split after every second block": FlowConfig(blocks=3, flows=2, layers=1, width=4, split_every=2),
    "odd number of flows": FlowConfig(blocks=2, flows=3, layers=1, width=4, split_every=1),
}
each_size = pytest.mark.parametrize("config", SIZES.values(), ids=SIZES.keys())


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def standard_normal(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + math.log(2 * math.pi))


@pytest.fixture
def make_flow(perturb: Perturb) -> Callable[..., Flow]:
    """A function that makes a float64 flow with random weights, in evaluation mode."""

    def make(config: FlowConfig, groups: int = 1) -> Flow:
        flow = flowavenet(config, groups).double().eval()
        perturb(flow)
        return flow

    return make


@pytest.fixture
def prior(make_flow: Callable[..., Flow], tiny_flow: FlowConfig) -> FlowPrior:
    return FlowPrior(make_flow(tiny_flow))


# The density is exact


@each_size
def test_log_prob_is_the_base_density_and_the_jacobian(config: FlowConfig, make_flow: Callable[..., Flow]) -> None:
    flow = make_flow(config)
    x = noise(1, 1, 16)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow.terms(x).z, x).view(16, 16)
    expected = standard_normal(flow.terms(x).z).sum() + jacobian.slogdet().logabsdet
    torch.testing.assert_close(flow.log_prob(x).squeeze(), expected, rtol=0, atol=1e-10)


def test_log_pz_without_a_split_is_the_base_density_alone(make_flow: Callable[..., Flow]) -> None:
    terms = make_flow(SIZES["no split"]).terms(noise(2, 1, 16))
    torch.testing.assert_close(terms.log_pz, standard_normal(terms.z))


def test_log_pz_with_a_split_has_the_learned_gaussian(make_flow: Callable[..., Flow]) -> None:
    terms = make_flow(SIZES["split after every block"]).terms(noise(2, 1, 16))
    learned = terms.log_pz - standard_normal(terms.z)
    kept = learned.abs() < 1e-12
    assert kept.sum() == 2 * 16 // 4  # a quarter of the samples goes through both splits


def test_log_prob_map_sums_to_log_prob(prior: FlowPrior) -> None:
    x = noise(3, 1, 16)
    by_sample = prior.log_prob_map(x)
    assert by_sample.shape == (3, 16)
    torch.testing.assert_close(by_sample.sum(dim=1), prior.log_prob(x), rtol=0, atol=1e-12)


def test_terms_are_given_for_every_sample(prior: FlowPrior) -> None:
    assert {values.shape for values in prior.terms(noise(3, 1, 16))} == {(3, 1, 16)}


def test_untrained_flow_is_a_standard_normal(tiny_flow: FlowConfig) -> None:
    x = noise(3, 1, 16)
    expected = standard_normal(x).sum(dim=(1, 2))
    prior = FlowPrior(flowavenet(tiny_flow).double().eval())
    torch.testing.assert_close(prior.log_prob(x), expected)


def test_flow_prior_is_a_prior_with_a_density(prior: FlowPrior) -> None:
    assert isinstance(prior, Prior)


# The density integrates to one


def fitted(module: nn.Module, log_prob: Callable[[], Tensor], steps: int = 40) -> float:
    """Maximise a mean log-likelihood for a few steps; returns by how many nats it rose."""
    optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
    first = log_prob().item()
    for _ in range(steps):
        optimiser.zero_grad()
        (-log_prob()).backward()
        optimiser.step()
    return log_prob().item() - first


def test_trained_density_of_two_samples_integrates_to_one(generator: torch.Generator) -> None:
    data = draw_sources(ToyWorld(sources=("saw",)), 500, 2, generator).double() + 0.3 * noise(500, 1, 2)
    prior = FlowPrior(flowavenet(FlowConfig(blocks=1, flows=2, layers=1, width=4, split_every=0)).double())
    prior.log_prob(data)  # sets ActNorm
    risen = fitted(prior, lambda: prior.log_prob(data).mean())
    assert risen > 0.1

    axis = torch.arange(-8, 8, 0.05, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)[:, None]
    with torch.no_grad():
        total = prior.eval().log_prob(grid).exp().sum() * 0.05**2
    assert abs(total - 1) < 1e-3


def test_trained_conditional_density_of_a_coupling_integrates_to_one_in_one_dimension() -> None:
    a, e = noise(2, 500, 1)
    pairs = torch.stack([a, a.square() + (0.2 + a.abs()) * e], dim=1)
    coupling = AffineCoupling(WaveNet(WaveNetConfig(1, 2, layers=1, width=8))).double()

    def log_density(rows: Tensor) -> Tensor:
        """log p(b | a) of rows (a, b), the Gaussian that a split learns."""
        y, log_det = coupling(rows)
        return standard_normal(y[:, 1, 0]) + log_det

    risen = fitted(coupling, lambda: log_density(pairs).mean())
    assert risen > 0.1

    b = torch.arange(-60, 60, 0.01, dtype=torch.float64)
    for condition in (-2.0, 0.0, 0.5):
        with torch.no_grad():
            rows = torch.stack([torch.full_like(b, condition), b], dim=1)[..., None]
            total = log_density(rows).exp().sum() * 0.01
        assert abs(total - 1) < 1e-3


# Groups are separate flows


def trained_mode_flow(config: FlowConfig, perturb: Perturb, groups: int) -> tuple[Flow, Tensor]:
    """A grouped flow whose ActNorms were set by a first batch, and that batch (B, G, T)."""
    flow = flowavenet(config, groups).double()
    perturb(flow)
    x = noise(4, groups, 16) * torch.arange(1, groups + 1).view(1, groups, 1)
    flow.source_terms(x)
    return flow, x


def test_grouped_flow_equals_the_extracted_ones(tiny_flow: FlowConfig, perturb: Perturb) -> None:
    flow, x = trained_mode_flow(tiny_flow, perturb, groups=3)
    together = flow.source_terms(x)
    for group in range(3):
        single = flow.extract(group)
        for ours, theirs in zip(single.source_terms(x[:, group : group + 1]), together, strict=True):
            torch.testing.assert_close(ours[:, 0], theirs[:, group], rtol=0, atol=1e-10)


def test_extracted_flow_has_its_own_copy_of_the_weights(tiny_flow: FlowConfig, perturb: Perturb) -> None:
    flow, x = trained_mode_flow(tiny_flow, perturb, groups=2)
    before = flow.log_prob(x)
    with torch.no_grad():
        for parameter in flow.extract(0).parameters():
            parameter.zero_()
    assert torch.equal(flow.log_prob(x), before)


def test_extracted_flow_keeps_mode_and_precision(tiny_flow: FlowConfig) -> None:
    single = flowavenet(tiny_flow, groups=2).double().eval().extract(1)
    assert not single.training
    assert {p.dtype for p in single.parameters()} == {torch.float64}


def test_groups_do_not_mix(make_flow: Callable[..., Flow], tiny_flow: FlowConfig) -> None:
    flow = make_flow(tiny_flow, groups=3)
    x = noise(2, 3, 16).requires_grad_(True)
    (gradient,) = torch.autograd.grad(flow.log_prob(x)[0, 1], x)
    own = torch.zeros(2, 3, dtype=torch.bool)
    own[0, 1] = True
    assert gradient[own].all()
    assert not gradient[~own].any()


@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_a_training_step_of_the_group_is_a_step_of_each(
    clip_norm: float | None, tiny_flow: FlowConfig, perturb: Perturb
) -> None:
    flow, x = trained_mode_flow(tiny_flow, perturb, groups=2)
    singles = [flow.extract(group) for group in range(2)]
    config = TrainConfig(clip_norm=clip_norm)

    def step(net: Flow, signals: Tensor) -> None:
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        objective_by_source(net.source_terms(signals), "exact").sum().backward()
        clip_gradients(net, config)
        optimiser.step()

    step(flow, x)
    for group, single in enumerate(singles):
        step(single, x[:, group : group + 1])
        expected = flow.extract(group).state_dict()
        for name, value in single.state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-9, msg=name)


# Samples


def test_sample_has_the_shape_asked_for(prior: FlowPrior, generator: torch.Generator) -> None:
    assert prior.sample((3, 1, 16), generator).shape == (3, 1, 16)


def test_same_generator_gives_the_same_sample_and_another_another(prior: FlowPrior) -> None:
    first, again, other = (prior.sample((2, 1, 16), torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()


def test_sampling_with_a_generator_leaves_the_global_random_state_alone(
    prior: FlowPrior, generator: torch.Generator
) -> None:
    before = torch.get_rng_state()
    prior.sample((2, 1, 16), generator)
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_of_an_untrained_flow_are_standard_normal(tiny_flow: FlowConfig, generator: torch.Generator) -> None:
    samples = FlowPrior(flowavenet(tiny_flow).eval()).sample((20, 1, 256), generator)
    assert stats.kstest(samples.flatten().numpy(), "norm").pvalue > 0.01


def test_samples_follow_the_density(make_flow: Callable[..., Flow]) -> None:
    """The mean of -log p over samples is the entropy that a grid gives."""
    prior = FlowPrior(make_flow(FlowConfig(blocks=1, flows=2, layers=1, width=4, split_every=0)))
    axis = torch.arange(-12, 12, 0.05, dtype=torch.float64)
    with torch.no_grad():
        log_prob = prior.log_prob(torch.cartesian_prod(axis, axis)[:, None])
        entropy = -(log_prob.exp() * log_prob).sum() * 0.05**2
        drawn = -prior.log_prob(prior.sample((20_000, 1, 2), torch.Generator().manual_seed(0)))
    assert abs(drawn.mean() - entropy) < 4 * drawn.std() / math.sqrt(20_000)


def test_temperature_zero_draws_the_same_signal_every_time(prior: FlowPrior, generator: torch.Generator) -> None:
    samples = prior.sample((3, 1, 16), generator, temperature=0.0)
    assert torch.equal(samples[0], samples[1])
    assert torch.equal(prior.flow.inverse(torch.zeros(1, 1, 16, dtype=torch.float64))[0], samples[2])


# Score


def test_score_equals_finite_differences(prior: FlowPrior) -> None:
    x = noise(1, 1, 8)
    steps = 1e-6 * torch.eye(8, dtype=torch.float64)[:, None]
    with torch.no_grad():
        slopes = (prior.log_prob(x + steps) - prior.log_prob(x - steps)) / 2e-6
    torch.testing.assert_close(prior.score(x).flatten(), slopes, rtol=1e-6, atol=1e-6)


def test_score_of_each_row_is_its_own(prior: FlowPrior) -> None:
    x = noise(3, 1, 16)
    torch.testing.assert_close(prior.score(x)[1:2], prior.score(x[1:2]), rtol=0, atol=1e-10)


def test_score_works_without_gradient_mode_and_leaves_none_behind(prior: FlowPrior) -> None:
    with torch.no_grad():
        score = prior.score(noise(1, 1, 16))
    assert score.any()
    assert not score.requires_grad
    assert all(p.grad is None for p in prior.parameters())


def test_score_at_the_level_of_the_prior_needs_no_argument(prior: FlowPrior) -> None:
    noisy = FlowPrior(prior.flow, sigma=0.077)
    x = noise(1, 1, 16)
    assert torch.equal(noisy.score(x, 0.077), noisy.score(x))


def test_score_refuses_another_noise_level(prior: FlowPrior) -> None:
    noisy = FlowPrior(prior.flow, sigma=0.077)
    with pytest.raises(InputError, match=r"sigma 0\.077, not 0\.129"):
        noisy.score(noise(1, 1, 16), 0.129)


# Receptive field


def latent_support(flow: Flow, config: FlowConfig) -> tuple[int, int]:
    """How far before and after itself a latent entry depends on the input, at most, by gradient."""
    size = config.squeeze_factor
    start = -(-flow_receptive_field(config)[0] // size) * size
    x = noise(16, 1, 2 * start + size).requires_grad_(True)
    z = flow.terms(x).z.sum(dim=(0, 1))
    before = after = 0
    for position in range(start, start + size):
        (gradient,) = torch.autograd.grad(z[position], x, retain_graph=True)
        seen = gradient.abs().amax(dim=(0, 1)).nonzero()
        before, after = max(before, position - int(seen.min())), max(after, int(seen.max()) - position)
    return before, after


@pytest.mark.parametrize(
    "config",
    [
        FlowConfig(blocks=1, flows=1, layers=1, width=8, split_every=0),
        FlowConfig(blocks=1, flows=2, layers=2, width=8, split_every=0, kernel_size=5),
        FlowConfig(blocks=2, flows=1, layers=1, width=8, split_every=0),
        FlowConfig(blocks=2, flows=2, layers=1, width=8, split_every=0),
    ],
    ids=str,
)
def test_receptive_field_is_the_support_of_the_gradient(config: FlowConfig, make_flow: Callable[..., Flow]) -> None:
    """To the sample but one: a first coupling sees even samples only, which leaves out the last odd one."""
    bound = flow_receptive_field(config)
    support = latent_support(make_flow(config), config)
    for ours, largest in zip(support, bound, strict=True):
        assert largest - 1 <= ours <= largest


@each_size
def test_receptive_field_is_a_bound_with_splits_too(config: FlowConfig, make_flow: Callable[..., Flow]) -> None:
    bound = flow_receptive_field(config)
    support = latent_support(make_flow(replace(config, width=8)), config)
    for ours, largest in zip(support, bound, strict=True):
        assert largest - config.squeeze_factor < ours <= largest


def test_receptive_field_of_the_paper() -> None:
    """6 flows of half reach 1 + 1023 in blocks that work on every 2nd, 4th, 8th and 16th sample, and the edge."""
    assert 6 * 1024 * (2 + 4 + 8 + 16) + 15 == 184_335
    assert flow_receptive_field(FlowConfig()) == (184_335, 184_335)


# Bad input

BAD_INPUT = {
    "no channel axis": (torch.zeros(2, 16), r"\(2, 16\)"),
    "too many axes": (torch.zeros(2, 1, 16, 1), r"\(2, 1, 16, 1\)"),
    "stereo": (torch.zeros(2, 2, 16), r"got 2 in shape \(2, 2, 16\)"),
    "no channel": (torch.zeros(2, 0, 16), r"got 0 in shape \(2, 0, 16\)"),
    "empty batch": (torch.zeros(0, 1, 16), r"empty \(shape \(0, 1, 16\)\)"),
    "empty signal": (torch.zeros(2, 1, 0), "0 samples"),
    "too short": (torch.zeros(2, 1, 3), "3 samples.*at least 4"),
    "no multiple": (torch.zeros(2, 1, 18), "18 is not a multiple of 4; cut the signal to 16"),
    "whole numbers": (torch.zeros(2, 1, 16, dtype=torch.int16), "torch.int16"),
    "NaN": (torch.tensor([0.0, math.nan] * 8).view(1, 1, 16), "8 of 16 samples are NaN"),
    "infinite": (torch.tensor([0.0] * 15 + [-math.inf]).view(1, 1, 16), "1 of 16 samples are NaN or infinite"),
}
each_bad_input = pytest.mark.parametrize(("x", "message"), BAD_INPUT.values(), ids=BAD_INPUT.keys())


@each_bad_input
@pytest.mark.parametrize("call", ["log_prob", "log_prob_map", "score", "terms"])
def test_bad_input_is_named(call: str, x: Tensor, message: str, prior: FlowPrior) -> None:
    with pytest.raises(InputError, match=message):
        getattr(prior, call)(x)


def test_number_of_sources_has_to_be_that_of_the_groups(tiny_flow: FlowConfig) -> None:
    with pytest.raises(InputError, match=r"expected 4 channel\(s\), got 1"):
        flowavenet(tiny_flow, groups=4).log_prob(torch.zeros(2, 1, 16))


@pytest.mark.parametrize(
    ("shape", "message"), [((2, 16), r"\(2, 16\)"), ((2, 2, 16), "got 2"), ((2, 1, 18), "18 is not a multiple of 4")]
)
def test_sample_of_a_bad_shape_is_named(shape: tuple[int, ...], message: str, prior: FlowPrior) -> None:
    with pytest.raises(InputError, match=message):
        prior.sample(shape)  # type: ignore[arg-type]


def test_prior_of_several_sources_is_refused(tiny_flow: FlowConfig) -> None:
    with pytest.raises(InputError, match="4 groups"):
        FlowPrior(flowavenet(tiny_flow, groups=4))


def test_silence_has_a_density(prior: FlowPrior) -> None:
    assert prior.log_prob(torch.zeros(1, 1, 16, dtype=torch.float64)).isfinite().all()


# A flow that is given the noise level

CONDITIONAL = {
    "no split": ConditionalFlowConfig(blocks=2, flows=2, layers=2, width=4, split_every=0, context=3),
    "split after every block": ConditionalFlowConfig(blocks=3, flows=1, layers=1, width=4, split_every=1, context=8),
}
TINY_CONDITIONAL = ConditionalFlowConfig(blocks=2, flows=2, layers=1, width=4, split_every=1)
LEVELS = (0.01, 0.129, 0.5)
each_conditional = pytest.mark.parametrize("config", CONDITIONAL.values(), ids=CONDITIONAL.keys())


@each_conditional
@pytest.mark.parametrize("sigma", LEVELS)
def test_log_prob_under_a_level_is_the_base_density_and_the_jacobian(
    config: ConditionalFlowConfig, sigma: float, make_flow: Callable[..., Flow]
) -> None:
    flow = make_flow(config)
    x, context = noise(1, 1, 16), flow.context(sigma, 1)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow.terms(x, context).z, x).view(16, 16)
    expected = standard_normal(flow.terms(x, context).z).sum() + jacobian.slogdet().logabsdet
    torch.testing.assert_close(flow.log_prob(x, sigma).squeeze(), expected, rtol=0, atol=1e-10)


def test_condition_is_made_of_cosines_of_the_log_level(make_flow: Callable[..., Flow]) -> None:
    """At the ends of the range and in its (logarithmic) middle."""
    flow = make_flow(replace(TINY_CONDITIONAL, context=3))
    levels = torch.tensor([0.01, math.sqrt(0.01 * 0.5), 0.5], dtype=torch.float64)
    context = flow.context(levels, 3)
    assert context is not None
    expected = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -1, 1]], dtype=torch.float64)
    torch.testing.assert_close(context[..., 0], expected, rtol=0, atol=1e-9)


def test_grouped_conditional_flow_equals_the_extracted_ones(perturb: Perturb) -> None:
    flow = flowavenet(TINY_CONDITIONAL, groups=3).double()
    perturb(flow)
    x = noise(4, 3, 16) * torch.arange(1, 4).view(1, 3, 1)
    sigma = torch.tensor([0.02, 0.4, 0.1, 0.1], dtype=torch.float64)
    flow.source_terms(x, sigma)  # sets ActNorm
    together = flow.source_terms(x, sigma)
    for group in range(3):
        single = flow.extract(group)
        for ours, theirs in zip(single.source_terms(x[:, group : group + 1], sigma), together, strict=True):
            torch.testing.assert_close(ours[:, 0], theirs[:, group], rtol=0, atol=1e-10)


def test_level_has_no_effect_before_training(perturb: Perturb) -> None:
    flow = flowavenet(TINY_CONDITIONAL, groups=2).double().eval()
    for name, module in flow.named_modules():
        if isinstance(module, GroupedConv1d) and not name.endswith("context"):
            perturb(module)
    x = noise(3, 2, 16)
    first, *others = (flow.log_prob(x, sigma) for sigma in LEVELS)
    assert not torch.isclose(first, standard_normal(x).sum(dim=2)).any()
    assert all(torch.equal(first, other) for other in others)


def test_level_changes_every_density_after_training(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow(TINY_CONDITIONAL, groups=2)
    x = noise(3, 2, 16)
    first, second, third = (flow.log_prob(x, sigma) for sigma in LEVELS)
    assert not torch.isclose(first, second).any()
    assert not torch.isclose(second, third).any()


def test_level_of_every_example_is_its_own(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow(TINY_CONDITIONAL, groups=2)
    x = noise(3, 2, 16)
    together = flow.source_terms(x, torch.tensor(LEVELS, dtype=torch.float64))
    for row, sigma in enumerate(LEVELS):
        for ours, theirs in zip(flow.source_terms(x[row : row + 1], sigma), together, strict=True):
            torch.testing.assert_close(ours[0], theirs[row], rtol=0, atol=1e-12)


def test_gradient_reaches_every_parameter_of_a_conditional_flow(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow(TINY_CONDITIONAL, groups=2)
    flow.source_terms(noise(3, 2, 16), torch.tensor(LEVELS, dtype=torch.float64)).log_pz.sum().backward()
    flow.log_prob(noise(3, 2, 16), 0.2).sum().backward()
    unreached = [name for name, p in flow.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unreached


@pytest.mark.parametrize("sigma", [0.0, 0.009, 0.51, 10.0])
def test_level_out_of_range_is_named(sigma: float, make_flow: Callable[..., Flow]) -> None:
    flow = make_flow(TINY_CONDITIONAL)
    remedy = rf"sigma spans {sigma:g}\.\.{sigma:g} but .* trained on 0\.01\.\.0\.5; use a level in that range"
    with pytest.raises(InputError, match=remedy):
        flow.log_prob(noise(2, 1, 16), sigma)
    with pytest.raises(InputError, match=remedy):
        FlowPrior(flow, 0.1).score(noise(2, 1, 16), sigma)


def test_level_out_of_range_in_one_example_is_named(make_flow: Callable[..., Flow]) -> None:
    with pytest.raises(InputError, match=r"sigma spans 0\.1\.\.0\.7"):
        make_flow(TINY_CONDITIONAL).source_terms(noise(2, 1, 16), torch.tensor([0.1, 0.7]))


def test_missing_level_is_named(make_flow: Callable[..., Flow]) -> None:
    with pytest.raises(InputError, match="conditioned on the noise level; pass sigma"):
        make_flow(TINY_CONDITIONAL).log_prob(noise(2, 1, 16))


@pytest.mark.parametrize("sigma", LEVELS)
def test_prior_of_a_conditional_flow_has_a_score_at_every_level(sigma: float, make_flow: Callable[..., Flow]) -> None:
    """By finite differences of the density of the prior at that level; the score's own level is another."""
    flow = make_flow(TINY_CONDITIONAL)
    x = noise(1, 1, 8)
    steps = 1e-6 * torch.eye(8, dtype=torch.float64)[:, None]
    there = FlowPrior(flow, sigma)
    with torch.no_grad():
        slopes = (there.log_prob(x + steps) - there.log_prob(x - steps)) / 2e-6
    torch.testing.assert_close(FlowPrior(flow, 0.077).score(x, sigma).flatten(), slopes, rtol=1e-6, atol=1e-6)
    assert torch.equal(there.score(x), there.score(x, sigma))


def test_prior_of_a_conditional_flow_samples_at_its_level(make_flow: Callable[..., Flow]) -> None:
    prior = FlowPrior(make_flow(TINY_CONDITIONAL), 0.129)
    sample = prior.sample((2, 1, 16), torch.Generator().manual_seed(0))
    z = torch.randn((2, 1, 16), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(prior.terms(sample).z, z, rtol=0, atol=1e-10)
    assert not torch.isclose(FlowPrior(prior.flow, 0.359).terms(sample).z, z).all()


# Numbers stay what they were


def test_shipped_flow_gives_the_same_terms_as_when_it_was_shipped() -> None:
    """Numbers of the first version of the network, which listed its blocks instead of nesting them."""
    flow = flowavenet(get_profile("laptop").plan_of("flowavenet").network, groups=4).eval()
    flow.load_state_dict(load_file(shipped_root() / "flow-released-laptop-exact" / "weights.safetensors"))
    x = 0.3 * torch.randn((3, 4, 256), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        terms = flow.source_terms(x)
    z, log_pz, log_det = (values[0].double().sum(dim=1) for values in terms)
    first = {
        "z": (z, [-738.106670, 338.005605, -2400.291704, 3807.103820]),
        "log_pz": (log_pz, [-163813.370805, -146206.606753, -452983.045638, -376287.986478]),
        "log_det": (log_det, [818.612129, 448.378103, 818.304816, 848.133612]),
    }
    for name, (ours, expected) in first.items():
        scale = getattr(terms, name).abs().sum(dim=2)[0]
        assert ((ours - torch.tensor(expected, dtype=torch.float64)).abs() / scale).max() < 1e-4, name


@pytest.mark.parametrize(
    ("config", "checksum"),
    [
        (FlowConfig(blocks=4, flows=2, layers=2, width=4, split_every=2), 143_694.081162),
        (ConditionalFlowConfig(blocks=3, flows=1, layers=1, width=4, split_every=1), 31_228.032107),
    ],
    ids=["plain", "conditional"],
)
def test_new_flow_starts_from_the_same_weights_as_ever(config: FlowConfig, checksum: float) -> None:
    """The sum of every tensor times its rank, which tells another order of drawing them or of listing them."""
    torch.manual_seed(7)
    values = [value for value in flowavenet(config, groups=3).state_dict().values() if value.is_floating_point()]
    found = sum(rank * value.double().sum().item() for rank, value in enumerate(values, start=1))
    assert found == pytest.approx(checksum, rel=1e-7)
