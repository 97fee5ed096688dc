"""The vector-quantised autoencoder of audio frames: every frame is one entry of a codebook.

Source: van den Oord et al. 2017 (arXiv 1711.00937), Eqs. 1 to 3: the nearest entry, gradients passed straight through
it, a codebook that is drawn to what is encoded and an encoder that is held to its codebook. Deviates from print:
- the decoder's deviation is learned, so that likelihoods are of waveforms. Its gradient grows as the error falls, so
  the encoder is held to its codebook with weight 1 for 0.25; print saw no difference from 0.1 to 2;
- an entry that the encoder has not chosen for long (at the start: any) is put on something just encoded (as Dhariwal
  et al. 2020, arXiv 2005.00341, section 3.1): one that is never chosen is never moved by the loss;
- the prior of the codes stays uniform, with none fitted afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from srcsep_core.config import check_least, check_positive
from srcsep_core.priors.autoencoder import Autoencoder, AutoencoderConfig, autoencoder_kind
from srcsep_core.priors.kinds import register

TERMS = ("likelihood", "rate", "commitment", "perplexity")
FORGET = 0.02  # of the running usage, a training step
UNUSED = 0.1  # of the usage that all entries would have if they had the same


@dataclass(frozen=True)
class VQVAEConfig(AutoencoderConfig):
    """An autoencoder with `entries` codes; `commitment` is the weight that holds the encoder to them.

    Raises `InputError` as `AutoencoderConfig` does, for fewer than 2 entries and a `commitment` that is not above 0.
    """

    entries: int = 256
    commitment: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 2, "entries")
        check_positive(self, "commitment")


class Quantised(NamedTuple):
    """The entries nearest to what is encoded, (G, M, latent), and which ones they are, (G, M)."""

    entries: Tensor
    places: Tensor


def perplexity(usage: Tensor) -> Tensor:
    """How many entries are in use: the exponential of the entropy of shares (..., K) that sum to one, (...)."""
    return torch.special.entr(usage).sum(dim=-1).exp()


class VQVAE(Autoencoder):
    """The vector-quantised autoencoders of `groups` sources, each with a codebook of its own."""

    config: VQVAEConfig
    usage: Tensor

    def __init__(self, config: VQVAEConfig, groups: int = 1) -> None:
        super().__init__(config, groups, encoded=config.latent)
        self.codebook = nn.Parameter(torch.randn(groups * config.entries, config.latent))
        self.register_buffer("usage", torch.zeros(groups * config.entries))

    @property
    def books(self) -> Tensor:
        """The codebook of every source, (G, K, latent)."""
        return self.codebook.view(self.groups, self.config.entries, -1)

    def encode(self, x: Tensor) -> Tensor:
        """What the encoder makes of the frames of signals (B, G, T), before it is quantised: (G, B * N, latent)."""
        encoded = self.encoder(self.frames(x))
        return cast(Tensor, encoded.view(len(x), self.groups, *encoded.shape[1:]).permute(1, 0, 3, 2).flatten(1, 2))

    def quantise(self, encoded: Tensor) -> Quantised:
        """The nearest entries (Eq. 1) to what is encoded, (G, M, latent)."""
        with torch.no_grad():
            far = torch.cdist(encoded, self.books, compute_mode="donot_use_mm_for_euclid_dist")
        places = far.argmin(dim=2)
        return Quantised(self.books.gather(1, places[..., None].expand_as(encoded)), places)

    def rows_of(self, latents: Tensor, batch: int) -> Tensor:
        """Latents (G, B * N, latent) as rows of the decoder, (B * G, latent, N)."""
        return latents.view(self.groups, batch, -1, latents.shape[2]).permute(1, 0, 3, 2).flatten(0, 1)

    def losses(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Loss (Eq. 3), log p(x | codes), rate, commitment and perplexity of the batch by source: (5, G).

        All are in nats/sample but the perplexity, which is a number of entries. In training it also moves the entries
        that were not chosen for long (`restart`).
        """
        encoded, length = self.encode(x), x.shape[2]
        if self.training:
            self.restart(encoded.detach(), generator)
        found = self.quantise(encoded)
        shares = self.shares(found.places)
        if self.training:
            self.usage.lerp_(shares.flatten(), FORGET)
        passed = encoded + (found.entries - encoded).detach()
        decoded = self.decoder(self.rows_of(passed, len(x)))
        likelihood = self.output.log_prob(self.frames(x), decoded).mean(dim=0) / length
        drawn = (found.entries - encoded.detach()).square().sum(dim=2).mean(dim=1) / self.config.frame
        commitment = (encoded - found.entries.detach()).square().sum(dim=2).mean(dim=1) / self.config.frame
        rate = torch.full_like(likelihood, math.log(self.config.entries) / self.config.frame)
        loss = rate - likelihood + drawn + self.config.commitment * commitment
        return torch.stack([loss, likelihood.detach(), rate, commitment.detach(), perplexity(shares)])

    def shares(self, places: Tensor) -> Tensor:
        """The share of every entry among the chosen ones (G, M): (G, K)."""
        counts = self.usage.new_zeros(self.groups, self.config.entries)
        return counts.scatter_add_(1, places, counts.new_ones(places.shape)) / places.shape[1]

    @torch.no_grad()
    def restart(self, encoded: Tensor, generator: torch.Generator) -> None:
        """Put the entries that were not chosen for long on what is just `encoded` (G, M, latent)."""
        usage, even = self.usage.view(self.groups, -1), 1 / self.config.entries
        unused = usage < UNUSED * even
        drawn = torch.randint(encoded.shape[1], unused.shape, generator=generator, device=generator.device)
        rows = drawn.to(encoded.device)[..., None].expand(-1, -1, encoded.shape[2])
        self.books.copy_(torch.where(unused[..., None], encoded.gather(1, rows).to(self.codebook), self.books))
        usage.masked_fill_(unused, even)

    def bound(self, x: Tensor) -> Tensor:
        """log p(x | codes) - N log K with the codes that the encoder chooses: (B, G, T) to (B, G) in nats.

        It is one term, the codes' own, of the sum over all codes which p(x) is, and so below it.
        """
        decoded = self.decoder(self.latent(x))
        return self.output.log_prob(self.frames(x), decoded) - decoded.shape[2] * math.log(self.config.entries)

    def latent(self, x: Tensor) -> Tensor:
        """The chosen entries (B * G, latent, N)."""
        return self.rows_of(self.quantise(self.encode(x)).entries, len(x))

    def codes(self, x: Tensor) -> Tensor:
        """The indices of the chosen entries, (B * G, N)."""
        places = self.quantise(self.encode(x)).places
        return places.view(self.groups, len(x), -1).transpose(0, 1).flatten(0, 1)

    def draw(self, rows: int, frames: int, generator: torch.Generator) -> Tensor:
        """Entries drawn alike, (rows, latent, frames), of a network of one source."""
        drawn = torch.randint(self.config.entries, (rows, frames), generator=generator, device=generator.device)
        return self.codebook.detach()[drawn.to(self.codebook.device)].mT


KIND = register(autoencoder_kind("vq-vae", VQVAEConfig, VQVAE, TERMS))
