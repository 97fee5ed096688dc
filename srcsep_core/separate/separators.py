"""The priors and the samplers that `separate` can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.oracle import OraclePrior
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import score_step
from srcsep_core.samplers import SAMPLER_CONFIGS, SAMPLERS
from srcsep_core.samplers.base import Callback, Separation


@dataclass(frozen=True)
class SourcePriors:
    """One prior for every class of source, for windows of `window` samples at `sample_rate` (Hz).

    `key` says which priors they are: the content key of the step that trained them.
    """

    by_source: Mapping[str, DenoisingPrior]
    window: int
    sample_rate: int
    key: str


def score_priors(profile: Profile, variant: str, device: torch.device, progress: bool) -> SourcePriors:
    """The score priors of a profile, found in the cache or trained."""
    step = score_step(profile, variant=variant)
    found = Pipeline(device=device, progress=progress).priors(step)
    priors = {source: found.prior(source) for source in found.sources}
    return SourcePriors(priors, found.window, step.data.sample_rate, step.key)


def oracle_priors(profile: Profile, variant: str, device: torch.device, progress: bool) -> SourcePriors:
    """The true densities of the toy sources, in windows of the length that the profile's score priors have."""
    data = ToyWorld(variant)
    priors = {source: OraclePrior(source, data) for source in data.sources}
    return SourcePriors(priors, profile.plan_of("score").network.window, data.sample_rate, f"oracle-{variant}")


PRIORS: dict[str, Callable[[Profile, str, torch.device, bool], SourcePriors]] = {
    "score": score_priors,
    "oracle": oracle_priors,
}
# Windows have neighbours to tell a wrong one by, so that fewer chains will do than for a mix on its own.
WINDOW_SETTINGS: dict[str, dict[str, float]] = {
    "gibbs": {"restarts": 3, "accept": 0.04},
    "gibbs-exchange": {"restarts": 3, "accept": 0.04},
}
# Those that need no more than a score, less `pnf`: it is slow and does not separate (figures/separation.csv).
NAMED_SAMPLERS = ("gibbs", "gibbs-exchange", "projection", "langevin")


def check_names(sources: tuple[str, ...], prior: str, sampler: str) -> None:
    """Raise `InputError` unless all of them are known."""
    if not sources:
        raise InputError(f"there are 0 sources; name what is in the mix, from {', '.join(SOURCES)}")
    for what, given, known in (
        *(("source", source, SOURCES) for source in sources),
        ("prior", prior, tuple(PRIORS)),
        ("sampler", sampler, NAMED_SAMPLERS),
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
    sampler = NamedSampler(SAMPLERS[name], SAMPLER_CONFIGS[name](**WINDOW_SETTINGS.get(name, {})))
    if restarts is None:
        return sampler
    if restarts < 1:
        raise InputError(f"the number of restarts is {restarts}; use at least 1")
    return sampler.restarting(restarts, all_of_them=False)
