"""The folder that a separation is written to: whole or not at all, and over nobody else's files."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from srcsep_core.errors import InputError

RECORD, PLAYER = "separation.json", "player.html"


def stem_names(sources: Sequence[str]) -> list[str]:
    """What the sources are called: their class, numbered where there are several of it (`sine 1`, `sine 2`)."""
    return [
        f"{source} {sources[: k + 1].count(source)}" if sources.count(source) > 1 else source
        for k, source in enumerate(sources)
    ]


def stem_files(sources: Sequence[str]) -> list[str]:
    """The files that the stems are written to: `01_sine.wav`, or `01_sine_1.wav` where there are several of a class."""
    return [f"{k:02d}_{name.replace(' ', '_')}.wav" for k, name in enumerate(stem_names(sources), start=1)]


def check_folder(out: Path, names: Iterable[str], *, overwrite: bool) -> None:
    """Raise `InputError` unless the files `names` can be written into the folder `out`, which is left as it is.

    It must be missing or empty, or with `overwrite` hold none of these names except from an earlier separation.
    """
    with _clear_errors(out):
        if out.exists() and not out.is_dir():
            raise InputError(f"{out} is a file; choose a folder for the stems")
        found = sorted(path.name for path in out.iterdir()) if out.exists() else []
        if found and not overwrite:
            raise InputError(
                f"the folder {out} is not empty ({len(found)} file(s), such as {found[0]}); "
                "choose another one, or replace an earlier separation with overwrite=True"
            )
        foreign = sorted((set(found) & set(names)) - _ours(out))
        if foreign:
            raise InputError(
                f"the folder {out} holds {foreign[0]}, which no separation wrote; move it away or choose another folder"
            )
        place = out if out.exists() else next(parent for parent in out.absolute().parents if parent.exists())
        with tempfile.TemporaryDirectory(dir=place):
            pass


def write_folder(out: Path, names: Iterable[str], fill: Callable[[Path], None], *, overwrite: bool) -> Path:
    """Let `fill` write the files `names` into a temporary folder, and move them to `out` when all are there.

    With `overwrite`, files of an earlier separation go and others stay. The record comes last, so a folder that has
    it is complete. Returns `out`; raises `InputError` as `check_folder` does.
    """
    names = list(names)
    check_folder(out, names, overwrite=overwrite)
    target = out.absolute()
    with _clear_errors(out):
        target.parent.mkdir(parents=True, exist_ok=True)
        building = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            building.mkdir()
            fill(building)
            if not target.exists():
                os.replace(building, target)
                return out
            old = _ours(target)
            (target / RECORD).unlink(missing_ok=True)
            for name in sorted(names, key=lambda name: name == RECORD):
                os.replace(building / name, target / name)
            for name in old - set(names):
                (target / name).unlink(missing_ok=True)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return out


def _ours(out: Path) -> set[str]:
    """The files of an earlier separation in the folder, by its record."""
    try:
        record = json.loads((out / RECORD).read_text())
        files = {str(name) for name in record["files"]} if "srcsep_version" in record else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in files if Path(name).name == name and (out / name).is_file()}


@contextmanager
def _clear_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the folder {out} cannot be written to ({error.strerror}); choose one that you can write to"
        ) from error
