"""Published and ours side by side: nothing is dropped, and sign, order and rank are what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from srcsep_core.audit.agreement import agreement, concordance
from srcsep_core.audit.comparison import NO_ORACLE, PENDING, PENDING_INPUTS, compare, kept_rows
from srcsep_core.audit.coverage import coverage_table
from srcsep_core.audit.published import CELL_COLUMNS, published_cells
from srcsep_core.data.toy import SOURCES
from srcsep_core.errors import InputError

KEYS = [column for column in CELL_COLUMNS if column != "published"]


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    return published_cells()


def ours_row(prior: str, value: float, **changes: Any) -> dict[str, Any]:
    """A row of ours: the flow of the preset `released`, noise-free prior."""
    row = {
        "protocol": "log_pz",
        "objective": "quarter_log_det",
        "model": "flowavenet",
        "prior": prior,
        "prior_sigma": 0.0,
        "length": 4000,
        "n": 8,
        "mean": value,
        "median": value,
    }
    return row | changes


def constants(values: dict[str, float], **changes: Any) -> pd.DataFrame:
    """A constant_input table of level 0."""
    return pd.DataFrame([ours_row(prior, value, level=0.0, **changes) for prior, value in values.items()])


def table_1(cells: pd.DataFrame, prior_sigma: float = 0.0) -> pd.DataFrame:
    """The paper's zero-input row: 4.8, -7.0e2, 4.4, 1.8."""
    one = (cells["item"] == "Table 1") & (cells["quantity"] == "constant_input")
    return cells[one & (cells["prior_sigma"] == prior_sigma)]


def by_prior(comparison: pd.DataFrame, column: str) -> dict[str, Any]:
    return comparison.set_index("prior")[column].to_dict()


LIKE_PRINT = {"sine": 3.0, "square": -50.0, "saw": 2.0, "triangle": -1.0}


def test_sign_order_and_rank(cells: pd.DataFrame) -> None:
    result = compare(table_1(cells), {"constant_input": constants(LIKE_PRINT)})
    assert by_prior(result, "same_sign") == {"sine": True, "square": True, "saw": True, "triangle": False}
    assert by_prior(result, "order_published") == {"sine": 0, "square": 2, "saw": 0, "triangle": 0}
    assert by_prior(result, "same_order") == {"sine": True, "square": False, "saw": True, "triangle": True}
    assert by_prior(result, "rank_row_published") == {"sine": 1, "square": 4, "saw": 2, "triangle": 3}
    assert by_prior(result, "same_rank_row") == dict.fromkeys(SOURCES, True)
    assert result["same_rank_column"].isna().all(), "one cell alone has no rank"
    assert (result["missing"] == "").all()


def test_mean_and_median_have_their_own_sign(cells: pd.DataFrame) -> None:
    result = compare(table_1(cells), {"constant_input": constants({"sine": 1.0}, mean=-9e8)})
    sine = result[result["prior"] == "sine"].iloc[0]
    assert sine["same_sign"]
    assert not sine["same_sign_mean"]
    assert sine["ours_mean"] == -9e8
    assert sine["n"] == 8


def test_zero_has_neither_sign_nor_order(cells: pd.DataFrame) -> None:
    result = compare(table_1(cells), {"constant_input": constants({"sine": 0.0, "square": -np.inf})})
    for prior, column in [("sine", "same_sign"), ("sine", "same_order"), ("square", "same_order")]:
        assert pd.isna(by_prior(result, column)[prior])
    assert by_prior(result, "same_sign")["square"]


def test_a_printed_tie_contradicts_no_order_but_our_tie_contradicts_print(cells: pd.DataFrame) -> None:
    tied = (cells["item"] == "Table 3") & (cells["level"] == 0) & cells["prior_sigma"].isin([0.01, 0.027, 0.359])
    values = {0.01: 1.0, 0.027: 2.0, 0.359: -1.0}
    curve = pd.DataFrame([ours_row("sine", v, prior_sigma=s, data_sigma=0.0) for s, v in values.items()])
    result = compare(cells[tied], {"noise_curve": curve}).set_index("prior_sigma")
    assert result["rank_row_published"].to_dict() == {0.01: 1.5, 0.027: 1.5, 0.359: 3}
    assert result["rank_row_ours"].to_dict() == {0.01: 2, 0.027: 1, 0.359: 3}
    assert result["same_rank_row"].all()
    flat = compare(cells[tied], {"noise_curve": curve.assign(median=1.0)}).set_index("prior_sigma")
    assert not flat["same_rank_row"].loc[0.359]


def test_a_column_of_inputs_holds_constants_and_noise(cells: pd.DataFrame) -> None:
    noise = pd.DataFrame([ours_row("sine", -100.0, input_sigma=0.5)])
    sine = cells[(cells["item"] == "Table 1") & (cells["prior"] == "sine") & (cells["prior_sigma"] == 0)]
    result = compare(sine, {"constant_input": constants({"sine": 1.0}), "random_input": noise})
    assert result["rank_column_published"].tolist() == [1, 2]
    assert result["same_rank_column"].all()


def test_rows_and_columns_of_the_cross_likelihood(cells: pd.DataFrame) -> None:
    matrix = cells[
        (cells["quantity"] == "cross_likelihood")
        & (cells["model"] == "flowavenet")
        & (cells["world"] == "toy")
        & (cells["prior_sigma"] == 0)
        & (cells["statistic"] == "median")
    ]
    rows = [
        ours_row(prior, float(prior == source), source=source, data_sigma=sigma, world="toy", variant=variant)
        for prior in SOURCES
        for source in SOURCES
        for sigma in (0.0, 0.1)
        for variant in ("whole_periods", "uniform_hz")
    ]
    result = compare(matrix, {"cross_likelihood": pd.DataFrame(rows)})
    assert len(result) == 16
    own = result[result["source"] == result["prior"]]
    assert (own["rank_row_ours"] == 1).all()
    assert (own["rank_column_ours"] == 1).all()
    assert own["same_rank_column"].tolist() == [True, True, True, True]
    assert own["same_rank_row"].tolist() == [True, True, True, True]


def test_nothing_is_dropped(cells: pd.DataFrame) -> None:
    some = constants(LIKE_PRINT)
    oracle = constants(LIKE_PRINT, protocol="oracle", objective=np.nan, model="oracle", prior_sigma=0.01)
    ours: dict[str, dict[str, pd.DataFrame]] = {
        "none": {},
        "one": {"constant_input": some},
        "two": {"constant_input": pd.concat([some, oracle])},
    }
    for tables in ours.values():
        result = compare(cells, tables)
        assert len(result.drop_duplicates(KEYS)) == len(cells)
        assert (result["ours_median"].isna() == (result["missing"] != "")).all()
        assert not result.duplicated([*KEYS, "protocol", "objective"]).any()


def test_reasons_are_named(cells: pd.DataFrame) -> None:
    ours = {"constant_input": constants(LIKE_PRINT | {"saw": np.nan})}
    reasons = compare(cells, ours).set_index(["item", "model", "prior", "prior_sigma", "level"])["missing"]
    assert reasons[("Table 1", "flowavenet", "sine", 0.359, 0.0)] == "not evaluated at prior sigma 0.359"
    assert reasons[("Table 2", "flowavenet", "sine", 0.0, 1.0)] == "not evaluated at level 1"
    assert reasons[("Table 2", "flowavenet", "saw", 0.0, 0.0)] == "our value is not a number"
    assert reasons[("Table 3", "flowavenet", "sine", 0.0, 0.0)] == "we have no noise_curve table"
    assert reasons[("constant input", "wavenet", "sine", 0.0, 0.0)] == "our constant_input table has no wavenet rows"


def test_the_table_keeps_what_is_like_for_like(cells: pd.DataFrame) -> None:
    sine = constants({"sine": 1.0})
    both = pd.concat([sine, sine.assign(objective="likelihood", median=2.0), sine.assign(level=0.0667)])
    whole = compare(cells, {"constant_input": both})
    kept = kept_rows(whole)
    assert list(kept) == list(whole.drop(columns=["order_published", "order_ours", "note"]))
    assert set(kept["objective"]) == {"quarter_log_det", ""} and set(kept["model"]) == {"flowavenet", "wavenet"}
    assert set(kept.loc[kept["item"] == "constant input", "level"]) == {0.0, 1.0}
    printed = whole[(whole["document"] != "authors' arrays") & (whole["objective"] != "likelihood")]
    assert len(kept[kept["document"] != "authors' arrays"]) == len(printed)


def test_the_oracle_stands_beside_every_model_but_not_without_noise(cells: pd.DataFrame) -> None:
    oracle = constants(LIKE_PRINT, protocol="oracle", objective=np.nan, model="oracle", prior_sigma=0.359)
    zero = cells[(cells["quantity"] == "constant_input") & (cells["level"] == 0) & (cells["world"] == "toy")]
    result = compare(zero, {"constant_input": oracle})
    result = result[result["protocol"] == "oracle"]
    assert set(result["model"]) == {"flowavenet", "flowavenet_classified", "wavenet"}
    assert set(result.loc[result["prior_sigma"] == 0, "missing"]) == {NO_ORACLE}
    assert (result.loc[result["prior_sigma"] == 0.359, "missing"] == "").all()
    wavenet = result[result["model"] == "wavenet"]
    assert wavenet["same_sign"].isna().all()
    assert wavenet["note"].str.contains("only ranks").all()


def test_the_classified_run_is_set_beside_our_fine_tuned_flow(cells: pd.DataFrame) -> None:
    result = compare(cells, {"constant_input": constants(LIKE_PRINT, prior_sigma=0.01)})
    run = result[(result["model"] == "flowavenet_classified") & (result["missing"] == "")]
    assert len(run) == 4
    assert run["note"].str.contains("neither text describes this run").all()


def test_stored_levels_are_rounded(cells: pd.DataFrame) -> None:
    sine = cells[(cells["item"] == "constant input") & (cells["model"] == "flowavenet") & (cells["prior"] == "sine")]
    levels = np.linspace(-1, 1, 31)
    ours = pd.DataFrame([ours_row("sine", level, level=level) for level in levels])
    result = compare(sine[sine["prior_sigma"] == 0], {"constant_input": ours})
    assert (result["missing"] == "").all()
    assert result["ours_median"].to_numpy() == pytest.approx(result["level"].to_numpy(), abs=1e-3)


def test_near_levels_stay_apart(cells: pd.DataFrame) -> None:
    clean = cells[(cells["item"] == "Table 3") & (cells["level"] == 0) & (cells["prior_sigma"] == 0)]
    curve = pd.DataFrame([ours_row("sine", 1.0, data_sigma=0.001), ours_row("sine", 2.0, data_sigma=0.0)])
    assert compare(clean, {"noise_curve": curve})["ours_median"].tolist() == [2]


def test_the_shortest_length_or_the_one_asked_for(cells: pd.DataFrame) -> None:
    ours = {"constant_input": pd.concat([constants(LIKE_PRINT, length=16_384), constants({"sine": 9.0})])}
    assert by_prior(compare(table_1(cells), ours), "ours_median")["sine"] == 9
    longer = compare(table_1(cells), ours, length=16_384)
    assert by_prior(longer, "ours_median") == LIKE_PRINT
    assert set(longer["length"]) == {16_384}
    with pytest.raises(InputError, match="length 5; use one of 4000, 16384"):
        compare(table_1(cells), ours, length=5)


def test_agreement_counts_what_it_shares(cells: pd.DataFrame) -> None:
    result = agreement(compare(table_1(cells), {"constant_input": constants(LIKE_PRINT)}))
    row = result.iloc[0]
    assert len(result) == 1
    assert (row["item"], row["cells"], row["protocol"]) == ("Table 1", 4, "log_pz")
    assert (row["same_sign"], row["n_same_sign"]) == (0.75, 4)
    assert (row["same_rank_row"], row["spearman"]) == (1, pytest.approx(1))
    assert np.isnan(row["same_rank_column"])
    assert row["n_same_rank_column"] == 0


def test_agreement_keeps_means_and_medians_apart(cells: pd.DataFrame) -> None:
    stored = cells[(cells["item"] == "noise curve") & (cells["model"] == "flowavenet") & (cells["world"] == "toy")]
    curve = pd.DataFrame([ours_row("sine", -s, data_sigma=s) for s in (0.0, 0.05, 0.1)])
    result = agreement(compare(stored, {"noise_curve": curve})).set_index("statistic")
    assert result["cells"].to_dict() == {"mean": 3, "median": 3}
    assert result.loc["median", "spearman"] == pytest.approx(1)


def test_agreement_of_nothing_is_an_empty_table(cells: pd.DataFrame) -> None:
    assert agreement(compare(cells, {})).empty


def crossed(published: list[float], ours: list[float], **changes: Any) -> pd.DataFrame:
    """A row of a matrix of cross-likelihoods: what the priors say to one source."""
    row = {"quantity": "cross_likelihood", "source": "sine", "prior_sigma": 0.0, "level": 0.0} | changes
    priors = list(SOURCES)[: len(published)]
    return pd.DataFrame({"prior": priors, "published": published, "ours_median": ours}).assign(**row)


def curved(published: list[float], ours: list[float], **changes: Any) -> pd.DataFrame:
    """A row of a table of noise curves: what a prior of every noise level says to one noise."""
    row = {"quantity": "noise_curve", "source": "sine", "prior": "sine", "level": 0.05} | changes
    sigmas = [0.0, 0.01, 0.027, 0.077][: len(published)]
    return pd.DataFrame({"prior_sigma": sigmas, "published": published, "ours_median": ours}).assign(**row)


ROWS = pytest.mark.parametrize("make", [crossed, curved])


@ROWS
def test_concordance_is_the_share_of_pairs_in_the_same_order(make: Any) -> None:
    assert concordance(make([5.0, -3.0, 10.0, 0.0], [50.0, -30.0, 51.0, 49.0])) == 1
    assert concordance(make([5.0, -3.0, 10.0, 0.0], [-5.0, 3.0, -10.0, 0.0])) == 0
    assert concordance(make([5.0, -3.0, 10.0, 0.0], [5.0, 1.0, 10.0, 0.0])) == pytest.approx(5 / 6)
    assert concordance(make([0.0, -np.inf, 5.0], [0.0, -9.0, 1.0])) == 1


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (crossed, {"source": "square"}),
        (crossed, {"prior_sigma": 0.1}),
        (curved, {"level": 0.1}),
        (curved, {"prior": "saw"}),
        (curved, {"prior": "saw", "source": "saw"}),
    ],
)
def test_pairs_are_within_a_row(make: Any, changes: dict[str, Any]) -> None:
    here, there = make([10.0, 0.0, 5.0], [10.0, 0.0, 5.0]), make([-90.0, -80.0], [90.0, 100.0])
    one_row = pd.concat([here, there])
    assert concordance(one_row) == pytest.approx(4 / 10), "the cells of here and there are the other way round in ours"
    two_rows = pd.concat([here, there.assign(**changes)])
    assert concordance(two_rows) == concordance(two_rows.iloc[::-1]) == 1
    other_way = pd.concat([here, there.assign(ours_median=[100.0, 90.0], **changes)])
    assert concordance(other_way) == pytest.approx(3 / 4), "a pair counts as much as any other, whatever its row"


@ROWS
def test_pairs_printed_close_together_do_not_count(make: Any) -> None:
    row = make([0.0, 0.5, 5.0], [1.0, 0.0, 5.0])
    assert concordance(row) == 1
    assert concordance(row, apart=0.4) == pytest.approx(2 / 3)
    assert np.isnan(concordance(make([0.0, 1.0], [0.0, 1.0]))), "more than 1 apart"
    for published in ([0.0, 1.01], [1.01, 0.0]):
        assert concordance(make(published, published)) == 1
        assert np.isnan(concordance(make(published, published), apart=2))
    assert concordance(make([0.0, 5.0], [0.0, 1e-9])) == 1, "ours may be close together"
    assert concordance(make([3.0, 3.0, 4.0], [1.0, 2.0, 3.0]), apart=0) == 1, "a tie in print is no pair"


@ROWS
def test_concordance_without_pairs_is_not_a_number(make: Any) -> None:
    for published in ([], [4.0], [4.0, 4.0], [4.0, 4.5, 5.0]):
        assert np.isnan(concordance(make(published, published)))
    apart = [make([4.0], [4.0], level=level) for level in (0.0, 0.1)]
    assert np.isnan(concordance(pd.concat(apart)))


@ROWS
def test_our_ties_are_not_in_the_order_of_print(make: Any) -> None:
    assert concordance(make([0.0, 5.0, 10.0], [3.0, 3.0, 10.0])) == pytest.approx(2 / 3)
    assert concordance(make([0.0, 5.0, 10.0], [3.0, 3.0, 3.0])) == 0


def test_coverage_of_every_protocol(cells: pd.DataFrame) -> None:
    printed = cells[cells["item"] == "Table 2"]
    both = pd.concat([constants(LIKE_PRINT), constants({"sine": 1.0}, protocol="log_prob", objective="likelihood")])
    table = coverage_table(printed, compare(printed, {"constant_input": both})).set_index("protocol")
    assert table["covered"].to_dict() == {"log_pz": 4, "log_prob": 1, "oracle": 0}
    assert table["applicable"].to_dict() == {"log_pz": 16, "log_prob": 16, "oracle": 8}
    assert table.loc["log_pz", "share"] == 0.25
    assert "not evaluated at level 1" in table.loc["log_pz", "missing"]
    assert table.loc["oracle", "missing"] == "our tables lack oracle rows"


STEMS = ("drums", "bass", "other", "vocals")


def of_songs(world: str, variant: str, value: float) -> list[dict[str, Any]]:
    """Our noise-free matrix of songs, as released, the same everywhere."""
    return [
        ours_row(prior, value, source=source, data_sigma=0.0, world=world, variant=variant)
        for source in STEMS
        for prior in STEMS
    ]


def test_songs_stand_beside_musdb18_each_under_its_name(cells: pd.DataFrame) -> None:
    matrix = cells[(cells["item"] == "cross-likelihood") & (cells["model"] == "flowavenet")]
    rows = [*of_songs("rendered", "songs_8k", 1.0), *of_songs("rendered", "instruments_8k", 2.0)]
    rows += of_songs("excerpt", "excerpt_8k", 3.0)
    result = compare(matrix, {"cross_likelihood": pd.DataFrame(rows)})
    away = result[result["world"] == "musdb"]
    assert (result[result["world"] == "toy"]["dataset"] == "toy").all()
    values = away.groupby("dataset")["ours_median"].unique().map(list).to_dict()
    assert values["rendered"] == [1.0] and values["excerpt"] == [3.0]
    pending = away[away["dataset"] == "musdb18"]
    assert len(pending) == len(away) / 3 == (matrix["world"] == "musdb").sum()
    assert (pending["missing"] == PENDING).all() and pending["ours_median"].isna().all()
    covered = coverage_table(matrix, result)
    assert covered.groupby("dataset")["covered"].sum().to_dict() == {
        "toy": 0,
        "rendered": 32,
        "excerpt": 32,
        "musdb18": 0,
    }


def test_priors_of_musdb18_itself_come_before_others_asked_about_it(cells: pd.DataFrame) -> None:
    matrix = cells[(cells["item"] == "cross-likelihood") & (cells["world"] == "musdb")]
    rows = [*of_songs("musdb18", "musdb18_8k", 1.0), *of_songs("musdb18", "musdb18_released", 2.0)]
    for some, value in ((rows, 2.0), (rows[:16], 1.0)):
        result = compare(matrix, {"cross_likelihood": pd.DataFrame(some)})
        found = result[(result["dataset"] == "musdb18") & (result["model"] == "flowavenet")]
        assert (found["ours_median"] == value).all() and (found["missing"] == "").all()


def test_coverage_of_musdb18_is_pending(cells: pd.DataFrame) -> None:
    table = coverage_table(cells, compare(cells, {}))
    away = table[table["world"] == "musdb"]
    assert (away["covered"] == 0).all()
    for item, part in away[away["applicable"] > 0].groupby("item"):
        assert set(part["missing"]) == {PENDING_INPUTS if str(item).endswith("input") else PENDING}
    assert table.drop_duplicates(["document", "item", "model", "world"])["cells"].sum() == len(cells)


def test_bad_input_is_named(cells: pd.DataFrame) -> None:
    good = constants(LIKE_PRINT)
    with pytest.raises(InputError, match="unknown quantity 'loudness'"):
        compare(cells, {"loudness": good})
    with pytest.raises(InputError, match="constant_input table lacks the column 'median'"):
        compare(cells, {"constant_input": good.drop(columns="median")})
    with pytest.raises(InputError, match=r"4 row\(s\) without prior_sigma"):
        compare(cells, {"constant_input": good.assign(prior_sigma=np.nan)})
    with pytest.raises(InputError, match=r"several rows .* prior 'sine', prior sigma 0, level 0; keep one"):
        compare(cells, {"constant_input": pd.concat([good, good])})
    with pytest.raises(InputError, match="lack the column 'published'"):
        compare(cells.drop(columns="published"), {})
    with pytest.raises(InputError, match="no published cells"):
        compare(cells.iloc[:0], {})
