"""Variational separation as a separator: what an encoder proposes, what a fit to the mix makes of it, or both.

An encoder settles early on which of two alike classes a wave belongs to, when the level is still too high to tell, and
keeps it: it swaps sources. The doubt that Gibbs chains are judged by (`samplers.gibbs.GibbsConfig`) tells, as swapped
estimates do not survive noising under their priors: with `reorder` the posteriors of an encoder are put in the order of
least doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations

import torch
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.posteriors.variational import RefineConfig, at_level, refine
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.encoder import EncoderSet
from srcsep_core.samplers.asking import doubt_of
from srcsep_core.samplers.base import Callback, Priors, Separation, residual_of, without_chains
from srcsep_core.samplers.gibbs import GibbsConfig, gibbs

JUDGE_SIGMA = 0.1


@dataclass(frozen=True)
class VariationalSeparator:
    """An encoder, a fit under priors by class (`config`), or the fit from where the encoder points.

    With `chains` Gibbs chains follow, each from a draw of the posteriors; with `propose` they have draws as
    independence proposals too, as wide as the level (`samplers.gibbs`). Raises `InputError` without encoder and fit,
    for a new order of what no encoder proposed, and for proposals without an encoder and chains.
    """

    priors: Mapping[str, DenoisingPrior]
    encoder: EncoderSet | None = None
    config: RefineConfig | None = None
    reorder: bool = False
    chains: GibbsConfig | None = None
    propose: bool = False

    def __post_init__(self) -> None:
        if self.encoder is None and self.config is None:
            raise InputError("there is neither an encoder nor a fit; pass one of them")
        if self.reorder and self.encoder is None:
            raise InputError("there is no encoder whose posteriors could be put in order; pass one, or leave it out")
        if self.propose and (self.encoder is None or self.chains is None):
            raise InputError("proposals are an encoder's draws to Gibbs chains; pass both, or leave them out")

    def posterior(self, mix: Tensor, sources: Sequence[str], generator: torch.Generator) -> TruncatedNormal:
        """The posteriors (B, K, T) of the sources of mixes (B, 1, T); raises `InputError` as encoder and fit do."""
        priors = [self.priors[name] for name in sources] if self.config is not None or self.reorder else []
        start = None if self.encoder is None else self.encoder.posterior(mix, sources)
        if start is not None and self.reorder:
            start = least_doubtful(mix, start, priors, generator)
        if self.config is None:
            assert start is not None
            return start
        return refine(mix, priors, config=self.config, generator=generator, start=start)

    def separate(
        self, mix: Tensor, sources: Sequence[str], generator: torch.Generator, callback: Callback | None = None
    ) -> Separation:
        """The means of the posteriors, or what the chains end at; what they leave of the mix is shared equally."""
        found = self.posterior(mix, sources, generator)
        if self.chains is not None:
            priors, config = [self.priors[name] for name in sources], self.chains
            draw = partial(found.rsample, generator)
            return gibbs(
                mix, priors, config=config, generator=generator, callback=callback, start=draw, propose=self._at(found)
            )
        means = found.mean
        return without_chains(means + residual_of(len(sources) * mix, means)[:, None])

    def _at(self, found: TruncatedNormal) -> Callable[[float], TruncatedNormal] | None:
        """The proposals at a level, if there are any."""
        if not self.propose or self.encoder is None:
            return None
        learned = self.encoder.net.config
        before = learned.sigma_min if self.config is None else self.config.sigma_min
        return lambda sigma: at_level(found, before, sigma, learned.limit)


def least_doubtful(
    mix: Tensor, posterior: TruncatedNormal, priors: Priors, generator: torch.Generator
) -> TruncatedNormal:
    """The posteriors (B, K, T) of mixes (B, 1, T) in the order, mix by mix, whose means leave the least doubt."""
    means, seed = posterior.mean, int(torch.randint(2**31, (), generator=generator, device=mix.device))
    orders = torch.tensor(list(permutations(range(len(priors)))), device=mix.device)
    doubts = []
    for order in orders:
        noise = torch.Generator(mix.device).manual_seed(seed)
        doubts.append(doubt_of(priors, len(priors) * mix, means[:, order], JUDGE_SIGMA, noise))
    index = orders[torch.stack(doubts).argmin(dim=0)][..., None].expand_as(means)
    return replace(posterior, location=posterior.location.gather(1, index), scale=posterior.scale.gather(1, index))
