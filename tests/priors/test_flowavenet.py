"""The FloWaveNet prior is a density: exact, invertible, one per group, and it says what it cannot take."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.nn.wavenet import GroupedConv1d
from srcsep_core.paths import shipped_root
from srcsep_core.priors.flow import Flow, FlowPrior
from srcsep_core.priors.flow_kind import objective_by_source
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.flowavenet import flow_receptive_field, flowavenet
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
CONDITIONAL = {
    "no split, told the level": ConditionalFlowConfig(blocks=2, flows=2, layers=2, width=4, split_every=0, context=3),
    "split after every block, told the level": ConditionalFlowConfig(
        blocks=3, flows=1, layers=1, width=4, split_every=1, context=8
    ),
}
TINY_CONDITIONAL = ConditionalFlowConfig(blocks=2, flows=2, layers=1, width=4, split_every=1)
LEVELS = (0.01, 0.129, 0.5)
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


@pytest.mark.parametrize("config", [*SIZES.values(), *CONDITIONAL.values()], ids=[*SIZES, *CONDITIONAL])
def test_log_prob_is_the_base_density_and_the_jacobian(config: FlowConfig, make_flow: Callable[..., Flow]) -> None:
    flow, x = make_flow(config), noise(1, 1, 16)
    for sigma in LEVELS if isinstance(config, ConditionalFlowConfig) else (None,):
        context = flow.context(sigma, 1)
        jacobian = torch.autograd.functional.jacobian(lambda x, c=context: flow.terms(x, c).z, x).view(16, 16)
        expected = standard_normal(flow.terms(x, context).z).sum() + jacobian.slogdet().logabsdet
        torch.testing.assert_close(flow.log_prob(x, sigma).squeeze(), expected, rtol=0, atol=1e-10)


def test_log_pz_without_a_split_is_the_base_density_alone(make_flow: Callable[..., Flow]) -> None:
    terms = make_flow(SIZES["no split"]).terms(noise(2, 1, 16))
    torch.testing.assert_close(terms.log_pz, standard_normal(terms.z))


def test_log_pz_with_a_split_has_the_learned_gaussian(make_flow: Callable[..., Flow]) -> None:
    terms = make_flow(SIZES["split after every block"]).terms(noise(2, 1, 16))
    learned = terms.log_pz - standard_normal(terms.z)
    kept = learned.abs() < 1e-12
    assert kept.sum() == 2 * 16 // 4  # a quarter of the samples goes through both splits


def test_untrained_flow_is_a_standard_normal(tiny_flow: FlowConfig) -> None:
    x = noise(3, 1, 16)
    expected = standard_normal(x).sum(dim=(1, 2))
    prior = FlowPrior(flowavenet(tiny_flow).double().eval())
    torch.testing.assert_close(prior.log_prob(x), expected)


# Groups are separate flows


def trained_mode_flow(
    config: FlowConfig, perturb: Perturb, groups: int, sigma: Tensor | None = None
) -> tuple[Flow, Tensor]:
    """A grouped flow whose ActNorms were set by a first batch, and that batch (B, G, T)."""
    flow = flowavenet(config, groups).double()
    perturb(flow)
    x = noise(4, groups, 16) * torch.arange(1, groups + 1).view(1, groups, 1)
    flow.source_terms(x, sigma)
    return flow, x


@pytest.mark.parametrize("conditional", [False, True])
def test_grouped_flow_equals_the_extracted_ones_which_are_copies(
    conditional: bool, tiny_flow: FlowConfig, perturb: Perturb
) -> None:
    sigma = torch.tensor([0.02, 0.4, 0.1, 0.1], dtype=torch.float64) if conditional else None
    flow, x = trained_mode_flow(TINY_CONDITIONAL if conditional else tiny_flow, perturb, 3, sigma)
    together = flow.source_terms(x, sigma)
    for group in range(3):
        single = flow.extract(group)
        for ours, theirs in zip(single.source_terms(x[:, group : group + 1], sigma), together, strict=True):
            torch.testing.assert_close(ours[:, 0], theirs[:, group], rtol=0, atol=1e-10)
        with torch.no_grad():
            for parameter in single.parameters():
                assert parameter.dtype == torch.float64
                parameter.zero_()
    assert torch.equal(flow.source_terms(x, sigma).z, together.z)
    assert not flow.eval().extract(0).training


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
        objective_by_source(net.source_terms(signals), "likelihood").sum().backward()
        clip_gradients(net, config)
        optimiser.step()

    step(flow, x)
    for group, single in enumerate(singles):
        step(single, x[:, group : group + 1])
        expected = flow.extract(group).state_dict()
        for name, value in single.state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-9, msg=name)


# Samples


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


@pytest.mark.parametrize(
    ("length", "message"),
    [(0, "0 samples"), (3, "3 samples.*at least 4"), (18, "18 is not a multiple of 4; cut the signal to 16")],
)
def test_length_that_the_flow_cannot_squeeze_is_named(length: int, message: str, prior: FlowPrior) -> None:
    x = torch.zeros(2, 1, length)
    for call in (prior.log_prob, prior.log_prob_map, prior.score, prior.terms, lambda x: prior.sample(x.shape)):
        with pytest.raises(InputError, match=message):
            call(x)


def test_number_of_sources_has_to_be_that_of_the_groups(tiny_flow: FlowConfig) -> None:
    with pytest.raises(InputError, match=r"expected 4 channel\(s\), got 1"):
        flowavenet(tiny_flow, groups=4).log_prob(torch.zeros(2, 1, 16))


def test_prior_of_several_sources_is_refused(tiny_flow: FlowConfig) -> None:
    with pytest.raises(InputError, match="4 groups"):
        FlowPrior(flowavenet(tiny_flow, groups=4))


# A flow that is given the noise level


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


def test_level_out_of_range_in_one_example_is_named(make_flow: Callable[..., Flow]) -> None:
    with pytest.raises(InputError, match=r"sigma spans 0\.1\.\.0\.7"):
        make_flow(TINY_CONDITIONAL).source_terms(noise(2, 1, 16), torch.tensor([0.1, 0.7]))


def test_missing_level_is_named(make_flow: Callable[..., Flow]) -> None:
    with pytest.raises(InputError, match="conditioned on the noise level; pass sigma"):
        make_flow(TINY_CONDITIONAL).log_prob(noise(2, 1, 16))


def test_prior_of_a_conditional_flow_samples_at_its_level(make_flow: Callable[..., Flow]) -> None:
    prior = FlowPrior(make_flow(TINY_CONDITIONAL), 0.129)
    sample = prior.sample((2, 1, 16), torch.Generator().manual_seed(0))
    z = torch.randn((2, 1, 16), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(prior.terms(sample).z, z, rtol=0, atol=1e-10)
    assert not torch.isclose(FlowPrior(prior.flow, 0.359).terms(sample).z, z).all()


# Numbers stay what they were


def test_shipped_flow_gives_the_same_terms_as_when_it_was_shipped() -> None:
    """Of sine, square and saw those of the first version, whose network listed its blocks; of triangle later ones."""
    flow = flowavenet(get_profile("laptop").plan_of("flowavenet").network, groups=4).eval()
    flow.load_state_dict(load_file(shipped_root() / "flow-whole_periods-laptop-likelihood" / "weights.safetensors"))
    x = 0.3 * torch.randn((3, 4, 256), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        terms = flow.source_terms(x)
    z, log_pz, log_det = (values[0].double().sum(dim=1) for values in terms)
    first = {
        "z": (z, [-738.106670, 338.005605, -2400.291704, 3693.126366]),
        "log_pz": (log_pz, [-163813.370805, -146206.606753, -452983.045638, -536591.128761]),
        "log_det": (log_det, [818.612129, 448.378103, 818.304816, 770.604607]),
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
