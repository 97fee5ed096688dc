"""The tables of results over every set of priors: what the notebooks show and `figures/*.csv` hold.

A row says which priors it is about (protocol, objective, model, training, prior_sigma), on which signals
(data_sigma, amplitude, length), and then what was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from srcsep_core.diagnostics import discriminate, protocol_values, protocols_of, summarise
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import (
    ConstantInput,
    CrossLikelihood,
    Evaluation,
    NoiseCurve,
    RandomInput,
    evaluations_of,
    subjects_of,
)
from srcsep_core.training.config import own_noise

FACTS = ["protocol", "objective", "model", "training", "initial", "noise", "world", "variant", "prior_sigma"]
SIGNALS = ["data_sigma", "amplitude", "length"]


def measurements(
    pipeline: Pipeline, profile: Profile, kind: type[Evaluation], *variants: str
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Every evaluation of one kind that the profile asks for, made where it is missing, under each protocol.

    The facts that belong in every row, and the single values. Of these variants; without any, of the default world's.
    """
    for subject in (subject for variant in variants or ("",) for subject in subjects_of(profile, variant)):
        for step in evaluations_of(profile, subject):
            if not isinstance(step, kind):
                continue
            table = pipeline.values(step)
            for protocol, values in by_protocol(table):
                yield {"protocol": protocol, **subject.facts, **_signals(step)}, values


def by_protocol(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The values of an evaluation's table under each protocol that it has, which it is in one of two forms."""
    if "protocol" in table:
        for protocol, values in table.groupby("protocol", sort=False):
            yield str(protocol), values
        return
    for protocol in protocols_of(table):
        yield protocol, protocol_values(table, protocol)


def cross_likelihood_tables(pipeline: Pipeline, profile: Profile, *variants: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Likelihood of every source under every prior, and discrimination: AUROC, ratio AUROC and accuracy.

    The second table has both kinds of AUROC, told apart by its column `ratio` (False: the log-likelihood itself;
    True: log p(prior) - log p(source), in which the pitch cancels).
    """
    discrimination = [
        discriminate(values, ratio=ratio).assign(**facts, ratio=ratio)
        for facts, values in measurements(pipeline, profile, CrossLikelihood, *variants)
        for ratio in (False, True)
    ]
    return likelihood_summary(pipeline, profile, *variants), _ordered(discrimination, [*FACTS, *SIGNALS, "ratio"])


def likelihood_summary(pipeline: Pipeline, profile: Profile, *variants: str) -> pd.DataFrame:
    """Likelihood of every source under every prior: the first of the `cross_likelihood_tables`."""
    return _summary(pipeline, profile, CrossLikelihood, ["source", "prior"], SIGNALS, *variants)


def noise_curve_table(pipeline: Pipeline, profile: Profile, *variants: str) -> pd.DataFrame:
    """Likelihood of noised test signals under their own source's prior, by noise level of data and prior."""
    return _summary(pipeline, profile, NoiseCurve, ["prior", "data_sigma"], ["length"], *variants)


def input_tables(pipeline: Pipeline, profile: Profile, *variants: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Likelihood of constant inputs by level, and of Gaussian noise by standard deviation, under every prior."""
    constant = _summary(pipeline, profile, ConstantInput, ["prior", "level"], ["length"], *variants)
    return constant, _summary(pipeline, profile, RandomInput, ["prior", "input_sigma"], ["length"], *variants)


def _summary(
    pipeline: Pipeline, profile: Profile, kind: type[Evaluation], by: list[str], about: list[str], *variants: str
) -> pd.DataFrame:
    """The values of every evaluation of a kind, summarised `by` columns; its facts and `about` come first."""
    found = measurements(pipeline, profile, kind, *variants)
    return _ordered([summarise(values, by).assign(**facts) for facts, values in found], [*FACTS, *about])


def _signals(step: Evaluation) -> dict[str, Any]:
    """Of the signals that a step evaluates, what belongs in every row."""
    if isinstance(step, CrossLikelihood):
        config = step.evaluation
        return {"data_sigma": config.data_sigma, "amplitude": config.amplitude, "length": config.length}
    if isinstance(step, NoiseCurve):
        return {"length": step.evaluation.length}
    assert isinstance(step, ConstantInput | RandomInput)
    return {"length": step.length}


def papers_own(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that answer to the paper's: its own sets of priors and the oracle, as the authors' evaluation has it.

    Noise-free or fine-tuned with the objective's own noise; amplitude 1.0; for cross-likelihood and discrimination
    clean signals, and likelihoods that are not ratios.
    """
    training, noise = _text(table["training"]), _text(table["noise"])
    own = _text(table["objective"]).map(lambda objective: own_noise(objective) if objective else "")
    chosen = training.isin(["", "noise-free"]) | ((training == "fine-tuned") & (noise == own))
    for column, wanted in (("amplitude", "evaluation"), ("ratio", False)):
        if column in table:
            chosen &= table[column] == wanted
    if "data_sigma" in table and "source" in table:
        chosen &= table["data_sigma"] == 0
    return table[chosen].reset_index(drop=True)


def noise_free(table: pd.DataFrame, model: str, length: int) -> pd.DataFrame:
    """The rows of one model's noise-free priors (`papers_own`), on signals of `length` samples."""
    own = papers_own(table)
    return own[(own["model"] == model) & (own["prior_sigma"] == 0) & (own["length"] == length)]


def _ordered(frames: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    table = pd.concat(frames, ignore_index=True)
    return table[keys + [column for column in table if column not in keys]]


def select(table: pd.DataFrame, **facts: Any) -> pd.DataFrame:
    """The rows whose columns have the given values; numbers agree to 1e-9, and an empty text meets a missing one."""
    chosen = pd.Series(True, index=table.index)
    for column, wanted in facts.items():
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            chosen &= _text(table[column]) == wanted
        else:
            chosen &= (table[column] - wanted).abs() < 1e-9
    return table[chosen]


def _text(column: pd.Series) -> pd.Series:
    """The column with an empty text where it has no value; read from a file, one of nothing else is of floats."""
    return column.astype(object).fillna("")
