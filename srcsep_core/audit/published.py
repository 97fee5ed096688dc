"""Published numbers, to be shown beside ours: one loader a file, and `published_cells`, all of them in one table.

Every value is of the preset `released` (see data/published/README.md): nats/sample of `log_pz` for the
flow, the `mean_sigmoid` in [0, 1] for the WaveNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from srcsep_core.data.toy import SOURCES
from srcsep_core.errors import InputError
from srcsep_core.paths import project_root

DOCUMENTS = ("paper", "thesis", "authors' arrays")
QUANTITIES = ("cross_likelihood", "noise_curve", "constant_input", "random_input")
CELL_COLUMNS = (
    "document",
    "item",
    "model",
    "world",
    "quantity",
    "source",
    "prior",
    "prior_sigma",
    "level",
    "statistic",
    "published",
)
STATUSES = ("made", "pending", "not reproduced")
# The authors' arrays by quantity, a row a prior: sources under every prior; how well it tells its source from others
# (AUROC: mean and worst; accuracy: argmax over priors); noised data under its own prior, over the authors' signals; a
# constant, one value a level in -1..1 (rounded to 4 digits); one draw of noise of standard deviation `input_sigma`.
AUTHORS = {
    "cross_likelihood": ["source", "n", "mean", "median", "q05", "q95"],
    "discrimination": ["auroc_mean", "auroc_worst", "argmax_prior_accuracy"],
    "noise_curve": ["data_sigma", "mean", "median"],
    "constant_input": ["level", "value"],
    "random_input": ["input_sigma", "value"],
}
_ITEMS = {quantity: quantity.replace("_", " ") for quantity in QUANTITIES} | {"cross_likelihood": "cross-likelihood"}
_LEVELS = {"noise_curve": "data_sigma", "constant_input": "level", "random_input": "input_sigma"}
_RUN = ("model", "world", "prior_sigma", "prior")
_SIGMA_TOLERANCE = 1e-9


def published_folder() -> Path:
    """Where the published numbers lie."""
    return project_root() / "data" / "published"


def authors(
    quantity: str, *, model: str = "flowavenet", world: str = "toy", prior_sigma: float | None = 0.0
) -> pd.DataFrame:
    """The authors' own results, summarised from their public per-example arrays (preset `released`).

    Columns: prior_sigma, prior, and those of the quantity in `AUTHORS`; `prior_sigma` None gives every noise level.
    Raises `InputError` for what was not published.
    """
    table = _authors(quantity)
    chosen = table[(table["model"] == model) & (table["world"] == world)]
    asked = f"model {model!r}, world {world!r}"
    if prior_sigma is not None:
        chosen = chosen[chosen["prior_sigma"].sub(prior_sigma).abs() < _SIGMA_TOLERANCE]
        asked += f", prior sigma {prior_sigma:g}"
    if chosen.empty:
        raise InputError(f"nothing was published for {asked}")
    return chosen[["prior_sigma", "prior", *AUTHORS[quantity]]].reset_index(drop=True)


def printed_inputs(document: str = "paper") -> pd.DataFrame:
    """Paper Table 1 or thesis Table 2 as printed: flow priors on constant inputs and on noise (nats/sample).

    Columns: input, input_sigma (standard deviation; 0 for a constant), prior_sigma, and one a source. Raises
    `InputError` for any other document.
    """
    table = _read("printed_tables.csv", ["document", "input", "input_sigma", "prior_sigma", *SOURCES])
    chosen = table[table["document"] == document]
    if chosen.empty:
        raise InputError(f"no table of inputs is printed in document {document!r}; use paper or thesis")
    return chosen[["input", "input_sigma", "prior_sigma", *SOURCES]].reset_index(drop=True)


def printed_blind() -> pd.DataFrame:
    """The tables of the slides of Neri, Badeau & Depalle 2021 (EUSIPCO), as printed.

    Columns: data (MNIST, MUMS), sources, method, metric (psnr, si_sdr, si_sir and si_sar in dB; ssim), value.
    """
    return _read("printed_blind.csv", ["data", "sources", "method", "metric", "value"])


def printed_noise(source: str | None = None) -> pd.DataFrame:
    """Thesis Tables 3-6 as printed: mean of noised data under its own flow prior (nats/sample).

    Columns: table (3..6), source, data_sigma, prior_sigma, value; `source` None gives all four tables. Raises
    `InputError` for any other source.
    """
    columns = ["table", "source", "data_sigma", "prior_sigma", "value"]
    table = _read("printed_noise_tables.csv", columns)
    chosen = table if source is None else table[table["source"] == source]
    if chosen.empty:
        raise InputError(f"no noise table is printed for source {source!r}; use one of {', '.join(SOURCES)}")
    return chosen[columns].reset_index(drop=True)


def load_coverage() -> pd.DataFrame:
    """Every printed figure and table and where this project makes it.

    Columns: document, item, what, status (made, pending, not reproduced), where, note; empty cells are "".
    Raises `InputError` if a status is none of the three.
    """
    columns = ["document", "item", "what", "status", "where", "note"]
    table = _read("coverage.csv", columns)[columns].astype(object)
    table = table.where(table.notna(), "")
    unknown = sorted(set(table["status"]) - set(STATUSES))
    if unknown:
        raise InputError(f"coverage.csv has the status {unknown[0]!r}; use one of {', '.join(STATUSES)}")
    return table


def published_cells() -> pd.DataFrame:
    """Every published likelihood, one a row.

    Columns: document (paper, thesis, authors' arrays), item (the printed table, or the array's name), model
    (flowavenet, flowavenet_classified, wavenet), world (toy, musdb), quantity (cross_likelihood, noise_curve,
    constant_input, random_input), source (the data; "" for inputs), prior, prior_sigma, level, statistic
    (mean, median; value where there is one signal) and published (`released` protocol: nats/sample for the flow,
    a mean sigmoid in [0, 1] for the WaveNet).

    `level` is the data's noise for noise_curve, the constant for constant_input, the standard deviation of the
    input for random_input, and 0 for cross_likelihood. Quantiles and AUROC stay with their own loaders.
    """
    cells = pd.concat([_printed_input_cells(), _printed_noise_cells(), *_array_cells()], ignore_index=True)
    return cells[list(CELL_COLUMNS)].astype({"prior_sigma": float, "level": float, "published": float})


def _printed_input_cells() -> pd.DataFrame:
    table = _read("printed_tables.csv", ["document", "table", "input", "input_sigma", "prior_sigma", *SOURCES])
    long = table.melt(["document", "table", "input", "input_sigma", "prior_sigma"], list(SOURCES), "prior", "published")
    constant = long["input"].str.startswith("constant")
    level = long["input"].str.removeprefix("constant ").where(constant, long["input_sigma"]).astype(float)
    quantity = constant.map({True: "constant_input", False: "random_input"})
    return _toy_flow(long).assign(quantity=quantity, source="", level=level, statistic="value")


def _printed_noise_cells() -> pd.DataFrame:
    table = _read("printed_noise_tables.csv", ["document", "table", "source", "data_sigma", "prior_sigma", "value"])
    long = table.rename(columns={"data_sigma": "level", "value": "published"}).assign(prior=table["source"])
    return _toy_flow(long).assign(quantity="noise_curve", statistic="mean")


def _toy_flow(printed: pd.DataFrame) -> pd.DataFrame:
    """What the printed tables have in common: they show the toy flow."""
    return printed.assign(model="flowavenet", world="toy", item="Table " + printed["table"].astype(str))


def _array_cells() -> list[pd.DataFrame]:
    tables = {quantity: _authors(quantity) for quantity in QUANTITIES}
    tables["noise_curve"]["source"] = tables["noise_curve"]["prior"]
    cells = []
    for quantity, table in tables.items():
        statistics = [name for name in ("mean", "median", "value") if name in table]
        level = _LEVELS.get(quantity)
        table = table.assign(level=table[level] if level else 0.0, source=table.get("source", ""))
        long = table.melt([*_RUN, "source", "level"], statistics, "statistic", "published")
        cells.append(long.assign(document="authors' arrays", item=_ITEMS[quantity], quantity=quantity))
    return cells


def _authors(quantity: str) -> pd.DataFrame:
    return _read(f"authors_{quantity}.csv", [*_RUN, *AUTHORS[quantity]])


def _read(name: str, columns: Sequence[str]) -> pd.DataFrame:
    path = published_folder() / name
    if not path.exists():
        raise InputError(f"data/published/{name} is missing; restore it from the repository")
    table = pd.read_csv(path)
    lacking = [column for column in columns if column not in table]
    if lacking:
        raise InputError(f"data/published/{name} lacks the column {lacking[0]!r}; restore it from the repository")
    return table
