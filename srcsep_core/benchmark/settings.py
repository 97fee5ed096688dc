"""The separation benchmark: which priors, samplers and methods separate which mixes of a world of 2 to 8 sources.

Groups of settings:
- `known`: the main prior with the Gibbs sampler and exchanges, every set of two, of three and of all classes, in every
  variant;
- `baseline`: on the same sets, every method of `srcsep_core.baselines`: the mix itself, masks that know the
  sources, NMF, FastICA, and whatever else is registered;
- `oracle`: the true densities with every sampler, where the world has them;
- `causal`: prior by sampler by number of sources on the same mixes, to tell the prior's failure from the sampler's: all
  pairs, which share the number of mixes between them, a set of three, and all sources;
- `beyond`: same class twice, unknown gains, noise, up to eight sources;
- `compute`: quality against chains and levels;
- `controls`: the sampler without one of its parts, good priors with the settings of the flows and through the ladder of
  their levels, long Langevin chains;
- `unknown`: which sources are in the mix, and how many (a table of its own, `separation_unknown.csv`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from srcsep_core.baselines.base import all_methods
from srcsep_core.benchmark import controls
from srcsep_core.benchmark.candidates import Candidate
from srcsep_core.benchmark.field import BATCH, MOST_SOURCES, Field, subsets
from srcsep_core.benchmark.plans import BenchmarkPlan
from srcsep_core.data.base import World
from srcsep_core.errors import InputError
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps.catalogue import prior_step
from srcsep_core.run.steps.choices import UNCONSTRAINED, MethodChoice, PriorChoice
from srcsep_core.run.steps.selection import SelectSources
from srcsep_core.run.steps.separation import SeparateMixes
from srcsep_core.samplers import SAMPLERS, ExchangingGibbsConfig, GibbsConfig, LangevinConfig
from srcsep_core.samplers.selection import all_subsets

MANY = ("whole", "wide", "tuned")  # roles that are also run on more than two sources
LANGEVIN = ("whole", "wide", "clean", "tuned")
ORACLE_BATCH = 100  # a call of the oracle costs as such
SHARES = 4  # a set of some of the classes gets a quarter of the mixes: there are several to pool
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Setting:
    """One row of the table: its group, what it does otherwise (`controls`), and the step that measures it."""

    group: str
    control: str
    step: SeparateMixes

    @property
    def note(self) -> str:
        """The control in words."""
        return controls.words(self.control)


def settings_of(profile: Profile, plan: BenchmarkPlan, groups: Sequence[str] | None = None) -> list[Setting]:
    """Every setting of the chosen groups (None: all), the ones that matter most first.

    Raises `InputError` for an unknown group and for a world of less than 2 or more than 8 sources.
    """
    chosen = GROUPS if groups is None else groups
    for group in chosen:
        if group not in _MAKERS:
            raise InputError(f"unknown group {group!r}; use some of {', '.join((*GROUPS, UNKNOWN))}")
    field = Field(profile, plan)
    return [setting for group in chosen for setting in _MAKERS[group](field)]


def selection_step(profile: Profile, plan: BenchmarkPlan) -> SelectSources:
    """The step that asks which sources are in a mix: of every subset as many as make up the plan's mixes."""
    field = Field(profile, plan)
    each = math.ceil(plan.mixes / len(all_subsets(field.sources)))
    return SelectSources(field.main(), each, plan.length, plan.selection)


def gibbs_for(plan: BenchmarkPlan, count: int, *, slow: bool = False) -> GibbsConfig:
    """The Gibbs sampler for `count` sources: the plan's proposals to swap, at each level, for every two sources."""
    slowly = plan.slow_gibbs if count < 3 else plan.slow_gibbs_many
    base = slowly if slow else plan.gibbs
    return replace(base, swaps=max(1, count // 2) * base.swaps)


def _known(field: Field) -> list[Setting]:
    found = []
    for names in subsets(field.sources):
        share = 1 if names == field.sources else SHARES
        for variant in field.plan.variants:
            config = ExchangingGibbsConfig(**vars(gibbs_for(field.plan, len(names))))
            step = field.step(field.main(variant), names, "gibbs-exchange", config, share=share)
            found.append(Setting("known", "", step))
    return found


def method_choices(profile: Profile, world: World, learned: World | None = None) -> list[MethodChoice]:
    """Every method of the tables; one made of a kind of prior where the profile has it. `learned`: see there."""
    return [
        MethodChoice(name, prior_step(profile, one.model, variant=world.variant) if one.model else None, learned)
        for name, one in all_methods().items()
        if not one.apart and (not one.model or one.model in profile.of(world.variant).kinds)
    ]


def _baselines(field: Field) -> list[Setting]:
    found = []
    for world in field.worlds:
        choices = method_choices(field.profile, world)
        for names in subsets(world.sources):
            found += [Setting("baseline", "", SeparateMixes(world, field.mixed(names), choice)) for choice in choices]
    return found


def _oracle(field: Field) -> list[Setting]:
    oracle, plan = field.prior("oracle"), field.plan
    if oracle is None:
        return []
    half = replace(plan, gibbs=replace(plan.gibbs, levels=max(1, plan.gibbs.levels // 2)))  # its draws are exact
    runs: list[tuple[tuple[str, ...], str, str, Any]] = [
        (names, "gibbs", "", gibbs_for(half, len(names))) for names in reversed(field.growing)
    ]
    alone = replace(gibbs_for(half, len(field.sources)), swap="none", max_chains=1)
    runs.append((field.sources, "gibbs", controls.ONE_CHAIN, alone))
    for names in dict.fromkeys([*field.pairs, field.sources]):
        runs += [
            (names, "langevin", "", _shorter(plan.langevin)),
            (names, "projection", "", replace(plan.projection, levels=max(1, plan.projection.levels // 2))),
        ]
    found = []
    for names, sampler, control, config in runs:
        share, slow = field.share(names), sampler != "gibbs"
        step = field.step(oracle.choice, names, sampler, config, ORACLE_BATCH, share=share, slow=slow)
        found.append(Setting("oracle", control, step))
    return found


def _shorter(config: LangevinConfig) -> LangevinConfig:
    """Half the steps a level, for priors that take their time."""
    return replace(config, steps=max(1, config.steps // 2))


def _causal(field: Field) -> list[Setting]:
    """The same first mixes for all. Flows start at the largest level that they know."""
    found = []
    for names in field.growing:
        for prior in field.priors:
            if prior.role == "oracle" or (len(names) > 2 and prior.role not in MANY):
                continue
            slow = prior.choice != field.main()
            for sampler, control, config in _causes(field, prior, len(names), slow=slow):
                step = field.step(prior.choice, names, sampler, config, share=field.share(names), slow=slow)
                found.append(Setting("causal", control, step))
    return found


def _causes(field: Field, prior: Candidate, count: int, *, slow: bool) -> list[tuple[str, str, Any]]:
    """The samplers of one prior on `count` sources, with what is special about them and their configurations."""
    plan, top = field.plan, field.top(prior)
    gibbs = replace(gibbs_for(plan, count, slow=slow), sigma_max=top)
    chains = _shorter(plan.langevin) if slow else plan.langevin
    runs: list[tuple[str, str, Any]] = [("gibbs", "", gibbs)]
    if not slow:
        runs.append(("gibbs", controls.ONE_CHAIN, replace(gibbs, swap="none", max_chains=1)))
    elif count == 2 and prior.likely and prior.role in ("wide", "tuned"):
        runs.append(("gibbs", controls.METROPOLIS, replace(gibbs, swap="metropolis")))
    if prior.role in LANGEVIN and (count == 2 or count == len(field.sources)):
        runs.append(("langevin", "", replace(chains, sigma_max=min(top, 1.0))))
    if not slow or prior.role == "wide":
        runs.append(("projection", "", plan.projection))
    if slow and prior.name in SAMPLERS and count == 2:
        runs.append((prior.name, "", plan.pnf))
    if prior.role == "tuned" and count == 2:
        weak = replace(chains, sigma_max=top, mean_constraint=True)
        runs.append(("langevin", controls.MEAN_CONSTRAINT, weak))
        runs.append((UNCONSTRAINED, controls.TRUE_START, None))
    if not slow:
        runs += [(name, "", one.config()) for name, one in SAMPLERS.items() if not plan.sets(one.config)]
    return runs


def _beyond(field: Field) -> list[Setting]:
    plan, main, sources = field.plan, field.main(), field.sources
    found = []

    def add(control: str, names: tuple[str, ...], config: GibbsConfig, **mixes: Any) -> None:
        found.append(Setting("beyond", control, field.step(main, names, "gibbs", config, **mixes)))

    for name in sources:
        add(controls.SAME_CLASS, (name, name), gibbs_for(plan, 2))
    for names in dict.fromkeys((field.pairs[0], sources)):
        gibbs = replace(gibbs_for(plan, len(names)), max_chains=plan.slow_gibbs.max_chains)
        add(controls.GAINS_IGNORED, names, gibbs, gains=(0.25, 1.0))
        add(controls.GAINS_ESTIMATED, names, replace(gibbs, estimate_gains=True), gains=(0.25, 1.0))
        for noise in (0.1, 0.3):
            # A residual that is as large as the noise is no reason to start again.
            noisy = replace(gibbs, sigma_min=max(gibbs.sigma_min, noise), accept=1.2 * noise)
            add(controls.control(controls.NOISE, noise), names, noisy, noise=noise)
    for count in range(len(sources) + 1, min(2 * len(sources), MOST_SOURCES) + 1):
        gibbs = replace(gibbs_for(plan, count), max_chains=plan.slow_gibbs.max_chains)
        add(controls.control(controls.SOURCES, count), (*sources, *sources)[:count], gibbs)
    return found


def _compute(field: Field) -> list[Setting]:
    base = gibbs_for(field.plan, len(field.sources))
    found = []
    for levels in (base.levels // 3, base.levels):
        for chains in (1, 4):
            config = replace(base, levels=max(1, levels), max_chains=chains)
            step = field.step(field.main(), field.sources, "gibbs", config)
            found.append(Setting("compute", controls.control(controls.LEVELS, config.levels), step))
    return found


def _controls(field: Field) -> list[Setting]:
    """What the causal experiment leaves open: is it the swaps or the chains, the prior, its levels or its settings?"""
    plan, main, flow = field.plan, field.main(), field.prior("tuned")
    good = [one.choice for one in (field.prior("whole"), field.prior("oracle")) if one is not None]
    runs: list[tuple[str, PriorChoice, tuple[str, ...], str, Any]] = []
    for names in dict.fromkeys((*field.pairs, field.sources)):
        alone = replace(gibbs_for(plan, len(names)), swap="none", max_chains=4)
        runs.append((controls.NO_SWAPS, main, names, "gibbs", alone))
        if flow is not None:
            slow = replace(gibbs_for(plan, len(names), slow=True), sigma_max=field.top(flow))
            runs += [(controls.FLOW_SETTINGS, prior, names, "gibbs", slow) for prior in good]
            runs.append((controls.LADDER, replace(main, ladder=field.profile.noise_levels), names, "gibbs", slow))
    plain = gibbs_for(plan, len(field.sources))
    runs.append((controls.NO_EXCHANGES, field.main(plan.variants[-1]), field.sources, "gibbs", plain))
    for one in (field.prior("whole"), field.prior("oracle"), flow):
        if one is not None:
            chain = replace(plan.long_langevin, sigma_max=min(plan.long_langevin.sigma_max, field.top(one)))
            runs += [(controls.LONG_CHAINS, one.choice, names, "langevin", chain) for names in field.pairs]
    found = []
    for control, prior, names, sampler, config in runs:
        share = field.share(names) * (4 if control == controls.LONG_CHAINS else 1)
        batch = BATCH if prior.trained else ORACLE_BATCH
        found.append(Setting("controls", control, field.step(prior, names, sampler, config, batch, share=share)))
    return found


_MAKERS: dict[str, Callable[[Field], list[Setting]]] = {
    "known": _known,
    "baseline": _baselines,
    "oracle": _oracle,
    "causal": _causal,
    "beyond": _beyond,
    "compute": _compute,
    "controls": _controls,
}
GROUPS = tuple(_MAKERS)
