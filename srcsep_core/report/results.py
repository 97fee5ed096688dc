"""Where a run's figures and tables go: all of them to the cache, and to the figures' folder those that differ."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.errors import InputError
from srcsep_core.paths import REFERENCE, default_root, figures_folder
from srcsep_core.report.verify import Verdict, compare_tables, read_table, verdict_of
from srcsep_core.run.artefacts import write_json
from srcsep_core.run.store import clear_os_errors
from srcsep_core.show.plots import save_figure

RENEW = "SRCSEP_RENEW"
RUN = "run.json"
DIGITS = 5


@dataclass(frozen=True)
class ResultFolders:
    """The two places of a run: `figures`, where results are kept, and `fresh`, where it leaves all that it made.

    With `compare`, a table that stands in `figures` is replaced only where the fresh one differs from it beyond the
    tolerances of `verify`, and a picture only where its table is; with `renew`, or without `compare`, always.
    `fresh / "before"` holds the tables that stood before this project's runs replaced them.
    """

    figures: Path
    fresh: Path
    compare: bool = True
    renew: bool = False

    def save_table(self, table: pd.DataFrame, name: str) -> bool:
        """Keep `table` as `name`.csv; returns whether the one in `figures` was replaced."""
        file = f"{name}.csv"
        with clear_os_errors(self.fresh):
            self._remember(file)
            made = write_table(table, self.fresh, name)
            if self.renew:
                _copy(made, self.fresh / "before")
        before, stands = self.fresh / "before" / file, self.figures / file
        compared = self.compare and not self.renew and before.exists()
        if not compared or compare_tables(read_table(before), read_table(made), name):
            _copy(made, self.figures)
            return True
        if stands.read_bytes() != before.read_bytes():  # an earlier run that differed had replaced it
            _copy(before, self.figures)
            return True
        return False

    def save_figure(self, figure: Figure, name: str, table: pd.DataFrame | None = None) -> None:
        """Keep the figure as `name`.png and `name`.pdf, and the plotted numbers, if given, as `name`.csv.

        Raises `InputError` if `name` is not a plain file name.
        """
        with clear_os_errors(self.fresh):
            picture, print_file = save_figure(figure, self.fresh, name)
        replace = self.renew or not self.compare
        if table is not None:
            replace = self.save_table(table, name)
        kept, kept_print = self.figures / picture.name, self.figures / print_file.name
        if replace or not kept.exists():
            _copy(picture, self.figures)
        if replace or not kept_print.exists() or kept_print.stat().st_mtime < kept.stat().st_mtime:
            _copy(print_file, self.figures)

    def _remember(self, file: str) -> None:
        """Keep what stands as what the fresh table is compared with, unless an earlier run of ours put it there."""
        stands, ours, before = self.figures / file, self.fresh / file, self.fresh / "before" / file
        if not self.compare or not stands.exists():
            before.unlink(missing_ok=True)
        elif not ours.exists() or ours.read_bytes() != stands.read_bytes():
            _copy(stands, before.parent)


def results_of(profile: str) -> ResultFolders:
    """The places of a profile's runs; only what the reference profile makes has something to be compared with."""
    renew = os.environ.get(RENEW) == "1"
    return ResultFolders(figures_folder(profile), fresh_folder(profile), compare=profile == REFERENCE, renew=renew)


def fresh_folder(profile: str) -> Path:
    """Where the runs of a profile leave all that they make."""
    return default_root() / "verify" / profile


@contextmanager
def renewing(renew: bool) -> Iterator[None]:
    """Have the notebooks started meanwhile replace what stands whether it differs or not."""
    earlier = os.environ.pop(RENEW, None)
    if renew:
        os.environ[RENEW] = "1"
    try:
        yield
    finally:
        os.environ.pop(RENEW, None)
        if earlier is not None:
            os.environ[RENEW] = earlier


def forget_run(profile: str) -> None:
    """Before a run: what the last one recorded is no verdict on a run that fails."""
    (fresh_folder(profile) / RUN).unlink(missing_ok=True)


def record_run(profile: str, started: float) -> None:
    """Note for `last_verdict` which tables were made since `started` (s since the epoch), and where they stood."""
    folder = fresh_folder(profile)
    names = sorted(path.stem for path in folder.glob("*.csv") if path.stat().st_mtime >= started)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RUN, {"tables": names, "figures": str(figures_folder(profile))})


def last_verdict(profile: str) -> Verdict:
    """The verdict on the last run of a profile, from the tables in the cache; raises `InputError` if there is none."""
    fresh = fresh_folder(profile)
    try:
        run = json.loads((fresh / RUN).read_text())
        names: Sequence[str] = run["tables"]
        return verdict_of(names, before=fresh / "before", fresh=fresh, folder=Path(run["figures"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"no whole run of the profile {profile} is recorded in {fresh}; run `srcsep notebooks -p {profile}` first"
        ) from error


def write_table(table: pd.DataFrame, folder: Path, name: str) -> Path:
    """Write `folder / name`.csv with five significant digits, whole or not at all; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    temporary = folder / f".{name}.csv.{os.getpid()}"
    table.to_csv(temporary, index=False, float_format=f"%.{DIGITS}g")
    os.replace(temporary, path)
    return path


def _copy(file: Path, folder: Path) -> None:
    """A file of the same name in `folder`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{file.name}.{os.getpid()}"
    shutil.copyfile(file, temporary)
    os.replace(temporary, folder / file.name)
