"""What a recording can be separated by: a sampler with priors by name, or a method of `srcsep_core.baselines`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from srcsep_core.baselines.base import Given, Separator, Supervision, all_methods, method_of
from srcsep_core.config import check_choice, resolved
from srcsep_core.data.base import World, world_of
from srcsep_core.errors import InputError
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.denoiser import DENOISER
from srcsep_core.priors.kinds import all_kinds
from srcsep_core.priors.sets import PriorSet, Trained
from srcsep_core.priors.unit import in_unit
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import prior_step
from srcsep_core.run.steps.choices import PriorChoice
from srcsep_core.samplers import SAMPLERS
from srcsep_core.samplers.separator import PriorSeparator

ORACLE = "oracle"
PRECISIONS = ("auto", "full", "rounded")
SAMPLER = "sampler"  # the method that takes priors and one of the samplers
LEVELS = ("auto", "equal", "estimated")
SHORTEST = 8  # so many times shorter than a window music may be


@dataclass(frozen=True)
class Windows:
    """How a recording is heard: windows of `window` samples (None: all of it at once) at `sample_rate` (Hz).

    `typical_rms`: of each source as the separator knows it, in its unit; `steady`: every signal
    is about as loud.
    """

    window: int | None
    sample_rate: int
    typical_rms: Mapping[str, float]
    steady: bool = True

    @property
    def least(self) -> int:
        """The fewest samples to separate: a window; of music a part of one, which silence fills up."""
        return 1 if self.window is None else self.window if self.steady else self.window // SHORTEST


@dataclass(frozen=True, kw_only=True)
class SourcePriors(Windows):
    """One prior for every class of source.

    `key` says which priors they are: the content key of the step that trained them.
    """

    by_source: Mapping[str, DenoisingPrior]
    key: str


@dataclass(frozen=True)
class Request:
    """What was asked for by name: a method, and where it is a sampler, which one, with what priors and how many chains.

    `levels`: whether the sampler takes all sources to be `equal`ly loud, or their levels are `estimated`, or `auto`:
    estimated where equal ones leave doubt.
    """

    method: str
    sampler: str
    prior: str
    max_chains: int | None
    profile: Profile
    variant: str
    precision: str = "auto"
    levels: str = "auto"

    @property
    def world(self) -> World:
        """The world of the variant."""
        return world_of(self.variant)

    @property
    def sampled(self) -> bool:
        """Whether it is a sampler."""
        return self.method == SAMPLER

    def rounded(self, device: torch.device) -> bool:
        """Whether priors compute in bfloat16, which is faster on processors that have it."""
        return self.precision == "rounded" or (self.precision == "auto" and device.type == "cpu" and _has_bfloat16())

    @property
    def sampler_config(self) -> Any:
        """The sampler's configuration for windows; the search says how many chains a window gets."""
        found = SAMPLERS[self.sampler]
        config = found.config(**(found.windows or {}))
        return replace(config, estimate_gains=True) if self.levels == "estimated" else config

    @property
    def supervision(self) -> Supervision:
        """What the separator has seen."""
        if not self.sampled:
            return method_of(self.method).supervision
        return "truth" if self.prior == ORACLE else "single sources"

    @property
    def windows(self) -> Windows:
        """How a recording is heard: in windows of the priors; by a method without priors at once."""
        model = (
            (DENOISER.name if self.prior == ORACLE else self.prior) if self.sampled else method_of(self.method).model
        )
        window = self.profile.of(self.variant).plan_of(model).window if model else None
        world = self.world
        typical = {name: rms / world.unit for name, rms in world.typical_rms.items()}
        return Windows(window, world.sample_rate, typical, world.steady)

    @property
    def facts(self) -> dict[str, Any]:
        """What to report of it."""
        own = {"method": self.method, "supervision": self.supervision}
        if not self.sampled:
            return own
        config = resolved(self.sampler_config)
        levels = self.levels if "estimate_gains" in config else "equal"
        return {**own, "prior": self.prior, "sampler": self.sampler, "levels": levels, "sampler_config": config}

    def check(self, sources: tuple[str, ...], known_sources: Sequence[str]) -> None:
        """Raise `InputError` unless all names are known, and the method can work from a file."""
        if not sources:
            raise InputError(f"there are 0 sources; name what is in the mix, from {', '.join(known_sources)}")
        asked = [("source", source, known_sources) for source in sources]
        if self.sampled:
            asked += [("prior", self.prior, prior_names()), ("sampler", self.sampler, sampler_names())]
        elif self.method not in all_methods():
            asked += [("method", self.method, method_names())]
        for what, given, known in asked:
            check_choice(what, given, known)
        if not self.sampled and (needs := method_of(self.method).needs):
            usable = ", ".join(method_names())
            raise InputError(f"the method {self.method} needs {needs}, which a file does not have; use one of {usable}")
        if self.levels == "estimated" and not hasattr(SAMPLERS[self.sampler].config(), "estimate_gains"):
            raise InputError(
                f"the sampler {self.sampler} cannot estimate levels; use levels='auto', or the sampler gibbs"
            )
        if self.max_chains is not None and not self.sampled:
            raise InputError(f"the method {self.method} has no chains; leave max_chains out, or use {SAMPLER}")
        if self.max_chains is not None and self.max_chains < 1:
            raise InputError(f"max_chains is {self.max_chains}; use at least 1")
        if self.levels == "estimated" and not (self.sampled and self.facts["levels"] == "estimated"):
            what = f"the sampler {self.sampler}" if self.sampled else f"the method {self.method}"
            raise InputError(f"{what} does not estimate levels; leave them out, or use the sampler gibbs")


def _has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32."""
    return any(getattr(torch.cpu, f"_is_{name}_supported", lambda: False)() for name in ("avx512_bf16", "amx_tile"))


def prior_names() -> tuple[str, ...]:
    """The priors that recordings can be separated with: kinds of which one set has all noise levels, and the oracle."""
    return (*(name for name, kind in all_kinds().items() if kind.scored and not kind.ladder), ORACLE)


def sampler_names() -> tuple[str, ...]:
    """The samplers that recordings can be separated with."""
    return tuple(name for name, one in SAMPLERS.items() if one.windows is not None)


def method_names() -> tuple[str, ...]:
    """The methods that recordings can be separated with: a sampler, and all that need nothing but the mix."""
    return (SAMPLER, *(name for name, one in all_methods().items() if not one.needs))


def source_priors(asked: Request, pipeline: Pipeline) -> SourcePriors:
    """The priors asked for, from the pipeline, or the true densities of the world's sources."""
    if asked.prior == ORACLE:
        find = PriorChoice(ORACLE, asked.world).load(pipeline)
        return _of_all(asked, find, f"{ORACLE}-{asked.variant}")
    step = prior_step(asked.profile, asked.prior, variant=asked.variant)
    return priors_from(asked, pipeline.priors(step), step.key, pipeline.device)


def priors_from(asked: Request, found: PriorSet, key: str, device: torch.device) -> SourcePriors:
    """The priors of a trained set, whose step has the `key`, as the request has them computed on the device."""
    assert isinstance(found, Trained)
    found = found.rounded() if asked.rounded(device) else found
    return _of_all(asked, (found.traced() if device.type == "cpu" else found).prior, key)


def _of_all(asked: Request, find: Callable[[str], DenoisingPrior], key: str) -> SourcePriors:
    by_source = in_unit({source: find(source) for source in asked.world.sources}, asked.world)
    return SourcePriors(**vars(asked.windows), by_source=by_source, key=key)


def method_separator(asked: Request, length: int, pipeline: Pipeline) -> Separator:
    """The separator of a method for mixes of `length` samples, made from what its model's training made, if any."""
    method, trained = method_of(asked.method), None
    if method.model:
        step = prior_step(asked.profile, method.model, variant=asked.variant)
        trained = pipeline.priors(step)
    return method.make(Given(asked.world, length, trained))


def sampler_separator(asked: Request, priors: SourcePriors) -> PriorSeparator:
    """The sampler asked for with these priors."""
    return PriorSeparator(SAMPLERS[asked.sampler], asked.sampler_config, priors.by_source)
