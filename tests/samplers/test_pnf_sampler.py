"""One update of PnF sampling, its last denoising and its bound of stability; the posterior is in the contract."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from analytic import LENGTH, MIX, TWO, Gaussian
from torch import Tensor

from srcsep_core.errors import DivergenceError, InputError
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.pnf import PnFConfig, PnFNet, PnFPrior
from srcsep_core.samplers.base import Separation, State
from srcsep_core.samplers.pnf import PnFSamplerConfig, pnf

CHAINS, SIGMA = 4000, 0.3
# Short steps and a soft constraint: the step's own error of the variances is at most 5 %.
FINE = PnFSamplerConfig(sigma_max=1.0, sigma_min=SIGMA, levels=2, updates=450, step_scale=0.02, constraint_weight=2.0)


def chains(
    priors: list[Gaussian], config: PnFSamplerConfig = FINE, *, seed: int = 0, count: int = CHAINS
) -> tuple[Tensor, Separation]:
    """The states (chains, K, T) of independent chains for one mix at the end, before the last denoising."""
    states: list[State] = []
    mix = MIX.expand(count, 1, LENGTH)
    result = pnf(mix, priors, config=config, generator=torch.Generator().manual_seed(seed), callback=states.append)
    return states[-1].sources, result


# One update


@pytest.mark.parametrize("block", [1, 3])
def test_update_moves_one_block_of_every_chain(block: int) -> None:
    """From the same generator the first state is the draw; every sample is met equally often."""
    config = replace(FINE, block=block, updates=1, levels=1)
    states, _ = chains(TWO, config)
    draw = torch.randn(CHAINS, 2, LENGTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start = config.sigma_max * draw
    moved = states != start
    assert torch.equal(moved[:, 0], moved[:, 1])
    moved = moved[:, 0]
    assert moved.any(dim=1).all() and moved.sum(dim=1).max() == block
    assert (moved.int().diff(dim=1).abs().sum(dim=1) <= 2).all()
    share = moved.double().mean(dim=0)
    torch.testing.assert_close(share, torch.full_like(share, block / (LENGTH + block - 1)), rtol=0, atol=0.04)
    assert len(moved.unique(dim=0)) == LENGTH + block - 1


def test_levels_fall_geometrically_and_chains_start_at_the_first() -> None:
    seen: list[State] = []
    config = PnFSamplerConfig(sigma_max=10.0, sigma_min=0.1, levels=3, updates=1, step_scale=1e-6)
    mix = torch.zeros(CHAINS, 1, LENGTH)
    pnf(mix, TWO, config=config, generator=torch.Generator().manual_seed(0), callback=seen.append)
    assert [state.sigma for state in seen] == pytest.approx([10.0, 1.0, 0.1])
    assert seen[0].sources.std().item() == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 10])
def test_weight_keeps_the_stiffness_of_print(count: int) -> None:
    config = PnFSamplerConfig()
    assert config.weight(2) == 15
    assert config.step_scale * (1 + count * config.weight(count)) == pytest.approx(1.55)


# The result


def test_result_is_the_posterior_mean_of_the_last_state_projected() -> None:
    states, result = chains(TWO, count=5)
    clean = torch.stack(
        [
            (p.variance * s + SIGMA**2 * p.mean) / (p.variance + SIGMA**2)
            for p, s in zip(TWO, states.unbind(1), strict=True)
        ],
        dim=1,
    )
    missing = MIX - clean.mean(dim=1)
    torch.testing.assert_close(result.sources, clean + missing[:, None])
    torch.testing.assert_close(result.residual, missing.square().mean(dim=1).sqrt())
    torch.testing.assert_close(result.sources.mean(dim=1), MIX.expand(5, LENGTH))


def test_pnf_priors_can_be_sampled_from(perturb: Callable[..., None]) -> None:
    net = PnFNet(PnFConfig(layers=2, width=4, head_width=8), groups=2).eval()
    perturb(net)
    priors = [PnFPrior(net.extract(group)) for group in range(2)]
    assert all(isinstance(prior, DenoisingPrior) for prior in priors)
    config = PnFSamplerConfig(sigma_max=10.0, levels=4, updates=20, max_chains=2)
    result = pnf(torch.zeros(2, 1, 16), priors, config=config, generator=torch.Generator().manual_seed(0))
    assert result.sources.shape == (2, 2, 16) and result.sources.dtype == torch.float32
    assert result.sources.abs().max() < 2
    with pytest.raises(InputError, match=r"sigma spans 20\.\.20"):
        pnf(torch.zeros(1, 1, 16), priors, config=replace(config, sigma_max=20.0), generator=torch.Generator())


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma_min": 4.0}, r"sigma falls from 3\.0 to 4\.0"),
        ({"block": 0}, "the block has 0 samples"),
        ({"step_scale": 0.0}, r"step_scale is 0\.0"),
        ({"step_scale": math.nan}, "step_scale is nan"),
        ({"constraint_weight": -1.0}, r"constraint_weight -1\.0"),
        ({"constraint_weight": 20.0}, r"is 2\.05 and must stay below 2; use a step_scale below 0\.0488"),
        ({"step_scale": 2.0, "constraint_weight": 0.0}, "is 2 and must stay below 2"),
    ],
)
def test_senseless_and_unstable_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(PnFSamplerConfig(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(("factor", "stable"), [(0.97, True), (1.03, False)])
def test_bound_is_where_chains_diverge(factor: float, stable: bool) -> None:
    """Of a prior that is a point, whose smoothed density curves as much as can be: 1 / sigma^2."""
    config = PnFSamplerConfig(sigma_max=SIGMA, sigma_min=SIGMA, levels=1, updates=1000)
    object.__setattr__(config, "step_scale", factor * 2 / (1 + 2 * config.constraint_weight))
    states, _ = chains([Gaussian(0.0, 0.0)] * 4, config, count=20)
    assert (states.abs().max() < 100) == stable


class Uphill(Gaussian):
    """With the gradient's sign turned."""

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        return 2 * x - super().denoise(x, sigma)


def test_chain_that_leaves_the_finite_numbers_is_stopped() -> None:
    config = replace(FINE, updates=2000, step_scale=0.3)
    with pytest.raises(DivergenceError, match=r"left the finite numbers at sigma .*; lower step_scale \(0\.3\)"):
        chains([Uphill(0.0, 0.0)] * 2, replace(config, updates=20_000), count=1)


def test_bad_mix_no_priors_and_too_long_a_block_are_refused() -> None:
    generator = torch.Generator()
    with pytest.raises(InputError, match="2 of 4 samples are NaN"):
        pnf(torch.tensor([[[0.0, math.nan, math.nan, 1.0]]]), TWO, generator=generator)
    with pytest.raises(InputError, match="0 priors"):
        pnf(torch.zeros(1, 1, 4), [], generator=generator)
    with pytest.raises(InputError, match="the block of 5 samples is longer than the mix of 4"):
        pnf(torch.zeros(1, 1, 4), TWO, config=PnFSamplerConfig(block=5), generator=generator)
