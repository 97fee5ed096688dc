"""The claim about priors of music, by what priors of songs tell apart."""

from __future__ import annotations

import pandas as pd

from srcsep_core.audit.claims.measures import GOOD, Claim, Number, settled, verdict, worst
from srcsep_core.audit.presets import BY_MODEL, EXACT, RELEASED
from srcsep_core.audit.published import authors
from srcsep_core.audit.tables import papers_own, select


def songs_discriminate(discrimination: pd.DataFrame) -> Claim:
    """Whether priors of music tell the classes of stems apart, from the discrimination rows of songs.

    The claim holds under a preset if neither model's priors discriminate on any of the worlds of songs in the table.
    """
    rows = papers_own(discrimination)
    worlds = [world for world in dict.fromkeys(rows["world"]) if world != "toy"]
    texts, apart = {}, {}
    for preset in (RELEASED, EXACT):
        found = {
            f"{model} on {world}": _found(select(rows, **presets[preset].facts, world=world))
            for model, presets in BY_MODEL.items()
            for world in worlds
        }
        texts[preset] = "; ".join(f"{name}: worst AUROC {a}, worst accuracy {b}" for name, (a, b) in found.items())
        apart[preset] = any(min(a.value, b.value) >= GOOD for a, b in found.values())
    stored = {model: authors("discrimination", model=model, world="musdb") for model in BY_MODEL}
    printed = "; ".join(
        f"{model}: worst AUROC {table['auroc_worst'].min():.3f}, "
        f"worst accuracy {table['argmax_prior_accuracy'].min():.3f}"
        for model, table in stored.items()
    )
    flow = select(rows, **BY_MODEL["flowavenet"][EXACT].facts, world=worlds[0])
    missing = "" if "musdb18" in worlds else "; musdb18 itself is not on this machine"
    return settled(
        "musdb18_discriminate",
        "musdb18 priors do not discriminate (paper 3.2)",
        f"stored: {printed}",
        [texts[RELEASED], texts[EXACT], ""],
        verdict(not apart[RELEASED], not apart[EXACT]),
        f"a set discriminates if its worst pair's AUROC and its worst source's accuracy reach {GOOD} (chance: 0.5 and "
        f"0.25); asked on {' and '.join(worlds)}{missing}",
        f"worst accuracy, exact flow on {worlds[0]}",
        worst(flow, "accuracy"),
    )


def _found(rows: pd.DataFrame) -> tuple[Number, Number]:
    return worst(rows, "auroc"), worst(rows, "accuracy")
