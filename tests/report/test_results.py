"""A run leaves what it made in the cache, and in the figures' folder only what differs from what stands there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from srcsep_core.errors import InputError, StoreError
from srcsep_core.report.results import (
    RENEW,
    ResultFolders,
    forget_run,
    last_verdict,
    record_run,
    renewing,
    results_of,
    write_table,
)

STOOD = "value,seconds_per_mix\n1.23457,9\n2,9\n"
SAME = pd.DataFrame({"value": [1.2345678, 2.004], "seconds_per_mix": [3.0, 4.0]})
OTHER = SAME.assign(value=[1.2345678, 3.0])


@pytest.fixture
def figure() -> Figure:
    figure, ax = plt.subplots(figsize=(1, 1))
    ax.plot([0, 1])
    return figure


@pytest.fixture
def folders(tmp_path: Path) -> ResultFolders:
    """A committed table and its picture, which no run of ours has seen yet."""
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "one.csv").write_text(STOOD)
    (tmp_path / "figures" / "one.png").write_bytes(b"picture")
    return ResultFolders(tmp_path / "figures", tmp_path / "cache" / "verify")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".pdf"}


def test_what_agrees_is_left_to_the_byte_and_the_fresh_values_are_kept(folders: ResultFolders, figure: Figure) -> None:
    before = contents(folders.figures)
    folders.save_figure(figure, "one", SAME)
    assert contents(folders.figures) == before
    assert (folders.fresh / "one.csv").read_text() == "value,seconds_per_mix\n1.2346,3\n2.004,4\n"
    assert (folders.fresh / "before" / "one.csv").read_text() == STOOD
    assert {"one.png", "one.pdf"} <= {path.name for path in folders.fresh.iterdir()}


def test_what_differs_is_replaced_with_its_picture(folders: ResultFolders, figure: Figure) -> None:
    folders.save_figure(figure, "one", OTHER)
    for name in ("one.csv", "one.png", "one.pdf"):
        assert (folders.figures / name).read_bytes() == (folders.fresh / name).read_bytes()


def test_a_second_run_is_not_compared_with_what_the_first_one_left(folders: ResultFolders) -> None:
    assert folders.save_table(OTHER, "one")
    assert folders.save_table(OTHER, "one")
    assert (folders.fresh / "before" / "one.csv").read_text() == STOOD
    assert folders.save_table(SAME, "one"), "what stood comes back"
    assert (folders.figures / "one.csv").read_text() == STOOD


def test_a_table_that_somebody_else_put_there_is_what_the_next_run_is_compared_with(folders: ResultFolders) -> None:
    folders.save_table(OTHER, "one")
    (folders.figures / "one.csv").write_text("value,seconds_per_mix\n1.23457,9\n3,9\n")
    assert not folders.save_table(OTHER, "one")


def test_what_is_missing_is_written(folders: ResultFolders, figure: Figure) -> None:
    folders.save_figure(figure, "two", OTHER)
    assert {"two.csv", "two.png", "two.pdf"} <= {path.name for path in folders.figures.iterdir()}
    assert not (folders.fresh / "before" / "two.csv").exists()


def test_a_figure_without_a_table_is_written_where_none_stands(folders: ResultFolders, figure: Figure) -> None:
    folders.save_figure(figure, "one")
    assert (folders.figures / "one.png").read_bytes() == b"picture"
    folders.save_figure(figure, "three")
    assert (folders.figures / "three.png").read_bytes() == (folders.fresh / "three.png").read_bytes()


def test_a_pdf_older_than_its_picture_is_renewed(folders: ResultFolders, figure: Figure) -> None:
    """PDF files are not committed: a newer checkout brings a picture beside yesterday's PDF."""
    pdf = folders.figures / "one.pdf"
    pdf.write_bytes(b"old")
    os.utime(pdf, (0, 0))
    folders.save_figure(figure, "one", SAME)
    assert pdf.read_bytes().startswith(b"%PDF")


def test_renewing_replaces_everything_and_makes_it_what_stands(folders: ResultFolders, figure: Figure) -> None:
    renew = ResultFolders(folders.figures, folders.fresh, renew=True)
    renew.save_figure(figure, "one", SAME)
    assert (folders.figures / "one.csv").read_text().startswith("value,seconds_per_mix\n1.2346,3")
    assert (folders.figures / "one.png").read_bytes().startswith(b"\x89PNG")
    assert not folders.save_table(SAME.assign(value=[1.2346, 2.0]), "one")


def test_other_profiles_are_written_and_compared_with_nothing(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path / "figures"))
    started = time.time() - 1
    for table in (OTHER, SAME):
        assert results_of("smoke").save_table(table, "one")
    record_run("smoke", started)
    assert (
        str(last_verdict("smoke")) == f"1 table written to {tmp_path / 'figures' / 'smoke'} and compared with nothing"
    )


def test_the_last_run_is_judged_on_the_tables_that_it_made(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path / "figures"))
    with pytest.raises(InputError, match=r"no whole run of the profile laptop is .*; run `srcsep notebooks"):
        last_verdict("laptop")
    for name in ("one", "two"):
        write_table(SAME, tmp_path / "figures", name)
        results_of("laptop").save_table(OTHER, name)
    os.utime(cache_folder / "verify" / "laptop" / "two.csv", (0, 0))
    record_run("laptop", time.time() - 60)
    verdict = last_verdict("laptop")
    assert [name for name, _ in verdict.differing] == ["one"]
    assert verdict.folder == tmp_path / "figures"


def test_run_that_begins_leaves_no_verdict_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    record_run("smoke", time.time() - 60)
    last_verdict("smoke")
    forget_run("smoke")
    forget_run("smoke")
    with pytest.raises(InputError, match="no whole run of the profile smoke"):
        last_verdict("smoke")


def test_renewing_is_for_the_notebooks_started_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RENEW, "1")
    with renewing(False):
        assert not results_of("laptop").renew
    monkeypatch.delenv(RENEW)
    with renewing(True):
        assert results_of("laptop").renew
    assert not results_of("laptop").renew


def test_a_cache_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="SRCSEP_CACHE"):
        ResultFolders(tmp_path / "figures", tmp_path / "file" / "verify").save_table(SAME, "one")
