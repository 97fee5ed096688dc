"""How many of the published numbers have ours beside them, from the table of `comparison.compare`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from srcsep_core.audit.agreement import SETTING
from srcsep_core.audit.comparison import our_model
from srcsep_core.audit.presets import BY_MODEL


def coverage_table(cells: pd.DataFrame, comparison: pd.DataFrame) -> pd.DataFrame:
    """How many of the published numbers have ours beside them, under every protocol that applies.

    One row a document, item, model, world, dataset, protocol and objective. Columns besides these: cells, how many
    numbers were published; applicable, how many of them the protocol can give (`oracle`: those at prior_sigma > 0);
    covered, how many of those have a value of ours; share = covered / applicable (empty if none applies); missing, why
    the others are not there. A protocol that our tables lack has a row with an empty objective and nothing covered.
    """
    keys = ["document", "item", "model", "world"]
    rows = []
    by_dataset = comparison.groupby([*keys, "dataset"], sort=False)
    for (*names, dataset), held in by_dataset:
        part = cells[(cells[keys] == names).all(axis=1)]
        item: dict[str, object] = dict(zip(keys, names, strict=True)) | {"dataset": dataset, "cells": len(part)}
        none = held[held["protocol"] == ""]
        for protocol in _protocols(str(item["model"])):
            applicable = int((part["prior_sigma"] > 0).sum()) if protocol == "oracle" else len(part)
            under = held[held["protocol"] == protocol]
            for objective, chosen in list(under.groupby("objective")) or [("", under)]:
                covered = int((chosen["missing"] == "").sum())
                reasons = _reasons(pd.concat([chosen, none])) or f"our tables lack {protocol} rows"
                rows.append(
                    item
                    | {"protocol": protocol, "objective": objective, "applicable": applicable, "covered": covered}
                    | {"share": covered / applicable if applicable else np.nan}
                    | {"missing": reasons if covered < applicable else ""}
                )
    columns = [*keys, "dataset", *SETTING, "cells", "applicable", "covered", "share", "missing"]
    return pd.DataFrame(rows, columns=columns)


def _protocols(model: str) -> list[str]:
    """The protocols that apply to a published model: those of its presets."""
    return [preset.protocol for preset in BY_MODEL[our_model(model)].values()]


def _reasons(comparison: pd.DataFrame) -> str:
    """The distinct reasons for lacking values, most frequent first."""
    reasons = comparison.loc[comparison["missing"] != "", "missing"]
    return "; ".join(str(reason) for reason in reasons.value_counts().index)
