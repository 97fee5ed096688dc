"""A table agrees with the committed one within the stated tolerances, and differs beyond them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from srcsep_core.errors import InputError
from srcsep_core.paths import project_root
from srcsep_core.report.verify import RULES, Tolerance, compare_tables, read_table, rule_of, verdict_of

VALUES = np.array([4.0, -250.0, 0.5, 12.0, 0.0])


def table(values: np.ndarray, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"value": values, **columns})


@pytest.mark.parametrize("change", [4e-3, -4e-3, 1e-4])
def test_last_digits_of_another_machine_agree(change: float) -> None:
    assert compare_tables(table(VALUES), table(VALUES * (1 + change) + 1e-4)) == []


def test_a_real_change_names_the_worst_row_and_both_values() -> None:
    fresh = VALUES.copy()
    fresh[1:3] = -260.0, 0.6
    (found,) = compare_tables(table(VALUES), table(fresh))
    assert (found.column, found.row, found.count) == ("value", "row 1", 2)
    assert str(found) == "column value, row 1: -250.0 stood, -260.0 came out (2 rows differ, this one most)"


def test_the_floor_is_that_of_the_column() -> None:
    """Near zero a wave may move by a thousandth of its size, and a wave a thousand times smaller by as much less."""
    for scale in (1.0, 1e-3):
        assert compare_tables(table(scale * VALUES), table(scale * (VALUES + 3e-3))) == []
        assert compare_tables(table(scale * VALUES), table(scale * (VALUES + 8e-2)))


@pytest.mark.parametrize(("old", "new"), [(math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (1.0, -math.inf)])
def test_a_value_that_is_missing_or_infinite_on_one_side_differs(old: float, new: float) -> None:
    assert compare_tables(table(np.array([1.0, old])), table(np.array([1.0, new])))
    assert compare_tables(table(np.array([1.0, old])), table(np.array([1.0, old]))) == []


@pytest.mark.parametrize(
    ("committed", "fresh", "words"),
    [
        ({"n": [1000, 7]}, {"n": [1000, 8]}, "row 1: 7 stood, 8 came out"),
        ({"n": [1000]}, {"n": [1001]}, "1000 stood, 1001 came out"),
        ({"n": [40000]}, {"n": [41000]}, "40000 stood, 41000 came out"),
        ({"verdict": ["holds"]}, {"verdict": ["does not hold"]}, "holds stood, does not hold came out"),
        ({"same": [True, False]}, {"same": [True, True]}, "row 1: False stood, True came out"),
        ({"a": [1.0]}, {"b": [1.0]}, "a stood, b came out"),
        ({"a": [1.0]}, {"a": [1.0, 1.0]}, "number of rows: 1 stood, 2 came out"),
        ({"a": [1.0]}, {"a": ["one"]}, "1.0 stood, one came out"),
    ],
)
def test_counts_words_and_the_shape_must_be_equal(
    committed: dict[str, list[object]], fresh: dict[str, list[object]], words: str
) -> None:
    (found,) = compare_tables(pd.DataFrame(committed), pd.DataFrame(fresh))
    assert words in str(found)


def test_large_rounded_numbers_are_no_counts() -> None:
    assert compare_tables(pd.DataFrame({"norm": [14588, 99]}), pd.DataFrame({"norm": [14590, 99]})) == []


def test_times_and_commands_are_not_compared() -> None:
    old = table(VALUES, seconds_per_mix=1.0, command="one")
    assert compare_tables(old, old.assign(seconds_per_mix=9.0, command="another")) == []


def test_phases_are_compared_on_the_circle_where_there_is_sound() -> None:
    old = pd.DataFrame({"phase_rad": [3.14, 1.0, 0.0], "magnitude_db": [-10.0, -20.0, -120.0]})
    turned = old.assign(phase_rad=[-3.14, 1.0 + 2 * math.pi, 3.14])
    assert compare_tables(old, turned, "toy_stft") == []
    assert [d.row for d in compare_tables(old, old.assign(phase_rad=[3.14, 1.1, 0.0]), "toy_stft")] == ["row 1"]
    assert compare_tables(old, turned), "in another table they are numbers"


def test_levels_below_rounding_are_equally_quiet() -> None:
    old = pd.DataFrame({"sine_db": [-118.0, -40.0]})
    assert compare_tables(old, pd.DataFrame({"sine_db": [-107.0, -40.1]}), "toy_spectra") == []
    assert compare_tables(old, pd.DataFrame({"sine_db": [-90.0, -40.0]}), "toy_spectra")


def test_rounding_errors_are_compared_by_their_power_of_ten() -> None:
    old = pd.DataFrame({"error": [3e-7, 0.0]})
    assert compare_tables(old, pd.DataFrame({"error": [9e-7, 4e-16]}), "invertibility") == []
    assert compare_tables(old, pd.DataFrame({"error": [9e-6, 0.0]}), "invertibility")


def test_numbers_in_printed_text_may_differ_in_the_last_digit() -> None:
    old = pd.DataFrame({"exact": ["worst AUROC 0.956 [0.929, 0.979]"]})
    assert compare_tables(old, pd.DataFrame({"exact": ["worst AUROC 0.957 [0.929, 0.98]"]}), "claims") == []
    for text in ("worst AUROC 0.856 [0.929, 0.979]", "best AUROC 0.956 [0.929, 0.979]", "worst AUROC 0.956"):
        assert compare_tables(old, pd.DataFrame({"exact": [text]}), "claims")


def test_samples_are_compared_by_their_summary() -> None:
    noise = np.random.default_rng(0).standard_normal((2, 1000))
    assert compare_tables(table(noise[0]), table(noise[1]), "score_samples") == []
    assert compare_tables(table(noise[0]), table(noise[1, :900]), "score_samples") == []
    assert compare_tables(table(noise[0]), table(2 * noise[1]), "score_samples")
    assert compare_tables(table(noise[0]), table(noise[1] + 1), "score_samples")
    assert compare_tables(table(noise[0]), table(noise[1]), "likelihood_map")


def test_names_in_samples_must_be_the_same() -> None:
    old = table(np.ones(2), source=["sine", "saw"])
    assert compare_tables(old, table(np.ones(2), source=["saw", "sine"]), "explorer_chain") == []
    assert compare_tables(old, table(np.ones(2), source=["saw", "saw"]), "explorer_chain")


def test_exceptions_name_tables_and_columns_that_are_there() -> None:
    for name, column in RULES:
        if name != "*":
            committed = read_table(project_root() / "figures" / f"{name}.csv")
            assert column == "*" or column in committed, (name, column)
    assert rule_of("separation", "low") == ""


@pytest.mark.parametrize("path", sorted((project_root() / "figures").glob("*.csv")), ids=lambda path: path.stem)
def test_committed_tables_agree_with_themselves_in_five_digits(path: Path, tmp_path: Path) -> None:
    old = read_table(path)
    old.to_csv(tmp_path / "fresh.csv", index=False, float_format="%.5g")
    assert compare_tables(old, read_table(tmp_path / "fresh.csv"), path.stem) == []


def test_the_verdict_counts_tables_and_names_what_differs(tmp_path: Path) -> None:
    before, fresh = tmp_path / "before", tmp_path / "fresh"
    for folder, last in ((before, 1.0), (fresh, 2.0)):
        folder.mkdir()
        for name, values in (("one", [1.0]), ("two", [1.0]), ("three", [3.0, last])):
            pd.DataFrame({"value": values}).to_csv(folder / f"{name}.csv", index=False)
    places = {"before": before, "fresh": fresh, "folder": Path("figures")}
    verdict = verdict_of(["one", "two"], **places)
    assert verdict.reproduced and str(verdict) == "2 tables: 2 agree (with those that stood in figures)"
    verdict = verdict_of(["one", "three"], **places)
    assert not verdict.reproduced
    assert str(verdict).splitlines() == [
        "  three: column value, row 1: 1.0 stood, 2.0 came out",
        "2 tables: 1 agree, 1 differ (with those that stood in figures)",
    ]
    (before / "one.csv").unlink()
    assert str(verdict_of(["one"], **places)) == "1 table written to figures and compared with nothing"


def test_a_file_that_is_no_table_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match=r"empty\.csv is not a table .*; remove it or restore it"):
        read_table(tmp_path / "empty.csv")


def test_tolerances_lie_between_machines_and_real_changes() -> None:
    assert 4e-3 < Tolerance().relative < 3e-2
