"""The truncated normal against scipy's, against integrals far out in its tails, and its derivatives against steps."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.integrate import quad
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.posteriors.truncated_normal import TruncatedNormal, log_mass_between, normal_quantile_of_log

LOCATIONS = (-2.5, -1.0, -0.999, -0.3, 0.0, 0.7, 0.9999, 1.5)
SCALES = (1e-4, 1e-2, 0.3, 1.0, 10.0)
CASES = [(m, s) for m in LOCATIONS for s in SCALES]
USUAL = [(m, s) for m, s in CASES if max(-1 - m, m - 1, 0) / s < 30]  # where scipy's own moments hold


def made(location: float, scale: float, count: int = 1) -> TruncatedNormal:
    full = torch.full((count,), 1.0, dtype=torch.float64)
    return TruncatedNormal(location * full, scale * full)


def reference(location: float, scale: float):  # type: ignore[no-untyped-def]
    return scipy.stats.truncnorm((-1 - location) / scale, (1 - location) / scale, location, scale)


def inside(location: float, scale: float) -> np.ndarray:
    """Places where there is mass."""
    return made(location, scale, 7).quantile(torch.tensor([1e-6, 0.01, 0.3, 0.5, 0.8, 0.99, 1 - 1e-6])).numpy()


@pytest.mark.parametrize(("location", "scale"), CASES)
def test_density_is_that_of_scipy(location: float, scale: float) -> None:
    x = inside(location, scale)
    ours = made(location, scale, 7).log_prob(torch.from_numpy(x))
    np.testing.assert_allclose(ours, reference(location, scale).logpdf(x), rtol=1e-7, atol=1e-6)
    outside = made(location, scale, 2).log_prob(torch.tensor([-1.01, 1.01], dtype=torch.float64))
    assert outside.isneginf().all()


@pytest.mark.parametrize(("location", "scale"), USUAL)
def test_moments_are_those_of_scipy(location: float, scale: float) -> None:
    ours, theirs = made(location, scale), reference(location, scale)
    assert float(ours.mean) == pytest.approx(theirs.mean(), rel=1e-6, abs=1e-9)
    assert float(ours.variance) == pytest.approx(theirs.var(), rel=2e-5)
    assert float(ours.entropy) == pytest.approx(float(theirs.entropy()), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("location", "scale"), [(-2.5, 1e-4), (-2.5, 1e-2), (1.5, 1e-4)])
def test_far_tails_are_exponentials(location: float, scale: float) -> None:
    """Where the bound is many scales away the density falls by the rate away / scale^2 from there on."""
    bound = -1.0 if location < 0 else 1.0
    rate = abs(bound - location) / scale**2
    ours = made(location, scale)
    assert float((ours.mean - bound).abs()) == pytest.approx(1 / rate, rel=1e-3)
    assert float(ours.variance) == pytest.approx(1 / rate**2, rel=1e-3)
    assert float(ours.entropy) == pytest.approx(1 - math.log(rate), abs=1e-3)
    drawn = made(location, scale, 4000).rsample(torch.Generator().manual_seed(0))
    assert scipy.stats.kstest((drawn - bound).abs().numpy() * rate, "expon").pvalue > 1e-3


@pytest.mark.parametrize(("location", "scale"), USUAL)
def test_samples_follow_the_distribution(location: float, scale: float) -> None:
    drawn = made(location, scale, 4000).rsample(torch.Generator().manual_seed(1))
    assert drawn.min() >= -1 and drawn.max() <= 1
    assert scipy.stats.kstest(drawn.numpy(), reference(location, scale).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("location", "scale"), CASES)
def test_quantiles_and_probabilities_are_inverse(location: float, scale: float) -> None:
    p = torch.tensor([1e-9, 1e-3, 0.2, 0.5, 0.9, 0.999], dtype=torch.float64)
    found = made(location, scale, 6)
    x = found.quantile(p)
    assert bool((x.diff() >= 0).all())
    if max(-1 - location, location - 1, 0) / scale < 1e3:  # beyond, neighbours of the bound in float64 are far apart
        torch.testing.assert_close(found.cdf(x), p, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("location", "scale"), [(m, s) for m, s in CASES if s >= 1e-2])
@pytest.mark.parametrize("which", ["location", "scale"])
def test_derivatives_are_those_of_small_steps(location: float, scale: float, which: str) -> None:
    p = torch.tensor([0.01, 0.5, 0.97], dtype=torch.float64)
    inner = made(location, scale, 3).quantile(p).detach()

    def values(at: Tensor) -> Tensor:
        given = {"location": torch.full((3,), location).double(), "scale": torch.full((3,), scale).double(), which: at}
        one = TruncatedNormal(**given)
        return torch.stack([one.quantile(p), one.mean, one.variance, one.entropy, one.log_prob(inner)])

    at = torch.full((3,), location if which == "location" else scale, dtype=torch.float64)
    step = 1e-4 * scale
    numeric = (values(at + step) - values(at - step)) / (2 * step)
    at.requires_grad_(True)
    found = torch.stack([torch.autograd.grad(row.sum(), at, retain_graph=True)[0] for row in values(at)])
    assert found.isfinite().all()
    torch.testing.assert_close(found, numeric, rtol=2e-3, atol=2e-4 * float(numeric.abs().max()))


def test_float32_stays_float32_and_finite() -> None:
    location = torch.linspace(-3, 3, 50).requires_grad_(True)
    log_scale = torch.linspace(math.log(1e-4), math.log(10), 50).requires_grad_(True)
    one = TruncatedNormal(location, log_scale.exp())
    total = one.rsample(torch.Generator().manual_seed(0)).sum() + one.entropy.sum() + one.mean.sum()
    total.backward()
    assert one.mean.dtype == torch.float32 and location.grad is not None and log_scale.grad is not None
    assert location.grad.isfinite().all() and log_scale.grad.isfinite().all()


@pytest.mark.parametrize("log_p", [-1e-9, -0.5, -5.0, -50.0, -1e4, -1e8])
def test_quantile_of_a_logarithm(log_p: float) -> None:
    x = float(normal_quantile_of_log(torch.tensor(log_p, dtype=torch.float64)))
    assert scipy.stats.norm.logcdf(x) == pytest.approx(log_p, rel=1e-9)


def test_mass_where_the_bounds_are_near_or_far() -> None:
    low = torch.tensor([-0.1, 5.0, -40.0, 30.0, -1e-3], dtype=torch.float64)
    high = torch.tensor([0.1, 5.1, -39.0, 1e4, 1e5], dtype=torch.float64)
    found = log_mass_between(low, high)
    for a, b, value in zip(low.tolist(), high.tolist(), found.tolist(), strict=True):
        near = min(abs(a), abs(b)) if a * b > 0 else 0.0
        mass, _ = quad(lambda x: math.exp((near**2 - x**2) / 2), a, min(b, a + 40), epsabs=0, limit=200)  # noqa: B023
        assert value == pytest.approx(math.log(mass) - near**2 / 2 - 0.5 * math.log(2 * math.pi), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((torch.zeros(2), torch.tensor([1.0, 0.0])), "a scale of the truncated normal is 0; use positive ones"),
        ((torch.tensor([math.nan]), torch.ones(1)), "a location of the truncated normal is not finite"),
        ((torch.zeros(1), torch.ones(1), 1.0, -1.0), "the bounds 1 and -1 are crossed"),
    ],
)
def test_senseless_parameters_are_named(arguments: tuple[object, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        TruncatedNormal(*arguments)  # type: ignore[arg-type]


def test_both_forms_of_the_entropy_and_its_derivatives_agree() -> None:
    """Where nearly all of the normal is inside, where a tenth is, and a mask of both."""
    location = torch.tensor([0.0, 0.9, -1.1, 3.0, -30.0], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.1, 0.5, 0.3, 0.4, 0.1], dtype=torch.float64, requires_grad=True)
    found = TruncatedNormal(location, scale)
    assert (found.log_mass > math.log(0.1)).tolist() == [True, True, True, False, False]
    ours = torch.autograd.grad(found.entropy.sum(), (location, scale), retain_graph=True)
    theirs = torch.autograd.grad(found._integrated_entropy.sum(), (location, scale))
    torch.testing.assert_close(found.entropy, found._integrated_entropy)
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other)
