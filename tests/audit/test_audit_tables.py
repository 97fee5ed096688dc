"""Tables that are made of other tables: from the committed ones they give the committed results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from srcsep_core.audit.ablation import ablation_table
from srcsep_core.audit.by_noise import gap_to_oracle, windows_by_source, worst_pairs
from srcsep_core.audit.by_source import told_apart
from srcsep_core.audit.matrices import diagonal_margin
from srcsep_core.audit.tables import noise_free, select
from srcsep_core.paths import project_root
from srcsep_core.report.verify import compare_tables
from srcsep_core.run.profiles import get_profile

LAPTOP = get_profile("laptop")


def committed(name: str) -> pd.DataFrame:
    table = pd.read_csv(project_root() / "figures" / f"{name}.csv")
    return table[table["world"] == "toy"] if "world" in table else table


def by_model() -> pd.DataFrame:
    rows, length = committed("discrimination"), LAPTOP.evaluation.length
    return told_apart({model: noise_free(rows, model, length) for model in ("wavenet", "flowavenet")})


def gaps() -> pd.DataFrame:
    return gap_to_oracle(select(committed("cross_likelihood"), length=LAPTOP.evaluation.length), LAPTOP.noise_levels)


def windows() -> pd.DataFrame:
    rows = select(committed("discrimination"), amplitude="evaluation", length=LAPTOP.plan.noisy.length)
    pairs = worst_pairs({"log p": select(rows, ratio=False), "ratio": select(rows, ratio=True)})
    modes = committed("noise_windows").rename(columns={"prior": "source"}).drop_duplicates(["source", "sigma"])
    return windows_by_source(pairs, modes.dropna(subset="modes"))


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (by_model, "wavenet_discrimination"),
        (gaps, "gap_to_oracle"),
        (windows, "noise_windows_by_source"),
        (lambda: ablation_table(committed("discrimination"), LAPTOP), "ablation"),
    ],
)
def test_committed_tables_give_the_committed_result(made: Callable[[], pd.DataFrame], name: str) -> None:
    assert compare_tables(committed(name), made(), name) == []


def test_setting_without_rows_is_empty() -> None:
    rows = committed("discrimination")
    table = ablation_table(rows[rows["prior_sigma"] == 0], LAPTOP).set_index("setting")
    assert np.isnan(table.loc["sigma 0.359, all exact", "auroc_worst"])
    assert table.loc["both", "worst_pair"] == "triangle under sine"


def test_margin_is_that_of_the_closest_source() -> None:
    assert diagonal_margin(pd.DataFrame([[5.0, 1.0], [3.0, 3.5]])) == 0.5
    assert diagonal_margin(pd.DataFrame([[5.0, 6.0], [3.0, 9.0]])) == -1.0
