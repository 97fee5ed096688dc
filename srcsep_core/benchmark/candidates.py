"""The priors of the benchmark, from the kinds that a profile has plans for, and what each can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from srcsep_core.data.base import World, world_of
from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import has_oracle, kind_of
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps.catalogue import prior_step
from srcsep_core.run.steps.choices import PriorChoice
from srcsep_core.run.steps.training import ORACLE, TrainPriors

Role = Literal["oracle", "whole", "conditional", "wide", "scratch", "clean", "tuned"]


@dataclass(frozen=True)
class Candidate:
    """Priors and what they are.

    role: the true density (`oracle`); a kind of which one set has all noise levels (`whole`); else a set that is told
    the level, over a narrow range (`conditional`) or one as wide as samplers use (`wide`), one for each level from
    fresh weights (`scratch`), the noise-free one (`clean`), or that fine-tuned to each level (`tuned`).
    likely: trained by the true likelihood. top: the largest noise level (std) that they know; None: all.
    """

    choice: PriorChoice
    role: Role
    likely: bool = True
    top: float | None = None

    @property
    def name(self) -> str:
        """As in tables."""
        return self.choice.name


def candidates(profile: Profile, variant: str = "") -> list[Candidate]:
    """The priors that samplers can use in a world: those of whole kinds, the oracle if there is one, the others."""
    world, profile = world_of(variant), profile.of(variant)
    kinds = {name: kind_of(name) for name in profile.kinds}
    whole = [name for name, kind in kinds.items() if kind.scored and not kind.ladder]
    found = [Candidate(PriorChoice(name, world, (_prior(profile, name, world),)), "whole") for name in whole]
    if has_oracle(world):
        found.append(Candidate(PriorChoice(ORACLE, world), "oracle"))
    for name, kind in kinds.items():
        if kind.ladder:
            found += _levelled(profile, name, world)
    return found


def _levelled(profile: Profile, model: str, world: World) -> list[Candidate]:
    """Every set of a kind whose sets have one level each, or are told it: named by the kind's artefacts."""
    kind, plan, levels = kind_of(model), profile.plan_of(model), profile.noise_levels
    top, found = max(levels), list[Candidate]()

    def add(label: str, role: Role, *trained: TrainPriors, likely: bool = True, top: float = top) -> None:
        found.append(Candidate(PriorChoice(f"{kind.step}-{label}", world, trained), role, likely, top))

    ranges: tuple[Role, Role] = ("conditional", "wide")
    if plan.conditional is not None:
        for role, network in zip(ranges, plan.conditional_networks, strict=False):
            reach = kind.levels(network)
            told = TrainPriors(model, profile.name, world, plan.conditional, network)
            add(role, role, told, top=reach[1] if reach else top)
    if plan.scratch is not None:
        add("scratch", "scratch", *(_prior(profile, model, world, sigma=sigma, scratch=True) for sigma in levels))
    for objective in kind.objectives:
        likely = objective == kind.objectives[0]
        add(objective, "clean", _prior(profile, model, world, objective=objective), likely=likely)
        if plan.fine_tune is not None:
            tuned = [_prior(profile, model, world, objective=objective, sigma=sigma) for sigma in levels]
            add(f"{objective}-tuned", "tuned", *tuned, likely=likely)
    return found


def _prior(
    profile: Profile, model: str, world: World, *, objective: str = "", sigma: float = 0.0, scratch: bool = False
) -> TrainPriors:
    objective = objective or kind_of(model).objectives[0]
    return prior_step(profile, model, variant=world.variant, objective=objective, sigma=sigma, scratch=scratch)


def main_model(profile: Profile) -> str:
    """The kind of prior that the benchmark asks first: the first of the profile that has all noise levels in one set.

    Raises `InputError` if there is none.
    """
    for name in profile.kinds:
        kind = kind_of(name)
        if kind.scored and not kind.ladder:
            return name
    raise InputError(f"the profile {profile.name} has no prior that knows all noise levels; add one to its plans")


def prior_choices(profile: Profile, variant: str = "") -> dict[str, PriorChoice]:
    """The priors of `candidates` by name."""
    return {one.name: one.choice for one in candidates(profile, variant)}
