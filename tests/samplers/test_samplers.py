"""What is each sampler's own: its moves, chains and limits, on mixes they cannot know; see also the contract."""

import importlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from analytic import FOUR, LENGTH, MIX, TWO, Gaussian, Posterior, Scored, covariance_of, seeded
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.nn.denoiser import DenoiserConfig
from srcsep_core.nn.levels import geometric_levels
from srcsep_core.nn.mu_law import SoftmaxNet
from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.priors.base import PosteriorPrior, has_noisy_density
from srcsep_core.priors.denoiser import ClassDenoiser, PreconditionedNet
from srcsep_core.priors.wavenet import WaveNetPrior, WaveNetPriorConfig
from srcsep_core.samplers import (
    GibbsConfig,
    LangevinConfig,
    ProjectionConfig,
    Separation,
    State,
    gibbs,
    langevin,
    projection,
    unconstrained_langevin,
)
from srcsep_core.samplers.asking import denoise_each, denoise_rows, log_prob_rows, posterior_rows, score_each
from srcsep_core.samplers.gibbs import _Chain

CHAINS, SIGMA = 3000, 0.3


EXACT = GibbsConfig(sigma_max=SIGMA, sigma_min=SIGMA, levels=1, sweeps=40, swap="none", max_chains=1, polish=0)


def first(x: Tensor) -> Tensor:
    """All rows of `x` under the first prior, (M,)."""
    return torch.zeros(len(x), dtype=torch.long)


def chains(
    sampler: Callable[..., Separation], priors: Sequence[Scored], config: Any, *, seed: int = 0, count: int = CHAINS
) -> Tensor:
    """The states (chains, K, T) of independent chains for one mix at the end, before any projection."""
    mix = MIX.expand(count, 1, LENGTH)
    return sampler(mix, priors, config=config, generator=seeded(seed)).chains[:, 0]


# Gibbs


def test_gibbs_reaches_the_posterior_through_the_reverse_diffusion() -> None:
    """Each ancestral step takes the posterior mean for the clean signal, so that variances come out a little small."""
    priors = [Scored(p.mean, p.variance) for p in TWO]
    assert not isinstance(priors[0], PosteriorPrior)
    states = chains(gibbs, priors, replace(EXACT, sweeps=15, draw_steps=60))
    Posterior(priors, 1 / SIGMA**2).check(states, atol=0.03, share=0.12)


@pytest.mark.parametrize(("steps", "low", "high"), [(1, 0.0, 1e-12), (4, 0.15, 0.3), (100, 0.93, 1.01)])
def test_variance_of_a_reverse_diffusion_rises_to_the_posterior_with_its_steps(
    steps: int, low: float, high: float
) -> None:
    """One step is the posterior mean."""
    x = MIX.expand(CHAINS, 1, LENGTH)
    draws = posterior_rows([Scored(0.5, 0.05)], first(x), x, SIGMA, steps=steps, generator=seeded(0))
    share = draws.var(dim=0, correction=0).mean() * (1 / 0.05 + 1 / SIGMA**2)
    assert low <= share.item() <= high
    mean = (SIGMA**2 * 0.5 + 0.05 * MIX) / (0.05 + SIGMA**2)
    torch.testing.assert_close(draws.mean(dim=0)[0], mean, rtol=0, atol=0.02)


@dataclass(frozen=True)
class Bounded(Scored):
    """A prior with a lowest level, which keeps those it is asked for."""

    sigma_min: float = 0.1
    asked: list[float] = field(default_factory=list)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        self.asked.append(sigma)
        return super().denoise(x, sigma)


def test_reverse_diffusion_stays_above_the_lowest_level_of_a_prior() -> None:
    x = MIX.expand(1, 1, LENGTH)
    for sigma, steps, expected in ((0.4, 3, [0.4, 0.2, 0.1]), (0.1, 2, [0.1, 0.1]), (9.0, 2, [9.0, 0.3])):
        prior = Bounded(0.0, 0.1)
        assert posterior_rows([prior], first(x), x, sigma, steps=steps, generator=seeded(0)).isfinite().all()
        assert prior.asked == pytest.approx(expected)


@dataclass(frozen=True)
class Visited(Gaussian):
    """A prior of small signals that keeps which of two chains it was asked for: one has a positive sum."""

    name: str = ""
    log: list[tuple[bool, str]] = field(default_factory=list)

    def posterior_sample(self, x: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        self.log.extend((bool(row), self.name) for row in x.mean(dim=(1, 2)) > 0)
        return super().posterior_sample(x, sigma, generator)


def test_chains_of_a_batch_visit_the_sources_in_orders_of_their_own() -> None:
    """Every chain visits every source once; whether two chains do so in the same order is left to chance."""
    mixes = torch.stack([MIX + 50, MIX - 50])[:, None]
    pairs = set()
    for seed in range(40):
        log: list[tuple[bool, str]] = []
        priors = [Visited(0.0, 1e-4, name, log) for name in "abc"]
        gibbs(mixes, priors, config=replace(EXACT, sweeps=1, judge_sigma=0.0), generator=seeded(seed))
        one, other = ("".join(name for positive, name in log if positive == which) for which in (True, False))
        assert sorted(one) == sorted(other) == ["a", "b", "c"]
        pairs.add((one, other))
    assert len({one for one, _ in pairs}) == len({other for _, other in pairs}) == 6
    assert sum(one != other for one, other in pairs) > 1 and len(pairs) > 15


@pytest.mark.parametrize("swap", ["none", "refit"])
def test_batches_differ_by_no_more_than_their_chains_do(swap: str) -> None:
    """After one sweep a source depends on its turn and on swaps: the variance of the means of 50 chains is 1/50."""
    config = replace(EXACT, sweeps=1, swap=swap, swaps=1, judge_sigma=0.0)
    batches = torch.stack([chains(gibbs, FOUR, config, seed=seed, count=50)[:, 0].mean(dim=1) for seed in range(60)])
    ratio = 50 * batches.mean(dim=1).var() / batches.var(dim=1).mean()
    assert 0.5 < ratio.item() < 1.7  # chi squared of 59 degrees of freedom: 0.55 to 1.6 in 99.9 %


@dataclass(frozen=True)
class Clean(Gaussian):
    """With the density of clean signals whatever the level."""

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        return super().log_prob(x)


def test_metropolis_swaps_leave_the_posterior_as_it_is() -> None:
    """Two overlapping priors, a swap of which is often accepted; a swap without its ratio would make them one."""
    priors = [Clean(0.3, 0.1), Clean(-0.1, 0.2)]
    accepted = []
    for swaps in (0, 5):
        config = replace(EXACT, swap="metropolis", swaps=swaps)
        result = gibbs(MIX.expand(CHAINS, 1, LENGTH), priors, config=config, generator=seeded(swaps))
        Posterior(priors, 1 / SIGMA**2).check(result.chains[:, 0])
        accepted.append(result.trace["accepted"].iloc[-1])
    assert accepted[0] == 0 and 0.1 < accepted[1] < 0.9


@pytest.mark.parametrize("width", [0.35, 1.0])
def test_independence_proposals_leave_the_posterior_as_it_is(width: float) -> None:
    """Proposals off its place, narrower than it or wider: without their own density they would shift it."""
    priors = [Clean(0.3, 0.1), Clean(-0.1, 0.2)]
    location = torch.tensor([0.5, -0.3], dtype=torch.float64)[None, :, None].expand(CHAINS, 2, LENGTH)
    proposal = TruncatedNormal(location, torch.full_like(location, width), -3.0, 3.0)
    config = replace(EXACT, swap="none")
    mixes = MIX.expand(CHAINS, 1, LENGTH)
    result = gibbs(mixes, priors, config=config, generator=seeded(5), propose=lambda sigma: proposal)
    Posterior(priors, 1 / SIGMA**2).check(result.chains[:, 0])
    assert 0.01 < result.trace["taken"].iloc[-1] < 0.9


def test_proposals_alone_reach_the_posterior() -> None:
    """Chains that only ever take or refuse draws of a proposal, from far off, end at the posterior."""
    priors = [Clean(0.3, 0.1), Clean(-0.1, 0.2)]
    expected = Posterior(priors, 1 / SIGMA**2)
    chain = _Chain(2 * MIX.expand(CHAINS, 1, LENGTH), priors, replace(EXACT, swap="none"), seeded(3))
    location = expected.mean.expand(CHAINS, -1, -1)
    proposal = TruncatedNormal(location, torch.full_like(location, 0.3), -3.0, 3.0)
    for _ in range(400):
        chain.propose(proposal, SIGMA)
    expected.check(chain.state)


def test_proposals_want_densities_and_known_gains() -> None:
    location = torch.zeros(1, 2, 4)
    proposal = TruncatedNormal(location, torch.ones_like(location))
    for priors, config, message in (
        ([TWO[0], Scored(0.0, 1.0)], EXACT, "need priors with a density; use swap='refit' and no proposals"),
        (TWO, replace(EXACT, estimate_gains=True), "whose gains are known; use estimate_gains=False or propose nothi"),
    ):
        with pytest.raises(InputError, match=message):
            gibbs(torch.zeros(1, 1, 4), priors, config=config, generator=seeded(), propose=lambda sigma: proposal)


def test_a_polished_chain_ends_at_the_posterior_mode() -> None:
    """Conditional means in turn converge to the mode of a Gaussian, which is its mean, whatever the draws were."""
    states = chains(gibbs, TWO, replace(EXACT, sweeps=1, polish=60), count=5)
    expected = Posterior(TWO, 1 / SIGMA**2).mean
    torch.testing.assert_close(states, expected.expand(5, -1, -1), rtol=0, atol=1e-8)


@dataclass(frozen=True)
class Templates:
    """A prior that holds one of some templates (M, T), equally likely, each N(template, variance I)."""

    means: Tensor
    variance: float = 1e-3

    def _weights(self, x: Tensor, sigma: float) -> Tensor:
        distance = (x[:, 0, None] - self.means).square().sum(dim=2)
        return torch.softmax(-distance / (2 * (self.variance + sigma**2)), dim=1)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        mean = (self._weights(x, sigma) @ self.means)[:, None]
        return x + sigma**2 * (mean - x) / (self.variance + sigma**2)

    def posterior_sample(self, x: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        chosen = torch.multinomial(self._weights(x, sigma), 1, generator=generator)[:, 0]
        return Gaussian(self.means[chosen][:, None], self.variance).posterior_sample(x, sigma, generator)


def locked_pair() -> tuple[Tensor, list[Templates]]:
    """A mix of u and v, and priors of (u, nearly v) and (v, nearly u): the wrong pair fits but for its small errors."""
    u = torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    v = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    wrong = 0.35 * torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    priors = [Templates(torch.stack([u, v + wrong])), Templates(torch.stack([v, u + wrong]))]
    return ((u + v) / 2)[None, None], priors


LOCKED = GibbsConfig(sigma_max=1.5, sigma_min=0.05, levels=12, max_chains=1, polish=0)


def share_of_failures(result: Separation) -> float:
    return float((result.residual > 0.1).double().mean())


def test_refit_swaps_escape_where_single_moves_are_locked_in() -> None:
    mix, priors = locked_pair()
    mixes = mix.expand(400, -1, -1)
    alone = gibbs(mixes, priors, config=replace(LOCKED, swap="none"), generator=seeded(0))
    swapping = gibbs(mixes, priors, config=replace(LOCKED, swap="refit"), generator=seeded(0))
    assert 0.15 < share_of_failures(alone) < 0.85
    assert share_of_failures(swapping) < 0.02
    assert alone.trace["accepted"].eq(0).all() and swapping.trace["accepted"].iloc[0] > 0
    truth = torch.stack([prior.means[0] for prior in priors])
    found = swapping.sources[swapping.residual < 0.1]
    assert (found - truth).abs().mean() < 0.05


@pytest.mark.parametrize("judge_sigma", [0.0, 0.1])
def test_chains_stop_once_the_doubt_is_small_and_the_best_is_kept(judge_sigma: float) -> None:
    mix, priors = locked_pair()
    config = replace(LOCKED, swap="none", max_chains=4, accept=0.1, judge_sigma=judge_sigma)
    wanted = 0.1 * float(mix.square().mean().sqrt())
    seen: list[State] = []
    result = gibbs(mix.expand(100, -1, -1), priors, config=config, generator=seeded(0), callback=seen.append)
    tried = result.doubts.isfinite()
    assert tried[:, 0].all() and not tried.all() and tried[:, 1:].any()
    enough = result.doubts <= wanted
    for b in range(100):
        count = int(tried[b].sum())
        assert tried[b, :count].all() and not enough[b, : count - 1].any()
        assert enough[b, count - 1] or count == 4
    assert torch.equal(result.chosen, result.doubts.argmin(dim=1))
    assert result.chains.shape == (100, 4, 2, 8) and result.sources.shape == (100, 2, 8)
    kept = result.chains[torch.arange(100), result.chosen]
    missing = mix - kept.mean(dim=1, keepdim=True)
    torch.testing.assert_close(result.sources, kept + missing)
    torch.testing.assert_close(result.residual, missing[:, 0].square().mean(dim=1).sqrt())
    assert torch.equal(result.residual, result.doubts.amin(dim=1)) == (judge_sigma == 0)
    active = [int(tried[:, r].sum()) for r in range(4) for _ in range(config.levels)]
    assert [len(state.sources) for state in seen] == [count for count in active if count]
    assert share_of_failures(result) < 0.5 * share_of_failures(
        gibbs(mix.expand(100, -1, -1), priors, config=replace(config, max_chains=1), generator=seeded(0))
    )


def test_all_chains_run_when_no_residual_is_small_enough() -> None:
    mix, priors = locked_pair()
    config = replace(LOCKED, levels=2, max_chains=3, accept=0.0, judge_sigma=0.0)
    result = gibbs(mix, priors, config=config, generator=seeded(0))
    assert result.doubts.isfinite().all()
    assert result.trace["restart"].tolist() == [0, 0, 1, 1, 2, 2]
    assert result.trace["step"].tolist() == [0, 1] * 3
    assert list(result.trace) == ["restart", "step", "sigma", "residual", "accepted", "change"]
    own = result.doubts[0, 2]
    assert result.trace["residual"].iloc[-1] == pytest.approx(float(own), rel=1e-6)


@dataclass(frozen=True)
class TightAndLoose:
    """A prior of two kinds of signals, equally likely: N(tight, 1e-4 I), and N(loose, 0.04 I), which fits much."""

    tight: Tensor
    loose: Tensor

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        means = torch.stack([self.tight, self.loose])
        variances = torch.tensor([1e-4, 0.04], dtype=x.dtype) + sigma**2
        gaps = means - x  # (B, 2, T)
        weights = (-gaps.square().sum(dim=2) / (2 * variances) - x.shape[2] / 2 * variances.log()).softmax(dim=1)
        return x + sigma**2 * ((weights / variances)[:, :, None] * gaps).sum(dim=1, keepdim=True)


def mislabelled_pair() -> tuple[Tensor, list[TightAndLoose]]:
    """A mix of nearly u and v, and priors that know the own one sharply and the other one vaguely.

    So the wrong labels fit the mix better than the right ones do.
    """
    u = torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    v = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    error = 0.02 * torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    return ((u + v + error) / 2)[None, None], [TightAndLoose(u, v), TightAndLoose(v, u)]


@pytest.mark.parametrize(("judge_sigma", "right"), [(0.0, False), (0.1, True)])
def test_estimates_with_mixed_up_labels_add_up_but_do_not_survive_noise(judge_sigma: float, right: bool) -> None:
    mix, priors = mislabelled_pair()
    config = replace(LOCKED, swap="none", polish=4, max_chains=2, accept=0.0, judge_sigma=judge_sigma)
    result = gibbs(mix.expand(200, -1, -1), priors, config=config, generator=seeded(0))
    own = torch.stack([prior.tight for prior in priors])
    labelled = (result.chains - own).abs().mean(dim=(2, 3)) < 0.1
    swapped = (result.chains - own.flip(0)).abs().mean(dim=(2, 3)) < 0.3
    plain = (mix - result.chains.mean(dim=2)).square().mean(dim=2).sqrt()
    disputed = (labelled.any(dim=1)) & (swapped.any(dim=1))
    assert disputed.sum() > 30
    assert plain[swapped].max() < 0.5 * plain[labelled].min(), "the sum alone speaks for the wrong labels"
    rows = torch.arange(200)
    assert (labelled if right else swapped)[rows, result.chosen][disputed].all()
    torch.testing.assert_close(result.residual, plain[rows, result.chosen])
    if right:
        assert result.doubts[swapped].min() > 1.3 * result.doubts[labelled].max()
    else:
        torch.testing.assert_close(result.doubts, plain)


def test_gains_of_the_sources_are_found() -> None:
    u = torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    v = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    priors = [Gaussian(u, 1e-4), Gaussian(v, 1e-4)]
    mix = ((0.5 * u + 2 * v) / 2).expand(5, 1, 8)
    config = replace(LOCKED, estimate_gains=True, polish=1)
    found = gibbs(mix, priors, config=config, generator=seeded(0))
    truth = torch.stack([0.5 * u, 2 * v]).expand(5, -1, -1)
    torch.testing.assert_close(found.sources, truth, rtol=0, atol=0.03)
    assert found.residual.max() < 0.02
    without = gibbs(mix, priors, config=replace(config, estimate_gains=False), generator=seeded(0))
    assert without.residual.min() > 0.2


def test_gains_stay_within_their_bounds() -> None:
    u = torch.ones(8, dtype=torch.float64)
    config = replace(LOCKED, estimate_gains=True)
    for gain, expected in ((0.001, 0.05), (100.0, 20.0), (-1.0, 0.05)):
        result = gibbs(gain * u.expand(1, 1, 8), [Gaussian(u, 1e-6)], config=config, generator=seeded(0))
        assert result.chains.mean().item() == pytest.approx(expected, rel=0.02)


# Langevin

PLAIN = LangevinConfig(sigma_max=SIGMA, sigma_min=SIGMA, levels=1, steps=250, step_scale=0.1, denoise=False)


def test_langevin_anneals_and_denoises_at_the_end() -> None:
    seen: list[State] = []
    config = LangevinConfig(sigma_max=2.0, sigma_min=0.2, levels=3, steps=2, max_chains=2)
    result = langevin(MIX.expand(3, 1, LENGTH), TWO, config=config, generator=seeded(0), callback=seen.append)
    assert [state.sigma for state in seen] == pytest.approx([2.0, math.sqrt(0.4), 0.2])
    clean = denoise_each(TWO, seen[-1].sources, 0.2)
    torch.testing.assert_close(result.chains, clean.view(3, 2, 2, LENGTH))
    kept = result.chains[torch.arange(3), result.chosen]
    torch.testing.assert_close(result.residual, (MIX - kept.mean(dim=1)).square().mean(dim=1).sqrt())
    assert torch.equal(result.residual, result.doubts.amin(dim=1))
    torch.testing.assert_close(result.sources.mean(dim=1), MIX.expand(3, LENGTH))


@pytest.mark.parametrize(
    ("change", "count", "message"),
    [
        ({"step_scale": 1.0}, 2, "contracts by 3, and 2 or more diverges; lower step_scale or constraint_weight"),
        (
            {"constraint_weight": 2.0},
            3,
            r"by 2\.1, .* so that step_scale \* \(1 \+ N \* weight\) < 2 for N = 3",
        ),
        ({"step_scale": 2.0, "constraint_weight": 0.0}, 2, "contracts by 2,"),
    ],
)
def test_unstable_langevin_steps_are_refused(change: dict[str, float], count: int, message: str) -> None:
    config = replace(LangevinConfig(), **change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        langevin(torch.zeros(1, 1, 4), FOUR[:count], config=config, generator=seeded(0))


@pytest.mark.parametrize(("factor", "stable"), [(0.97, True), (1.03, False)])
def test_bound_is_where_langevin_diverges(factor: float, stable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a prior that is a point, whose smoothed density curves as much as can be: 1 / sigma^2."""
    module = importlib.import_module("srcsep_core.samplers.langevin")  # the package has the function of this name
    monkeypatch.setattr(module, "LARGEST_STEP", math.inf)
    config = replace(PLAIN, steps=1000, step_scale=factor * 2 / 5)
    states = chains(langevin, [Gaussian(0.0, 0.0)] * 4, config, count=20)
    assert (states.abs().max() < 100) == stable


# The unconstrained dynamics


def test_unconstrained_langevin_starts_at_the_truth() -> None:
    truth = torch.rand(3, 2, 16, generator=seeded(1)) - 0.5
    nothing = unconstrained_langevin(truth, TWO, steps=0, start_noise=0.0, generator=seeded(0))
    assert torch.equal(nothing.sources, truth) and nothing.residual.max() < 1e-6
    started = unconstrained_langevin(truth.expand(3, 2, 16), TWO, steps=0, generator=seeded(0))
    assert (started.sources - truth).std().item() == pytest.approx(0.3, rel=0.2)


def test_unconstrained_langevin_knows_nothing_of_the_mix() -> None:
    """Whatever the truth is, every source ends as a draw from its own noisy prior, independent of the other one."""
    priors = [Scored(0.3, 0.01), Scored(-0.2, 0.02)]
    eta = 3e-5 * 100
    variances = torch.tensor([0.02, 0.03], dtype=torch.float64)
    variances = variances / (1 - eta / (2 * variances))
    means = torch.tensor([[0.3], [-0.2]], dtype=torch.float64)
    for seed, level in enumerate((-0.5, 0.5)):
        truth = torch.full((CHAINS, 2, LENGTH), level, dtype=torch.float64)
        result = unconstrained_langevin(truth, priors, generator=seeded(seed))
        torch.testing.assert_close(result.sources.mean(dim=0), means.expand(2, LENGTH), rtol=0, atol=0.02)
        torch.testing.assert_close(covariance_of(result.sources), variances.diag(), rtol=0, atol=0.06 * variances.max())
        missing = (truth - result.sources).mean(dim=1)
        torch.testing.assert_close(result.residual, missing.square().mean(dim=1).sqrt())


def test_unconstrained_langevin_is_clamped_and_traced_every_tenth_step() -> None:
    seen: list[State] = []
    truth = torch.full((2, 2, 8), 0.9)
    result = unconstrained_langevin(truth, [Scored(5.0, 0.1)] * 2, steps=25, generator=seeded(0), callback=seen.append)
    assert result.sources.max() == 1
    assert list(result.trace) == ["restart", "step", "sigma", "residual", "distance"]
    assert result.trace["step"].tolist() == [state.step for state in seen] == [9, 19]
    distance = (seen[-1].sources - truth).flatten(1).square().mean(dim=1).sqrt().mean()
    assert result.trace["distance"].iloc[-1] == pytest.approx(float(distance), rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 8), (2, 8)])
def test_unconstrained_langevin_wants_one_source_a_prior(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=re.escape(f"the sources have shape {shape}; pass (B, 2, T), one a prior")):
        unconstrained_langevin(torch.zeros(shape), TWO, generator=seeded(0))


# Projection


@pytest.mark.parametrize("pivot", [-1, 0, 1])
def test_projected_samples_add_up_and_have_the_mean_of_the_constrained_gaussian(pivot: int) -> None:
    """With equal variances the mean at every noise level is that of the posterior."""
    priors = [Gaussian(0.5, 0.1), Gaussian(-0.2, 0.1), Gaussian(0.0, 0.1)]
    states = chains(projection, priors, ProjectionConfig(levels=60, pivot=pivot))
    torch.testing.assert_close(states.sum(dim=1), (3 * MIX).expand(CHAINS, LENGTH))
    own = torch.tensor([p.mean for p in priors], dtype=torch.float64)[:, None]
    torch.testing.assert_close(states.mean(dim=0), own + (3 * MIX - own.sum(dim=0)) / 3, rtol=0, atol=0.025)


def test_projection_without_churn_is_narrower_than_the_posterior() -> None:
    """For two Gaussians of variance v the flow of the constrained score takes s to s v / (v + s^2), not to sqrt(v / 2).

    It follows densities that are not those of a diffusion: under the constraint the noise of two sources is one.
    """
    priors = [Gaussian(0.5, 0.1), Gaussian(-0.2, 0.1)]
    config = ProjectionConfig(sigma_max=1.0, sigma_min=0.005, levels=300, churn=0.0)
    found = chains(projection, priors, config)[:, 0].std(dim=0).mean()
    assert found.item() == pytest.approx(0.1 / 1.1, rel=0.05)
    churned = chains(projection, priors, replace(config, churn=60.0))[:, 0].std(dim=0).mean()
    assert 1.5 * found < churned < 1.02 * math.sqrt(0.1 / 2)


def test_projection_reports_the_misfit_of_the_posterior_means() -> None:
    config = ProjectionConfig(levels=25, max_chains=3)
    result = projection(MIX.expand(2, 1, LENGTH), TWO, config=config, generator=seeded(0))
    assert result.trace.query("restart == 0")["step"].tolist() == [9, 19, 24]
    assert list(result.trace) == ["restart", "step", "sigma", "residual"]
    clean = denoise_each(TWO, result.chains.flatten(0, 1), config.sigma_min).view(2, 3, 2, LENGTH)
    misfit = (MIX - clean.mean(dim=2)).square().mean(dim=2).sqrt()
    torch.testing.assert_close(result.doubts, misfit)
    assert torch.equal(result.chosen, misfit.argmin(dim=1))


@pytest.mark.parametrize("pivot", [-3, 2])
def test_pivot_beyond_the_sources_is_refused(pivot: int) -> None:
    config = ProjectionConfig(pivot=pivot)
    with pytest.raises(InputError, match=f"the pivot {pivot} is not among the 2 sources; use 0 to 1"):
        projection(torch.zeros(1, 1, 4), TWO, config=config, generator=seeded(0))


# All of them


@dataclass(frozen=True)
class Levelless(Scored):
    """A prior whose density knows no noise level."""

    def log_prob(self, x: Tensor) -> Tensor:
        return -(x - self.mean).square().sum(dim=(1, 2)) / (2 * self.variance)


def test_metropolis_swaps_want_densities_at_noise_levels() -> None:
    assert has_noisy_density(TWO[0])
    wavenet = WaveNetPrior(SoftmaxNet(WaveNetPriorConfig(layers=2, width=2, head_width=4)))
    for other, message in (
        (
            Scored(0.0, 1.0),
            "Metropolis steps need priors with a density; .* and no proposals with a Scored",
        ),
        (
            Levelless(0.0, 1.0),
            "the log_prob of a Levelless takes no noise level, .*'refit' and no proposals",
        ),
        (wavenet, "the log_prob of a WaveNetPrior takes no noise level, .*'refit' and no proposals"),
    ):
        assert not has_noisy_density(other)
        with pytest.raises(InputError, match=message):
            gibbs(torch.zeros(1, 1, 4), [TWO[0], other], config=GibbsConfig(swap="metropolis"), generator=seeded(0))
    gibbs(torch.zeros(1, 1, 4), [TWO[0], Levelless(0.0, 1.0)], config=replace(EXACT, swap="refit"), generator=seeded(0))


def test_rows_go_to_their_own_prior() -> None:
    which = torch.tensor([1, 0, 3, 1])
    x = torch.randn(4, 1, LENGTH, generator=seeded(0), dtype=torch.float64)
    clean, density = denoise_rows(FOUR, which, x, SIGMA), log_prob_rows(FOUR, which, x, SIGMA)
    for row, k in enumerate(which.tolist()):
        torch.testing.assert_close(clean[row : row + 1], FOUR[k].denoise(x[row : row + 1], SIGMA))
        torch.testing.assert_close(density[row : row + 1], FOUR[k].log_prob(x[row : row + 1], SIGMA))
    mixed = [Gaussian(5.0, 0.01), Scored(-5.0, 0.01)]
    drawn = posterior_rows(mixed, which % 2, x, SIGMA, steps=8, generator=seeded(0)).mean(dim=(1, 2))
    assert drawn.sign().tolist() == [-1, 1, -1, -1]


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (GibbsConfig(), {"sigma_min": 4.0}, r"from sigma 1\.5 to 4\.0"),
    (GibbsConfig(), {"draw_steps": 0}, r"GibbsConfig\.draw_steps is 0"),
    (GibbsConfig(), {"swaps": -1}, r"GibbsConfig\.swaps is -1; use 0 or more"),
    (GibbsConfig(), {"polish": -1}, r"GibbsConfig\.polish is -1"),
    (GibbsConfig(), {"accept": -0.1}, r"GibbsConfig\.accept is -0\.1"),
    (GibbsConfig(), {"judge_sigma": -0.1}, r"GibbsConfig\.judge_sigma is -0\.1; use 0 or more"),
    (GibbsConfig(), {"swap": "often"}, "unknown swap 'often'; use one of refit, metropolis, none"),
    (LangevinConfig(), {"step_scale": 0.0}, r"step_scale 0\.0"),
    (LangevinConfig(), {"constraint_weight": -1.0}, r"constraint_weight -1\.0; use a positive step"),
    (ProjectionConfig(), {"churn": -1.0}, r"ProjectionConfig\.churn is -1\.0; use 0 or more"),
    (ProjectionConfig(), {"corrector": -1}, r"ProjectionConfig\.corrector is -1"),
    (ProjectionConfig(), {"corrector_snr": -0.1}, r"ProjectionConfig\.corrector_snr is -0\.1"),
]


@pytest.mark.parametrize(("config", "change", "message"), BAD)
def test_senseless_settings_are_refused(config: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(config, **change)


def test_levels_fall_by_one_factor() -> None:
    assert geometric_levels(10.0, 0.1, 3) == pytest.approx([10.0, 1.0, 0.1])
    assert geometric_levels(2.0, 2.0, 2) == [2.0, 2.0] and geometric_levels(2.0, 0.5, 1) == [2.0]


# Priors that share a network


@dataclass
class Counted:
    """A hook that counts the rows a network is called with."""

    rows: list[int] = field(default_factory=list)

    def __call__(self, module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.rows.append(len(inputs[0]))


@pytest.mark.parametrize("labels", [(0, 1, 2), (2, 0), (1, 1, 0)])
def test_priors_with_one_denoiser_are_called_at_once_with_the_result_of_one_by_one(
    labels: tuple[int, ...], perturb: Callable[..., None]
) -> None:
    size = DenoiserConfig(classes=3, channels=(8, 16), strides=(4,), middle=1, heads=2, window=16)
    denoiser = PreconditionedNet(size).eval()
    perturb(denoiser, 0.1)
    priors = [ClassDenoiser(denoiser, label) for label in labels]
    x = torch.randn(50, len(labels), 16, generator=seeded(0))
    expected = torch.cat([prior.denoise(x[:, k : k + 1], 0.4) for k, prior in enumerate(priors)], dim=1)
    counted = Counted()
    denoiser.register_forward_hook(counted)
    found = denoise_each(priors, x, 0.4)
    assert sum(counted.rows) == 50 * len(labels) and max(counted.rows) == 64
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(score_each(priors, x, 0.4), (expected - x) / 0.16, rtol=0, atol=1e-4)
    counted.rows.clear()
    which, rows = torch.arange(30) % len(labels), x[:30, :1]
    mixed = denoise_rows(priors, which, rows, 0.4)
    assert counted.rows == [30], "rows of several classes are one call"
    single = [priors[k].denoise(rows[i : i + 1], 0.4) for i, k in enumerate(which.tolist())]
    torch.testing.assert_close(mixed, torch.cat(single), rtol=0, atol=1e-5)
    others = [ClassDenoiser(PreconditionedNet(size).eval(), 0), *priors[1:]]
    counted.rows.clear()
    denoise_each(others, x, 0.4)
    assert counted.rows == [50] * (len(labels) - 1), "priors of different networks go one by one"
    with pytest.raises(InputError, match="the signals have 12 samples but this denoiser works on 16; cut them"):
        gibbs(torch.zeros(1, 1, 12), priors, config=GibbsConfig(levels=3), generator=seeded(0))


def test_chains_start_where_they_are_told() -> None:
    """At a low level one sweep stays near a start that adds up to the mix, and every chain is given a start."""
    mixes, calls = MIX.expand(2, 1, -1), list[Tensor]()
    first = torch.linspace(-0.4, 0.4, len(MIX), dtype=torch.float64)
    near = torch.stack([first, 2 * MIX - first]).expand(2, 2, -1)

    def start() -> Tensor:
        calls.append(near)
        return near

    config = GibbsConfig(sigma_max=0.01, sigma_min=0.01, levels=1, swap="none", polish=0, max_chains=3, accept=0.0)
    found = gibbs(mixes, TWO, config=config, generator=seeded(), start=start)
    assert len(calls) == 3
    torch.testing.assert_close(found.chains, near[:, None].expand(-1, 3, -1, -1), atol=0.1, rtol=0)
    silent = gibbs(mixes, TWO, config=config, generator=seeded())
    assert float((silent.chains - near[:, None]).abs().max()) > 0.3
