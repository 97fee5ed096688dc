"""Networks with slots: an encoder gives a latent vector a slot, and one decoder, the same for all, a picture for each.

Source: Neri, Badeau & Depalle 2021 (EUSIPCO, "Unsupervised blind source separation with variational auto-encoders"),
whose network this is: linear layers with batch normalisation and ReLU, the decoder mirrored, a sigmoid at its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from srcsep_core.blind.views import Pixels, View
from srcsep_core.config import check_least, check_positive
from srcsep_core.errors import InputError


@dataclass(frozen=True)
class SlotConfig:
    """A network for mixes of `sources` sources, seen by `view`, with `slots` latent vectors of `latent` numbers.

    `hidden`: the widths of the encoder's layers, and backwards of the decoder's. The encoder takes means over `pool`
    columns of a picture, and the decoder gives a sum of `rank` products of a spectrum and an envelope in place of every
    value by itself (0); both are for pictures as large as spectrograms, and with 1 and 0 it is the network of the
    slides. `beta` weighs the divergence from the prior, for each value of a picture, rising from 0 over the first
    `warmup` steps; `scale` is that of the Laplace likelihood.
    """

    view: View = field(default_factory=Pixels)
    sources: int = 2
    slots: int = 2
    latent: int = 20
    hidden: tuple[int, ...] = (128, 128, 96)
    pool: int = 1
    rank: int = 0
    beta: float = 0.003
    warmup: int = 1000
    scale: float = 0.5**0.5

    def __post_init__(self) -> None:
        check_least(self, 1, "sources", "slots", "latent", "pool")
        check_least(self, 0, "rank", "beta", "warmup")
        check_positive(self, "scale")
        if self.slots < self.sources:
            raise InputError(f"SlotConfig has {self.slots} slots for {self.sources} sources; use as many or more")
        if not self.hidden or min(self.hidden) < 1:
            raise InputError(f"SlotConfig.hidden is {self.hidden}; use a width of 1 or more for each layer")
        if self.view.size[1] % self.pool:
            raise InputError(f"SlotConfig.pool is {self.pool}; use one that divides {self.view.size[1]} columns")


class _Layers(nn.Sequential):
    """Layers of these widths, each linear, normalised over the batch and rectified; then a linear one."""

    def __init__(self, widths: tuple[int, ...], out: int) -> None:
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        super().__init__(*parts, nn.Linear(widths[-1], out))


class SlotNet(nn.Module):
    """Pictures (B, D) to latent vectors (B, slots, latent), and these to pictures (B, slots, D)."""

    groups = 1

    def __init__(self, config: SlotConfig) -> None:
        super().__init__()
        self.config = config
        rows, columns = config.view.size
        outputs = config.rank * (rows + columns) if config.rank else rows * columns
        seen = rows * columns // config.pool
        self.encoder = _Layers((seen, *config.hidden), 2 * config.slots * config.latent)
        self.decoder = _Layers((config.latent, *config.hidden[::-1]), outputs)

    @property
    def trained_steps(self) -> int:
        """How many batches it was trained on; batch normalisation counts them."""
        return int(self.encoder[1].num_batches_tracked)  # type: ignore[arg-type]

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the latent vectors of pictures (B, D), (B, slots, latent) each."""
        pooled = pictures.unflatten(-1, (-1, self.config.pool)).mean(dim=-1)
        mean, log_variance = self.encoder(pooled).unflatten(-1, (self.config.slots, -1)).chunk(2, dim=-1)
        return mean, log_variance

    def decode(self, latent: Tensor) -> Tensor:
        """Pictures (B, K, D) of latent vectors (B, K, latent), one by one."""
        raw = torch.sigmoid(self.decoder(latent.flatten(0, 1)))
        if self.config.rank:
            rows, columns = self.config.view.size
            spectra, envelopes = raw.unflatten(-1, (self.config.rank, -1)).split([rows, columns], dim=-1)
            raw = (spectra.mT @ envelopes).flatten(1)
        return raw.unflatten(0, latent.shape[:2])

    @torch.no_grad()
    def divergence(self, mix: Tensor) -> Tensor:
        """From the prior, of the latent vector of every slot for mixes (B, 1, T): (B, slots), nats."""
        return divergence(*self.encode(self.config.view.picture(mix)))

    def pictures(self, mix: Tensor) -> Tensor:
        """The pictures (B, slots, D) that the means of the latent vectors of mixes (B, 1, T) stand for."""
        return self.decode(self.encode(self.config.view.picture(mix))[0])

    @torch.no_grad()
    def separate(self, mix: Tensor, *, masked: bool = True) -> Tensor:
        """The estimates of the slots (B, slots, T) of mixes (B, 1, T), the mean of `sources` sources.

        With `masked` they share out the mix (VAEM), without they are the decoder's pictures themselves (VAE). Raises
        `InputError` for mixes that are not as long as the view's signals, or not finite, or negative pictures.
        """
        view = self.config.view
        part = view.masked if masked else view.unmasked
        return self.config.sources * part(mix, self.pictures(mix))


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of Gaussians (..., latent) from the standard one: (...), nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1)


def drawn_sources(x: Tensor, count: int) -> Tensor:
    """The sources of mixes from a batch of signals (B, G, T): (M, count, T).

    Of one class they are put together `count` at a time; of `count` classes there is one of each already.
    """
    if x.shape[1] == count:
        return x
    if x.shape[1] != 1 or len(x) % count:
        raise InputError(
            f"a batch of {len(x)} signals of {x.shape[1]} class(es) makes no mixes of {count} sources; "
            f"use a batch that {count} divides, of one class"
        )
    return x.reshape(-1, count, x.shape[2])


def mixed(sources: Tensor) -> Tensor:
    """The mean over the sources (B, K, T): (B, 1, T)."""
    return sources.mean(dim=1, keepdim=True)
