"""The results table of the README, written from the tables that the notebooks write."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from srcsep_core.cache import project_root
from srcsep_core.config import SOURCES
from srcsep_core.errors import InputError
from srcsep_core.published import authors_discrimination

BEGIN = "<!-- results: written by `srcsep readme` from figures/discrimination.csv -->"
END = "<!-- /results -->"
SETTINGS = (("exact", "exact"), ("exact", "released"), ("released", "released"))


def results_table(discrimination: pd.DataFrame) -> str:
    """Markdown: worst-pair AUROC and accuracy of every source, published and ours, with intervals."""
    lines = [
        f"| AUROC (worst pair) / accuracy | {' | '.join(SOURCES)} |",
        "|---|" + "---|" * len(SOURCES),
    ]
    for protocol, objective in SETTINGS:
        rows = discrimination[(discrimination["protocol"] == protocol) & (discrimination["objective"] == objective)]
        cells = [_cell(rows, source) for source in SOURCES]
        lines.append(f"| {protocol} protocol, trained with the {objective} objective | {' | '.join(cells)} |")
    authors = authors_discrimination().set_index("prior")
    cells = [f"{authors['auroc_worst'][s]:.3f} / {authors['argmax_prior_accuracy'][s]:.3f}" for s in SOURCES]
    lines.append(f"| published results (released protocol and objective) | {' | '.join(cells)} |")
    return "\n".join(lines)


def update_readme(readme: Path | None = None, table: Path | None = None) -> str:
    """The README's text with the results table renewed; raises `InputError` if its markers are missing."""
    readme = readme or project_root() / "README.md"
    table = table or project_root() / "figures" / "discrimination.csv"
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        raise InputError(f"{readme} lacks the line {BEGIN!r} or {END!r}; put both back")
    if not table.exists():
        raise InputError(f"{table} does not exist; run `srcsep notebooks 03` first")
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n{results_table(pd.read_csv(table))}\n{END}{after}"


def _cell(rows: pd.DataFrame, source: str) -> str:
    pairs = rows[(rows["prior"] == source) & (rows["source"] != source)].sort_values("auroc")
    worst = pairs.iloc[0]
    own = rows[(rows["prior"] == source) & (rows["source"] == source)].iloc[0]
    parts = [_with_interval(worst, "auroc"), _with_interval(own, "accuracy")]
    return " / ".join(parts)


def _with_interval(row: pd.Series, name: str) -> str:
    """A value with its interval, which is left out where every bootstrap resample agrees."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:.3f}" if low == high else f"{row[name]:.3f} [{low:.3f}, {high:.3f}]"
