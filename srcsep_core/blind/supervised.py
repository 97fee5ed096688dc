"""The same network trained by masks it makes of mixes: with their sources known, or with nothing but mixes of mixes.

The network's pictures share out what it is given, so that its estimates add up to it (mixture consistency, Wisdom et
al. 2019, arXiv 1811.08521). Losses are minus the thresholded signal-to-noise ratio of magnitudes (Wisdom et al. 2020,
arXiv 2006.12701, Eq. 2), in dB.

Sources: permutation-invariant training, Yu et al. 2017 (arXiv 1607.00325); mixture invariant training, Wisdom et al.
2020. Deviates from the latter: magnitudes in place of waveforms; from the former: this ratio in place of the squared
error.
"""

from __future__ import annotations

from itertools import permutations, product

import torch
from torch import Tensor

from srcsep_core.blind.slots import SlotNet, drawn_sources, mixed
from srcsep_core.errors import InputError

MOST_DB = 30.0
THRESHOLD = 10 ** (-MOST_DB / 10)
FLOOR = 1e-8


def thresholded_snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """The signal-to-noise ratio along the last axis, dB, which counts no gain beyond `MOST_DB`."""
    power, error = reference.square().sum(dim=-1), (reference - estimate).square().sum(dim=-1)
    return 10 * ((power + FLOOR) / (error + THRESHOLD * power + FLOOR)).log10()


def pit_losses(net: SlotNet, x: Tensor, generator: torch.Generator) -> Tensor:
    """Minus the ratio of the best order of the slots for the known sources: (1, 1), dB.

    Raises `InputError` unless there is a slot for every source and no more.
    """
    config = net.config
    if config.slots != config.sources:
        raise InputError(f"there are {config.slots} slots for {config.sources} sources; use as many")
    sources = drawn_sources(x, config.sources)
    wanted, parts = config.view.magnitude(sources / config.sources), _parts(net, mixed(sources))
    table = thresholded_snr(parts[:, :, None], wanted[:, None])  # (B, slots, sources)
    orders = torch.tensor(list(permutations(range(config.slots))), device=x.device)
    scores = table[:, orders, torch.arange(config.sources, device=x.device)].mean(dim=2)
    return -scores.amax(dim=1).mean()[None, None]


def mixit_losses(net: SlotNet, x: Tensor, generator: torch.Generator) -> Tensor:
    """Minus the ratio of the best assignment of the slots to two mixes, of whose mix they are: (1, 1), dB.

    All assignments are tried. The sources are drawn to make mixes, and not looked at otherwise.
    """
    config = net.config
    mixes = mixed(drawn_sources(x, config.sources))
    pairs = mixes[: 2 * (len(mixes) // 2)].unflatten(0, (-1, 2))[:, :, 0]
    wanted, parts = config.view.magnitude(pairs / 2), _parts(net, mixed(pairs))
    choices = torch.tensor(list(product((0.0, 1.0), repeat=config.slots)), device=x.device)
    first = torch.einsum("as,bsd->bad", choices, parts)
    rest = torch.einsum("as,bsd->bad", 1 - choices, parts)
    scores = thresholded_snr(first, wanted[:, :1]) + thresholded_snr(rest, wanted[:, 1:])
    return -(scores.amax(dim=1) / 2).mean()[None, None]


def _parts(net: SlotNet, mix: Tensor) -> Tensor:
    """The magnitudes (B, slots, D) that the slots get of mixes (B, 1, T)."""
    view = net.config.view
    return view.shares(net.pictures(mix)) * view.magnitude(mix)


def nes_losses(net: SlotNet, x: Tensor, generator: torch.Generator) -> Tensor:
    """Minus the ratio of both slots for mixes put together anew: (1, 1), dB.

    Neural egg separation (Halperin, Ephrat & Hoshen 2019): of a mix of an observed source (the first) and one that was
    never seen alone (the second), the second slot's estimate is mixed with an observed source of another draw, and the
    network is to find both. Deviates from it: the estimates are of the network as it is, not of the round before.
    """
    config = net.config
    sources = drawn_sources(x, config.sources)
    if (config.sources, config.slots) != (2, 2):
        raise InputError(f"there are {config.slots} slots for {config.sources} sources; use two of two")
    with torch.no_grad():
        mix = mixed(sources)
        unseen = config.sources * config.view.masked(mix, net.pictures(mix))[:, 1:]
    known = torch.cat([sources[:, :1].roll(1, dims=0), unseen], dim=1)
    return -thresholded_snr(_parts(net, mixed(known)), config.view.magnitude(known / 2)).mean()[None, None]
