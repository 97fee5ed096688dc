"""What the settings of the benchmark are made of: the world, its mixes, and the priors for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from srcsep_core.benchmark.candidates import Candidate, candidates
from srcsep_core.benchmark.plans import BenchmarkPlan
from srcsep_core.data.base import World, world_of
from srcsep_core.data.mixes import MixConfig
from srcsep_core.errors import InputError
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps.choices import PriorChoice, SamplerChoice
from srcsep_core.run.steps.separation import SeparateMixes

BATCH = 32  # mixes that run at once
MOST_SOURCES = 8


@dataclass(frozen=True)
class Field:
    """What settings are made of: how much is run, and the world, its mixes and the priors for it."""

    profile: Profile
    plan: BenchmarkPlan

    @cached_property
    def worlds(self) -> list[World]:
        """One for each variant of the plan, the main one first."""
        worlds = [world_of(variant) for variant in self.plan.variants]
        for world in worlds:
            if not 2 <= len(world.sources) <= MOST_SOURCES:
                raise InputError(
                    f"{world.variant} has {len(world.sources)} source(s); use a world of 2 to {MOST_SOURCES}"
                )
        return worlds

    @property
    def sources(self) -> tuple[str, ...]:
        """The classes of the main world."""
        return self.worlds[0].sources

    @property
    def pairs(self) -> list[tuple[str, ...]]:
        """Every pair of them."""
        return subsets(self.sources, (2,))

    @property
    def growing(self) -> list[tuple[str, ...]]:
        """Every pair, a set of three, and all."""
        return list(dict.fromkeys([*self.pairs, self.sources[:3], self.sources]))

    @cached_property
    def priors(self) -> list[Candidate]:
        """All that samplers can use in the main world."""
        return candidates(self.profile, self.worlds[0].variant)

    def prior(self, role: str) -> Candidate | None:
        """The first of a role, of the true likelihood."""
        return next((one for one in self.priors if one.role == role and one.likely), None)

    def main(self, variant: str = "") -> PriorChoice:
        """The main prior, of a variant."""
        found = candidates(self.profile, variant or self.worlds[0].variant)
        return next(one.choice for one in found if one.role == "whole")

    def share(self, names: tuple[str, ...]) -> int:
        """The pairs share the plan's mixes, and are pooled; other sets of classes have them to themselves."""
        return len(self.pairs) if len(names) == 2 else 1

    def top(self, prior: Candidate) -> float:
        """The noise level that annealing starts at: the plan's, or the largest that a prior knows."""
        start = self.plan.gibbs.sigma_max
        return start if prior.top is None else min(start, prior.top)

    def mixed(self, names: tuple[str, ...], *, share: int = 1, slow: bool = False, **mixes: Any) -> MixConfig:
        """All of the plan's mixes or one `share`-th of them, rounded up."""
        count = math.ceil((self.plan.slow_mixes if slow else self.plan.mixes) / share)
        return MixConfig(names, count, self.plan.length, **mixes)

    def step(
        self, prior: PriorChoice, names: tuple[str, ...], sampler: str, config: Any, batch: int = BATCH, **mixes: Any
    ) -> SeparateMixes:
        """The step for one prior and sampler."""
        return SeparateMixes(prior.data, self.mixed(names, **mixes), SamplerChoice(prior, sampler, config, batch))


def subsets(sources: Sequence[str], sizes: Iterable[int] = ()) -> list[tuple[str, ...]]:
    """Every subset of `sources` of these sizes; without sizes all sources, then the pairs, then the threes."""
    chosen = dict.fromkeys(sizes or (len(sources), *(size for size in (2, 3) if size < len(sources))))
    return [names for size in chosen for names in combinations(sources, size)]
