"""Variational separation beside the samplers, on the same mixes of two sources: `separation_amortised.csv`.

Encoders alone, fits from where they point, and fits from the mix, under every prior that there is a question about: the
one they were taught by, the true one, and flows, noise-free and with noise levels, whose gradient the thesis blames.
With each the quality, the seconds a mix, and where posteriors are fitted their bound and intervals under the true
densities, with the evidence that the bound falls short of.
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
from srcsep_core.run.steps import VALUES, prior_step
from srcsep_core.run.steps.catalogue import taught_by
from srcsep_core.run.steps.choices import MethodChoice, SamplerChoice, SeparatorChoice, VariationalChoice
from srcsep_core.run.steps.posteriors import MeasureEvidence, MeasurePosterior
from srcsep_core.run.steps.separation import SeparateMixes

TABLE = "separation_amortised"
FROM_ENCODER = RefineConfig(steps=25, sigma_max=0.15, sigma_min=0.05)
FROM_MIX = RefineConfig(steps=100, sigma_min=0.05)
OF_POSTERIORS = ("elbo", "log_evidence", "covered", "effective")
FLOWS = ("clean", "wide")  # by role: noise-free, and told the level


@dataclass(frozen=True)
class Amounts:
    """Mixes of each pair: with quick separators, with slow ones, and of these how many bounds are measured on."""

    quick: int = 10
    slow: int = 2
    bounds: int = 2


AMOUNTS = {"smoke": Amounts(2, 1, 1), "laptop": Amounts(), "full": Amounts(100, 20, 20)}


@dataclass(frozen=True)
class PairSetting:
    """A separator, and on how many mixes (of `length` samples) of each pair of a world."""

    data: World
    length: int
    mixes: int
    choice: SeparatorChoice

    @property
    def steps(self) -> list[SeparateMixes]:
        """The step of every pair."""
        pairs = subsets(self.data.sources, (2,))
        return [SeparateMixes(self.data, MixConfig(names, self.mixes, self.length), self.choice) for names in pairs]


def pair_settings(profile: Profile, amounts: Amounts | None = None) -> list[PairSetting]:
    """Every setting, variational ones first."""
    amounts = amounts or AMOUNTS[profile.name]
    encoder, priors, plan = prior_step(profile, ENCODER.name), candidates(profile), plan_of(profile)
    by_name = {one.name: one.choice for one in priors}
    found = list[PairSetting]()

    def add(mixes: int, *choices: SeparatorChoice) -> None:
        found.extend(PairSetting(encoder.data, encoder.network.window, mixes, choice) for choice in choices)

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
    few = replace(gibbs, sigma_max=0.3, levels=max(1, gibbs.levels // 3))
    add(amounts.quick, VariationalChoice(main, encoder, chains=few))
    samplers = (("gibbs", few), ("gibbs", gibbs), ("langevin", plan.langevin))
    add(amounts.quick, *(SamplerChoice(main, name, config) for name, config in samplers))
    add(amounts.quick, *(MethodChoice(name) for name in ("nmf", "mix")))
    return found


def amortised_table(
    pipeline: Pipeline, settings: Sequence[PairSetting], *, profile: str, bounds: int, command: str
) -> pd.DataFrame:
    """One row a setting and pair, and after them one of all pairs together.

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
        for sources, pool in [*pools, (PAIRS, parts)]:
            rows.append({**about, "sources": sources, **_summary(pool), **last})
    return pd.DataFrame(rows)


Measured = tuple[pd.DataFrame, pd.DataFrame, float]
"""Of one set of mixes: the values of the separation, those of posteriors (no rows where there are none), seconds."""


def _facts(setting: PairSetting) -> dict[str, Any]:
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
        "n_sources": 2,
    }


def _measured(pipeline: Pipeline, step: SeparateMixes, bounds: int) -> Measured:
    artefact = pipeline.run(step)
    fitted = _posteriors(pipeline, step, min(bounds, step.mixes.mixes))
    return pd.read_csv(artefact / VALUES), fitted, float(artefact.provenance["seconds_per_mix"])


def _posteriors(pipeline: Pipeline, step: SeparateMixes, count: int) -> pd.DataFrame:
    """Bound and intervals of fitted posteriors with the evidence of their mixes; no rows for other separators."""
    choice = step.choice
    if not isinstance(choice, VariationalChoice) or choice.chains is not None:
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
