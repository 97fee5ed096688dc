"""Masks from a decoder of single sources: the latent vectors whose pictures add up to a mix are searched for.

Source: Halperin, Ephrat & Hoshen 2019 (ICML, "Neural separation of observed and unobserved distributions"), GLO
masking. Deviates from it: the decoder is that of a variational auto-encoder of single sources, and its latent vectors
are held to their prior; every source has a gain, which is searched for too; all sources are of one kind, and all were
observed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.blind.slots import SlotNet
from srcsep_core.config import check_least, check_positive
from srcsep_core.errors import InputError


@dataclass(frozen=True)
class SearchConfig:
    """`steps` of Adam at `learning_rate` from each of `starts` draws of the prior, of which the lowest loss is kept.

    `prior` weighs the latent vectors' squares, for each value of a picture.
    """

    steps: int = 300
    starts: int = 4
    learning_rate: float = 0.05
    prior: float = 1e-3

    def __post_init__(self) -> None:
        check_least(self, 1, "steps", "starts")
        check_least(self, 0, "prior")
        check_positive(self, "learning_rate")


def search(
    net: SlotNet, mix: Tensor, sources: int, generator: torch.Generator, config: SearchConfig | None = None
) -> Tensor:
    """Estimates (B, sources, T) of mixes (B, 1, T), the mean of their sources, which share out the mix.

    Raises `InputError` for a network of more than one source, for fewer sources than one, and for mixes that it cannot
    see.
    """
    if sources < 1:
        raise InputError(f"{sources} sources were asked for; use 1 or more")
    config, slots = config or SearchConfig(), net.config
    if (slots.sources, slots.slots) != (1, 1):
        raise InputError(f"the network is of {slots.sources} sources a mix; use one trained on single sources")
    view = slots.view
    wanted = view.picture(mix).repeat(config.starts, 1)
    shape = (len(wanted), sources, slots.latent)
    latent = torch.randn(shape, generator=generator, device=generator.device).to(wanted).requires_grad_()
    gain = wanted.new_full((*shape[:2], 1), 1 / sources).log_().requires_grad_()
    optimiser = torch.optim.Adam([latent, gain], lr=config.learning_rate)

    def losses() -> Tensor:
        error = (wanted - view.sum(net.decode(latent) * gain.exp())).abs().mean(dim=1)
        return error + config.prior * latent.square().sum(dim=(1, 2)) / 2

    frozen = [weights for weights in net.parameters() if weights.requires_grad]
    for weights in frozen:
        weights.requires_grad_(False)
    try:
        with torch.enable_grad():
            for _ in range(config.steps):
                optimiser.zero_grad(set_to_none=True)
                losses().sum().backward()
                optimiser.step()
    finally:
        for weights in frozen:
            weights.requires_grad_(True)
    with torch.no_grad():
        pictures = net.decode(latent) * gain.exp()
        best = losses().view(config.starts, -1).argmin(dim=0)
        chosen = pictures.unflatten(0, (config.starts, -1))[best, torch.arange(len(mix), device=best.device)]
        return sources * view.masked(mix, chosen)
