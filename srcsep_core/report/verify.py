"""Whether a run reproduced: its tables beside those that stood in the figures' folder, within stated tolerances."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from srcsep_core.errors import InputError

IGNORED, PHASE, LEVEL, MAGNITUDE, PRINTED, SAMPLED = "ignored", "phase", "level", "magnitude", "printed", "sampled"

# What is not compared as it stands, by table and column. ignored: times, and how a row was made. phase: modulo 2 pi,
# where the bin is loud enough to have one. level: dB, equal below what rounding leaves. magnitude: rounding errors,
# by their power of ten. printed: text with rounded numbers. sampled: the states of single chains and samples, and where
# long ways along a gradient end, which another processor's last digits send elsewhere, by mean and standard deviation
# of the column.
RULES = {
    ("*", "seconds_per_mix"): IGNORED,
    ("*", "command"): IGNORED,
    ("*", "created"): IGNORED,
    ("toy_stft", "phase_rad"): PHASE,
    ("toy_stft", "magnitude_db"): LEVEL,
    ("toy_spectra", "*"): LEVEL,
    ("invertibility", "error"): MAGNITUDE,
    ("claims", "released"): PRINTED,
    ("claims", "exact"): PRINTED,
    ("claims", "oracle"): PRINTED,
    ("claims", "why"): PRINTED,
    **{
        (table, "*"): SAMPLED
        for table in (
            "explorer_chain",
            "explorer_levels",
            "explorer_result",
            "music_hard_example",
            "prior_samples",
            "score_samples",
            "separation_chain",
            "separation_example",
            "separation_unconstrained",
            "separation_rerun",
            "spectral_followed",
            "spectral_followed_waves",
            "spectral_paths",
            "tour_separation",
            "wavenet_samples",
        )
    },
}
LOUDNESS = "magnitude_db"
LARGEST_COUNT = 10_000  # rounded to five digits, larger numbers are whole whether they count something or not
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Tolerance:
    """How far two numbers a and b of a column may lie apart: relative * max(|a|, |b|) + floor * median |column|.

    Other processors were seen to differ by up to 4e-3 of a value, nearly always by less than 1e-4; another seed moves
    the means of the smallest tables (16 signals) by several percent. 1e-2 lies between. The floor, scaled to the
    column, is for values near zero, such as a wave's crossings. Whole numbers below `LARGEST_COUNT` and texts must be
    equal.

    phase: the largest distance of two phases on the circle, in radians. decades: of two rounding errors, in powers of
    ten. quiet_db: the level at and below which a bin of a float32 spectrum holds little but rounding. sampled: the
    largest distance of means and of standard deviations of a column of samples, as a share of its root mean square:
    two chains that explore the same density are this close, and one that diverges or is stuck is not.
    """

    relative: float = 1e-2
    floor: float = 1e-3
    phase: float = 0.02
    decades: float = 1.0
    quiet_db: float = -100.0
    sampled: float = 0.2


@dataclass(frozen=True)
class Difference:
    """Where a table differs: the column, how many of its rows, the worst of them (from 0), and both values there."""

    column: str
    row: str
    committed: str
    fresh: str
    count: int = 1

    def __str__(self) -> str:
        more = f" ({self.count} rows differ, this one most)" if self.count > 1 else ""
        return f"column {self.column}, {self.row}: {self.committed} stood, {self.fresh} came out{more}"


@dataclass(frozen=True)
class Verdict:
    """What a run found: the tables compared, in order; those that differ; and those that nothing stood to compare with.

    `folder` is where the tables stood.
    """

    folder: Path
    differing: tuple[tuple[str, tuple[Difference, ...]], ...] = ()
    agreeing: tuple[str, ...] = ()
    uncompared: tuple[str, ...] = ()

    @property
    def reproduced(self) -> bool:
        """Whether no table differs."""
        return not self.differing

    def __str__(self) -> str:
        compared = len(self.agreeing) + len(self.differing)
        lines = [f"  {name}: {difference}" for name, differences in self.differing for difference in differences]
        if compared:
            differ = f", {len(self.differing)} differ" if self.differing else ""
            lines.append(
                f"{_tables(compared)}: {len(self.agreeing)} agree{differ} (with those that stood in {self.folder})"
            )
        if self.uncompared:
            lines.append(f"{_tables(len(self.uncompared))} written to {self.folder} and compared with nothing")
        return "\n".join(lines or ["no tables were made"])


def read_table(path: Path) -> pd.DataFrame:
    """A CSV file as it is compared; raises `InputError` if it is not a table."""
    try:
        return pd.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a table ({error}); remove it or restore it") from error


def compare_tables(
    committed: pd.DataFrame, fresh: pd.DataFrame, name: str = "", tolerance: Tolerance | None = None
) -> list[Difference]:
    """Where `fresh` differs from `committed` beyond the tolerance: at most one entry a column, its worst row.

    `name` is the table's, and chooses the exceptions in `RULES`. Columns must be the same; so must the number of rows,
    unless the table holds samples.
    """
    limits = tolerance or Tolerance()
    columns, found_columns = ([str(column) for column in table] for table in (committed, fresh))
    if columns != found_columns:
        return [Difference("names", "the head", ", ".join(columns), ", ".join(found_columns))]
    if len(committed) != len(fresh) and rule_of(name, "") != SAMPLED:
        return [Difference("all", "number of rows", str(len(committed)), str(len(fresh)))]
    compared = [column for column in columns if rule_of(name, column) != IGNORED]
    found = (_compare_column(committed, fresh, column, rule_of(name, column), limits) for column in compared)
    return [difference for difference in found if difference is not None]


def rule_of(table: str, column: str) -> str:
    """The exception for a column of a table, or an empty string."""
    keys = (("*", column), (table, column), (table, "*"))
    return next((RULES[key] for key in keys if key in RULES), "")


def verdict_of(names: Iterable[str], *, before: Path, fresh: Path, folder: Path) -> Verdict:
    """The verdict on the tables `names` in `fresh`, beside those in `before`, which once stood in `folder`."""
    differing, agreeing, uncompared = [], [], []
    for name in names:
        stood = before / f"{name}.csv"
        if not stood.exists():
            uncompared.append(name)
            continue
        differences = compare_tables(read_table(stood), read_table(fresh / f"{name}.csv"), name)
        if differences:
            differing.append((name, tuple(differences)))
        else:
            agreeing.append(name)
    return Verdict(folder, tuple(differing), tuple(agreeing), tuple(uncompared))


def _tables(count: int) -> str:
    return "1 table" if count == 1 else f"{count} tables"


def _compare_column(
    committed: pd.DataFrame, fresh: pd.DataFrame, column: str, rule: str, limits: Tolerance
) -> Difference | None:
    old, new = committed[column], fresh[column]
    if not (_is_number(old) and _is_number(new)):
        return _compare_texts(old, new, rule, limits)
    x, y = old.to_numpy(dtype=float), new.to_numpy(dtype=float)
    if rule == SAMPLED:
        return _compare_summaries(column, x, y, limits)
    excess = _excess(x, y, rule, limits)
    if pd.api.types.is_integer_dtype(old) and pd.api.types.is_integer_dtype(new):
        counts = np.maximum(np.abs(x), np.abs(y)) < LARGEST_COUNT
        excess = np.where(counts, np.abs(x - y), excess)
    if rule == PHASE:
        quiet = (committed[LOUDNESS] <= limits.quiet_db) | (fresh[LOUDNESS] <= limits.quiet_db)
        excess = np.where(quiet, 0.0, excess)
    return _worst(old, new, excess)


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _excess(x: np.ndarray, y: np.ndarray, rule: str, limits: Tolerance) -> np.ndarray:
    """By how much pairs of numbers are farther apart than allowed, 0 or less if not; infinity where one is missing."""
    if rule == PHASE:
        excess = np.abs((x - y + np.pi) % (2 * np.pi) - np.pi) - limits.phase
    elif rule == MAGNITUDE:
        decades = [np.log10(np.maximum(np.abs(values), np.finfo(float).eps)) for values in (x, y)]
        excess = np.abs(decades[0] - decades[1]) - limits.decades
    else:
        low = limits.quiet_db if rule == LEVEL else -np.inf
        a, b = np.maximum(x, low), np.maximum(y, low)
        sizes = np.abs(a[np.isfinite(a) & (a != 0)])
        scale = float(np.median(sizes)) if len(sizes) else 0.0
        with np.errstate(invalid="ignore"):
            excess = np.abs(a - b) - limits.relative * np.maximum(np.abs(a), np.abs(b)) - limits.floor * scale
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    return np.where(same, 0.0, np.where(np.isnan(excess), np.inf, excess))


def _compare_texts(old: pd.Series, new: pd.Series, rule: str, limits: Tolerance) -> Difference | None:
    """Texts must be equal; in samples the same ones must occur, and printed numbers may differ as numbers do."""
    a, b = (values.fillna("").astype(str) for values in (old, new))
    if rule == SAMPLED:
        first, second = (", ".join(sorted(set(values))) for values in (a, b))
        return None if first == second else Difference(str(old.name), "its values", first, second)
    pairs = zip(a, b, strict=True)
    if rule == PRINTED:
        excess = np.array([float(not _same_print(first, second, limits)) for first, second in pairs])
    else:
        excess = np.array([float(first != second) for first, second in pairs])
    return _worst(a, b, excess)


def _same_print(first: str, second: str, limits: Tolerance) -> bool:
    """Whether two texts have the same words, and numbers within the tolerance."""
    if NUMBER.sub("#", first) != NUMBER.sub("#", second):
        return False
    numbers = [np.array(NUMBER.findall(text), dtype=float) for text in (first, second)]
    return bool((_excess(numbers[0], numbers[1], "", limits) <= 0).all())


def _compare_summaries(column: str, x: np.ndarray, y: np.ndarray, limits: Tolerance) -> Difference | None:
    """The mean and the standard deviation of a column of samples."""
    (mean, spread), (new_mean, new_spread) = (_summary(values) for values in (x, y))
    allowed = limits.sampled * max(np.hypot(mean, spread), np.hypot(new_mean, new_spread))
    if abs(new_mean - mean) <= allowed and abs(new_spread - spread) <= allowed:
        return None
    return Difference(
        column, "mean and standard deviation", f"{mean:.5g}, {spread:.5g}", f"{new_mean:.5g}, {new_spread:.5g}"
    )


def _summary(values: np.ndarray) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return (float(known.mean()), float(known.std())) if len(known) else (0.0, 0.0)


def _worst(old: pd.Series, new: pd.Series, excess: np.ndarray) -> Difference | None:
    """The row farthest beyond the tolerance, if any is."""
    count = int((excess > 0).sum())
    if not count:
        return None
    row = int(np.argmax(excess))
    return Difference(str(old.name), f"row {row}", str(old.iloc[row]), str(new.iloc[row]), count)
