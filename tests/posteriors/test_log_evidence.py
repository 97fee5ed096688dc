"""The evidence of a mix of two: of Gaussian priors it is known, and no guess changes what it is."""

import math

import pytest
import torch
from analytic import MIX, TWO, seeded

from srcsep_core.data.toy import ToyWorld, draw_test_set
from srcsep_core.errors import InputError
from srcsep_core.posteriors.evidence import log_evidence
from srcsep_core.priors.oracle import OraclePrior

SIGMA, GAMMA = 0.3, 0.1


def exact() -> float:
    variance = (sum(p.variance + SIGMA**2 for p in TWO)) / 4 + GAMMA**2
    mean = sum(float(p.mean) for p in TWO) / 2
    return float((-(MIX - mean).square() / (2 * variance) - 0.5 * math.log(2 * math.pi * variance)).sum())


@pytest.mark.parametrize(("guess", "spread"), [(0.5, None), (0.0, 1.0), (1.0, 0.5)])
def test_it_is_that_of_gaussian_priors_for_any_guess(guess: float, spread: float | None) -> None:
    mixes = MIX.expand(500, 1, -1)
    found = log_evidence(
        mixes,
        *TWO,
        torch.full_like(mixes, guess),
        gamma=GAMMA,
        sigma=SIGMA,
        draws=400,
        generator=seeded(),
        spread=spread,
    )
    ratio = (found.value - exact()).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(len(ratio))
    assert float(ratio.std()) < 0.2 and float(found.effective.min()) > 5


def test_a_near_guess_and_a_wide_one_agree_on_waves() -> None:
    """Of toy waves in much noise, where the true source and another draw both lead to its value."""
    data = ToyWorld(sources=("sine", "square"))
    sources = draw_test_set(data, 2, 128, seed=4)
    first, second = (OraclePrior(name, data) for name in data.sources)
    mixes = sources.mean(dim=1, keepdim=True)
    values = [
        log_evidence(
            mixes, first, second, sources[:, :1], gamma=0.4, sigma=0.8, draws=60, generator=seeded(1), spread=spread
        ).value
        for spread in (None, 2.0)
    ]
    torch.testing.assert_close(values[0], values[1], atol=0.5, rtol=0)


def test_bad_input_is_one_sentence() -> None:
    mixes = MIX.expand(2, 1, -1)
    with pytest.raises(
        InputError, match=r"the guess has the shape \(1, 1, 4\); it must be that of the mix, \(2, 1, 4\)"
    ):
        log_evidence(mixes, *TWO, mixes[:1], gamma=0.1, sigma=0.1, draws=1, generator=seeded())
    with pytest.raises(InputError, match=r"gamma is 0, sigma 0.1 and draws 1; use positive ones"):
        log_evidence(mixes, *TWO, mixes, gamma=0, sigma=0.1, draws=1, generator=seeded())
