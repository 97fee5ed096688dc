"""A sampler with its priors as a separator (`baselines.base.Separator`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from srcsep_core.data.mixes import Mixes
from srcsep_core.errors import InputError
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.samplers.base import Callback, Separation
from srcsep_core.samplers.langevin import unconstrained_langevin


@dataclass(frozen=True)
class PriorSeparator:
    """A sampler with its configuration and the prior of every class."""

    run: Callable[..., Separation]
    config: Any
    priors: Mapping[str, DenoisingPrior]

    def separate(
        self, mix: Tensor, sources: Sequence[str], generator: torch.Generator, callback: Callback | None = None
    ) -> Separation:
        """Separate mixes (B, 1, T); raises `InputError` as the sampler does."""
        priors = [self.priors[name] for name in sources]
        return self.run(mix, priors, config=self.config, generator=generator, callback=callback)

    def single(self, **changes: Any) -> PriorSeparator:
        """The same sampler with one chain, and other `changes` of its configuration."""
        return replace(self, config=replace(self.config, max_chains=1, **changes))

    def coarse(self) -> PriorSeparator:
        """The same sampler with one chain and, if it has levels, a third of them: to compare mixes with each other."""
        levels = getattr(self.config, "levels", None)
        return self.single() if levels is None else self.single(levels=max(1, levels // 3))

    def estimating(self) -> PriorSeparator:
        """The same sampler with sources of unknown gains, if it can find them; else itself."""
        if not hasattr(self.config, "estimate_gains"):
            return self
        try:
            return replace(self, config=replace(self.config, estimate_gains=True))
        except InputError:  # it has inherited them and cannot
            return self

    def shortest(self) -> PriorSeparator | None:
        """The same sampler at one noise level, with one chain; None for one that has no levels to cut down."""
        return self.single(levels=1) if hasattr(self.config, "levels") else None


@dataclass(frozen=True)
class UnconstrainedDynamics:
    """The dynamics of the authors' released code, which start at the true sources (see `unconstrained_langevin`)."""

    priors: Mapping[str, DenoisingPrior]
    truth: Mixes

    def separate(
        self, mix: Tensor, sources: Sequence[str], generator: torch.Generator, callback: Callback | None = None
    ) -> Separation:
        """Run them; the mix (B, 1, T) enters nowhere."""
        start = self.truth.sources.to(mix.device)
        priors = [self.priors[name] for name in sources]
        return unconstrained_langevin(start, priors, generator=generator, callback=callback)
