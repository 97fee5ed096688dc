"""The folder that a separation is written to: whole or not at all, and over nobody else's files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from srcsep_core.errors import InputError

RECORD, DETAILS, PLAYER = "separation.json", "separation_details.json", "player.html"
ABOVE_BAND = "00_above_band.wav"


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

    With `overwrite`, files of an earlier separation go and others stay. Whatever interrupts it, the folder is left as
    it was. Returns `out`; raises `InputError` as `check_folder` does, and if the folder vanishes.
    """
    names = list(names)
    check_folder(out, names, overwrite=overwrite)
    target = out.absolute()
    with _clear_errors(out):
        lacking = [parent for parent in target.parents if not parent.exists()]
        there = target.exists()
        building = (target if there else target.parent) / f".{target.name}.{uuid.uuid4().hex}"
        try:
            building.parent.mkdir(parents=True, exist_ok=True)
            building.mkdir()
            fill(building)
            for name in names:
                (building / name).stat()  # raises where it vanished
            if there:
                with _uninterrupted():
                    _exchange(target, building, names)
            else:
                os.replace(building, target)
        finally:
            if not any(building.glob("before/*")):  # what could not be moved back stays
                shutil.rmtree(building, ignore_errors=True)
            with suppress(OSError):  # the first one that holds something ends it
                for parent in lacking:
                    parent.rmdir()
    return out


def _exchange(target: Path, building: Path, names: list[str]) -> None:
    """Move the files `names` of `building` into `target` and those of an earlier separation out; all or nothing.

    The record goes first and comes last, so a folder that has it is complete even where the process is killed.
    """
    aside = building / "before"
    aside.mkdir()
    try:
        for name in sorted(_ours(target), key=lambda name: name != RECORD):
            os.replace(target / name, aside / name)
        for name in sorted(names, key=lambda name: name == RECORD):
            os.replace(building / name, target / name)
    except BaseException:
        for name in sorted(names, key=lambda name: name != RECORD):
            if not (building / name).exists():
                os.replace(target / name, building / name)
        for path in sorted(aside.iterdir(), key=lambda path: path.name == RECORD):
            os.replace(path, target / path.name)
        raise
    shutil.rmtree(aside)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold a Ctrl-C back until the end, which is milliseconds away."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield
        return
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        signal.raise_signal(signal.SIGINT)


def _ours(out: Path) -> set[str]:
    """The files of an earlier separation in the folder, by its record."""
    try:
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
        files = {str(name) for name in record["files"]} if "srcsep_version" in record else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in files if Path(name).name == name and (out / name).is_file()}


@contextmanager
def _clear_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(
            f"the folder {out} vanished while it was written to, and nothing is kept; choose one that stays"
        ) from error
    except OSError as error:
        raise InputError(
            f"the folder {out} cannot be written to ({error.strerror}); choose one that you can write to"
        ) from error
