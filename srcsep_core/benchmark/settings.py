"""The separation benchmark: which priors and samplers separate which mixes, and the table of the results.

Groups of settings:
- `known`: the score prior with the Gibbs sampler and exchanges, every subset of two, three and four classes, both toy
  variants;
- `baseline`: the mix itself, masks that know the sources, supervised NMF and FastICA;
- `oracle`: the true densities with every sampler;
- `causal`: prior by sampler by number of sources on the same mixes, to tell the prior's failure from the sampler's: all
  six pairs, which share the number of mixes between them, a set of three, and all four;
- `beyond`: same class twice, unknown gains, noise, five to eight sources;
- `compute`: quality against restarts and levels;
- `controls`: the sampler without one of its parts, good priors with the settings of the flows and through the ladder of
  their levels, long Langevin chains;
- `unknown`: which sources are in the mix, and how many (a table of its own, `separation_unknown.csv`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from srcsep_core.baselines.base import all_methods
from srcsep_core.benchmark.plans import BenchmarkPlan
from srcsep_core.data.mixes import MixConfig
from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps.catalogue import (
    WIDE,
    conditional_flow_step,
    flow_step,
    noisy_flow_step,
    pnf_step,
    score_step,
)
from srcsep_core.run.steps.choices import RELEASED, MethodChoice, PriorChoice, SamplerChoice
from srcsep_core.run.steps.selection import SelectSources
from srcsep_core.run.steps.separation import SeparateMixes
from srcsep_core.samplers import ExchangingGibbsConfig, GibbsConfig, LangevinConfig
from srcsep_core.samplers.selection import all_subsets
from srcsep_core.training.config import OBJECTIVES

MANY = ("score", "pnf", "flow-wide", "flow-exact-tuned", "flow-released-tuned")  # also on more than two sources
METROPOLIS = ("flow-exact-tuned", "flow-wide")
ORACLE_BATCH = 100  # a call of the oracle costs as such
FLOW_SETTINGS = "set as for the fine-tuned flows"
LADDER = "through the ladder"  # of the fine-tuned flows' levels, and set as for them
LONG_CHAINS = "long chains"  # a quarter of the mixes
GROUPS = ("known", "baseline", "oracle", "causal", "beyond", "compute", "controls")
UNKNOWN = "unknown"
PAIRS = tuple(combinations(SOURCES, 2))
CAUSAL_MIXES = (*PAIRS, ("sine", "square", "saw"), SOURCES)


@dataclass(frozen=True)
class Setting:
    """One row of the table: its group, what is special about it, and the step that measures it."""

    group: str
    note: str
    step: SeparateMixes


def prior_choices(profile: Profile, variant: str = "released") -> dict[str, PriorChoice]:
    """The priors that samplers can use, by name: score, oracle, pnf, and the flows.

    flow-OBJECTIVE is noise-free, flow-OBJECTIVE-tuned fine-tuned at each of the paper's levels, flow-scratch trained at
    each from fresh weights; flow-conditional takes the level as an input (up to 0.5) and flow-wide up to 10.
    """
    data = ToyWorld(variant)

    def choice(name: str, *trained: Any) -> PriorChoice:
        return PriorChoice(name, data, trained)

    choices = [
        choice("score", score_step(profile, variant=variant)),
        choice("oracle"),
        choice("pnf", pnf_step(profile, variant=variant)),
        choice("flow-conditional", conditional_flow_step(profile, variant=variant)),
        choice("flow-wide", conditional_flow_step(profile, variant=variant, sigma_max=WIDE)),
    ]
    levels = profile.noise_levels
    scratch = [noisy_flow_step(profile, sigma, scratch=True, variant=variant) for sigma in levels]
    choices.append(choice("flow-scratch", *scratch))
    for objective in OBJECTIVES:
        tuned = [noisy_flow_step(profile, sigma, objective=objective, variant=variant) for sigma in levels]
        choices.append(choice(f"flow-{objective}", flow_step(profile, objective=objective, variant=variant)))
        choices.append(choice(f"flow-{objective}-tuned", *tuned))
    return {found.name: found for found in choices}


def settings_of(profile: Profile, plan: BenchmarkPlan, groups: Sequence[str] = GROUPS) -> list[Setting]:
    """Every setting of the chosen groups, the ones that matter most first."""
    for group in groups:
        if group not in GROUPS:
            raise InputError(f"unknown group {group!r}; use some of {', '.join((*GROUPS, UNKNOWN))}")
    makers = {
        "known": _known,
        "baseline": _baselines,
        "oracle": _oracle,
        "causal": _causal,
        "beyond": _beyond,
        "compute": _compute,
        "controls": _controls,
    }
    return [setting for group in groups for setting in makers[group](profile, plan)]


def selection_step(profile: Profile, plan: BenchmarkPlan) -> SelectSources:
    """The step that asks which sources are in a mix: of every subset as many as make up the plan's mixes."""
    each = math.ceil(plan.mixes / len(all_subsets(SOURCES)))
    return SelectSources(prior_choices(profile)["score"], each, plan.length, plan.selection)


def subsets(sizes: Iterable[int] = (4, 2, 3)) -> list[tuple[str, ...]]:
    """Every subset of the classes of these sizes."""
    return [names for size in sizes for names in combinations(SOURCES, size)]


def gibbs_for(plan: BenchmarkPlan, count: int, *, slow: bool = False) -> GibbsConfig:
    """The Gibbs sampler for `count` sources: the plan's proposals to swap, at each level, for every two sources."""
    slowly = plan.slow_gibbs if count < 3 else plan.slow_gibbs_many
    base = slowly if slow else plan.gibbs
    return replace(base, swaps=max(1, count // 2) * base.swaps)


def _separate(
    plan: BenchmarkPlan,
    prior: PriorChoice,
    names: tuple[str, ...],
    sampler: str,
    config: Any,
    *,
    share: int = 1,
    slow: bool = False,
    batch: int = 32,
    **mixes: Any,
) -> SeparateMixes:
    """The step for one setting, on all of the plan's mixes or one `share`-th of them, rounded up."""
    count = math.ceil((plan.slow_mixes if slow else plan.mixes) / share)
    choice = SamplerChoice(prior, sampler, config, batch)
    return SeparateMixes(prior.data, MixConfig(names, count, plan.length, **mixes), choice)


def _pair_share(names: tuple[str, ...]) -> int:
    """The pairs share the plan's mixes, and are pooled; other sets of classes have them to themselves."""
    return len(PAIRS) if len(names) == 2 else 1


def _known(profile: Profile, plan: BenchmarkPlan) -> list[Setting]:
    found = []
    for names in subsets():
        for variant in ("released", "paper"):
            prior = prior_choices(profile, variant)["score"]
            share = 1 if len(names) == 4 else 4  # there are six pairs and four threes
            config = ExchangingGibbsConfig(**vars(gibbs_for(plan, len(names))))
            step = _separate(plan, prior, names, "gibbs-exchange", config, share=share)
            found.append(Setting("known", "", step))
    return found


def _baselines(profile: Profile, plan: BenchmarkPlan) -> list[Setting]:
    return [
        Setting(
            "baseline",
            "",
            SeparateMixes(ToyWorld(variant), MixConfig(names, plan.mixes, plan.length), MethodChoice(name)),
        )
        for variant in ("released", "paper")
        for names in subsets()
        for name in all_methods()
    ]


def _oracle(profile: Profile, plan: BenchmarkPlan) -> list[Setting]:
    prior = prior_choices(profile)["oracle"]
    half = replace(plan, gibbs=replace(plan.gibbs, levels=max(1, plan.gibbs.levels // 2)))  # its draws are exact
    runs: list[tuple[tuple[str, ...], str, str, Any]] = [
        (names, "gibbs", "", gibbs_for(half, len(names))) for names in reversed(CAUSAL_MIXES)
    ]
    runs.append((SOURCES, "gibbs", "no swaps, one chain", replace(gibbs_for(half, 4), swap="none", restarts=1)))
    for pair_or_four in (*PAIRS, SOURCES):
        runs += [
            (pair_or_four, "langevin", "", _shorter(plan.langevin)),
            (pair_or_four, "projection", "", replace(plan.projection, levels=max(1, plan.projection.levels // 2))),
        ]
    found = []
    for names, sampler, note, config in runs:
        step = _separate(
            plan, prior, names, sampler, config, share=_pair_share(names), slow=sampler != "gibbs", batch=ORACLE_BATCH
        )
        found.append(Setting("oracle", note, step))
    return found


def _shorter(config: LangevinConfig) -> LangevinConfig:
    """Half the steps a level, for priors that take their time."""
    return replace(config, steps=max(1, config.steps // 2))


def _causal(profile: Profile, plan: BenchmarkPlan) -> list[Setting]:
    """The same first mixes for all. Flows start at the largest level that they know."""
    choices = prior_choices(profile)
    found = []
    for names in CAUSAL_MIXES:
        for name, prior in choices.items():
            if name == "oracle" or (len(names) > 2 and name not in MANY):
                continue
            slow = name != "score"
            top = _top(name, profile, plan)
            gibbs = replace(gibbs_for(plan, len(names), slow=slow), sigma_max=top)
            chains = _shorter(plan.langevin) if slow else plan.langevin
            runs: list[tuple[str, str, Any]] = [("gibbs", "", gibbs)]
            if name == "score":
                runs.append(("gibbs", "no swaps, one chain", replace(gibbs, swap="none", restarts=1)))
            elif len(names) == 2 and name in METROPOLIS:
                runs.append(("gibbs", "metropolis swaps", replace(gibbs, swap="metropolis")))
            if len(names) != 3 and name not in ("flow-scratch", "flow-conditional"):
                runs.append(("langevin", "", replace(chains, sigma_max=min(top, 1.0))))
            if name in ("score", "flow-wide"):
                runs.append(("projection", "", plan.projection))
            if name == "pnf" and len(names) == 2:
                runs.append(("pnf", "", plan.pnf))
            if name.startswith("flow-") and name.endswith("tuned") and len(names) == 2:
                weak = replace(chains, sigma_max=top, mean_constraint=True)
                runs.append(("langevin", "constraint on the mean, as printed", weak))
                runs.append((RELEASED, "starts at the truth", None))
            for sampler, note, config in runs:
                step = _separate(plan, prior, names, sampler, config, share=_pair_share(names), slow=slow)
                found.append(Setting("causal", note, step))
    return found


def _top(prior: str, profile: Profile, plan: BenchmarkPlan) -> float:
    """The noise level that annealing starts at: the plan's, or the largest that a flow knows."""
    if prior in ("score", "oracle", "pnf", "flow-wide"):
        return plan.gibbs.sigma_max
    return 0.5 if prior == "flow-conditional" else max(profile.noise_levels)


def _beyond(profile: Profile, plan: BenchmarkPlan) -> list[Setting]:
    score = prior_choices(profile)["score"]
    found = []
    for name in SOURCES:
        step = _separate(plan, score, (name, name), "gibbs", gibbs_for(plan, 2))
        found.append(Setting("beyond", "same class twice", step))
    for names in (PAIRS[0], SOURCES):
        gibbs = replace(gibbs_for(plan, len(names)), restarts=plan.slow_gibbs.restarts)
        fitted = replace(gibbs, estimate_gains=True)
        for note, config in (("gains 0.25 to 1, taken as 1", gibbs), ("gains 0.25 to 1, estimated", fitted)):
            found.append(Setting("beyond", note, _separate(plan, score, names, "gibbs", config, gains=(0.25, 1.0))))
        for noise in (0.1, 0.3):
            # A residual that is as large as the noise is no reason to start again.
            noisy = replace(gibbs, sigma_min=max(gibbs.sigma_min, noise), accept=1.2 * noise)
            step = _separate(plan, score, names, "gibbs", noisy, noise=noise)
            found.append(Setting("beyond", f"noise of sigma {noise:g} on the sum", step))
    for count in (5, 6, 7, 8):
        gibbs = replace(gibbs_for(plan, count), restarts=plan.slow_gibbs.restarts)
        step = _separate(plan, score, (*SOURCES, *SOURCES)[:count], "gibbs", gibbs)
        found.append(Setting("beyond", f"{count} sources", step))
    return found


def _compute(profile: Profile, plan: BenchmarkPlan) -> list[Setting]:
    score = prior_choices(profile)["score"]
    base = gibbs_for(plan, 4)
    found = []
    for levels in (base.levels // 3, base.levels):
        for restarts in (1, 4):
            config = replace(base, levels=max(1, levels), restarts=restarts)
            step = _separate(plan, score, SOURCES, "gibbs", config)
            found.append(Setting("compute", f"{config.levels} levels", step))
    return found


def _controls(profile: Profile, plan: BenchmarkPlan) -> list[Setting]:
    """What the causal experiment leaves open: is it the swaps or the chains, the prior, its levels or its settings?"""
    choices = prior_choices(profile)
    score, oracle, flow = (choices[name] for name in ("score", "oracle", "flow-exact-tuned"))
    runs: list[tuple[str, PriorChoice, tuple[str, ...], str, Any]] = []
    rungs = replace(score, ladder=profile.noise_levels)
    for names in (*PAIRS, SOURCES):
        alone = replace(gibbs_for(plan, len(names)), swap="none", restarts=4)
        runs.append(("no swaps, up to four chains", score, names, "gibbs", alone))
        slow = replace(gibbs_for(plan, len(names), slow=True), sigma_max=_top(flow.name, profile, plan))
        runs += [(FLOW_SETTINGS, prior, names, "gibbs", slow) for prior in (score, oracle)]
        runs.append((LADDER, rungs, names, "gibbs", slow))
    paper = prior_choices(profile, "paper")["score"]
    runs.append(("no exchanges", paper, SOURCES, "gibbs", gibbs_for(plan, 4)))
    for prior in (score, oracle, flow):
        top = min(plan.long_langevin.sigma_max, _top(prior.name, profile, plan))
        chain = replace(plan.long_langevin, sigma_max=top)
        runs += [(LONG_CHAINS, prior, names, "langevin", chain) for names in PAIRS]
    found = []
    for note, prior, sources, sampler, config in runs:
        share = _pair_share(sources) * (4 if note == LONG_CHAINS else 1)
        step = _separate(
            plan, prior, sources, sampler, config, share=share, batch=ORACLE_BATCH if prior is oracle else 32
        )
        found.append(Setting("controls", note, step))
    return found
