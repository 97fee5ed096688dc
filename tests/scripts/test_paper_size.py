"""The timing script runs: a training step and an evaluation of the paper-size flow, on a short signal."""

import runpy
from pathlib import Path

import torch

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "paper_size.py"


def test_both_rows_are_measured() -> None:
    measure = runpy.run_path(str(SCRIPT))["measure"]
    rows = measure(1, 64, 1, torch.device("cpu"))
    assert [row["what"] for row in rows] == ["training step", "cross-likelihood"]
    assert all((row["sources"], row["length"], row["repeats"]) == (1, 64, 1) for row in rows)
    assert all(0 < row["min_s"] <= row["median_s"] <= row["max_s"] for row in rows)
