"""The losses of blind auto-encoders: AE and VAE, whose slots add up to a mix of which no source is known.

Source: Neri, Badeau & Depalle 2021 (EUSIPCO): Laplace likelihood of scale sqrt(1/2), Gaussian prior of every latent
vector, its divergence weighed by beta, with a warm-up. Deviates from the slides: beta is for each value of a picture,
so that it means the same for every size; it is 0.5 for the whole there. The released program trains an auto-encoder
by a flag's mistake; AE here is one on purpose: no noise in the latent vectors, no divergence.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from srcsep_core.blind.slots import SlotNet, divergence, drawn_sources, mixed

TERMS = ("reconstruction", "divergence")


def vae_losses(net: SlotNet, x: Tensor, generator: torch.Generator) -> Tensor:
    """Minus the bound with its weighted divergence, then both terms, of signals (B, G, T): (3, 1), nats/value."""
    pictures = _pictures(net, x)
    mean, log_variance = net.encode(pictures)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    reconstruction = _reconstruction(net, pictures, mean + noise * (0.5 * log_variance).exp())
    nats = divergence(mean, log_variance).sum(dim=1).mean()
    config = net.config
    weight = config.beta * min(1.0, net.trained_steps / config.warmup if config.warmup else 1.0)
    loss = reconstruction + weight * nats
    return torch.stack([loss, reconstruction, nats / pictures.shape[1]])[:, None]


def ae_losses(net: SlotNet, x: Tensor, generator: torch.Generator) -> Tensor:
    """The reconstruction alone, without noise, then both terms, the second 0: (3, 1), nats/value."""
    pictures = _pictures(net, x)
    reconstruction = _reconstruction(net, pictures, net.encode(pictures)[0])
    return torch.stack([reconstruction, reconstruction, torch.zeros_like(reconstruction)])[:, None]


def _pictures(net: SlotNet, x: Tensor) -> Tensor:
    return net.config.view.picture(mixed(drawn_sources(x, net.config.sources)))


def _reconstruction(net: SlotNet, pictures: Tensor, latent: Tensor) -> Tensor:
    """Minus the mean log-likelihood of a value: Laplace around the sum of the slots."""
    scale = net.config.scale
    error = (pictures - net.config.view.sum(net.decode(latent))).abs().mean()
    return error / scale + math.log(2 * scale)
