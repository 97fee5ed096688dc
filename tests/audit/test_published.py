"""The published numbers are found, all of them, and what was never published is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from srcsep_core.audit import published
from srcsep_core.audit.published import (
    CELL_COLUMNS,
    authors,
    load_coverage,
    printed_inputs,
    printed_noise,
    published_cells,
)
from srcsep_core.errors import InputError
from srcsep_core.paths import project_root
from srcsep_core.training.config import NOISE_LEVELS

SIGMAS = [0.0, *NOISE_LEVELS]


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    return published_cells()


def chosen(cells: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    """The cells whose columns have the values given."""
    for column, value in wanted.items():
        cells = cells[cells[column] == value]
    return cells


def test_the_toy_flow_matrix_is_the_authors() -> None:
    table = authors("cross_likelihood").set_index(["source", "prior"])
    assert len(table) == 16
    assert table.loc[("sine", "sine"), "median"] == pytest.approx(4.88689)
    assert table.loc[("square", "triangle"), "median"] == pytest.approx(-215680)


def test_what_was_not_published_is_named() -> None:
    with pytest.raises(InputError, match=r"prior sigma 0\.5"):
        authors("discrimination", prior_sigma=0.5)
    with pytest.raises(InputError, match=r"model 'wavenet', world 'musdb'$"):
        authors("noise_curve", model="wavenet", world="musdb", prior_sigma=None)


def test_curves_come_with_every_noise_level_or_one() -> None:
    assert len(authors("noise_curve", prior_sigma=None)) == 6 * 4 * 7
    assert len(authors("constant_input", prior_sigma=0.359)) == 4 * 31
    noise = authors("random_input", prior_sigma=0.0).set_index(["prior", "input_sigma"])
    assert noise.loc[("sine", 0.5), "value"] == pytest.approx(-2.7279e13)


def test_what_was_not_printed_is_named() -> None:
    with pytest.raises(InputError, match="document 'slides'"):
        printed_inputs("slides")
    with pytest.raises(InputError, match="source 'drums'"):
        printed_noise("drums")


def test_a_lacking_file_or_column_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(published, "published_folder", lambda: tmp_path)
    with pytest.raises(InputError, match=r"authors_noise_curve\.csv is missing"):
        authors("noise_curve", prior_sigma=None)
    (tmp_path / "coverage.csv").write_text("document,item\npaper,Figure 1\n")
    with pytest.raises(InputError, match="lacks the column 'what'"):
        load_coverage()
    (tmp_path / "coverage.csv").write_text("document,item,what,status,where,note\npaper,Figure 1,,lost,,\n")
    with pytest.raises(InputError, match="status 'lost'"):
        load_coverage()


def test_cells_are_complete_and_single(cells: pd.DataFrame) -> None:
    assert tuple(cells.columns) == CELL_COLUMNS
    assert not cells.isna().any().any()
    assert not cells.duplicated([column for column in CELL_COLUMNS if column != "published"]).any()
    files = {path.name: len(pd.read_csv(path)) for path in published.published_folder().glob("*.csv")}
    in_files = 4 * files["printed_tables.csv"] + files["printed_noise_tables.csv"]
    in_files += 2 * (files["authors_cross_likelihood.csv"] + files["authors_noise_curve.csv"])
    in_files += files["authors_constant_input.csv"] + files["authors_random_input.csv"]
    assert len(cells) == in_files


def test_every_printed_cell_is_there(cells: pd.DataFrame) -> None:
    printed = cells[cells["document"] != "authors' arrays"]
    assert printed.groupby(["document", "item"]).size().to_dict() == {
        ("paper", "Table 1"): 16,
        ("thesis", "Table 2"): 16,
        **{("thesis", f"Table {number}"): 30 for number in (3, 4, 5, 6)},
    }
    assert set(printed["model"]) == {"flowavenet"}
    assert set(printed["world"]) == {"toy"}


@pytest.mark.parametrize(
    ("item", "quantity", "prior", "prior_sigma", "level", "value"),
    [
        ("Table 1", "random_input", "sine", 0.0, 0.5, -2.7e13),
        ("Table 1", "constant_input", "triangle", 0.359, 0.0, -2.0e11),
        ("Table 1", "random_input", "saw", 0.359, 0.5, 5.1),
        ("Table 2", "constant_input", "saw", 0.0, 1.0, -2.7e6),
        ("Table 2", "constant_input", "square", 0.0, 0.0, -7.0e2),
        ("Table 3", "noise_curve", "sine", 0.077, 0.3, -5.4e17),
        ("Table 4", "noise_curve", "square", 0.0, 0.3, -1.9e12),
        ("Table 5", "noise_curve", "saw", 0.027, 0.1, 0.26),
        ("Table 6", "noise_curve", "triangle", 0.359, 0.3, -15),
    ],
)
def test_printed_values(
    cells: pd.DataFrame, item: str, quantity: str, prior: str, prior_sigma: float, level: float, value: float
) -> None:
    cell = chosen(cells, item=item, quantity=quantity, prior=prior, prior_sigma=prior_sigma, level=level)
    assert cell["published"].tolist() == [value]
    assert cell["source"].tolist() == [prior if quantity == "noise_curve" else ""]
    assert cell["statistic"].tolist() == ["mean" if quantity == "noise_curve" else "value"]


def test_print_and_arrays_agree_on_the_inputs(cells: pd.DataFrame) -> None:
    keys = ["quantity", "prior", "prior_sigma", "level"]
    stored = chosen(cells, document="authors' arrays", model="flowavenet", world="toy", statistic="value")
    printed = cells[cells["item"].isin(["Table 1", "Table 2"])]
    both = printed.merge(stored, on=keys, suffixes=("", "_stored"))
    assert len(both) == 32
    assert both["published"].to_numpy() == pytest.approx(both["published_stored"].to_numpy(), rel=0.05)


def test_coverage_lists_every_figure_and_table() -> None:
    coverage = load_coverage()
    wanted = {("paper", f"Figure {n}") for n in range(1, 5)} | {("paper", "Table 1")}
    wanted |= {("thesis", f"Figure {n}") for n in range(1, 16)} | {("thesis", f"Table {n}") for n in range(1, 7)}
    listed = set(zip(coverage["document"], coverage["item"].str.replace(r" \(.*", "", regex=True), strict=True))
    assert wanted <= listed
    assert ("thesis", "Appendix recp size") in listed
    assert not coverage.duplicated(["document", "item"]).any()
    assert (coverage["what"] != "").all()


def test_coverage_says_where_or_why() -> None:
    coverage = load_coverage()
    made = coverage["status"] == "made"
    assert (coverage.loc[made, "where"] != "").all()
    assert (coverage.loc[~made, "where"] == "").all()
    assert (coverage.loc[~made, "note"] != "").all()
    pending = coverage[coverage["status"] == "pending"]
    assert (pending["item"] + pending["what"]).str.contains("musdb18").all()


def test_made_items_lie_in_figures() -> None:
    root = project_root()
    for where in load_coverage()["where"].unique():
        notebook, _, names = where.partition(": ")
        if not (root / "notebooks" / f"{notebook}.ipynb").exists():
            continue
        for name in names.split(", ") if names else []:
            for file in [name] if name.endswith(".csv") else [f"{name}.png", f"{name}.csv"]:
                assert (root / "figures" / file).exists(), f"{where}: figures/{file} is missing"
