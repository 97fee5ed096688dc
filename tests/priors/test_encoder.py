"""The encoder that priors teach: what it gives, that it learns the posterior, and how its training step is known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from analytic import TWO, Gaussian, Scored, seeded
from torch import Tensor

from srcsep_core.data.toy import ToyWorld
from srcsep_core.errors import DivergenceError, InputError
from srcsep_core.posteriors.encoder import Encoder, EncoderConfig
from srcsep_core.priors.encoder import ENCODER, EncoderSet, teach
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import prior_step, priors_of

Perturb = Callable[..., None]
SOURCES = ToyWorld().sources
SMALL = EncoderConfig(layers=3, width=8, head_width=8, window=64)
each_form = pytest.mark.parametrize("shared", [True, False])


def made(config: EncoderConfig, perturb: Perturb, classes: int = 4) -> Encoder:
    net = Encoder(config, classes).eval()
    perturb(net, 0.3)
    return net


def set_of(net: Encoder) -> EncoderSet:
    return EncoderSet(SOURCES, ToyWorld(), 0.0, pd.DataFrame(), Path(), net)


@each_form
def test_it_starts_at_the_mix_and_knows_which_classes_sound(shared: bool, perturb: Perturb) -> None:
    config = replace(SMALL, shared=shared)
    mix, which = torch.randn(2, 1, 64, generator=seeded()), torch.tensor([[0, 2], [1, 3]])
    location, log_share = Encoder(config, 4)(mix, which)
    assert torch.equal(location, mix.expand(-1, 2, -1)) and not log_share.any()
    net = made(config, perturb)
    first, other = net(mix, which)[0], net(mix, torch.tensor([[0, 3], [1, 3]]))[0]
    assert torch.equal(first[1], other[1]) and not torch.isclose(first[0, 0], other[0, 0]).all()
    # The order in which classes are named is that of the posteriors.
    torch.testing.assert_close(net(mix, which.flip(1))[0], first.flip(1))


def test_one_encoder_a_class_shares_nothing(perturb: Perturb) -> None:
    net = made(replace(SMALL, shared=False), perturb)
    mix, which = torch.randn(1, 1, 64, generator=seeded()), torch.tensor([[0, 2]])
    before = net(mix, which)[0]
    with torch.no_grad():
        net.net.out.bias[2 * 2 :] += 1.0  # type: ignore[index, union-attr]
    after = net(mix, which)[0]
    assert torch.equal(before[:, 0], after[:, 0]) and not torch.isclose(before[:, 1], after[:, 1]).any()


@each_form
def test_it_learns_the_posterior(shared: bool) -> None:
    """Of Gaussian priors, whose posterior mean is linear in the mix."""
    sigma, priors = 0.5, [Gaussian(0.0, 1.0), Gaussian(0.0, 0.25)]
    config = replace(
        SMALL, layers=1, window=64, counts=(2,), sigma_max=sigma, sigma_min=sigma, limit=20.0, shared=shared
    )
    steps, generator = 400, seeded()
    task = teach(config, priors, steps)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = task.build()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    scales = torch.tensor([p.variance for p in priors])[:, None].sqrt()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * (1 - step / steps)
        losses = task.losses(net, scales * torch.randn(8, 2, 64, generator=generator), generator)
        optimiser.zero_grad()
        losses[0].sum().backward()
        optimiser.step()
    mix = torch.linspace(-1, 1, 64)[None, None]
    assert isinstance(net, Encoder)
    location, log_share = net(mix, torch.tensor([[0, 1]]))
    own = torch.tensor([1 / (p.variance + sigma**2) for p in priors])
    precision = own.diag() + 1 / sigma**2
    expected = torch.linalg.solve(precision, torch.full((2, 1), 2 / sigma**2) * mix[0])
    inner = slice(8, -8)
    torch.testing.assert_close(location[0, :, inner], expected[:, inner], atol=0.08, rtol=0)
    shares = (precision.diagonal().rsqrt() / sigma)[:, None].expand(-1, 48)
    torch.testing.assert_close(log_share.exp()[0, :, inner], shares, atol=0.0, rtol=0.15)


def test_losses_are_minus_the_bound_by_class_with_its_terms(perturb: Perturb) -> None:
    config = replace(SMALL, counts=(1, 2))
    four: list[Scored] = [*TWO, *TWO]
    task = teach(config, four, steps=10)
    net = made(config, perturb).train()
    x = torch.randn(3, 4, 64, generator=seeded())
    for step in range(4):
        losses = task.losses(net, x, seeded(step))
        loss, likelihood, prior, entropy = losses
        assert task.terms == ("likelihood", "prior", "entropy") and losses.shape == (4, 4)
        torch.testing.assert_close(loss, -(likelihood + prior + entropy))
        assert 1 <= int((loss != 0).sum()) <= 4
        assert int(net.trained) == step + 1
    losses[0].sum().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None]


def test_levels_fall_from_the_highest_to_the_lowest() -> None:
    config = replace(SMALL, sigma_max=2.0, sigma_min=0.5, fall=0.5)
    levels = [config.level(step, 101) for step in (0, 25, 50, 100)]
    assert levels == pytest.approx([2.0, 1.0, 0.5, 0.5])


def test_bad_input_is_one_sentence(perturb: Perturb) -> None:
    found = set_of(made(replace(SMALL, counts=(2, 3)), perturb))
    mix = torch.randn(1, 1, 64, generator=seeded())
    assert found.posterior(mix, ("saw", "sine")).location.shape == (1, 2, 64)
    with pytest.raises(InputError, match=r"the mix has 60 samples but this encoder works on 64; cut it"):
        found.posterior(mix[..., :60], ("saw", "sine"))
    with pytest.raises(InputError, match=r"there are 4 sources but this encoder was trained on mixes of 2, 3"):
        found.posterior(mix, SOURCES)
    with pytest.raises(InputError, match=r"a class comes twice, .* name each once"):
        found.posterior(mix, ("saw", "saw"))
    with pytest.raises(InputError, match=r"no prior for 'organ'"):
        found.posterior(mix, ("saw", "organ"))
    with pytest.raises(InputError, match=r"an encoder has no prior of saw; use it as a method"):
        found.prior("saw")
    with pytest.raises(InputError, match=r"the levels 0.1 to 0.5; use positive ones that fall"):
        EncoderConfig(sigma_max=0.1, sigma_min=0.5)
    with pytest.raises(InputError, match=r"EncoderConfig.counts is \(0,\); name how many"):
        EncoderConfig(counts=(0,))
    with pytest.raises(InputError, match=r"EncoderConfig.slack is 0; use a number above 0"):
        EncoderConfig(slack=0)
    with pytest.raises(InputError, match=r"trained by priors; give the step that trains it a teacher"):
        ENCODER.task(SMALL, 4, "").losses(Encoder(SMALL, 4), torch.zeros(1, 4, 64), seeded())


class Broken(Scored):
    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        return torch.full_like(x, torch.nan)


def test_a_prior_that_fails_is_named_with_its_level(perturb: Perturb) -> None:
    config = replace(SMALL, counts=(2,), sigma_max=0.7, sigma_min=0.7)
    task = teach(config, [TWO[0], Broken(0.0, 1.0)], steps=10)
    with pytest.raises(DivergenceError, match=r"the gradient of prior 2 at level 0.7 is not finite"):
        task.losses(made(config, perturb, classes=2), torch.randn(2, 2, 64, generator=seeded()), seeded())


def test_the_step_depends_on_who_teaches() -> None:
    step = prior_step(get_profile("laptop"), "encoder")
    assert step.teacher == prior_step(get_profile("laptop"), "denoiser") and step.parents == (step.teacher,)
    assert step.title == "encoder-whole_periods-laptop-from-denoiser"
    true = next(s for s in priors_of(get_profile("laptop")) if s.model == "encoder" and s.teacher is None)
    assert true == replace(step, teacher=None)
    assert true.parents == () and true.title.endswith("-from-oracle") and true.key != step.key
    assert replace(step, network=replace(step.network, width=8)).key != step.key
