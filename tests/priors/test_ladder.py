"""The ladder of noise levels: which prior answers for a level, and how far its score may lead."""

import math
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from srcsep_core.data.toy import ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.nn.denoiser import DenoiserConfig
from srcsep_core.nn.mu_law import SoftmaxNet
from srcsep_core.priors.base import DenoisingPrior, DensityDenoiser, has_noisy_density, score_of
from srcsep_core.priors.denoiser import ClassDenoiser, PreconditionedNet
from srcsep_core.priors.flow import Flow, FlowPrior
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.flowavenet import flowavenet
from srcsep_core.priors.ladder import CLIP, NoiseLadder
from srcsep_core.priors.oracle import OraclePrior
from srcsep_core.priors.wavenet import WaveNetPrior, WaveNetPriorConfig
from srcsep_core.samplers import GibbsConfig, gibbs
from srcsep_core.samplers.asking import denoise_each

LEVELS = (0.01, 0.1, 1.0)
MakeFlow = Callable[..., Flow]


@pytest.fixture
def make_flow(perturb: Callable[..., None], tiny_flow: FlowConfig) -> MakeFlow:
    """A function that makes a float64 flow with random weights, in evaluation mode, conditional or not."""

    def make(conditional: bool = False) -> Flow:
        config = ConditionalFlowConfig(**asdict(tiny_flow)) if conditional else tiny_flow
        flow = flowavenet(config).double().eval()
        perturb(flow, 0.1)
        return flow

    return make


@pytest.fixture
def ladder(make_flow: MakeFlow) -> NoiseLadder:
    """Three levels with different flows."""
    priors = {}
    for index, sigma in enumerate(LEVELS):
        flow = make_flow()
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.mul_(1 + 0.3 * index)
        priors[sigma] = FlowPrior(flow, sigma)
    return NoiseLadder(dict(reversed(priors.items())))


class Answering(FlowPrior):
    """A prior with a given gradient, which keeps the levels that it is asked for."""

    def __init__(self, flow: Flow, sigma: float, gradient: Tensor) -> None:
        super().__init__(flow, sigma)
        self.gradient, self.asked = gradient, list[float | None]()

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        self.asked.append(sigma)
        return self.gradient.expand_as(x)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Which level


@pytest.mark.parametrize(
    ("sigma", "level"),
    [
        (1e-5, 0.01),
        (0.01, 0.01),
        (0.031, 0.01),
        (0.032, 0.1),
        (0.1, 0.1),
        (0.31, 0.1),
        (0.32, 1.0),
        (1.0, 1.0),
        (9, 1.0),
    ],
)
def test_nearest_level_by_ratio_answers(sigma: float, level: float, ladder: NoiseLadder) -> None:
    assert ladder.nearest(sigma) == (level, ladder.levels[level])
    x = 0.5 * noise(2, 1, 16)
    expected = ladder.levels[level].log_prob(x)
    torch.testing.assert_close(ladder.log_prob(x, sigma), expected.detach())
    assert not ladder.log_prob(x, sigma).requires_grad
    others = [ladder.levels[other].log_prob(x) for other in LEVELS if other != level]
    assert not any(torch.isclose(other, expected).any() for other in others)


def test_noise_free_level_stands_for_a_thousandth(make_flow: MakeFlow) -> None:
    clean, noisy = FlowPrior(make_flow(), 0.0), FlowPrior(make_flow(), 0.1)
    ladder = NoiseLadder({0.0: clean, 0.1: noisy})
    assert ladder.nearest(0.0099) == (0.0, clean) and ladder.nearest(0.0101) == (0.1, noisy)
    assert ladder.log_prob(0.1 * noise(1, 1, 16), 0.001).isfinite().all()


@pytest.mark.parametrize(("sigma", "asked"), [(0.001, 0.01), (0.01, 0.01), (0.2, 0.2), (0.5, 0.5), (4.0, 0.5)])
def test_conditional_flow_is_asked_within_its_range(sigma: float, asked: float, make_flow: MakeFlow) -> None:
    flow = make_flow(conditional=True)
    prior = Answering(flow, 0.0, torch.tensor(0.0, dtype=torch.float64))
    ladder = NoiseLadder({0.0: prior})
    assert ladder.nearest(sigma) == (asked, prior)
    x = 0.1 * noise(2, 1, 16)
    ladder.score(x, sigma)
    assert prior.asked == [asked]
    torch.testing.assert_close(ladder.log_prob(x, sigma), flow.log_prob(x, asked)[:, 0].detach())
    real = NoiseLadder({0.0: FlowPrior(flow)})
    expected = FlowPrior(flow).score(x, asked)
    implied = (x + min(sigma, asked) ** 2 * expected).clamp(-CLIP, CLIP)
    torch.testing.assert_close(real.score(x, sigma), (implied - x) / sigma**2)
    torch.testing.assert_close(real.denoise(x, sigma), implied)


# How far


@pytest.mark.parametrize("value", [1e3, -1e3, 1e300, math.inf, -math.inf])
@pytest.mark.parametrize("clip", [CLIP, 0.7])
def test_implied_posterior_mean_is_bounded(value: float, clip: float, make_flow: MakeFlow) -> None:
    prior = Answering(make_flow(), 0.5, torch.tensor(value, dtype=torch.float64))
    ladder = NoiseLadder({0.5: prior}, clip=clip)
    x = noise(2, 1, 8)
    mean = x + 0.25 * ladder.score(x, 0.5)
    torch.testing.assert_close(mean, torch.full_like(x, math.copysign(clip, value)))
    torch.testing.assert_close(denoise_each([ladder], x, 0.5), mean)


def test_gradient_that_is_no_number_counts_as_none(make_flow: MakeFlow) -> None:
    gradient = torch.tensor([math.nan, 1.0, -1.0, math.nan], dtype=torch.float64)
    ladder = NoiseLadder({0.5: Answering(make_flow(), 0.5, gradient)})
    x = torch.tensor([0.3, 0.3, 0.3, 5.0], dtype=torch.float64).view(1, 1, 4)
    expected = torch.tensor([0.0, 1.0, -1.0, (CLIP - 5) / 0.25], dtype=torch.float64).view(1, 1, 4)
    torch.testing.assert_close(ladder.score(x, 0.5), expected)


# Between the levels


class Gaussian:
    """N(0, variance I) in noise, by its exact posterior mean at one level; a prior that can do nothing else."""

    def __init__(self, variance: float, level: float) -> None:
        self.variance, self.level = variance, level

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        assert sigma == self.level, "a prior of one level is asked at no other"
        return self.variance / (self.variance + sigma**2) * x


@pytest.mark.parametrize(("sigma", "level"), [(0.0101, 0.01), (0.03, 0.01), (0.3, 0.1), (5.0, 1.0)])
def test_above_its_level_a_prior_moves_a_signal_as_at_its_level(sigma: float, level: float) -> None:
    ladder = NoiseLadder({own: Gaussian(1e-6, own) for own in LEVELS})
    x = 0.1 * noise(3, 1, 16)
    own = score_of(Gaussian(1e-6, level), x, level)
    torch.testing.assert_close(ladder.denoise(x, sigma), x + level**2 * own)
    torch.testing.assert_close(ladder.score(x, sigma), own * (level / sigma) ** 2)


@pytest.mark.parametrize(("sigma", "level"), [(0.005, 0.01), (0.05, 0.1), (0.099, 0.1), (0.4, 1.0)])
def test_below_its_level_the_score_of_a_prior_stays(sigma: float, level: float) -> None:
    ladder = NoiseLadder({own: Gaussian(1e-6, own) for own in LEVELS})
    x = 0.1 * noise(3, 1, 16)
    torch.testing.assert_close(ladder.score(x, sigma), score_of(Gaussian(1e-6, level), x, level))


def test_denoising_between_levels_of_a_narrow_prior_does_not_overshoot() -> None:
    """The exact denoiser of a point is 0. Taken as it is, the score of level 0.01 would leave -8 sigma at 0.03."""
    ladder, sigma = NoiseLadder({own: Gaussian(0.0, own) for own in LEVELS}), 0.03
    x = sigma * noise(50, 1, 16)
    error = ladder.denoise(x, sigma).square().mean().sqrt().item()
    assert error < 0.01 * sigma
    old = (x + sigma**2 * score_of(Gaussian(0.0, 0.01), x, 0.01)).square().mean().sqrt().item()
    assert old == pytest.approx(8 * sigma, rel=0.1)


def test_noise_free_prior_has_no_level_to_scale_from(make_flow: MakeFlow) -> None:
    prior = FlowPrior(make_flow(), 0.0)
    x = 0.1 * noise(2, 1, 16)
    torch.testing.assert_close(NoiseLadder({0.0: prior}, clip=1e6).score(x, 0.1), prior.score(x))


@pytest.mark.parametrize("pinned", [False, True])
def test_priors_of_a_range_answer_at_every_level_or_at_their_own(pinned: bool) -> None:
    size = DenoiserConfig(classes=2, channels=(8, 16), strides=(4,), middle=1, heads=2, window=16)
    prior = ClassDenoiser(PreconditionedNet(size).eval(), 1)
    ladder = NoiseLadder(dict.fromkeys(LEVELS, prior), pinned=pinned)
    x = 0.5 * noise(2, 1, 16).float()
    for sigma, level in ((0.03, 0.01), (0.2, 0.1), (1.0, 1.0)):
        assert ladder.nearest(sigma) == (level if pinned else sigma, prior)
        expected = prior.denoise(x, level if pinned else sigma).clamp(-CLIP, CLIP)
        torch.testing.assert_close(ladder.denoise(x, sigma), expected, rtol=0, atol=1e-5)


def test_what_the_priors_lack_the_ladder_lacks() -> None:
    ladder, x = NoiseLadder({0.1: Gaussian(1.0, 0.1)}), noise(1, 1, 16)
    with pytest.raises(
        InputError, match=r"the prior of level 0\.1 is a Gaussian, which has no density at a noise level"
    ):
        ladder.log_prob(x, 0.1)
    with pytest.raises(InputError, match="a Gaussian cannot be drawn from"):
        ladder.sample((1, 1, 16))


# As a prior


def test_samples_are_those_of_the_lowest_level(ladder: NoiseLadder) -> None:
    found, expected = (
        prior.sample((2, 1, 16), torch.Generator().manual_seed(0)) for prior in (ladder, ladder.levels[0.01])
    )
    assert torch.equal(found, expected)


def test_ladder_without_levels_is_refused() -> None:
    with pytest.raises(InputError, match="at least one prior; there are 0"):
        NoiseLadder({})


# The levels of a flow prior itself


def test_density_of_a_flow_prior_is_asked_at_its_own_level(make_flow: MakeFlow) -> None:
    prior, x = FlowPrior(make_flow(), 0.1), noise(2, 1, 16)
    expected = prior.log_prob(x)
    torch.testing.assert_close(prior.log_prob(x, 0.1), expected)
    torch.testing.assert_close(prior.log_prob(x, 0.1 + 1e-9), expected)
    torch.testing.assert_close(prior.log_prob_map(x, 0.1).sum(dim=1), expected)
    for call in (prior.log_prob, prior.log_prob_map, prior.score):
        with pytest.raises(InputError, match=r"trained at sigma 0\.1, not 0\.2; load the one for that level"):
            call(x, 0.2)


# Denoisers of the priors


class NormalDensity:
    """N(0, variance I) in noise, which has a density and nothing else."""

    variance = 0.5

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        return -x.square().sum(dim=(1, 2)) / (2 * (self.variance + (sigma or 0.0) ** 2))


def test_denoiser_of_a_density_is_that_of_its_gradient() -> None:
    prior, x = DensityDenoiser(NormalDensity()), noise(3, 1, 8)
    assert isinstance(prior, DenoisingPrior) and has_noisy_density(prior)
    torch.testing.assert_close(prior.denoise(x, 0.5), x * 0.5 / 0.75)
    torch.testing.assert_close(prior.score(x, 0.5), -x / 0.75)
    torch.testing.assert_close(score_of(prior, x, 0.5), prior.score(x, 0.5))
    assert torch.equal(prior.log_prob(x, 0.5), NormalDensity().log_prob(x, 0.5))
    chain = gibbs(x, [prior, prior], config=GibbsConfig(levels=2, max_chains=1), generator=torch.Generator())
    assert chain.sources.isfinite().all()


def test_density_without_a_level_or_a_gradient_makes_no_denoiser() -> None:
    wavenet = WaveNetPrior(SoftmaxNet(WaveNetPriorConfig(layers=2, width=2, head_width=4)))
    with pytest.raises(
        InputError, match=r"a WaveNetPrior has no density at a noise level; it needs log_prob\(x, sigma"
    ):
        DensityDenoiser(wavenet)  # type: ignore[arg-type]
    oracle = DensityDenoiser(OraclePrior("sine", ToyWorld()))
    with pytest.raises(InputError, match="this log-density has no gradient; use a prior with a score or a denoiser"):
        oracle.denoise(noise(1, 1, 16), 0.3)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_denoiser_has_no_score_without_noise(sigma: float) -> None:
    with pytest.raises(InputError, match=f"sigma is {sigma:g}; a denoiser has a score at a noise level above 0"):
        score_of(DensityDenoiser(NormalDensity()), noise(1, 1, 8), sigma)


def test_flow_denoises_by_its_score(make_flow: MakeFlow) -> None:
    x = 0.5 * noise(2, 1, 16)
    tuned, wide = FlowPrior(make_flow(), 0.1), FlowPrior(make_flow(conditional=True))
    assert isinstance(tuned, DenoisingPrior) and tuned.sigma_range is None and wide.sigma_range == (0.01, 0.5)
    torch.testing.assert_close(tuned.denoise(x, 0.1), x + 0.01 * tuned.score(x))
    torch.testing.assert_close(wide.denoise(x, 0.3), x + 0.09 * wide.score(x, 0.3))
    torch.testing.assert_close(DensityDenoiser(wide).denoise(x, 0.3), wide.denoise(x, 0.3))
    assert torch.equal(FlowPrior(make_flow(), 0.0).denoise(x), x)
    with pytest.raises(InputError, match=r"trained at sigma 0\.1, not 0\.2"):
        tuned.denoise(x, 0.2)
