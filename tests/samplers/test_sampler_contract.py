"""What every sampler has to keep: the posterior of Gaussian priors, its generator, its callback, its result.

Every registered sampler is here by itself, with few steps. Its posterior joins by a line of `LAWS`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import pytest
import torch
from analytic import FOUR, LENGTH, MIX, TWO, Gaussian, Posterior, Scored, seeded
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.samplers import (
    SAMPLERS,
    ExchangingGibbsConfig,
    GibbsConfig,
    LangevinConfig,
    MeansConfig,
    PnFSamplerConfig,
    ProjectionConfig,
    Separation,
    State,
)

CHAINS, SIGMA = 3000, 0.3
FEW: dict[str, Any] = {"levels": 3, "steps": 4, "updates": 4, "max_chains": 2, "accept": 0.0}
each_sampler = pytest.mark.parametrize("name", SAMPLERS)


def short(name: str) -> Any:
    """The sampler's own configuration with few steps and two chains."""
    config = SAMPLERS[name].config()
    return replace(config, **{field.name: FEW[field.name] for field in fields(config) if field.name in FEW})


def separate(
    name: str,
    mix: Tensor,
    priors: Sequence[Scored] = TWO,
    config: Any = None,
    *,
    seed: int = 0,
    callback: Callable[[State], None] | None = None,
) -> Separation:
    config = short(name) if config is None else config
    return SAMPLERS[name](mix, priors, config=config, generator=seeded(seed), callback=callback)


# The posterior


@dataclass(frozen=True)
class Law:
    """How chains are run for long at one level, and the posterior of their states there, given the priors."""

    config: Any
    posterior: Callable[[Sequence[Scored]], Posterior]


def langevin_law(config: Any, weight: Callable[[int], float]) -> Law:
    """Of the noisy sources, with the error of the step."""
    step = config.step_scale * SIGMA**2
    return Law(config, lambda p: Posterior(p, weight(len(p)) / SIGMA**2, extra=SIGMA**2, step=step))


GIBBS: dict[str, Any] = {
    "sigma_max": SIGMA,
    "sigma_min": SIGMA,
    "levels": 1,
    "sweeps": 40,
    "max_chains": 1,
    "polish": 0,
}
LANGEVIN = LangevinConfig(SIGMA, SIGMA, levels=1, steps=250, step_scale=0.1, denoise=False)
PNF = PnFSamplerConfig(SIGMA, SIGMA, levels=1, updates=450, step_scale=0.02, constraint_weight=2.0)
BLOCKS = {block: replace(PNF, block=block, updates=450 * (LENGTH + block - 1) // block) for block in (1, 3)}


def exact(config: Any) -> Law:
    """Of the clean sources, whose sum has noise."""
    return Law(config, lambda priors: Posterior(priors, 1 / SIGMA**2))


@dataclass(frozen=True)
class Iterated(Posterior):
    """The stationary law of x <- D(x + w (y - sum x) + noise), which is linear for Gaussian priors."""

    pull: float = 0.0
    noise: float = 0.0

    @property
    def shrink(self) -> Tensor:
        """How much of what it is given each denoiser keeps, (K, K)."""
        return torch.tensor([p.variance / (p.variance + SIGMA**2) for p in self.priors], dtype=torch.float64).diag()

    @property
    def onward(self) -> Tensor:
        """What becomes of the sources without noise and means, (K, K)."""
        count = len(self.priors)
        return self.shrink @ (torch.eye(count, dtype=torch.float64) - 1 / max(1, count - 1))

    @property
    def covariance(self) -> Tensor:
        """The sum over all steps so far of what is left of their noise."""
        found, left = torch.zeros_like(self.shrink), self.noise * SIGMA * self.shrink
        for _ in range(1000):
            found, left = found + left @ left.T, self.onward @ left
        return found

    @property
    def mean(self) -> Tensor:
        count, eye = len(self.priors), torch.eye(len(self.priors), dtype=torch.float64)
        means = torch.tensor([p.mean for p in self.priors], dtype=torch.float64)[:, None]
        given = self.shrink @ (count * MIX / max(1, count - 1)).expand(count, LENGTH) + (eye - self.shrink) @ means
        return torch.linalg.solve(eye - self.onward, given)


LAWS: dict[tuple[str, str], Law] = {
    ("gibbs", ""): exact(GibbsConfig(**GIBBS, swap="none")),
    ("gibbs-exchange", ""): exact(ExchangingGibbsConfig(**GIBBS, swap="none", again=0)),
    ("langevin", ""): langevin_law(LANGEVIN, lambda count: 1),
    ("langevin", "short steps"): langevin_law(replace(LANGEVIN, step_scale=0.02, steps=500), lambda count: 1),
    ("langevin", "mean constraint"): langevin_law(replace(LANGEVIN, mean_constraint=True), lambda count: 1 / count**2),
    ("pnf", ""): langevin_law(PNF, PNF.weight),
    ("pnf", "as printed"): langevin_law(
        PnFSamplerConfig(SIGMA, SIGMA, levels=1, updates=256), PnFSamplerConfig().weight
    ),
    ("pnf", "blocks of 1"): langevin_law(BLOCKS[1], PNF.weight),
    ("pnf", "blocks of 3"): langevin_law(BLOCKS[3], PNF.weight),
    ("means", ""): Law(MeansConfig(SIGMA, SIGMA, levels=60), lambda priors: Iterated(priors, noise=0.5)),
    # The Langevin steps of its corrector, under the constraint of the noisy sum: nearly infinite pull.
    ("projection", ""): Law(
        ProjectionConfig(1.0, SIGMA, levels=11, corrector=150, churn=0.0),
        lambda priors: Posterior(priors, 1e6, extra=SIGMA**2),
    ),
}


SETS = {"two": TWO, "two turned round": TWO[::-1], "four": FOUR}
# Variants with two sources are enough; an exchange of jumps is looked for chain by chain, which takes time.
RUNS = [(*law, sources) for law, sources in product(LAWS, SETS) if law[1] == "" or sources == "two"]
RUNS = [run for run in RUNS if run[0] != "gibbs-exchange" or run[2] == "two"]


@pytest.mark.parametrize(("name", "variant", "sources"), RUNS)
def test_chains_have_the_posterior(name: str, variant: str, sources: str) -> None:
    """Mean and covariance, and samples in time that are independent as those of the priors are."""
    law, priors = LAWS[name, variant], SETS[sources]
    seen: list[State] = []
    separate(name, MIX.expand(CHAINS, 1, LENGTH), priors, law.config, callback=seen.append)
    states = [state for state in seen if state.sigma >= SIGMA * 0.999][-1].sources
    law.posterior(priors).check(states)
    for source in states.unbind(dim=1):
        correlation = torch.corrcoef(source.T) - torch.eye(LENGTH, dtype=torch.float64)
        assert correlation.abs().max() < 5 / math.sqrt(CHAINS)


def test_every_sampler_is_held_against_a_posterior() -> None:
    assert {name for name, _ in LAWS} == set(SAMPLERS)


# Determinism, callback, result


@each_sampler
def test_same_seed_gives_the_same_result_and_leaves_the_global_state_alone(name: str) -> None:
    mix, before = MIX.expand(2, 1, LENGTH), torch.get_rng_state()
    first, again, other = (separate(name, mix, seed=seed).chains for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.isclose(first, other).any()
    assert torch.equal(torch.get_rng_state(), before)


@each_sampler
def test_result_has_a_row_a_mix_adds_up_to_it_and_keeps_the_chain_of_the_least_doubt(name: str) -> None:
    mixes = torch.stack([MIX, -MIX, 2 * MIX])[:, None].float()
    result = separate(name, mixes)
    assert result.sources.shape == (3, 2, LENGTH) and result.sources.dtype == torch.float32
    assert result.chains.shape == (3, 2, 2, LENGTH) and result.doubts.shape == (3, 2)
    torch.testing.assert_close(result.sources.mean(dim=1, keepdim=True), mixes, rtol=0, atol=1e-5)
    assert torch.equal(result.chosen, result.doubts.argmin(dim=1))
    kept = result.chains[torch.arange(3), result.chosen]
    missing = mixes - kept.mean(dim=1, keepdim=True)
    torch.testing.assert_close(result.sources, kept + missing)
    if name != "projection":  # whose estimates always add up: it reports the misfit of their posterior means
        torch.testing.assert_close(result.residual, missing[:, 0].square().mean(dim=1).sqrt())
    assert set(result.trace["restart"]) == {0, 1} and result.trace["residual"].gt(0).all()
    assert list(result.trace)[:4] == ["restart", "step", "sigma", "residual"]
    assert result.trace.notna().all(axis=None)


@each_sampler
def test_callback_gets_states_of_rising_steps_that_stay_as_they_were(name: str) -> None:
    seen: list[State] = []
    copies: list[Tensor] = []

    def watch(state: State) -> None:
        seen.append(state)
        copies.append(state.sources.clone())

    mix = MIX.expand(3, 1, LENGTH)
    watched = separate(name, mix, callback=watch)
    (shape,) = {tuple(state.sources.shape) for state in seen}
    assert shape in ((3, 2, LENGTH), (6, 2, LENGTH)), "chains one after the other, or at once"
    numbers = [state.step for state in seen]
    assert numbers == sorted(set(numbers)) and len({state.steps for state in seen}) == 1
    assert numbers[0] >= 0 and numbers[-1] == seen[0].steps - 1
    assert all(torch.equal(state.sources, copy) for state, copy in zip(seen, copies, strict=True))
    assert torch.equal(watched.sources, separate(name, mix).sources)


@each_sampler
def test_mixes_of_a_batch_do_not_touch_each_other(name: str) -> None:
    """A mix that is far away changes nothing of its neighbours."""
    mixes = torch.stack([MIX, -MIX])[:, None]
    far = torch.stack([MIX, MIX + 50])[:, None]
    ours, theirs = (separate(name, x).chains for x in (mixes, far))
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=1e-9)
    assert not torch.isclose(ours[1], theirs[1]).any()


@each_sampler
def test_a_prior_that_denoises_and_nothing_else_will_do_for_any_number_of_sources(name: str) -> None:
    for count in (1, 2, 4):
        result = separate(name, MIX.expand(2, 1, LENGTH), [Scored(0.1, 0.1)] * count)
        assert result.sources.shape == (2, count, LENGTH) and result.sources.isfinite().all()
    torch.testing.assert_close(separate(name, MIX.expand(2, 1, 4), TWO[:1]).sources, MIX.expand(2, 1, 4))


# Bad input


@each_sampler
def test_bad_mix_and_no_priors_are_refused(name: str) -> None:
    cases: list[tuple[Tensor, list[Gaussian], str]] = [
        (torch.tensor([[[0.0, math.nan, math.inf, 1.0]]]), TWO, "2 of 4 samples are NaN or infinite"),
        (torch.zeros(1, 2, 4), TWO, r"expected 1 channel\(s\), got 2"),
        (torch.zeros(4), TWO, r"shape \(B, C, T\)"),
        (torch.zeros(0, 1, 4), TWO, "the batch is empty"),
        (torch.zeros(1, 1, 4), [], "there are 0 priors; pass one for every source"),
    ]
    for mix, priors, message in cases:
        with pytest.raises(InputError, match=message):
            SAMPLERS[name](mix, priors, generator=seeded(0))


@each_sampler
def test_senseless_settings_are_refused(name: str) -> None:
    """Those that samplers share; what is their own is in their own tests."""
    config = SAMPLERS[name].config()
    bad = {"sigma_min": 0.0, "sigma_max": 1e-9, "levels": 0, "max_chains": 0, "steps": 0, "updates": 0, "sweeps": 0}
    for field, value in bad.items():
        if hasattr(config, field):
            with pytest.raises(InputError, match=f"{value}"):
                replace(config, **{field: value})
