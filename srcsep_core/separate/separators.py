"""The priors and the samplers that `separate` can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from srcsep_core.data.base import world_of
from srcsep_core.errors import InputError
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.denoiser import SCORE
from srcsep_core.priors.kinds import all_kinds
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import prior_step
from srcsep_core.run.steps.choices import PriorChoice
from srcsep_core.samplers import SAMPLERS
from srcsep_core.samplers.base import Callback, Separation

ORACLE = "oracle"


@dataclass(frozen=True)
class SourcePriors:
    """One prior for every class of source, for windows of `window` samples at `sample_rate` (Hz).

    `key` says which priors they are: the content key of the step that trained them. `typical_rms`: of each source as
    the priors know it.
    """

    by_source: Mapping[str, DenoisingPrior]
    window: int
    sample_rate: int
    key: str
    typical_rms: Mapping[str, float]


def prior_names() -> tuple[str, ...]:
    """The priors that recordings can be separated with: kinds of which one set has all noise levels, and the oracle."""
    return (*(name for name, kind in all_kinds().items() if kind.scored and not kind.ladder), ORACLE)


def sampler_names() -> tuple[str, ...]:
    """The samplers that recordings can be separated with."""
    return tuple(name for name, one in SAMPLERS.items() if one.windows is not None)


def window_of(prior: str, profile: Profile) -> int:
    """The length of the windows (samples) that a prior works on: its own, or the crop that it was trained on."""
    plan = profile.plan_of(SCORE.name if prior == ORACLE else prior)
    return int(getattr(plan.network, "window", plan.train.crop))


def source_priors(prior: str, profile: Profile, variant: str, device: torch.device, progress: bool) -> SourcePriors:
    """The priors called `prior`, found in the cache or trained, or the true densities of the world's sources."""
    world = world_of(variant)
    if prior == ORACLE:
        find, key = PriorChoice(prior, world).load(Pipeline(device=device)), f"{ORACLE}-{world.variant}"
    else:
        step = prior_step(profile, prior, variant=variant)
        find, key = Pipeline(device=device, progress=progress).priors(step).prior, step.key
    priors = {source: find(source) for source in world.sources}
    return SourcePriors(priors, window_of(prior, profile), world.sample_rate, key, world.typical_rms)


def check_names(sources: tuple[str, ...], prior: str, sampler: str, known_sources: Sequence[str]) -> None:
    """Raise `InputError` unless all of them are known."""
    if not sources:
        raise InputError(f"there are 0 sources; name what is in the mix, from {', '.join(known_sources)}")
    for what, given, known in (
        *(("source", source, known_sources) for source in sources),
        ("prior", prior, prior_names()),
        ("sampler", sampler, sampler_names()),
    ):
        if given not in known:
            raise InputError(f"unknown {what} {given!r}; use one of {', '.join(known)}")


@dataclass(frozen=True)
class NamedSampler:
    """A sampler with its configuration."""

    run: Callable[..., Separation]
    config: Any

    def __call__(
        self, mix: torch.Tensor, priors: list[DenoisingPrior], generator: torch.Generator, callback: Callback | None
    ) -> Separation:
        """Separate mixes (B, 1, T)."""
        return self.run(mix, priors, config=self.config, generator=generator, callback=callback)

    def restarting(self, restarts: int, *, all_of_them: bool) -> NamedSampler:
        """The same sampler with so many restarts; `all_of_them`: also where it would stop once one is good."""
        config = replace(self.config, restarts=restarts)
        if all_of_them and hasattr(config, "accept"):
            config = replace(config, accept=0.0)
        return replace(self, config=config)


def load_sampler(name: str, restarts: int | None = None) -> NamedSampler:
    """The sampler `name` with its configuration for windows and, if given, so many restarts a window.

    Raises `InputError` for less than one.
    """
    found = SAMPLERS[name]
    sampler = NamedSampler(found, found.config(**(found.windows or {})))
    if restarts is None:
        return sampler
    if restarts < 1:
        raise InputError(f"the number of restarts is {restarts}; use at least 1")
    return sampler.restarting(restarts, all_of_them=False)
