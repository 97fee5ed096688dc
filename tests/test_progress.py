"""A job of a few long stages says which one runs, since when, and how much is left."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time
from pathlib import Path

import pytest

from srcsep_core import progress
from srcsep_core.progress import Stages, clock, time_left
from srcsep_core.report import timings
from srcsep_core.report.notebooks import notebook_sources


def test_time_left_weighs_stages_by_their_expected_time() -> None:
    share, left = time_left(400.0, 0.0, 300.0, before=0.0, inside=30.0)
    assert (share, left) == pytest.approx((30 / 400, 370.0))
    share, left = time_left(400.0, 100.0, 200.0, before=50.0, inside=50.0)
    assert (share, left) == pytest.approx((200 / 400, 100.0)), "this machine takes half the time expected"


def test_a_stage_that_takes_too_long_never_counts_for_more_than_itself() -> None:
    for inside in (200.0, 900.0):
        share, left = time_left(400.0, 100.0, 200.0, before=100.0, inside=inside)
        assert (share, left) == pytest.approx((300 / 400, 100.0))


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 83.4, 3723)] == ["00:00", "01:23", "1:02:03"]


def test_a_process_that_only_knows_of_kernels_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stderr decides: a bar in a log file cannot be redrawn."""
    from ipykernel.iostream import OutStream

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not progress.interactive()
    monkeypatch.setattr(sys, "stderr", OutStream.__new__(OutStream))
    monkeypatch.setattr(OutStream, "isatty", lambda _: False)
    assert progress.interactive()


def test_a_log_has_lines_while_a_stage_runs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.02)
    monkeypatch.setattr(progress, "interactive", lambda: False)
    with caplog.at_level(logging.INFO, logger="srcsep_core"), Stages({"one": 60.0, "two": 30.0}, "notebooks") as stages:
        for name in ("one", "two"):
            with stages.stage(name):
                time.sleep(0.2)
    lines = caplog.messages
    assert lines[0] == "notebooks 1/2: one, 00:00; about 01:30 left in all"
    assert sum(": one, " in line for line in lines) >= 3
    assert any(line.startswith("notebooks 2/2: two, 00:00; about 00:00") for line in lines)


def test_a_bar_is_redrawn_while_a_stage_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "interactive", lambda: True)
    with Stages({"one": 2.0}, "notebooks") as stages, stages.stage("one"):
        time.sleep(1.3)
    assert "notebooks 1/1: one, 00:01" in capsys.readouterr().err


def test_a_failing_stage_stops_its_watcher() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="stop"), Stages({"one": 1.0}, "notebooks") as stages, stages.stage("one"):
        raise ValueError("stop")
    assert threading.active_count() == before


def test_every_notebook_has_a_default_and_the_last_time_replaces_it(cache_folder: Path) -> None:
    names = [source.stem for source in notebook_sources()]
    assert {name[:2] for name in names} == set(timings.DEFAULT_SECONDS)
    assert timings.expected("laptop", ["06_separation"]) == {"06_separation": timings.DEFAULT_SECONDS["06"]}
    timings.record("laptop", "06_separation", 12.34)
    timings.record("laptop", "01_toy_data", 3.0)
    assert timings.expected("laptop", ["06_separation", "01_toy_data"]) == {"06_separation": 12.3, "01_toy_data": 3.0}
    assert timings.expected("smoke", ["06_separation"]) == {"06_separation": timings.DEFAULT_SECONDS["06"]}


@pytest.mark.parametrize("text", ["", "[]", '{"laptop": 3}', '{"laptop": {"06_separation": "long"}}'])
def test_damaged_times_are_as_good_as_none(text: str, cache_folder: Path) -> None:
    cache_folder.mkdir()
    (cache_folder / "timings.json").write_text(text)
    assert timings.expected("laptop", ["06_separation"]) == {"06_separation": timings.DEFAULT_SECONDS["06"]}
    timings.record("laptop", "06_separation", 2.0)
    assert json.loads((cache_folder / "timings.json").read_text()) == {"laptop": {"06_separation": 2.0}}
