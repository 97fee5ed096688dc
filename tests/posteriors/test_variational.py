"""The evidence lower bound and its fit, on Gaussian priors whose posterior and evidence are known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from analytic import MIX, TWO, Gaussian, Scored, seeded
from torch import Tensor

from srcsep_core.errors import DivergenceError, InputError
from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.posteriors.variational import Bound, RefineConfig, bound, prior_term, refine

SIGMA = 0.2
WIDE = RefineConfig(steps=800, learning_rate=0.05, sigma_max=SIGMA, sigma_min=SIGMA, limit=20.0)
GAMMA = SIGMA / 2


def precision(priors: Sequence[Gaussian]) -> Tensor:
    """Of the sources given the sum, at every sample (K, K): priors in noise of SIGMA, the sum in noise of SIGMA."""
    own = torch.tensor([1 / (p.variance + SIGMA**2) for p in priors], dtype=torch.float64).diag()
    return own + 1 / SIGMA**2


def exact_mean(priors: Sequence[Gaussian]) -> Tensor:
    """The posterior mean, (K, T)."""
    pull = torch.tensor([p.mean / (p.variance + SIGMA**2) for p in priors], dtype=torch.float64)[:, None]
    return torch.linalg.solve(precision(priors), pull + len(priors) * MIX / SIGMA**2)


def log_evidence(priors: Sequence[Gaussian]) -> float:
    """Log-density of the mean of the sources in noise of GAMMA."""
    count = len(priors)
    variance = (sum(p.variance + SIGMA**2 for p in priors) + SIGMA**2) / count**2
    mean = sum(float(p.mean) for p in priors) / count
    return float((-(MIX - mean).square() / (2 * variance) - 0.5 * math.log(2 * math.pi * variance)).sum())


def fitted(config: RefineConfig = WIDE, **choices: object) -> TruncatedNormal:
    return refine(MIX[None, None], TWO, config=config, generator=seeded(), **choices)  # type: ignore[arg-type]


def test_the_fit_has_the_posterior_mean_and_the_conditional_scales() -> None:
    """A factorised posterior has the right mean, and the variance of a source given the others (Bishop 2006, 10.1)."""
    found = fitted()
    torch.testing.assert_close(found.location[0], exact_mean(TWO), atol=0.03, rtol=0)
    expected = precision(TWO).diagonal().rsqrt()[:, None].expand(-1, len(MIX))
    torch.testing.assert_close(found.scale[0], expected, atol=0.0, rtol=0.12)


def test_the_bound_is_the_evidence_less_what_the_posterior_leaves_out() -> None:
    """The divergence of a factorised Gaussian from the true one is what their correlation takes (Bishop 2006, 10.1)."""
    many = 4000
    mixes = MIX.expand(many, 1, -1)

    def value(shift: float = 0.0) -> tuple[float, float]:
        shape = (many, 2, len(MIX))
        scale = precision(TWO).diagonal().rsqrt()[:, None].expand(shape)
        exact = TruncatedNormal((exact_mean(TWO) + shift).expand(shape), scale, low=-20.0, high=20.0)
        found = bound(mixes, exact, TWO, gamma=GAMMA, sigma=SIGMA, generator=seeded(1), exact=True).value()
        return float(found.mean()), float(found.std()) / math.sqrt(many)

    best, error = value()
    left_out = len(MIX) * 0.5 * float(precision(TWO).diagonal().log().sum() - precision(TWO).logdet())
    assert abs(best - (log_evidence(TWO) - left_out)) < 4 * error
    assert all(value(shift)[0] < best - 3 * error for shift in (-0.2, 0.2))


def test_derivatives_are_those_of_the_densities() -> None:
    """Of the surrogate too, which takes the denoised signal for the clean one."""
    sources = torch.randn(2, 2, 4, generator=seeded(), dtype=torch.float64).requires_grad_(True)
    rows = torch.stack([p.log_prob(sources[:, k : k + 1], SIGMA) for k, p in enumerate(TWO)], dim=1)
    (theirs,) = torch.autograd.grad(rows.sum(), sources)
    for exact in (True, False):
        value = prior_term(sources, TWO, SIGMA, exact=exact)
        (ours,) = torch.autograd.grad(value.sum(), sources)
        torch.testing.assert_close(ours, theirs)
        if exact:
            torch.testing.assert_close(value, rows)
        else:
            clean = torch.stack([p.denoise(sources[:, k : k + 1], SIGMA)[:, 0] for k, p in enumerate(TWO)], dim=1)
            normal = torch.distributions.Normal(clean.detach(), SIGMA)
            torch.testing.assert_close(value, normal.log_prob(sources).sum(dim=2))


def test_every_mix_may_have_priors_of_its_own() -> None:
    sources = torch.randn(2, 2, 4, generator=seeded(), dtype=torch.float64)
    which = torch.tensor([[0, 1], [1, 0]])
    both = prior_term(sources, TWO, SIGMA, which=which, exact=True)
    torch.testing.assert_close(both[0], prior_term(sources, TWO, SIGMA, exact=True)[0])
    torch.testing.assert_close(both[1], prior_term(sources, TWO[::-1], SIGMA, exact=True)[1])


def test_without_a_density_the_fit_is_the_same() -> None:
    scored = [Scored(p.mean, p.variance) for p in TWO]
    seen: list[Bound] = []
    found = refine(
        MIX[None, None], scored, config=WIDE, generator=seeded(), watch=lambda step, sigma, terms: seen.append(terms)
    )
    assert len(seen) == WIDE.steps and all(terms.value().isfinite().all() for terms in seen)
    torch.testing.assert_close(found.location, fitted().location)
    with pytest.raises(InputError, match=r"prior 1, a Scored, has no density; ask with exact=False"):
        prior_term(torch.zeros(1, 2, 4), scored, SIGMA, exact=True)


def test_beta_weighs_the_priors() -> None:
    """Without them the sources only have to add up to the mix."""
    free = fitted(replace(WIDE, beta=0.0))
    torch.testing.assert_close(free.location.mean(dim=1), MIX[None], atol=0.05, rtol=0)
    tight = fitted(replace(WIDE, beta=100.0))
    means = torch.tensor([float(p.mean) for p in TWO], dtype=torch.float64)[:, None].expand(-1, 4)
    torch.testing.assert_close(tight.location[0], means, atol=0.1, rtol=0)


def test_a_good_start_needs_few_steps() -> None:
    few = replace(WIDE, steps=5, learning_rate=5e-3)
    near = fitted(few, start=fitted())
    assert float((near.location[0] - exact_mean(TWO)).abs().max()) < 0.05
    assert float((fitted(few).location[0] - exact_mean(TWO)).abs().max()) > 0.1


@dataclass(frozen=True)
class Broken(Scored):
    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        return torch.full_like(x, torch.nan)


def test_what_cannot_be_fitted_is_named() -> None:
    with pytest.raises(DivergenceError, match=r"the gradient of prior 2 at level 0.2 is not finite"):
        refine(MIX[None, None], [TWO[0], Broken(0.0, 1.0)], config=WIDE, generator=seeded())
    three = TruncatedNormal(torch.zeros(1, 3, 4), torch.ones(1, 3, 4))
    with pytest.raises(InputError, match=r"has the shape \(1, 3, 4\); it must be \(1, 2, 4\)"):
        fitted(start=three)
    with pytest.raises(InputError, match=r"RefineConfig.slack is 0; use a number above 0"):
        RefineConfig(slack=0)
