"""Variational separation as a separator: what an encoder proposes, what a fit to the mix makes of it, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.posteriors.variational import RefineConfig, refine
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.encoder import EncoderSet
from srcsep_core.samplers.base import Callback, Separation, residual_of, without_chains


@dataclass(frozen=True)
class VariationalSeparator:
    """An encoder, a fit under priors by class (`config`), or the fit from where the encoder points.

    Raises `InputError` without either.
    """

    priors: Mapping[str, DenoisingPrior]
    encoder: EncoderSet | None = None
    config: RefineConfig | None = None

    def __post_init__(self) -> None:
        if self.encoder is None and self.config is None:
            raise InputError("there is neither an encoder nor a fit; pass one of them")

    def posterior(self, mix: Tensor, sources: Sequence[str], generator: torch.Generator) -> TruncatedNormal:
        """The posteriors (B, K, T) of the sources of mixes (B, 1, T); raises `InputError` as encoder and fit do."""
        start = None if self.encoder is None else self.encoder.posterior(mix, sources)
        if self.config is None:
            assert start is not None
            return start
        priors = [self.priors[name] for name in sources]
        return refine(mix, priors, config=self.config, generator=generator, start=start)

    def separate(
        self, mix: Tensor, sources: Sequence[str], generator: torch.Generator, callback: Callback | None = None
    ) -> Separation:
        """The means of the posteriors; what they leave of the mix is shared equally among them."""
        means = self.posterior(mix, sources, generator).mean
        return without_chains(means + residual_of(len(sources) * mix, means)[:, None])
