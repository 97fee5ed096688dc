"""What a row of the ledger is, and the numbers that its claims are decided by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from srcsep_core.audit.presets import Preset
from srcsep_core.audit.tables import papers_own, select
from srcsep_core.data.toy import SOURCES

HOLDS, AS_RELEASED = "holds", "holds only as released"
FAILS, UNDECIDED = "does not hold", "undecided at this scale"
VERDICTS = (HOLDS, AS_RELEASED, FAILS, UNDECIDED)
GOOD = 0.9  # the AUROC and the accuracy from which a set of priors discriminates
COMMAND = "srcsep notebooks 11"


@dataclass(frozen=True)
class Claim:
    """One row of the ledger; `low` and `high` bound (95 %) the number that decides, `n` is how many signals it has.

    Tables and pages know it by its `id`.
    """

    id: str
    claim: str
    printed: str
    released: str
    exact: str
    oracle: str
    verdict: str
    why: str
    number: str = ""
    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    n: int = 0
    command: str = COMMAND


@dataclass(frozen=True)
class Number:
    """A measured number with its interval and how many signals it rests on."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "-"
        text = short(self.value)
        return text if self.low == self.high else f"{text} [{short(self.low)}, {short(self.high)}]"


@dataclass(frozen=True)
class Results:
    """The tables that the ledger reads: likelihood, discrimination, noise curve, constant and random inputs."""

    likelihood: pd.DataFrame
    discrimination: pd.DataFrame
    noise: pd.DataFrame
    constant: pd.DataFrame
    random: pd.DataFrame


NO_NUMBER = Number(np.nan, np.nan, np.nan, 0)


def settled(
    id: str,
    claim: str,
    printed: str,
    texts: Sequence[str],
    found: str,
    why: str,
    name: str = "",
    number: Number = NO_NUMBER,
) -> Claim:
    """A row of the ledger; `texts` are what released, exact and oracle say, `number` is the one that decides."""
    released, exact, oracle = texts
    low, high = number.low, number.high
    return Claim(id, claim, printed, released, exact, oracle, found, why, name, number.value, low, high, number.n)


def worst(table: pd.DataFrame, column: str) -> Number:
    """The smallest value of `auroc` or `accuracy` in discrimination rows, with that cell's interval."""
    rows = table.dropna(subset=column)
    if rows.empty:
        return NO_NUMBER
    row = rows.sort_values(column).iloc[0].to_dict()
    return Number(float(row[column]), float(row[f"{column}_low"]), float(row[f"{column}_high"]), int(row["n"]))


def mean(table: pd.DataFrame, column: str) -> Number:
    """The mean of `auroc` or `accuracy` over cells; its interval takes the cells' errors as independent."""
    rows = table.dropna(subset=column)
    if rows.empty:
        return NO_NUMBER
    centre = float(rows[column].mean())
    below = float(np.sqrt(((rows[column] - rows[f"{column}_low"]) ** 2).sum())) / len(rows)
    above = float(np.sqrt(((rows[f"{column}_high"] - rows[column]) ** 2).sum())) / len(rows)
    return Number(centre, centre - below, min(1.0, centre + above), int(rows["n"].min()))


def discrimination_rows(results: Results, case: Preset, sigma: float, data_sigma: float) -> pd.DataFrame:
    """Discrimination rows of one of the paper's own sets, at the shortest length."""
    facts = case.facts | case.training(sigma) | {"prior_sigma": sigma, "data_sigma": data_sigma}
    rows = select(results.discrimination, **facts, amplitude="evaluation", ratio=False)
    return rows[rows["length"] == rows["length"].min()]


def own_rows(table: pd.DataFrame, case: Preset, **facts: Any) -> pd.DataFrame:
    """The rows of a case among `papers_own`, each prior at its shortest length, which is the authors'."""
    rows = papers_own(select(table, **case.facts, **facts))
    return rows[rows["length"] == rows.groupby("prior_sigma")["length"].transform("min")]


def least_fall(results: Results, case: Preset, sigma: float, start: float, stop: float) -> Number:
    """By how much the median falls from data noise `start` to `stop`: the source where it falls least."""
    rows = own_rows(results.noise, case, prior_sigma=sigma)
    first, last = (select(rows, data_sigma=noise).set_index("prior") for noise in (start, stop))
    if first.empty or last.empty:
        return NO_NUMBER
    both = first.join(last.add_suffix("_last")).assign(fall=first["median"] - last["median"])
    row = both.sort_values("fall").iloc[0].to_dict()
    low, high = row["median_low"] - row["median_high_last"], row["median_high"] - row["median_low_last"]
    return Number(row["fall"], low, high, int(row["n"]))


def margins(results: Results, case: Preset, sigma: float, table: pd.DataFrame, **level: float) -> pd.DataFrame:
    """Value of an input minus the 5 % quantile of the class' own clean signals, by prior, with an interval."""
    inputs = own_rows(table, case, prior_sigma=sigma, **level).set_index("prior")
    own = own_rows(results.likelihood, case, prior_sigma=sigma)
    own = own[own["source"] == own["prior"]].set_index("prior")
    both = inputs[["median", "median_low", "median_high", "n"]].join(own[["q05"]], how="inner")
    columns = {"median": "value", "median_low": "low", "median_high": "high"}
    return (
        both[list(columns)].sub(both["q05"], axis=0).rename(columns=columns).assign(n=both["n"]).reindex(list(SOURCES))
    )


def by_source(margins: pd.DataFrame) -> str:
    """The margins of every source in words."""
    return (
        ", ".join(f"{name} {short(row['value'])}" for name, row in margins.iterrows() if np.isfinite(row["value"]))
        or "-"
    )


def margin(margins: pd.DataFrame, source: str) -> Number:
    """One source's margin."""
    row = margins.loc[source].to_dict()
    return Number(row["value"], row["low"], row["high"], 0 if np.isnan(row["n"]) else int(row["n"]))


def verdict(released: bool, exact: bool) -> str:
    """Whether a claim holds, from whether it does under the released and under the exact protocol."""
    if exact:
        return HOLDS
    return AS_RELEASED if released else FAILS


def short(value: float) -> str:
    """Three significant digits, or a power of ten."""
    if not np.isfinite(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.1e}"
