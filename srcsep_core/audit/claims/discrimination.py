"""The claims about what noise-free priors tell apart: of toy sources, and of the stems of songs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from srcsep_core.audit.claims.measures import (
    GOOD,
    Claim,
    Number,
    Results,
    discrimination_rows,
    settled,
    verdict,
    worst,
)
from srcsep_core.audit.presets import BY_MODEL, EXACT, FLOW, ORACLE, RELEASED, Preset
from srcsep_core.audit.published import authors
from srcsep_core.audit.tables import papers_own, select

RULE = f"a set discriminates if its worst pair's AUROC and its worst source's accuracy reach {GOOD}"


@dataclass(frozen=True)
class Worst:
    """The worst pair's AUROC and the worst source's accuracy."""

    auroc: Number
    accuracy: Number

    @property
    def good(self) -> bool:
        """Whether the set discriminates."""
        return min(self.auroc.value, self.accuracy.value) >= GOOD

    @property
    def deciding(self) -> tuple[str, Number]:
        """The smaller of the two, and its name."""
        if self.auroc.value < self.accuracy.value:
            return "worst AUROC", self.auroc
        return "worst accuracy", self.accuracy

    def __str__(self) -> str:
        return f"worst AUROC {self.auroc}, worst accuracy {self.accuracy}"


def _worst(rows: pd.DataFrame) -> Worst:
    return Worst(worst(rows, "auroc"), worst(rows, "accuracy"))


def _stored(model: str, world: str = "toy") -> str:
    table = authors("discrimination", model=model, world=world)
    return f"worst AUROC {table['auroc_worst'].min():.3f}, worst accuracy {table['argmax_prior_accuracy'].min():.3f}"


def discriminates(results: Results, of: str, claim: str, cases: Mapping[str, Preset], positive: bool) -> Claim:
    """Whether priors of toy sources tell them apart, or, where the claim is not `positive`, whether they do not."""
    noise = float(results.noise["prior_sigma"][results.noise["prior_sigma"] > 0].min())
    sigmas = {RELEASED: 0.0, EXACT: 0.0, ORACLE: noise}
    found = {
        preset: _worst(discrimination_rows(results, cases[preset], sigma, sigma)) for preset, sigma in sigmas.items()
    }
    text = {p: f"{found[p]}{f' (sigma {sigma:g})' if sigma else ''}" for p, sigma in sigmas.items()}
    held = {p: found[p].good == positive for p in (RELEASED, EXACT)}
    name, number = found[EXACT].deciding
    return settled(
        f"{of}_discriminate",
        claim,
        f"stored: {_stored(cases[RELEASED].model)}",
        [text[p] for p in FLOW],
        verdict(held[RELEASED], held[EXACT]),
        RULE,
        f"{name}, exact",
        number,
    )


def songs_discriminate(discrimination: pd.DataFrame) -> Claim:
    """Whether priors of music tell the classes of stems apart, from the discrimination rows of songs.

    The claim holds under a preset if neither model's priors discriminate on any of the worlds of songs in the table.
    """
    rows = papers_own(discrimination)
    worlds = list(dict.fromkeys(rows["world"]))
    found = {
        preset: {
            (model, world): _worst(select(rows, **presets[preset].facts, world=world))
            for model, presets in BY_MODEL.items()
            for world in worlds
        }
        for preset in (RELEASED, EXACT)
    }
    text = {p: "; ".join(f"{m} on {w}: {one}" for (m, w), one in sets.items()) for p, sets in found.items()}
    held = {p: not any(one.good for one in sets.values()) for p, sets in found.items()}
    missing = "" if "musdb18" in worlds else "; musdb18 itself is not on this machine"
    name, number = found[EXACT]["flowavenet", worlds[0]].deciding
    return settled(
        "musdb18_discriminate",
        "musdb18 priors do not discriminate (paper 3.2)",
        "stored: " + "; ".join(f"{model}: {_stored(model, 'musdb')}" for model in BY_MODEL),
        [text[RELEASED], text[EXACT], ""],
        verdict(held[RELEASED], held[EXACT]),
        f"{RULE} (chance: 0.5 and 0.25); asked on {' and '.join(worlds)}{missing}",
        f"{name}, exact flow on {worlds[0]}",
        number,
    )
