"""Variational separation beside the samplers, on the same mixes: `separation_amortised.csv`.

Mixes of two: encoders alone, fits from where they point, and fits from the mix, under every prior that there is a
question about: the one they were taught by, the true one, and flows, noise-free and with noise levels, whose gradient
the thesis blames. With each the quality, the seconds a mix, and where posteriors are fitted their bound and intervals
under the true densities, with the evidence that the bound falls short of. Mixes of all classes: what an encoder of as
many saves Gibbs chains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from srcsep_core.benchmark.candidates import candidates
from srcsep_core.benchmark.field import subsets
from srcsep_core.benchmark.plans import plan_of
from srcsep_core.benchmark.results import PAIRS, pooled_values, summarise_separation
from srcsep_core.benchmark.settings import gibbs_for
from srcsep_core.data.base import World
from srcsep_core.data.mixes import MixConfig
from srcsep_core.paths import measured_table
from srcsep_core.posteriors.variational import RefineConfig
from srcsep_core.priors.encoder import ENCODER
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import VALUES, TrainPriors, prior_step
from srcsep_core.run.steps.catalogue import taught_by
from srcsep_core.run.steps.choices import MethodChoice, SamplerChoice, SeparatorChoice, VariationalChoice
from srcsep_core.run.steps.posteriors import MeasureEvidence, MeasurePosterior
from srcsep_core.run.steps.separation import SeparateMixes
from srcsep_core.samplers import GibbsConfig

TABLE = "separation_amortised"
FROM_ENCODER = RefineConfig(steps=25, sigma_max=0.15, sigma_min=0.05)
FROM_MIX = RefineConfig(steps=100, sigma_min=0.05)
OF_POSTERIORS = ("elbo", "log_evidence", "covered", "effective")
FLOWS = ("clean", "wide")  # by role: noise-free, and told the level


@dataclass(frozen=True)
class Amounts:
    """Mixes of each pair: with quick separators, with slow ones, and of these how many bounds are measured on.

    `whole`: mixes of all classes.
    """

    quick: int = 10
    slow: int = 2
    bounds: int = 2
    whole: int = 40


AMOUNTS = {"smoke": Amounts(2, 1, 1, 1), "laptop": Amounts(), "full": Amounts(100, 20, 20, 100)}


@dataclass(frozen=True)
class MixSetting:
    """A separator, and on how many mixes (of `length` samples) of every set of `count` of a world's classes."""

    data: World
    length: int
    mixes: int
    choice: SeparatorChoice
    count: int = 2

    @property
    def steps(self) -> list[SeparateMixes]:
        """The step of every set."""
        sets = subsets(self.data.sources, (self.count,))
        return [SeparateMixes(self.data, MixConfig(names, self.mixes, self.length), self.choice) for names in sets]


def encoder_step(profile: Profile, count: int) -> TrainPriors:
    """The encoder of mixes of so many sources, trained as that of the profile is."""
    usual = prior_step(profile, ENCODER.name)
    if count in usual.network.counts:
        return usual
    return replace(usual, label=f"{usual.label}-of{count}", network=replace(usual.network, counts=(count,)))


def _few_levels(gibbs: GibbsConfig) -> GibbsConfig:
    """Chains that need not find what a start has: a third of the levels, from 0.3."""
    return replace(gibbs, sigma_max=0.3, levels=max(1, gibbs.levels // 3))


def whole_settings(profile: Profile, amounts: Amounts | None = None) -> list[MixSetting]:
    """Gibbs chains for mixes of all classes, from an encoder's draws and from none."""
    amounts, plan = amounts or AMOUNTS[profile.name], plan_of(profile)
    teacher = profile.plan_of(ENCODER.name).teachers[0]
    prior = next(one.choice for one in candidates(profile) if one.name == teacher)
    count = len(prior_step(profile, ENCODER.name).data.sources)
    encoder, gibbs = encoder_step(profile, count), gibbs_for(plan, count)
    few = _few_levels(gibbs)
    choices = (
        *(VariationalChoice(prior, encoder, reorder=reorder) for reorder in (False, True)),
        *(VariationalChoice(prior, encoder, reorder=reorder, chains=few) for reorder in (False, True)),
        *(SamplerChoice(prior, "gibbs", config) for config in (few, gibbs)),
        MethodChoice("mix"),
    )
    return [MixSetting(encoder.data, encoder.network.window, amounts.whole, choice, count) for choice in choices]


def pair_settings(profile: Profile, amounts: Amounts | None = None) -> list[MixSetting]:
    """Every setting for mixes of two, variational ones first."""
    amounts = amounts or AMOUNTS[profile.name]
    encoder, priors, plan = encoder_step(profile, 2), candidates(profile), plan_of(profile)
    by_name = {one.name: one.choice for one in priors}
    found = list[MixSetting]()

    def add(mixes: int, *choices: SeparatorChoice) -> None:
        found.extend(MixSetting(encoder.data, encoder.network.window, mixes, choice) for choice in choices)

    for name in profile.plan_of(ENCODER.name).teachers:
        prior, trained = by_name[name], taught_by(encoder, profile, name)
        add(amounts.quick, VariationalChoice(prior, trained))
        add(
            amounts.quick if prior.trained else amounts.slow,
            VariationalChoice(prior, trained, reorder=True),
            VariationalChoice(prior, trained, FROM_ENCODER, reorder=True),
            VariationalChoice(prior, None, FROM_MIX),
        )
    for role in FLOWS:
        flow = next(one for one in priors if one.role == role and one.likely).choice
        add(
            amounts.slow,
            VariationalChoice(flow, encoder, FROM_ENCODER, reorder=True),
            VariationalChoice(flow, None, FROM_MIX),
        )
    main, gibbs = by_name[profile.plan_of(ENCODER.name).teachers[0]], gibbs_for(plan, 2)
    few = _few_levels(gibbs)
    add(amounts.quick, VariationalChoice(main, encoder, chains=few))
    samplers = (("gibbs", few), ("gibbs", gibbs), ("langevin", plan.langevin))
    add(amounts.quick, *(SamplerChoice(main, name, config) for name, config in samplers))
    add(amounts.quick, *(MethodChoice(name) for name in ("nmf", "mix")))
    return found


def amortised_table(
    pipeline: Pipeline, settings: Sequence[MixSetting], *, profile: str, bounds: int, command: str
) -> pd.DataFrame:
    """One row a setting and set of classes, and after those of pairs one of all pairs together.

    SI-SDRi (dB) with its interval over mixes, above_10db, the share of sources above 10 dB, and chains_run
    (`summarise_separation`); swapped: the share of sources that are closer to the other one; refinement: steps of the
    fit; levels: noise levels of the sampler; elbo and log_evidence (nats/sample of the mix), covered (share of true
    values in 90 % intervals) and effective (draws for the evidence) of the first `bounds` mixes a pair.
    """
    rows = []
    for setting in settings:
        about = {"profile": profile, **_facts(setting)}
        last = {"supervision": setting.choice.supervision, "command": command}
        parts = [_measured(pipeline, step, bounds) for step in setting.steps]
        pools = [("+".join(step.mixes.sources), [part]) for step, part in zip(setting.steps, parts, strict=True)]
        for sources, pool in [*pools, *([(PAIRS, parts)] if setting.count == 2 else [])]:
            rows.append({**about, "sources": sources, **_summary(pool), **last})
    return pd.DataFrame(rows)


Measured = tuple[pd.DataFrame, pd.DataFrame, float]
"""Of one set of mixes: the values of the separation, those of posteriors (no rows where there are none), seconds."""


def _facts(setting: MixSetting) -> dict[str, Any]:
    choice, fit = setting.choice, getattr(setting.choice, "fit", None)
    chains = getattr(choice, "chains", None) or getattr(choice, "sampler_config", None)
    prior, separator = choice.labels
    plain = separator == "none"
    return {
        "world": setting.data.name,
        "variant": setting.data.variant,
        "prior": "" if plain else prior,
        "separator": prior if plain else separator,
        "refinement": fit.steps if fit is not None else 0,
        "levels": chains.levels if chains is not None else 0,
        "n_sources": setting.count,
    }


def _measured(pipeline: Pipeline, step: SeparateMixes, bounds: int) -> Measured:
    artefact = pipeline.run(step)
    fitted = _posteriors(pipeline, step, min(bounds, step.mixes.mixes))
    return pd.read_csv(artefact / VALUES), fitted, float(artefact.provenance["seconds_per_mix"])


def _posteriors(pipeline: Pipeline, step: SeparateMixes, count: int) -> pd.DataFrame:
    """Bound, intervals and evidence of fitted posteriors of mixes of two; no rows for other separators and mixes."""
    choice = step.choice
    if not isinstance(choice, VariationalChoice) or choice.chains is not None or len(step.mixes.sources) != 2:
        return pd.DataFrame(columns=list(OF_POSTERIORS))
    mixes = MixConfig(step.mixes.sources, count, step.mixes.length)
    fitted = pd.read_csv(pipeline.run(MeasurePosterior(step.data, mixes, choice)) / VALUES)
    evidence = pd.read_csv(pipeline.run(MeasureEvidence(step.data, mixes, choice.level)) / VALUES)
    return fitted.merge(evidence, on="mix")


def _summary(pool: Sequence[Measured]) -> dict[str, Any]:
    values = pooled_values([table for table, _, _ in pool])
    fitted = pd.concat([table for _, table, _ in pool])
    measured = summarise_separation(values)
    return {
        "n_mixes": values["mix"].nunique(),
        **{name: measured[name] for name in ("si_sdri_mean", "low", "high", "above_10db", "chains_run")},
        "swapped": measured["fail_swap"],
        "seconds_per_mix": float(np.mean([seconds for _, _, seconds in pool])),
        **{name: float(fitted[name].mean()) for name in OF_POSTERIORS},
    }


def amortised_results() -> pd.DataFrame:
    """The table, `separation_amortised.csv` of `measured_table`."""
    return pd.read_csv(measured_table(TABLE)).fillna({"prior": ""})
