"""Priors of songs: on which songs they are asked, in which ways, and how far each tells the classes apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from srcsep_core.audit.claims.measures import Number, mean, worst
from srcsep_core.data.base import world_of
from srcsep_core.data.musdb18 import CUTS, store_of
from srcsep_core.diagnostics import discriminate
from srcsep_core.priors.denoiser import DENOISER
from srcsep_core.priors.flowavenet import FLOWAVENET
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import background_step, prior_step, priors_of
from srcsep_core.run.steps.scorings import ScoreClasses

RENDERED, EXCERPT = "songs_8k", "excerpt_8k"
SIGMAS = (0.01, 0.035, 0.1, 0.3)
SCORED = 8192  # samples: a frame of musdb18 at 8 kHz


def asked_variants(pipeline: Pipeline, profile: Profile) -> list[str]:
    """Rendered songs, the excerpt, and those variants of musdb18 that are decoded here and have priors here."""
    decoded = [variant for variant in CUTS if store_of(variant).complete]
    there = [
        variant
        for variant in decoded
        if all(pipeline.store.find(step.name, step.key) for step in priors_of(profile, variant) if step.kind.density)
    ]
    return [RENDERED, EXCERPT, *there]


def scoring_step(profile: Profile, variant: str) -> ScoreClasses:
    """The step that scores test signals of a variant: as many as noisy ones are measured, of a second."""
    denoiser = prior_step(profile, DENOISER.name, variant=variant)
    return ScoreClasses(
        density=prior_step(profile, FLOWAVENET.name, variant=variant),
        background=background_step(profile, FLOWAVENET.name, variant),
        denoiser=denoiser,
        data=world_of(variant),
        evaluation=replace(profile.plan.noisy, length=min(denoiser.network.window, SCORED)),
        sigmas=SIGMAS,
    )


def scorings_summary(values: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How well each scoring tells classes apart, one row a variant and scoring.

    `values` are those of `scoring_step` by variant. Columns: world, variant, scoring, n (signals a class), and for
    auroc, ratio_auroc (of the difference between two priors' scores) and accuracy the mean over pairs or classes and
    the worst (`_worst`), each with `_low` and `_high`.
    """
    rows = []
    for variant, table in values.items():
        for scoring, part in table.groupby("scoring", sort=False):
            plain, ratio = (discriminate(part, ratio=ratio) for ratio in (False, True))
            row: dict[str, Any] = {"world": world_of(variant).name, "variant": variant, "scoring": scoring}
            row["n"] = int(part["signal"].nunique())
            measured = {"auroc": (plain, "auroc"), "ratio_auroc": (ratio, "auroc"), "accuracy": (plain, "accuracy")}
            for name, (found, column) in measured.items():
                row |= _columns(name, mean(found, column)) | _columns(f"{name}_worst", worst(found, column))
            rows.append(row)
    return pd.DataFrame(rows)


def _columns(name: str, number: Number) -> dict[str, float]:
    return {name: number.value, f"{name}_low": number.low, f"{name}_high": number.high}
