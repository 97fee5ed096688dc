"""The beta-VAE: a variational autoencoder that pays more for its codes.

Source: Higgins et al. 2017 ("beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework"),
Eq. 4; proposal, "The VAE framework". Its bound is that of beta = 1, as every other prior's: beta is in the loss alone.
Deviates from print: the decoder's deviation is learned. It follows the error, so that beta trades nats of the codes
against the logarithm of the error, where a fixed deviation would trade them against the error itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from srcsep_core.priors.kinds import register
from srcsep_core.priors.vae import VAEConfig, vae_kind


@dataclass(frozen=True)
class BetaVAEConfig(VAEConfig):
    """A variational autoencoder with a `beta` above 1."""

    beta: float = 4.0


KIND = register(vae_kind("beta-vae", BetaVAEConfig))
