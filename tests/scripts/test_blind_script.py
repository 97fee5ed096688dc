"""The script of blind separation: it trains the smallest networks, and writes the three tables."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from script_files import script_module

from srcsep_core.benchmark.blind import blind_settings
from srcsep_core.benchmark.blind_tables import BETAS, SEEDS_TABLE, SWEEP_TABLE, TABLE
from srcsep_core.errors import InputError
from srcsep_core.run.profiles import get_profile


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> Path:
    """An empty folder for figures and tables, beside an empty cache."""
    folder = tmp_path / "figures"
    monkeypatch.setenv("SRCSEP_FIGURES", str(folder))
    return folder


@pytest.mark.slow
def test_three_tables_come_out(figures: Path) -> None:
    run = ["-p", "smoke", "--train"]
    result = CliRunner().invoke(script_module("blind").main, run, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    written = [figures / "smoke" / f"{name}.csv" for name in (TABLE, SEEDS_TABLE, SWEEP_TABLE)]
    assert all(path.exists() and str(path) in result.output for path in written)
    table, seeds, sweep = (pd.read_csv(path) for path in written)
    settings = {(s.variant, s.method, s.sources, s.slots) for s in blind_settings(get_profile("smoke"))}
    chosen = {(world, "vaem-chosen", *count) for world, method, *count in settings if method == "vaem"}
    rows = set(table[["world", "method", "sources", "slots"]].itertuples(index=False, name=None))
    assert settings < rows and rows - settings == {row for row in chosen if row[2] == row[3]}
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert set(table["command"]) == {"python scripts/blind.py -p smoke"}
    assert len(seeds) == table["n_seeds"].sum() and sweep["beta"].tolist() == list(BETAS)
    again = CliRunner().invoke(script_module("blind").main, run[:2], catch_exceptions=False)
    assert again.exit_code == 0, "what is cached is not trained again"
    pd.testing.assert_frame_equal(pd.read_csv(written[0]), table, check_exact=True)


def test_networks_are_not_trained_unasked(figures: Path) -> None:
    result = CliRunner().invoke(script_module("blind").main, ["-p", "smoke"])
    assert isinstance(result.exception, InputError) and "train" in str(result.exception)
    assert not figures.exists() or not list(figures.rglob("*.csv"))


def test_unknown_profile_is_refused(figures: Path) -> None:
    result = CliRunner().invoke(script_module("blind").main, ["-p", "palmtop", "--train"])
    assert isinstance(result.exception, InputError) and "palmtop" in str(result.exception)
