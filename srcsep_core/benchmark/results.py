"""The table of the separation benchmark (`data/measured/separation.csv`): one row a setting, from its values by mix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from srcsep_core.benchmark.settings import Setting
from srcsep_core.diagnostics.discrimination import interval, resample
from srcsep_core.errors import InputError
from srcsep_core.metrics import FAILURE_KINDS
from srcsep_core.paths import measured_table
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.steps import VALUES
from srcsep_core.run.steps.selection import SelectSources
from srcsep_core.samplers.selection import all_subsets

TEXT = {"control": str, "note": str}  # a column of nothing but empty texts would be numbers

FLOOR_DB = -30.0
THRESHOLDS_DB = (10, 20)
POOLED = "any"
PAIRS = f"{POOLED} 2"


def separation_row(pipeline: Pipeline, setting: Setting, *, profile: str, command: str) -> dict[str, Any]:
    """The row of one setting, measured where it is not yet; `command` is what makes it."""
    return _row(pipeline, [setting], setting, "+".join(setting.step.mixes.sources), profile, command)


def separation_rows(pipeline: Pipeline, settings: Sequence[Setting], *, profile: str, command: str) -> pd.DataFrame:
    """The rows of all settings, and after them those that differ in their classes alone, pooled.

    `command` is what makes them, less the group.
    """
    rows = [
        separation_row(pipeline, setting, profile=profile, command=f"{command} --group {setting.group}")
        for setting in settings
    ]
    for pool in pools_of(settings):
        name = f"{POOLED} {len(pool[0].step.mixes.sources)}"
        rows.append(_row(pipeline, pool, pool[0], name, profile, f"{command} --group {pool[0].group}"))
    return pd.DataFrame(rows)


def pools_of(settings: Sequence[Setting]) -> list[list[Setting]]:
    """The settings that agree in all but the classes of their equally many sources, where there are several."""
    pools: dict[tuple[str, str, str], dict[tuple[str, ...], Setting]] = {}
    for setting in settings:
        mixes = setting.step.mixes
        alike = replace(setting.step, mixes=replace(mixes, sources=(POOLED,) * len(mixes.sources)))
        pools.setdefault((setting.group, setting.control, alike.key), {})[mixes.sources] = setting
    return [list(pool.values()) for pool in pools.values() if len(pool) > 1]


def without_parts(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table without those that are parts of a pooled one in it."""
    facts = [name for name in ("variant", "group", "control", "prior", "sampler", "n_sources") if name in table]
    pooled = table["sources"].str.startswith(f"{POOLED} ")
    whole = pd.MultiIndex.from_frame(table.loc[pooled, facts])
    return table[pooled | ~pd.MultiIndex.from_frame(table[facts]).isin(whole)]


def pairs_of(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of all pairs pooled, and where there is no such row that of one pair, the first of the table."""
    rows = without_parts(table)
    pairs = table.loc[(table["n_sources"] == 2) & (table["sources"] != PAIRS), "sources"]
    return rows[rows["sources"].isin([PAIRS, *pairs.head(1)])]


def pooled_values(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The values of several sets of mixes as those of one set: every mix has a number of its own."""
    numbers = np.cumsum([0, *(table["mix"].max() + 1 for table in tables)])
    return pd.concat([table.assign(mix=table["mix"] + first) for table, first in zip(tables, numbers, strict=False)])


def _row(
    pipeline: Pipeline, pool: Sequence[Setting], first: Setting, sources: str, profile: str, command: str
) -> dict[str, Any]:
    artefacts = [pipeline.run(setting.step) for setting in pool]
    values = pooled_values([pd.read_csv(artefact / VALUES) for artefact in artefacts])
    facts = {
        "profile": profile,
        "world": first.step.data.name,
        **_facts(first, sources),
        "n_mixes": first.step.mixes.mixes * len(pool),
    }
    seconds = [artefact.provenance.get("seconds_per_mix", float("nan")) for artefact in artefacts]
    return {
        **facts,
        **summarise_separation(values),
        "seconds_per_mix": float(np.mean(seconds)),
        "command": command,
        "supervision": first.step.choice.supervision,
    }


def _facts(setting: Setting, sources: str) -> dict[str, Any]:
    """What was measured, as columns of the table."""
    prior, sampler = setting.step.choice.labels
    return {
        "variant": setting.step.data.variant,
        "group": setting.group,
        "control": setting.control,
        "note": setting.note,
        "prior": prior,
        "sampler": sampler,
        "n_sources": len(setting.step.mixes.sources),
        "sources": sources,
        "n_mixes": setting.step.mixes.mixes,
    }


def summarise_separation(values: pd.DataFrame) -> dict[str, Any]:
    """Figures of the values of one setting (`steps.separation.SeparateMixes`).

    SI-SDR (dB) is clipped below at -30 before averaging, so that a silent estimate does not make every mean minus
    infinity, and SI-SDRi at -60. low and high: percentile bootstrap over mixes (95 %) of si_sdri_mean. above_10db:
    share of sources, and all_above_10db: share of mixes with all sources above; the latter with its exact binomial
    interval (Clopper & Pearson 1934), because the bootstrap has no width at 0 and 1. fail_*: share of sources below
    10 dB by kind. chains_run is the mean number of chains.
    """
    clipped = values.assign(si_sdr=values["si_sdr"].clip(lower=FLOOR_DB), si_sdri=values["si_sdri"].clip(lower=-60))
    by_mix = clipped.groupby("mix")
    gains = by_mix["si_sdri"].mean().to_numpy()
    low, high = interval(gains[resample(len(gains))].mean(axis=1))
    row: dict[str, Any] = {
        "chains_run": float(values["chains_run"].mean()),
        "si_sdr_mean": float(clipped["si_sdr"].mean()),
        "si_sdri_mean": float(gains.mean()),
        "low": low,
        "high": high,
    }
    for threshold in THRESHOLDS_DB:
        share = by_mix["si_sdr"].min() > threshold
        row[f"above_{threshold}db"] = float((clipped["si_sdr"] > threshold).mean())
        row[f"all_above_{threshold}db"] = float(share.mean())
        exact = binomtest(int(share.sum()), len(share)).proportion_ci()
        row[f"all_above_{threshold}db_low"], row[f"all_above_{threshold}db_high"] = exact.low, exact.high
    row["residual"] = float(np.nan if values["residual"].isna().all() else values["residual"].mean())
    for kind in FAILURE_KINDS:
        if kind != "none":
            row[f"fail_{kind.replace(' ', '_')}"] = float((values["failure"] == kind).mean())
    return row


def with_other_groups(rows: pd.DataFrame, path: Path, counts: Sequence[int] = ()) -> pd.DataFrame:
    """The rows, and before them those of other groups and other worlds in an earlier table at `path`.

    With `counts`, the rows are only those of mixes of so many sources, and the earlier ones of other numbers stay too.
    """
    if not path.exists():
        return rows
    earlier = pd.read_csv(path, dtype=TEXT)
    made = pd.MultiIndex.from_frame(rows[["world", "group"]])
    others = ~pd.MultiIndex.from_frame(earlier[["world", "group"]]).isin(made)
    if counts:
        others |= ~earlier["n_sources"].isin(counts)
    return pd.concat([earlier[others], rows], ignore_index=True)


def check_counts(settings: Sequence[Setting], counts: Sequence[int]) -> None:
    """Raise `InputError` if one of the numbers of sources `counts` is that of none of the settings."""
    there = sorted({len(setting.step.mixes.sources) for setting in settings})
    for count in counts:
        if count not in there:
            raise InputError(f"no mix of these groups has {count} sources; use one of {', '.join(map(str, there))}")


def planned_rows(settings: Sequence[Setting]) -> pd.DataFrame:
    """What tells the rows of these settings apart, and how many mixes each would have."""
    return pd.DataFrame([_facts(setting, "+".join(setting.step.mixes.sources)) for setting in settings])


def planned_unknown(step: SelectSources) -> pd.DataFrame:
    """The number of mixes of each row that `unknown_table` would have."""
    each = [{"n_sources": len(names), "n_mixes": step.each} for names in all_subsets(step.prior.data.sources)]
    return pd.DataFrame(each).groupby("n_sources", as_index=False).sum()


def check_no_loss(path: Path, planned: pd.DataFrame, *, overwrite: bool = False) -> None:
    """Raise `InputError` if a row of the table at `path` was measured on more mixes than the `planned` one.

    Unless it may be lost: `overwrite`.
    """
    if overwrite or not path.exists():
        return
    earlier = pd.read_csv(path, dtype=TEXT).fillna(dict.fromkeys(TEXT, ""))
    same = [column for column in planned if column != "n_mixes"]
    both = planned.merge(earlier[[*same, "n_mixes"]], on=same, suffixes=("", "_earlier"))
    lost = both[both["n_mixes_earlier"] > both["n_mixes"]]
    if len(lost):
        worst = lost.iloc[0]
        raise InputError(
            f"{len(lost)} rows of {path} were measured on more mixes than this run would have, the first on "
            f"{worst['n_mixes_earlier']} for {worst['n_mixes']}; choose another folder or more mixes, "
            "or replace them with overwrite=True"
        )


def unknown_table(pipeline: Pipeline, step: SelectSources, *, profile: str, command: str) -> pd.DataFrame:
    """Which sources were found, by number of sources: n_mixes, share_right (the very set), share_right_number.

    low and high: exact binomial interval (95 %) of share_right.
    """
    values = pd.read_csv(pipeline.run(step) / VALUES)
    rows = []
    for count, group in values.groupby("n_sources"):
        exact = binomtest(int(group["right"].sum()), len(group)).proportion_ci()
        rows.append(
            {
                "profile": profile,
                "n_sources": count,
                "n_mixes": len(group),
                "share_right": group["right"].mean(),
                "low": exact.low,
                "high": exact.high,
                "share_right_number": (group["n_found"] == group["n_sources"]).mean(),
                "command": command,
            }
        )
    return pd.DataFrame(rows)


def benchmark_table() -> pd.DataFrame:
    """The table of the benchmark, `separation.csv` of `measured_table` (`command` says how each row was made).

    Raises `InputError` if it is missing.
    """
    return _read("separation").fillna(dict.fromkeys(TEXT, ""))


def committed_unknown() -> pd.DataFrame:
    """The table of unknown sources, `separation_unknown.csv` of `measured_table`; raises `InputError` if missing."""
    return _read("separation_unknown")


def _read(name: str) -> pd.DataFrame:
    path = measured_table(name)
    if not path.exists():
        raise InputError(f"there is no {path}; make it with `srcsep benchmark`")
    return pd.read_csv(path, dtype=TEXT)
