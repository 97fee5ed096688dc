"""Constant and random inputs beside the printed ones and beside the class' own signals, by preset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from srcsep_core.audit.claims.measures import own_rows
from srcsep_core.audit.presets import FLOW
from srcsep_core.audit.published import printed_inputs
from srcsep_core.audit.tables import select
from srcsep_core.data.toy import SOURCES

NEAR = 1e-3


def input_cases(table: pd.DataFrame, stored: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The `stored` values (a column `value`) and ours by each preset, all with a column `median`."""
    ours = {name: own_rows(table, case) for name, case in FLOW.items()}
    return {"published": stored.rename(columns={"value": "median"})} | ours


def plotted(cases: Mapping[str, pd.DataFrame], column: str, sigmas: Sequence[float]) -> pd.DataFrame:
    """What a figure of `input_cases` shows: prior, `column` (the input's), median, prior_sigma (of `sigmas`), case."""
    tables = [table[["prior", column, "median", "prior_sigma"]].assign(case=name) for name, table in cases.items()]
    shown = pd.concat(tables, ignore_index=True)
    return shown[shown["prior_sigma"].isin(sigmas)]


def printed_beside_ours(constant: pd.DataFrame, random: pd.DataFrame) -> pd.DataFrame:
    """Paper Table 1 and thesis Table 2 beside our medians: document, input, prior_sigma, prior, preset, ... ."""
    rows: list[dict[str, Any]] = []
    for document in ("paper", "thesis"):
        for printed in printed_inputs(document).to_dict("records"):
            noise = printed["input_sigma"] > 0
            table, column = (random, "input_sigma") if noise else (constant, "level")
            value = printed["input_sigma"] if noise else float(str(printed["input"]).split()[-1])
            for preset in FLOW:
                part = select(own_rows(table, FLOW[preset]), prior_sigma=printed["prior_sigma"])
                found = part[(part[column] - value).abs() < NEAR].set_index("prior")
                for source in SOURCES:
                    about = {name: printed[name] for name in ("input", "prior_sigma")}
                    ours = {"ours": found["median"].get(source, float("nan")), "n": found["n"].get(source, 0)}
                    which = {"prior": source, "preset": preset, "printed": printed[source]}
                    rows.append({"document": document} | about | which | ours)
    return pd.DataFrame(rows)


def input_margins(constant: pd.DataFrame, random: pd.DataFrame, likelihood: pd.DataFrame) -> pd.DataFrame:
    """Median of zero, one and noise of 0.5 less the 5 % quantile of the class' own clean signals, by prior."""
    inputs = (("zero", constant, "level", 0.0), ("one", constant, "level", 1.0))
    parts = []
    for preset in FLOW:
        own = own_rows(likelihood[likelihood["source"] == likelihood["prior"]], FLOW[preset])
        for label, table, column, value in (*inputs, ("N(0, 0.5)", random, "input_sigma", 0.5)):
            part = own_rows(table, FLOW[preset])
            part = part[(part[column] - value).abs() < NEAR]
            both = part.merge(
                own[["prior", "prior_sigma", "q05"]], on=["prior", "prior_sigma"], suffixes=("", "_class")
            )
            both = both.assign(preset=preset, input=label, margin=both["median"] - both["q05_class"])
            parts.append(both[["preset", "input", "prior", "prior_sigma", "margin", "n"]])
    return pd.concat(parts, ignore_index=True)
