"""Autoencoders: their bounds lie below a density that is known, losses are those of print, and sources stay apart."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.nn.autoencoder import HASTE, SIGMA_MIN, SIGMA_START, GaussianOutput, from_frames, to_frames
from srcsep_core.priors.autoencoder import Autoencoder, AutoencoderConfig, AutoencoderPrior
from srcsep_core.priors.beta_vae import BetaVAEConfig
from srcsep_core.priors.kinds import kind_of
from srcsep_core.priors.sets import Trained
from srcsep_core.priors.vae import VAE, VAEConfig, kl_to_standard
from srcsep_core.priors.vqvae import VQVAE, VQVAEConfig, perplexity
from srcsep_core.run.profiles import get_profile
from srcsep_core.training.loop import train

Perturb = Callable[..., None]
KINDS = ("vae", "beta-vae", "vq-vae")
SMALL = VAEConfig(frame=4, latent=2, width=8, layers=1)
BOOK = VQVAEConfig(frame=4, latent=3, width=8, layers=1, entries=3)
each_kind = pytest.mark.parametrize("kind", KINDS)


def made(net: Any, perturb: Perturb, scale: float = 0.2) -> Any:
    """The network in float64, with weights moved off their initial values, and a deviation of 0.4."""
    net = net.double().eval()
    perturb(net, scale)
    with torch.no_grad():
        net.output.log_scale.fill_(math.log(0.4) / HASTE)
    return net


def four(kind: str, perturb: Perturb) -> Autoencoder:
    """A network of four sources of the smoke profile."""
    network = get_profile("smoke").plan_of(kind).network
    net = made(kind_of(kind).task(network, len(SOURCES), "likelihood").build(), perturb)
    assert isinstance(net, Autoencoder)
    return net


def signals(generator: torch.Generator, batch: int = 3, groups: int = 4, length: int = 64) -> Tensor:
    return 0.4 * torch.randn(batch, groups, length, generator=generator, dtype=torch.float64)


def test_frames_are_samples_in_order() -> None:
    x = torch.arange(24.0).view(2, 1, 12)
    frames = to_frames(x, 4)
    assert frames.shape == (2, 4, 3) and frames[0, :, 1].tolist() == [4, 5, 6, 7]
    assert torch.equal(from_frames(frames), x)


def test_output_is_a_normal_density_whose_deviation_has_a_floor(generator: torch.Generator) -> None:
    output = GaussianOutput(2).double()
    x, mean = (torch.randn(6, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    torch.testing.assert_close(output.sigma, torch.full((2,), SIGMA_START, dtype=torch.float64))
    with torch.no_grad():
        output.log_scale.copy_(torch.tensor([-0.1, -1e3]))
    assert output.sigma[1] == SIGMA_MIN
    expected = Normal(mean, output.sigma.repeat(3)[:, None, None]).log_prob(x).sum(dim=(1, 2)).view(3, 2)
    torch.testing.assert_close(output.log_prob(x, mean), expected)


def test_divergence_is_that_of_two_normals(generator: torch.Generator) -> None:
    mean, log_std = (torch.randn(50, generator=generator, dtype=torch.float64) for _ in range(2))
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(torch.zeros(50), torch.ones(50)))
    torch.testing.assert_close(kl_to_standard(mean, log_std), expected)


@torch.no_grad()
def test_evidence_is_the_bound_of_a_vae_and_how_far_its_posterior_is_off(
    perturb: Perturb, generator: torch.Generator
) -> None:
    """log p(x) = bound + KL(q || p(z | x)) (Kingma & Welling 2014, Eq. 1), all sums over a grid of two latents."""
    net = made(VAE(SMALL), perturb, 0.4)
    net.encoder.out.weight.mul_(0.2)  # a posterior that fits on the grid
    x, step = signals(generator, 5, 1, 4), 0.04
    axis = torch.arange(-7, 7, step, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)[..., None]
    decoded = net.decoder(grid)
    prior = Normal(0.0, 1.0).log_prob(grid).sum(dim=(1, 2))
    mean, log_std = net.posterior(x)
    found = net.bound_terms(x, torch.randn(20_000, 5, 2, 1, generator=generator, dtype=torch.float64))
    for row in range(5):
        given = net.output.log_prob(net.frames(x[row : row + 1]).expand(len(grid), -1, -1), decoded)[:, 0]
        evidence = torch.logsumexp(prior + given, dim=0) + 2 * math.log(step)
        q = Normal(mean[row], log_std[row].exp()).log_prob(grid).sum(dim=(1, 2))
        weights = q.exp() * step**2
        bound = weights @ given - found.kl[row, 0]
        off = weights @ (q - (prior + given - evidence))
        torch.testing.assert_close(bound + off, evidence, rtol=0, atol=1e-3)
        assert off > 0.01 and net.bound(x)[row, 0] < evidence
        torch.testing.assert_close((found.likelihood - found.kl)[row, 0], bound, rtol=0.02, atol=0.2)


@torch.no_grad()
def test_bound_of_a_vq_vae_is_a_term_of_the_sum_over_all_codes(perturb: Perturb, generator: torch.Generator) -> None:
    net = made(VQVAE(BOOK), perturb)
    x = signals(generator, 6, 1, 8)
    net.codebook.copy_(net.encode(x)[0, ::4])
    every = torch.tensor(list(itertools.product(range(3), repeat=2)))
    decoded = net.decoder(net.codebook[every].mT)
    terms = torch.stack([net.output.log_prob(net.frames(x), one.expand(6, -1, -1))[:, 0] for one in decoded])
    terms -= 2 * math.log(3)
    chosen = (net.codes(x) @ torch.tensor([3, 1])).tolist()
    torch.testing.assert_close(net.bound(x)[:, 0], terms[chosen, range(6)])
    assert (net.bound(x)[:, 0] < terms.logsumexp(dim=0)).all() and len(set(chosen)) > 1


@torch.no_grad()
def test_codes_are_the_nearest_entries_of_each_sources_own_book(perturb: Perturb, generator: torch.Generator) -> None:
    net = made(VQVAE(BOOK, groups=2), perturb)
    x = signals(generator, 3, 2, 8)
    encoded = net.encoder(net.frames(x)).view(3, 2, 3, 2)
    for b, g, n in itertools.product(range(3), range(2), range(2)):
        book = net.codebook[3 * g : 3 * g + 3]
        nearest = int((book - encoded[b, g, :, n]).square().sum(dim=1).argmin())
        assert net.codes(x).view(3, 2, 2)[b, g, n] == nearest
        assert torch.equal(net.latent(x).view(3, 2, 3, 2)[b, g, :, n], book[nearest])


def test_gradients_pass_straight_through_the_codebook(perturb: Perturb, generator: torch.Generator) -> None:
    """The encoder learns as if its output were the entry; entries learn from the distance alone (Eq. 3)."""
    net = made(VQVAE(replace(BOOK, commitment=1e-300)), perturb)
    x = signals(generator, 4, 1, 8)
    net.losses(x, generator)[0].sum().backward()
    encoded = net.encode(x)
    found = net.quantise(encoded)
    entries = found.entries.detach().requires_grad_(True)
    loss = -net.output.log_prob(net.frames(x), net.decoder(net.rows_of(entries, 4))).mean() / 8
    (of_entries,) = torch.autograd.grad(loss, entries)
    expected = torch.autograd.grad(encoded, list(net.encoder.parameters()), of_entries)
    for parameter, gradient in zip(net.encoder.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert of_entries.abs().sum() > 0 and net.codebook.grad is not None
    pull = torch.zeros_like(net.codebook).index_add_(0, found.places[0], 2 * (found.entries - encoded).detach()[0])
    torch.testing.assert_close(net.codebook.grad, pull / (8 * BOOK.frame))


def test_entries_that_nothing_chooses_are_put_on_what_is_encoded(generator: torch.Generator) -> None:
    net = VQVAE(BOOK).train()
    x = signals(generator, 4, 1, 16).float()
    with torch.no_grad():
        net.codebook.fill_(1e3)
        encoded = net.encode(x)[0]
        net.losses(x, generator)
        assert torch.cdist(net.codebook, encoded).amin(dim=1).max() == 0
        assert net.usage.sum() == pytest.approx(1)
        net.codebook[0], net.usage[0] = 1e3, 0.5
        net.losses(x, generator)
        assert (net.codebook[0] == 1e3).all(), "it was chosen not long ago"
        net.eval().usage.zero_()
        net.losses(x, generator)
        assert (net.codebook[0] == 1e3).all() and not net.usage.any(), "evaluation changes nothing"


def test_perplexity_counts_entries() -> None:
    shares = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(perplexity(shares), torch.tensor([4.0, 2.0, 1.0]))


def test_beta_weighs_the_divergence_in_the_loss_and_not_in_the_bound(
    perturb: Perturb, generator: torch.Generator
) -> None:
    plain, heavy = (made(VAE(replace(SMALL, beta=beta), groups=2), perturb) for beta in (1.0, 4.0))
    heavy.load_state_dict(plain.state_dict())
    x = signals(generator, 3, 2, 8)
    first, second = (net.losses(x, torch.Generator().manual_seed(0)) for net in (plain, heavy))
    torch.testing.assert_close(first[0], first[2] - first[1])
    torch.testing.assert_close(second[0] - first[0], 3 * first[2])
    assert torch.equal(plain.bound(x), heavy.bound(x))
    assert BetaVAEConfig().beta > VAEConfig().beta == 1


@each_kind
def test_sources_do_not_mix_and_one_is_taken_out_as_it_was(
    kind: str, perturb: Perturb, generator: torch.Generator
) -> None:
    net = four(kind, perturb)
    x = signals(generator).requires_grad_(True)
    net.losses(x, torch.Generator().manual_seed(0))[0, 1].backward()
    assert x.grad is not None and x.grad[:, 1].any() and not x.grad[:, [0, 2, 3]].any()
    for parameter in net.parameters():
        assert parameter.grad is not None
        by_source = parameter.grad.reshape(4, -1)
        assert by_source[1].any() and not by_source[[0, 2, 3]].any()
    with torch.no_grad():
        whole, given, codes = net.bound(x), net.reconstruct(x), net.codes(x)
        for g in range(4):
            one, own = AutoencoderPrior(net.extract(g)), x[:, g : g + 1]
            torch.testing.assert_close(one.bound(own), whole[:, g])
            torch.testing.assert_close(one.reconstruct(own), given[:, g : g + 1])
            torch.testing.assert_close(one.codes(own), codes.unflatten(0, (3, 4))[:, g])


@each_kind
def test_bound_is_the_same_at_every_call_and_leaves_the_random_state_alone(
    kind: str, perturb: Perturb, generator: torch.Generator
) -> None:
    net, before = four(kind, perturb), torch.get_rng_state()
    x = signals(generator)
    assert torch.equal(net.bound(x), net.bound(x)) and torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(net.bound(x[1:2]), net.bound(x)[1:2])


@each_kind
def test_samples_have_the_decoders_noise(kind: str, generator: torch.Generator) -> None:
    """A fresh decoder's mean is zero."""
    network = get_profile("smoke").plan_of(kind).network
    prior = AutoencoderPrior(kind_of(kind).task(network, 1, "likelihood").build())  # type: ignore[arg-type]
    drawn = prior.sample((8, 1, 64 * network.frame), generator)
    assert float(drawn.std()) == pytest.approx(SIGMA_START, rel=0.05)
    with pytest.raises(InputError, match=f"not a multiple of {network.frame}; cut the signal to {network.frame}"):
        prior.sample((1, 1, network.frame + 1))


@each_kind
def test_forty_steps_lower_the_loss_of_every_source(kind: str, tmp_path: Path) -> None:
    plan = get_profile("smoke").plan_of(kind)
    task = kind_of(kind).task(plan.network, len(SOURCES), "likelihood")
    result = train(task, ToyWorld(), plan.train, device=torch.device("cpu"), work_folder=tmp_path)
    curve = result.curve.set_index(["step", "source"]).unstack("step")
    assert (curve["loss"].iloc[:, -1] < curve["loss"].iloc[:, 0]).all()
    if kind == "vq-vae":
        assert (curve["perplexity"].iloc[:, -1] > 3).all(), "the codebook has not collapsed"


@each_kind
def test_a_set_has_one_level_and_names_a_length_that_it_cannot_take(
    kind: str, perturb: Perturb, generator: torch.Generator
) -> None:
    network = get_profile("smoke").plan_of(kind).network
    about = Trained(SOURCES, ToyWorld(), 0.0, pd.DataFrame(), Path())
    found: Any = kind_of(kind).load(network, four(kind, perturb).state_dict(), about, torch.device("cpu"))
    assert found.at(0.0) is found and found.multiple_of == network.frame
    with pytest.raises(InputError, match=r"trained at sigma 0, not 0\.3"):
        found.at(0.3)
    x = signals(generator).float()
    with pytest.raises(InputError, match="the length 63 is not a multiple of 16; cut the signal to 48 samples"):
        found.likelihoods(x[..., :63])
    with pytest.raises(InputError, match=r"expected 4 channel\(s\), got 2"):
        found.likelihoods(x[:, :2])
    assert not hasattr(found.prior("saw"), "log_prob")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AutoencoderConfig(frame=0), "AutoencoderConfig.frame is 0; use at least 1"),
        (lambda: AutoencoderConfig(layers=-1), "AutoencoderConfig.layers is -1; use 0 or more"),
        (lambda: VAEConfig(beta=0.0), "VAEConfig.beta is 0.0; use a number above 0"),
        (lambda: BetaVAEConfig(latent=0), "BetaVAEConfig.latent is 0; use at least 1"),
        (lambda: VQVAEConfig(entries=1), "VQVAEConfig.entries is 1; use at least 2"),
        (lambda: VQVAEConfig(commitment=-1.0), "VQVAEConfig.commitment is -1.0; use a number above 0"),
    ],
)
def test_senseless_sizes_are_named(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == words
