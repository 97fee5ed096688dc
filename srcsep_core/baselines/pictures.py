"""What needs no training to take pictures apart: factorisation, ideal masks, components of several mixes, and the mix.

Each takes mixes with their true sources, which only the ideal masks look at, and what makes several mixes of them:
(mixes (B, 1, T), sources (B, K, T), view, generator) to estimates (B, K, T). A mix is the mean of its sources.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from srcsep_core.baselines.ica import fast_ica, instantaneous_mixes
from srcsep_core.blind.views import Pixels, View

Baseline = Callable[[Tensor, Tensor, View, torch.Generator], Tensor]
ITERATIONS = 200
FLOOR = 1e-4  # of a factorised magnitude, over its highest: where the Itakura-Saito divergence is finite


def the_mix(mix: Tensor, sources: Tensor, view: View, generator: torch.Generator) -> Tensor:
    """The mix itself for every source: x / K of what adds up to x."""
    view.magnitude(mix)  # refuses what is no mix
    return mix.expand_as(sources).clone()


def factorised(mix: Tensor, sources: Tensor, view: View, generator: torch.Generator, *, divergence: str) -> Tensor:
    """The magnitudes of each mix factorised by as many products as it has sources, each a mask.

    Non-negative matrix factorisation of one mix at a time, one product of a column and a row for each source, from
    nothing but the mix; multiplicative updates from a random start. `divergence`: `kullback-leibler`, or
    `itakura-saito`, which is for the squared magnitudes of spectra. Source: Fevotte, Bertin & Durrieu 2009 (Neural
    Computation 21).
    """
    from sklearn.decomposition import non_negative_factorization

    count, seed = sources.shape[1], int(torch.randint(2**31, (), generator=generator, device=generator.device))
    magnitudes = view.magnitude(mix)[:, 0].unflatten(-1, view.size).cpu().double()
    if divergence == "itakura-saito" and not isinstance(view, Pixels):
        magnitudes = magnitudes.square()
    pictures = []
    for magnitude in magnitudes.numpy():
        spectra, envelopes, _ = non_negative_factorization(
            np.maximum(magnitude, FLOOR * max(magnitude.max(), FLOOR)),
            n_components=count,
            init="random",
            solver="mu",
            beta_loss=divergence,
            max_iter=ITERATIONS,
            tol=0.0,
            random_state=seed,
        )
        pictures.append((spectra.T[:, :, None] * envelopes[:, None]).reshape(count, -1))
    weights = torch.from_numpy(np.stack(pictures)).to(mix)
    return count * view.masked(mix, weights.pow(view.power))


def ideal(mix: Tensor, sources: Tensor, view: View, generator: torch.Generator, *, binary: bool) -> Tensor:
    """The mix shared out as the true magnitudes ask (ratio mask), or to the largest (`binary`): knows the truth."""
    magnitude = view.magnitude(sources)
    if binary:
        largest = magnitude.argmax(dim=1, keepdim=True)
        magnitude = torch.zeros_like(magnitude).scatter_(1, largest, 1.0)
    return sources.shape[1] * view.masked(mix, magnitude.pow(view.power))


def components(mix: Tensor, sources: Tensor, view: View, generator: torch.Generator) -> Tensor:
    """FastICA of as many different mixes as there are sources, in place of the one.

    Sign, scale and mean are undetermined: of pictures they are those that come closest to one of the sources, which is
    better than a user could do.
    """
    found = fast_ica(instantaneous_mixes(sources, generator), generator=generator)
    return _levelled(found, sources) if isinstance(view, Pixels) else found


def _levelled(found: Tensor, sources: Tensor) -> Tensor:
    """Signals of mean 0 and variance 1, (B, K, T), with the mean and the scale of what each is most like."""
    centred = sources - sources.mean(dim=2, keepdim=True)
    likeness = found @ centred.mT / found.shape[2]
    best = likeness.abs().argmax(dim=2, keepdim=True)
    return likeness.gather(2, best) * found + sources.mean(dim=2, keepdim=True).gather(1, best)


BASELINES: dict[str, tuple[str, Baseline]] = {
    "x/K": ("nothing", the_mix),
    "nmf-kl": ("nothing", partial(factorised, divergence="kullback-leibler")),
    "nmf-is": ("nothing", partial(factorised, divergence="itakura-saito")),
    "fastica": ("several mixes", components),
    "ibm": ("truth", partial(ideal, binary=True)),
    "irm": ("truth", partial(ideal, binary=False)),
}
"""By name: what it has seen, and what it does."""
