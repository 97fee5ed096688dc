"""The script of variational separation: what it measures anew, and what it leaves."""

from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from click.testing import CliRunner
from script_files import script_module

from srcsep_core.benchmark.amortised import MixSetting
from srcsep_core.data.toy import ToyWorld
from srcsep_core.run.steps.choices import MethodChoice


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    return script_module("amortised")


def test_rows_of_other_mixes_stay(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path))
    monkeypatch.setenv("SRCSEP_CACHE", str(tmp_path / "cache"))
    small = {
        name: lambda profile, count=count: [MixSetting(ToyWorld(), 256, 1, MethodChoice("mix"), count)]
        for name, count in (("pairs", 2), ("whole", 4))
    }
    monkeypatch.setattr(script, "SETTINGS", small)

    def run(*options: str) -> pd.DataFrame:
        result = CliRunner().invoke(script.main, ["-p", "laptop", *options], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return pd.read_csv(tmp_path / "separation_amortised.csv")

    every = run()
    assert every["n_sources"].tolist() == [2] * 7 + [4] and every["sources"].iloc[-1] == "sine+square+saw+triangle"
    every.assign(separator="older").to_csv(tmp_path / "separation_amortised.csv", index=False)
    assert run("--only", "whole")["separator"].tolist() == ["older"] * 7 + ["mix"]
    assert run("--only", "pairs")["separator"].tolist() == ["mix"] * 8
