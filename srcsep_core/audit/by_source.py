"""How well each source is told apart: its own prior's worst pair and its accuracy, ours beside the stored ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from srcsep_core.audit.presets import BY_MODEL, EXACT, RELEASED
from srcsep_core.audit.published import authors
from srcsep_core.audit.tables import select
from srcsep_core.data.toy import SOURCES
from srcsep_core.diagnostics.discrimination import worst_by_prior


def told_apart(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row a model, preset (released and exact) and source.

    `tables` are the discrimination rows of each model. Columns: model, preset, source, accuracy, accuracy_low,
    accuracy_high, auroc_worst, auroc_low, auroc_high, against (the other source of the worst pair), n,
    published_accuracy, published_auroc_worst.
    """
    ends = ("", "_low", "_high")
    rows = []
    for model, table in tables.items():
        stored = authors("discrimination", model=model).set_index("prior")
        for preset in (RELEASED, EXACT):
            part = select(table, **BY_MODEL[model][preset].facts)
            worst = worst_by_prior(part).set_index("prior")
            for name in SOURCES:
                own = worst.loc[name]
                row: dict[str, Any] = {"model": model, "preset": preset, "source": name}
                row |= {f"accuracy{end}": own[f"accuracy{end}"] for end in ends}
                row |= {f"auroc{end or '_worst'}": own[f"auroc{end}"] for end in ends}
                row |= {"against": own["against"], "n": select(part, source=name, prior=name)["n"].iloc[0]}
                row |= {"published_accuracy": stored.loc[name, "argmax_prior_accuracy"]}
                rows.append(row | {"published_auroc_worst": stored.loc[name, "auroc_worst"]})
    return pd.DataFrame(rows)
