"""The claims about separation (paper sections 3.2 and 3.3), from the benchmark's rows."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from srcsep_core.audit.claims.measures import FAILS, HOLDS, NO_NUMBER, UNDECIDED, Claim, Number, settled, verdict
from srcsep_core.audit.presets import EXACT, FLOW, RELEASED
from srcsep_core.benchmark.controls import FAULTY, FLOW_SETTINGS, LONG_CHAINS
from srcsep_core.benchmark.results import PAIRS, pairs_of

SEPARATES = 0.5
COLUMN = "all_above_10db"
TUNED = {name: (f"flow-{FLOW[name].objective}-tuned",) for name in (RELEASED, EXACT)}
OWN = {name: (f"flow-{FLOW[name].objective}", *tuned) for name, tuned in TUNED.items()}


def langevin_fails(table: pd.DataFrame) -> Claim:
    """Whether Langevin separation fails with the paper's own flows, and what else it fails with."""
    pairs = _corrected(table)
    pairs = pairs[pairs["sampler"] == "langevin"]
    found = {p: _best(pairs, priors) for p, priors in OWN.items()}
    oracle = _best(pairs, ("oracle",))
    four = table[(table["sampler"] == "langevin") & (table["prior"] == "oracle") & (table["n_sources"] == 4)]
    beyond = _number(four.iloc[0]) if len(four) else NO_NUMBER
    failed = {p: number.value < SEPARATES for p, number in found.items()}
    known = all(number.n for number in found.values())
    return settled(
        "langevin_fails",
        "Langevin separation with these priors fails (paper 3.3)",
        "stated, no number",
        [f"{found['released']} of pairs", f"{found['exact']} of pairs", f"{oracle} of pairs, {beyond} of fours"],
        verdict(failed["released"], failed["exact"]) if known else UNDECIDED,
        f"{_rule(table)}; best of noise-free and fine-tuned flows, constraint corrected (the authors' sampler has "
        "none). Beside it the true density under the same sampler, with two and with four sources",
        "share of pairs separated, exact",
        found["exact"],
    )


def cannot_separate(table: pd.DataFrame) -> Claim:
    """Whether the noise-conditional flows separate under any sampler, above all one that moves between labels."""
    pairs = _corrected(table)
    found = {p: _best(pairs, priors) for p, priors in TUNED.items()}
    oracle = _best(pairs, ("oracle",))
    alike = pairs_of(table)
    alike = alike[(alike["group"] == "controls") & (alike["control"] == FLOW_SETTINGS)]
    controls = [f"{prior} {_best(alike, (prior,))}" for prior in ("denoiser", "oracle") if len(alike)]
    able = any(number.value >= SEPARATES for number in found.values())
    known = all(number.n for number in found.values())
    return settled(
        "cannot_separate",
        "Noise-conditional priors cannot be used for source separation as intended (paper 3.3)",
        "stated, no number",
        [f"{found['released']} of pairs", f"{found['exact']} of pairs", f"{oracle} of pairs"],
        FAILS if able else (HOLDS if known else UNDECIDED),
        f"{_rule(table)}; the best sampler for each"
        + (f". Gibbs set as for them: {', '.join(controls)}" if controls else ""),
        "share of pairs separated, exact",
        found["exact"],
    )


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the pairs that every prior was run on, and of long chains, without the faulty variations."""
    rows = pairs_of(table)
    rows = rows[rows["group"].isin(["causal", "oracle"]) | (rows["control"] == LONG_CHAINS)]
    return rows[~rows["control"].isin(FAULTY)]


def _rule(table: pd.DataFrame) -> str:
    """When a set separates, and on which mixes."""
    found = set(_corrected(table)["sources"])
    single = "".join(found - {PAIRS})
    if PAIRS not in found:
        mixes = f"the {single} mixes"
    elif single:
        mixes = f"the mixes of all pairs ({PAIRS}; {single} alone where they were not pooled)"
    else:
        mixes = f"the mixes of all pairs ({PAIRS})"
    return f"a set separates if both sources are above 10 dB in {SEPARATES:.0%} of {mixes} or more"


def _best(rows: pd.DataFrame, priors: Sequence[str]) -> Number:
    own = rows[rows["prior"].isin(priors)]
    return NO_NUMBER if own.empty else _number(own.sort_values(COLUMN).iloc[-1])


def _number(row: pd.Series) -> Number:
    return Number(float(row[COLUMN]), float(row[f"{COLUMN}_low"]), float(row[f"{COLUMN}_high"]), int(row["n_mixes"]))
