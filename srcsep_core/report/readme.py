"""The claims table of the README, written from the ledger that notebook 11 writes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from srcsep_core.errors import InputError
from srcsep_core.paths import project_root

BEGIN = "<!-- claims: written by `srcsep readme` from figures/claims.csv -->"
END = "<!-- /claims -->"


def claims_table(claims: pd.DataFrame) -> str:
    """Markdown: every claim with what was printed, the number that decides, and the verdict."""
    lines = ["| claim | printed | measured | verdict |", "|---|---|---|---|"]
    for row in claims.fillna({"number": "", "printed": ""}).to_dict("records"):
        verdict = str(row["verdict"])
        lines.append(f"| {row['claim']} | {row['printed']} | {_measured(row)} | **{verdict}** |")
    return "\n".join(lines)


def update_readme(readme: Path | None = None, table: Path | None = None) -> str:
    """The README's text with the claims table renewed; raises `InputError` if its markers are missing."""
    readme = readme or project_root() / "README.md"
    table = table or project_root() / "figures" / "claims.csv"
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        raise InputError(f"{readme} lacks the line {BEGIN!r} or {END!r}; put both back")
    if not table.exists():
        raise InputError(f"{table} does not exist; run `srcsep notebooks 11` first")
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n{claims_table(pd.read_csv(table))}\n{END}{after}"


def _measured(row: Mapping[Hashable, Any]) -> str:
    """The deciding number with its interval, which is left out where it has no width."""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    if not np.isfinite(value):
        return str(row["why"])
    spread = "" if low == high else f" [{low:.3g}, {high:.3g}]"
    return f"{row['number']}: {value:.3g}{spread}, n = {row['n']}"
