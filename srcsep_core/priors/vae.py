"""The variational autoencoder of audio frames.

Source: Kingma & Welling 2014 (arXiv 1312.6114), Eqs. 3 and 10: a standard normal prior of the latents, a diagonal
Gaussian posterior given by the encoder, one reparameterised draw a training signal. Deviates from print: the posterior
of a latent sees the frames around it, and the decoder the latents around a frame; the decoder's deviation is one
learned number a source, for one given by the decoder; posteriors' log-deviations are kept within +-`WIDEST`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from srcsep_core.config import check_positive
from srcsep_core.priors.autoencoder import Autoencoder, AutoencoderConfig, autoencoder_kind
from srcsep_core.priors.kinds import Kind, register

TERMS = ("likelihood", "kl")
WIDEST = 7.0
DRAWS = 16
SEED = 0


@dataclass(frozen=True)
class VAEConfig(AutoencoderConfig):
    """An autoencoder whose KL divergence weighs `beta` in the loss; 1 is the bound itself.

    Raises `InputError` as `AutoencoderConfig` does, and for a `beta` that is not above 0.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "beta")


class BoundTerms(NamedTuple):
    """The two halves of the evidence lower bound of signals, in nats and summed over time, each (B, G).

    likelihood: log p(x | z), averaged over draws of z; kl: KL(q(z | x) || p(z)). The bound is their difference.
    """

    likelihood: Tensor
    kl: Tensor


def kl_to_standard(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(Normal(mean, std^2) || Normal(0, 1)) by element, in nats (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std


class VAE(Autoencoder):
    """The variational autoencoders of `groups` sources."""

    config: VAEConfig

    def __init__(self, config: VAEConfig, groups: int = 1) -> None:
        super().__init__(config, groups, encoded=2 * config.latent)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-deviation of the latents of signals (B, G, T), each (B * G, latent, N)."""
        mean, raw = self.encoder(self.frames(x)).chunk(2, dim=1)
        return mean, WIDEST * (raw / WIDEST).tanh()

    def bound_terms(self, x: Tensor, noise: Tensor) -> BoundTerms:
        """The terms of the bound of signals (B, G, T).

        `noise` (draws, B * G, latent, N) are the standard normal numbers of the draws of z; (draws, 1, latent, N) are
        shared by all rows.
        """
        mean, log_std = self.posterior(x)
        drawn = mean + log_std.exp() * noise
        decoded = self.decoder(drawn.flatten(end_dim=1))
        frames = self.frames(x).repeat(len(noise), 1, 1)
        likelihood = self.output.log_prob(frames, decoded).view(len(noise), len(x), self.groups).mean(dim=0)
        return BoundTerms(likelihood, kl_to_standard(mean, log_std).sum(dim=(1, 2)).view_as(likelihood))

    def losses(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """-(log p(x | z) - beta KL), log p(x | z) and KL by source: (3, G), nats/sample."""
        frames = self.frames(x).shape[2]
        noise = self.noise((1, len(x) * self.groups, self.config.latent, frames), generator)
        likelihood, kl = (term.mean(dim=0) / x.shape[2] for term in self.bound_terms(x, noise))
        return torch.stack([self.config.beta * kl - likelihood, likelihood.detach(), kl.detach()])

    def bound(self, x: Tensor) -> Tensor:
        """The evidence lower bound, at beta = 1 whatever it was trained at: (B, G, T) to (B, G) in nats.

        The KL divergence is analytic, log p(x | z) the mean of `DRAWS` draws, the same for every signal and call: an
        unbiased estimate of the bound.
        """
        frames = self.frames(x).shape[2]
        generator = torch.Generator().manual_seed(SEED)
        likelihood, kl = self.bound_terms(x, self.noise((DRAWS, 1, self.config.latent, frames), generator))
        return likelihood - kl

    def latent(self, x: Tensor) -> Tensor:
        """The posterior means (B * G, latent, N)."""
        return self.posterior(x)[0]

    def codes(self, x: Tensor) -> Tensor:
        """The posterior means (B * G, latent, N)."""
        return self.latent(x)

    def draw(self, rows: int, frames: int, generator: torch.Generator) -> Tensor:
        """Standard normal latents (rows, latent, frames)."""
        return self.noise((rows, self.config.latent, frames), generator)


def vae_kind(name: str, config: type[VAEConfig]) -> Kind:
    """The kind of variational autoencoders with this configuration."""
    return autoencoder_kind(name, config, VAE, TERMS)


KIND = register(vae_kind("vae", VAEConfig))
