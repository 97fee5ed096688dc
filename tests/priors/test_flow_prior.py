"""Any transform and any base make a flow prior; nothing in it knows WaveNets or blocks."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from srcsep_core.errors import InputError
from srcsep_core.flows.base import Compose, Inverse, Transform
from srcsep_core.flows.coupling import AffineCoupling
from srcsep_core.flows.layers import ActNorm, Squeeze, SwapHalves
from srcsep_core.flows.multiscale import Split
from srcsep_core.priors.flow import Flow, FlowPrior, StandardNormal


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Uniform:
    """A latent between -`limit` and `limit`, in place of the standard normal."""

    limit = 4.0

    def log_prob(self, z: Tensor) -> Tensor:
        """By position."""
        return torch.where(z.abs() < self.limit, -math.log(2 * self.limit), -math.inf)

    def sample(
        self,
        shape: tuple[int, int, int],
        generator: torch.Generator | None = None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Tensor:
        """Uniform draws."""
        return self.limit * (2 * torch.rand(shape, generator=generator, device=device, dtype=dtype) - 1)


@pytest.fixture
def additive(perturb: Callable[..., None]) -> Compose:
    """Additive couplings with plain convolutions, two scales."""

    def step(channels: int) -> list[Transform]:
        net = nn.Conv1d(channels // 2, channels // 2, kernel_size=3, padding=1)
        return [ActNorm(channels), AffineCoupling(net, shift_only=True), SwapHalves()]

    inner = Compose([Squeeze(), *step(2), Inverse(Squeeze())])
    transform = Compose([Squeeze(), *step(2), *step(2), Split(inner), Inverse(Squeeze())]).double().eval()
    perturb(transform)
    return transform


def test_prior_of_another_transform_has_its_density(additive: Compose) -> None:
    prior = FlowPrior(Flow(additive, multiple_of=4))
    x = noise(1, 1, 16)
    jacobian = torch.autograd.functional.jacobian(lambda x: additive(x)[0], x).view(16, 16)
    expected = StandardNormal().log_prob(additive(x)[0]).sum() + jacobian.slogdet().logabsdet
    torch.testing.assert_close(prior.log_prob(x).squeeze(), expected, rtol=0, atol=1e-10)
    assert prior.score(x).all()
    with pytest.raises(InputError, match="18 is not a multiple of 4"):
        prior.log_prob(noise(1, 1, 18))


def test_prior_of_another_base_draws_from_it_and_has_its_density(additive: Compose) -> None:
    prior = FlowPrior(Flow(additive, Uniform(), multiple_of=4))
    terms = prior.terms(prior.sample((3, 1, 16), torch.Generator().manual_seed(0)))
    assert terms.z.abs().max() < Uniform.limit
    torch.testing.assert_close(terms.log_pz, torch.full_like(terms.z, -math.log(2 * Uniform.limit)))


def test_flow_that_cannot_build_a_single_one_is_copied_or_refused(additive: Compose) -> None:
    single = Flow(additive).extract(0)
    assert single.transform is not additive
    assert torch.equal(single.terms(noise(1, 1, 8)).z, Flow(additive).terms(noise(1, 1, 8)).z)
    with pytest.raises(InputError, match="2 groups cannot be taken apart; build it with `single`"):
        Flow(additive, groups=2).extract(0)
