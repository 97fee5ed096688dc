"""Every published likelihood beside ours: sign, order of magnitude, and rank within its table.

The published values are `log_pz` of the flow and `mean_sigmoid` of the WaveNet. The flow's differ from ours in size and
training, so what can be compared is the sign, the power of ten and the rank. The WaveNet's lie in [0, 1], and only
their rank can be set beside a likelihood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from srcsep_core.audit.presets import like_for_like
from srcsep_core.audit.published import CELL_COLUMNS, QUANTITIES
from srcsep_core.diagnostics.inputs import PRINTED_CONSTANTS
from srcsep_core.errors import InputError

PENDING = "pending: srcsep data musdb18 --root PLACE --variant musdb18_8k; srcsep notebooks 10"
PENDING_INPUTS = (  # which are of no data: they want priors of musdb18
    "pending: srcsep data musdb18 --root PLACE --variant musdb18_released; "
    "srcsep train -p full --variant musdb18_released; srcsep notebooks -p full 10"
)
NO_LENGTH = "not evaluated at this length"
NO_ORACLE = "the oracle has no density at prior sigma 0"
CLASSIFIED_NOTE = "neither text describes this run; ours is the fine-tuned flow"
WAVENET_NOTE = "mean sigmoid: always positive"
WAVENET_SCALE_NOTE = "other scale: only ranks compare"
MUSDB18 = "musdb18"
DERIVED = ("order_published", "order_ours", "note")

_LEVEL_COLUMN = {
    "cross_likelihood": "data_sigma",
    "noise_curve": "data_sigma",
    "constant_input": "level",
    "random_input": "input_sigma",
}
# Our data sets beside a published one, and of each the variant, or the first of them that there is.
BESIDE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "toy": {"toy": ("whole_periods",)},
    "musdb": {"rendered": ("songs_8k",), "excerpt": ("excerpt_8k",), MUSDB18: ("musdb18_released", "musdb18_8k")},
}
_SETTING = ["protocol", "objective"]
_NUMBERS = ["prior_sigma", "n", "length", "mean", "median"]
_MATCH = ["source", "prior", "sigma_key", "level_key"]
_TABLE = ["document", "item", "model", "world", "dataset", "statistic", *_SETTING]
# What a printed table's rows and columns are, by the quantities that one table may hold.
_LAYOUT = (
    (["cross_likelihood"], ["prior_sigma", "source"], ["prior_sigma", "prior"]),
    (["noise_curve"], ["prior", "level"], ["prior", "prior_sigma"]),
    (["constant_input", "random_input"], ["quantity", "prior_sigma", "level"], ["prior"]),
)


def compare(cells: pd.DataFrame, ours: Mapping[str, pd.DataFrame], *, length: int | None = None) -> pd.DataFrame:
    """Every published cell beside ours, for every protocol and objective that our tables hold for its model.

    `cells` is `published_cells()` or a part of it; `ours` maps a quantity (cross_likelihood, noise_curve,
    constant_input, random_input) to our table of it: columns protocol, objective, model,
    prior, prior_sigma, length, n, mean, median, and source, data_sigma, level, input_sigma where they apply. Levels are
    compared after rounding to 1e-3. Of several lengths (samples) of one model, protocol, objective and prior_sigma the
    shortest is taken, which is the authors', or `length` if given. Beside published cells of the toy world stand ours
    of it, beside those of musdb18 ours of each kind of songs that the tables hold (`BESIDE`); other rows are left out.

    Columns added to those of the cells:

    - dataset (our world); protocol, objective; ours_mean, ours_median, n, length;
    - same_sign (our median), same_sign_mean (our mean); a zero has no sign;
    - order_published, order_ours (our median), same_order: floor(log10 |value|), none for zero;
    - rank_row_published, rank_row_ours, same_rank_row and likewise for column: rank (1 is the likeliest) of the
      published value and of our median among those cells of the row or column that we have. Ties get their mean rank,
      and ours agrees if it lies within the tie of the published cell: print has two digits, so a tie there
      contradicts no order. A row of one cell has no rank. Rows and columns are: for cross_likelihood the source
      and the prior, a matrix for each prior_sigma; for noise_curve the data sigma and the prior_sigma, a table
      for each prior; for inputs the prior_sigma with the level, and the prior;
    - missing: why there is no value of ours, else ""; note: what to know when reading the row.

    Sign and order are empty for the WaveNet under protocols other than `mean_sigmoid`, whose scale is another.

    No cell is dropped: one without any value of ours has a single row with an empty protocol, and so has a cell of
    musdb18 where it is not on this machine. The run
    flowavenet_classified is set beside our flow. The oracle (a bound, no model) is set beside every model.
    Raises `InputError` for unknown quantities, lacking columns, ambiguous rows, and a length that no table has.
    """
    _check(cells, ours, length)
    table = pd.concat(_matched(cells.reset_index(drop=True), ours, length), ignore_index=True)
    table = table.sort_values(["cell", *_SETTING], kind="stable", ignore_index=True)
    table = table.astype({"n": "Int64", "length": "Int64"}).join(_signs_and_orders(table)).join(_ranks(table))
    return table.drop(columns=["cell", "sigma_key", "level_key", "missing"]).assign(
        missing=table["missing"], note=_notes(table)
    )


def kept_rows(comparison: pd.DataFrame) -> pd.DataFrame:
    """What of `compare` is in `published_vs_ours.csv`: every printed cell, and the stored ones like for like.

    Left out are protocols read of priors with another objective, the stored run flowavenet_classified, which neither
    text describes, and stored constants other than the printed ones, 0 and 1: figure 15 and its table have those. Left
    out too are the oracle's where it has no density, and the columns that follow from others: notes (of model and
    protocol) and powers of ten.
    """
    like = (comparison["protocol"] == "") | like_for_like(comparison)
    constants = (comparison["item"] == "constant input") & ~comparison["level"].isin(PRINTED_CONSTANTS)
    kept = like & (comparison["model"] != "flowavenet_classified") & ~constants & (comparison["missing"] != NO_ORACLE)
    return comparison[kept].drop(columns=list(DERIVED)).reset_index(drop=True)


def our_model(model: str) -> str:
    """Our model beside a published one."""
    return "flowavenet" if model == "flowavenet_classified" else model


def _check(cells: pd.DataFrame, ours: Mapping[str, pd.DataFrame], length: int | None) -> None:
    lacking = [column for column in CELL_COLUMNS if column not in cells]
    if lacking:
        raise InputError(f"the published cells lack the column {lacking[0]!r}; pass published_cells()")
    if cells.empty:
        raise InputError("there are no published cells to compare; pass published_cells() or some of its rows")
    for quantity, table in ours.items():
        if quantity not in QUANTITIES:
            raise InputError(f"unknown quantity {quantity!r}; use one of {', '.join(QUANTITIES)}")
        needed = ["model", *_SETTING, "prior", *_NUMBERS, _LEVEL_COLUMN[quantity]]
        needed += ["source"] if quantity == "cross_likelihood" else []
        lacking = [column for column in needed if column not in table]
        if lacking:
            raise InputError(f"our {quantity} table lacks the column {lacking[0]!r}; it has {', '.join(table.columns)}")
        for column in ("prior_sigma", _LEVEL_COLUMN[quantity]):
            if table[column].isna().any():
                raise InputError(
                    f"our {quantity} table has {table[column].isna().sum()} row(s) without {column}; fill it"
                )
    if length is not None and ours and not any((table["length"] == length).any() for table in ours.values()):
        known = sorted({int(value) for table in ours.values() for value in table["length"].unique()})
        raise InputError(f"none of our tables has the length {length}; use one of {', '.join(map(str, known))}")


def _keys(values: pd.Series) -> pd.Series:
    """Levels and noise levels as whole thousandths, so that rounded ones meet."""
    return (values.astype(float) * 1000).round().astype(int)


def _matched(cells: pd.DataFrame, ours: Mapping[str, pd.DataFrame], length: int | None) -> Iterator[pd.DataFrame]:
    """The cells with our values, a part for each quantity, model, protocol and objective."""
    cells = cells.assign(cell=cells.index, sigma_key=_keys(cells["prior_sigma"]), level_key=_keys(cells["level"]))
    for (world, quantity, model), part in cells.groupby(["world", "quantity", "model"], sort=False):
        for dataset, variants in BESIDE[str(world)].items():
            table = _prepared(str(quantity), _of(ours.get(str(quantity)), dataset, variants))
            part, own = part.assign(dataset=dataset), our_model(str(model))
            if own not in set(table["model"]) and dataset in ("toy", MUSDB18):
                known = f"our {quantity} table has no {own} rows"
                why = known if quantity in ours else f"we have no {quantity} table"
                pending = PENDING_INPUTS if str(quantity).endswith("input") else PENDING
                yield _without_ours(part, pending if dataset == MUSDB18 else why)
            for (held, protocol, objective), rows in table.groupby(["model", *_SETTING], sort=False):
                if held in (own, "oracle"):
                    yield _joined(part, _at_length(rows, length), str(quantity), str(protocol), str(objective))


def _of(table: pd.DataFrame | None, dataset: str, variants: Sequence[str]) -> pd.DataFrame | None:
    """Our rows of one data set: of the first of these variants that there is. A table that names none is of toys."""
    if table is None or "variant" not in table:
        return table if dataset == "toy" else None
    for variant in variants:
        rows = table[table["variant"] == variant]
        if len(rows):
            return rows
    return table[:0]


def _prepared(quantity: str, table: pd.DataFrame | None) -> pd.DataFrame:
    """Our rows with the same keys as the cells."""
    if table is None:
        return pd.DataFrame(columns=["model", *_SETTING])
    table = table.assign(
        objective=table["objective"].astype(object).where(table["objective"].notna(), ""),
        sigma_key=_keys(table["prior_sigma"]),
        level_key=_keys(table[_LEVEL_COLUMN[quantity]]),
    )
    if quantity == "noise_curve":
        return table.assign(source=table["prior"])
    return table if quantity == "cross_likelihood" else table.assign(source="")


def _at_length(rows: pd.DataFrame, length: int | None) -> pd.DataFrame:
    """Our rows of one length; the shortest of every noise level if none is asked for."""
    wanted = rows.groupby("sigma_key")["length"].transform("min") if length is None else length
    return rows[rows["length"] == wanted]


def _without_ours(part: pd.DataFrame, reason: str) -> pd.DataFrame:
    part = part.assign(protocol="", objective="", ours_mean=np.nan, ours_median=np.nan, n=np.nan, length=np.nan)
    return part.assign(missing=reason)


def _joined(part: pd.DataFrame, rows: pd.DataFrame, quantity: str, protocol: str, objective: str) -> pd.DataFrame:
    """The cells beside our rows of one protocol and objective, with the reason where there is none."""
    column = _LEVEL_COLUMN[quantity]
    level = column.replace("_", " ")
    twice = rows[rows.duplicated(_MATCH)]
    if len(twice):
        first = twice.iloc[0]
        raise InputError(
            f"our {quantity} table has several rows for protocol {protocol!r}, objective {objective!r}, prior "
            f"{first['prior']!r}, prior sigma {first['prior_sigma']:g}, {level} {first[column]:g}; keep one of them"
        )
    values = rows[[*_MATCH, "mean", "median", "n", "length"]]
    values = values.rename(columns={"mean": "ours_mean", "median": "ours_median"}).assign(found=True)
    joined = part.merge(values, on=_MATCH, how="left").assign(protocol=protocol, objective=objective)
    at_sigma = joined["sigma_key"].isin(rows["sigma_key"]) | rows.empty
    at_level = joined["level_key"].isin(rows["level_key"]) | rows.empty
    reason = pd.Series("we have no such row" if len(rows) else NO_LENGTH, index=joined.index)
    reason = reason.mask(~at_level, f"not evaluated at {level}" + joined["level"].map(" {:g}".format))
    reason = reason.mask(~at_sigma, "not evaluated at prior sigma" + joined["prior_sigma"].map(" {:g}".format))
    if protocol == "oracle":
        reason = reason.mask(joined["prior_sigma"] == 0, NO_ORACLE)
    reason = reason.mask(joined["found"].notna() & joined["ours_median"].isna(), "our value is not a number")
    return joined.assign(missing=reason.where(joined["ours_median"].isna(), "")).drop(columns="found")


def _signs_and_orders(table: pd.DataFrame) -> pd.DataFrame:
    """Agreement in sign and power of ten; empty for zeros, and where the two sides differ in scale."""
    comparable = (table["model"] != "wavenet") | (table["protocol"] == "mean_sigmoid")
    order, ours = _order(table["published"]), _order(table["ours_median"])
    return pd.DataFrame(
        {
            "same_sign": _same_sign(table["published"], table["ours_median"]).where(comparable),
            "same_sign_mean": _same_sign(table["published"], table["ours_mean"]).where(comparable),
            "order_published": order,
            "order_ours": ours,
            "same_order": (order == ours).where(comparable),
        }
    )


def _same_sign(left: pd.Series, right: pd.Series) -> pd.Series:
    known = left.notna() & right.notna() & (left != 0) & (right != 0)
    return ((left > 0) == (right > 0)).astype("boolean").where(known)


def _order(values: pd.Series) -> pd.Series:
    """floor(log10 |value|); none for zero and what is not finite."""
    size = values.astype(float).abs()
    exponent = np.floor(np.log10(size.where(np.isfinite(size) & (size > 0))))
    return pd.Series(exponent, index=values.index).astype("Int64")


def _ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Ranks within row and column of the cells that have a value of ours, on the index of `table`."""
    parts = []
    for quantities, row, column in _LAYOUT:
        part = table[(table["missing"] == "") & table["quantity"].isin(quantities)]
        columns = {}
        for name, keys in (("row", row), ("column", column)):
            groups = part.groupby([*_TABLE, *keys])
            published, alone = groups["published"], groups["published"].transform("size") < 2
            ours = groups["ours_median"].rank(ascending=False)
            first, last = (published.rank(method=tie, ascending=False) for tie in ("min", "max"))
            columns[f"rank_{name}_published"] = published.rank(ascending=False).mask(alone)
            columns[f"rank_{name}_ours"] = ours.mask(alone)
            columns[f"same_rank_{name}"] = ours.between(first, last).astype("boolean").mask(alone)
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts).reindex(table.index)


def _notes(table: pd.DataFrame) -> pd.Series:
    notes = pd.Series("", index=table.index)
    notes = notes.mask(table["model"] == "flowavenet_classified", CLASSIFIED_NOTE)
    wavenet, protocol = table["model"] == "wavenet", table["protocol"]
    notes = notes.mask(wavenet & (protocol == "mean_sigmoid"), WAVENET_NOTE)
    return notes.mask(wavenet & protocol.isin(["log_prob", "oracle"]), WAVENET_SCALE_NOTE)
