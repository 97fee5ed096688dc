"""The script that measures the memory of long separations: what it records, and what it counts."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import psutil
import pytest
from click.testing import CliRunner
from script_files import script_module

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the proportional set size is Linux' own")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    return script_module("long_memory")


def test_recording_repeats_half_a_minute(script: ModuleType) -> None:
    wave, rate = script.recording(45)
    assert len(wave) == 45 * rate and np.abs(wave).max() > 0.01
    np.testing.assert_array_equal(wave[30 * rate :], wave[: 15 * rate])


def test_memory_counts_a_process_with_those_that_it_started(script: ModuleType) -> None:
    hold = "held = b'x' * 200_000_000; print('ready', flush=True); input()"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen([sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        held = script.memory_mb(psutil.Process(running.pid))
        running.communicate(b"\n")
    assert 200 < held < 260


def test_rows_are_kept_and_made_anew(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path))
    old = pd.DataFrame({"method": ["mix", "sampler"], "duration_s": [2.0, 180.0], "peak_mb": 1.0, "seconds": 1.0})
    old.to_csv(tmp_path / "long_memory.csv", index=False)
    arguments = ["--seconds", "2", "--method", "mix"]
    result = CliRunner().invoke(script.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "long_memory.csv")
    assert table[["method", "duration_s"]].to_numpy().tolist() == [["mix", 2.0], ["sampler", 180.0]]
    assert 100 < table["peak_mb"][0] < 3000 and table["peak_mb"][1] == 1
    wrong = CliRunner().invoke(script.main, ["--seconds", "2", "--method", "none"])
    assert wrong.exit_code == 1 and "none" in wrong.output
