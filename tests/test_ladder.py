"""The ladder of noise levels: which prior answers for a level, and how far its score may lead."""

import math
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.priors.base import ScorePrior
from srcsep_core.priors.flow import Flow, FlowPrior
from srcsep_core.priors.flowavenet import ConditionalFlowConfig, FlowConfig, flowavenet
from srcsep_core.priors.ladder import CLIP, NoiseLadder
from srcsep_core.samplers import GibbsConfig, gibbs
from srcsep_core.samplers.base import NoisyDensity, denoise_each

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


def test_score_within_the_limit_is_that_of_the_level(ladder: NoiseLadder) -> None:
    x = 0.1 * noise(3, 1, 16)
    expected = ladder.levels[0.1].score(x)
    assert (x + 0.1**2 * expected).abs().max() < CLIP
    torch.testing.assert_close(ladder.score(x, 0.1), expected, rtol=1e-9, atol=1e-9)
    limited = ladder.score(x, 0.09)  # nearest still, and tempered by the level asked for
    torch.testing.assert_close(limited, expected, rtol=1e-9, atol=1e-9)


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
    implied = (x + sigma**2 * expected).clamp(-CLIP, CLIP)
    torch.testing.assert_close(real.score(x, sigma), (implied - x) / sigma**2)


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


def test_chain_on_a_wild_flow_stays_finite(make_flow: MakeFlow, perturb: Callable[..., None]) -> None:
    flow = make_flow()
    for _ in range(5):
        perturb(flow, 0.5)
    ladder = NoiseLadder({sigma: FlowPrior(flow, sigma) for sigma in (0.1, 1.0)})
    config = GibbsConfig(levels=4, restarts=1)
    result = gibbs(noise(2, 1, 16), [ladder, ladder], config=config, generator=torch.Generator().manual_seed(0))
    assert result.restarts.isfinite().all() and result.restarts.abs().max() <= CLIP + 1e-6


# As a prior


def test_it_is_a_prior_with_a_density_at_every_level(ladder: NoiseLadder) -> None:
    assert isinstance(ladder, ScorePrior) and isinstance(ladder, NoisyDensity)
    assert list(ladder.levels) == sorted(LEVELS)


def test_samples_are_those_of_the_lowest_level(ladder: NoiseLadder) -> None:
    found, expected = (
        prior.sample((2, 1, 16), torch.Generator().manual_seed(0)) for prior in (ladder, ladder.levels[0.01])
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("sigma", [None, 0.0, -0.1, math.nan, math.inf])
def test_level_must_be_positive(sigma: float | None, ladder: NoiseLadder) -> None:
    for call in (ladder.score, ladder.log_prob):
        with pytest.raises(InputError, match=f"sigma is {sigma}; ask a noise ladder for a level above 0"):
            call(noise(1, 1, 16), sigma)


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


def test_density_of_a_conditional_flow_is_asked_within_its_range(make_flow: MakeFlow) -> None:
    flow, x = make_flow(conditional=True), noise(2, 1, 16)
    prior = FlowPrior(flow, 0.1)
    for sigma in (0.01, 0.3, 0.5):
        torch.testing.assert_close(prior.log_prob(x, sigma), flow.log_prob(x, sigma)[:, 0])
    assert torch.equal(prior.log_prob(x), prior.log_prob(x, 0.1))
    assert not torch.isclose(prior.log_prob(x, 0.3), prior.log_prob(x)).any()
    for sigma in (0.009, 0.6):
        with pytest.raises(InputError, match=rf"sigma spans {sigma}\.\.{sigma} but"):
            prior.log_prob(x, sigma)
