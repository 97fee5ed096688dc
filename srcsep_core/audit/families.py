"""Kinds of prior compared with each other: what each tells apart, how far it falls in noise, what it cost.

They are trained alike on the same signals (`Profile.families`), so that rows differ by what is in a flow, by the space
that its density is of, or by its being no flow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from srcsep_core.audit.claims.measures import Number, mean, worst
from srcsep_core.audit.matrices import matrix
from srcsep_core.audit.tables import by_protocol
from srcsep_core.diagnostics import discriminate, summarise
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import (
    ConstantInput,
    CrossLikelihood,
    Evaluation,
    NoiseCurve,
    RandomInput,
    TrainPriors,
    family_evaluations_of,
)
from srcsep_core.training.loop import new_network

LEFT_OUT = "log_pz"  # of a flow, which is read as the density that it is
PEAK_NOISE = 0.01
SECONDS_PER_HOUR = 3600.0


def family_values(
    pipeline: Pipeline, profile: Profile, kind: type[Evaluation]
) -> Iterator[tuple[TrainPriors, str, pd.DataFrame]]:
    """The priors, the protocol and the single values of every evaluation of one kind, made where it is missing."""
    for step in family_evaluations_of(profile):
        if isinstance(step, kind):
            assert step.subject.trained is not None
            table = pipeline.values(step)
            for protocol, values in by_protocol(table):
                if protocol != LEFT_OUT:
                    yield step.subject.trained, protocol, values


def space_of(prior: TrainPriors) -> str:
    """What the density is of: the waveform (`time`), or what the network's configuration says."""
    return str(getattr(prior.network, "space", "time"))


def family_table(pipeline: Pipeline, profile: Profile) -> pd.DataFrame:
    """One row a kind of prior (`figures/flow_families.csv`).

    Columns: family, space, objective, protocol; n (test signals a source); worst_auroc and worst_ratio_auroc, of the
    pair of sources told apart worst, by the likelihood and by the ratio of two priors'; accuracy, mean over sources;
    each with its interval in _low and _high (bootstrap over signals, 95 %); nats, the median of a source's signals
    under its own prior, mean over sources; peak_fall, by how much less that is for signals in white noise of standard
    deviation 0.01 (both nats/sample, of a spectrum for each of its values); parameters, of all sources; cpu_hours, of
    training (none where nobody kept it).
    """
    falls = _falls(pipeline, profile)
    rows = []
    for prior, protocol, values in family_values(pipeline, profile, CrossLikelihood):
        artefact, plain = pipeline.run(prior), discriminate(values)
        own = summarise(values[values["source"] == values["prior"]])
        row: dict[str, Any] = {"family": prior.model, "space": space_of(prior), "objective": prior.train.objective}
        row |= {"protocol": protocol, "n": int(own["n"].iloc[0])}
        row |= _named("worst_auroc", worst(plain, "auroc"))
        row |= _named("worst_ratio_auroc", worst(discriminate(values, ratio=True), "auroc"))
        row |= _named("accuracy", mean(plain, "accuracy"))
        row |= {"nats": own["median"].mean(), "peak_fall": falls[prior.model], "parameters": _learned(prior)}
        rows.append(row | {"cpu_hours": artefact.provenance.get("cpu_seconds", np.nan) / SECONDS_PER_HOUR})
    return pd.DataFrame(rows)


def family_noise(pipeline: Pipeline, profile: Profile) -> pd.DataFrame:
    """Medians of noised test signals under their own prior: family, space, prior, data_sigma, then `describe`'s."""
    return _summary(pipeline, profile, NoiseCurve, "data_sigma")


def family_inputs(pipeline: Pipeline, profile: Profile) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same of constant inputs by `level`, and of white noise by `input_sigma` (std), under every prior."""
    return (
        _summary(pipeline, profile, ConstantInput, "level"),
        _summary(pipeline, profile, RandomInput, "input_sigma"),
    )


def family_matrices(pipeline: Pipeline, profile: Profile) -> dict[str, pd.DataFrame]:
    """Medians of every source (rows) under every prior (columns), by family."""
    found = family_values(pipeline, profile, CrossLikelihood)
    return {prior.model: matrix(summarise(values)) for prior, _, values in found}


def _summary(pipeline: Pipeline, profile: Profile, kind: type[Evaluation], by: str) -> pd.DataFrame:
    frames = [
        summarise(values, ["prior", by]).assign(family=prior.model, space=space_of(prior))
        for prior, _, values in family_values(pipeline, profile, kind)
    ]
    table = pd.concat(frames, ignore_index=True)
    return table[["family", "space", *(name for name in table if name not in ("family", "space"))]]


def _falls(pipeline: Pipeline, profile: Profile) -> dict[str, float]:
    """By how much the median falls from clean signals to those in noise of `PEAK_NOISE`, mean over sources."""
    noise = family_noise(pipeline, profile).set_index(["family", "prior", "data_sigma"])["median"]
    clean, noisy = (noise.xs(sigma, level="data_sigma") for sigma in (0.0, PEAK_NOISE))
    return {str(family): float(fall) for family, fall in (clean - noisy).groupby(level="family").mean().items()}


def _named(name: str, number: Number) -> dict[str, float]:
    return {name: number.value, f"{name}_low": number.low, f"{name}_high": number.high}


def _learned(prior: TrainPriors) -> int:
    """How many numbers are learned, of all sources together."""
    task = prior.kind.task(prior.network, len(prior.data.sources), prior.train.objective)
    return sum(weights.numel() for weights in new_network(task.build, prior.train.seed).parameters())
