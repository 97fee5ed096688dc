"""The script that tries the command on a dozen mixes: what its mixes hold, and when a result is right."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from script_files import SCRIPTS, script_module

from srcsep_core.paths import measured_table


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    return script_module("trial")


def test_a_dozen_mixes_of_one_second(script: ModuleType) -> None:
    mixes = [make() for make in script.MIXES]
    assert len({mix.name for mix in mixes}) == len(mixes) == 12
    for mix in mixes:
        assert mix.mix.shape[1] == mix.truth.shape[1] == script.RATE and len(mix.truth) == len(mix.named)
        assert 0.05 < np.abs(mix.mix).max() <= 1


def test_true_stems_are_right_and_those_of_a_mix_of_other_classes_never(script: ModuleType) -> None:
    for make in script.MIXES:
        mix = make()
        found = script.worst(mix, mix.truth + 1e-3 * np.random.default_rng(0).standard_normal(mix.truth.shape))
        wrong = mix.name in ("wrong classes", "white noise", "a voice-like sound")
        assert (found == -math.inf) if wrong else (found > 20 or mix.name == "one class too few"), mix.name


def test_sources_of_one_class_may_come_in_either_order(script: ModuleType) -> None:
    (mix,) = (make() for make in script.MIXES if make().name == "two sines, 440 and 445 Hz")
    assert script.worst(mix, mix.truth[::-1]) > 60


def test_a_mix_that_takes_too_long_is_stopped_and_none_is_tried_twice(script: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "trial.csv"
    pd.DataFrame({"mix": ["white noise"], "named": ["sine+square"], "said": ["before"]}).to_csv(out, index=False)
    arguments = ["--out", str(out), "--only", "octave", "--only", "noise", "--limit", "0.05"]
    result = CliRunner().invoke(script.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out)
    assert table["mix"].tolist() == ["white noise", "an octave, sine + square"]
    assert table["said"].tolist() == ["before", "stopped after 0.05 s"]


def test_page_has_both_tables(script: ModuleType) -> None:
    before = pd.DataFrame(
        {"mix": ["a", "b"], "named": "sine", "seconds": [81.4, 872.0], "exit": 0, "worst_si_sdr": [14.26, -math.inf]}
    ).assign(told=False, said="nothing")
    now = before.assign(seconds=[30.0, 40.0], told=[True, False], said=["trust: so", "stopped after 600 s"])
    text = script.page(before, now.assign(worst_si_sdr=[14.5, math.nan]))
    assert "| a | sine | 81 | 30 | 14.3 | 14.5 | nothing | trust: so |" in text
    assert "| b | sine | 872 | 40 | a source is not there |  | nothing | stopped after 600 s |" in text
    assert text.endswith("Told rightly: 0 of 2 before, 1 of 2 now.\n")


def test_page_is_of_the_committed_tables(script: ModuleType) -> None:
    before, now = (pd.read_csv(measured_table(name)) for name in ("trial_before", "trial"))
    assert set(before["mix"]) == set(now["mix"]) == {make().name for make in script.MIXES}
    assert (SCRIPTS.parent / "docs" / "trial.md").read_text() == script.page(before, now)
    assert now["told"].sum() > before["told"].sum() == 0, "nothing was told before"
