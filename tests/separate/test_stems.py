"""The folder of a separation is whole or as it was, whatever happens while it is written."""

import json
import os
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from srcsep_core.errors import InputError
from srcsep_core.separate import stems
from srcsep_core.separate.stems import RECORD, write_folder

NAMES = ["01_sine.wav", "02_saw.wav", RECORD]


def filling(mark: str, names: list[str] = NAMES) -> Callable[[Path], None]:
    """Write every file, with `mark` as its content."""

    def fill(folder: Path) -> None:
        for name in names:
            text = json.dumps({"srcsep_version": mark, "files": names}) if name == RECORD else mark
            (folder / name).write_text(text)

    return fill


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> list[int]:
    """Ctrl-C in place of the move of a file after so many; counts them."""
    moves: list[int] = []
    replace = os.replace

    def move(source: Path, target: Path) -> None:
        moves.append(1)
        if len(moves) == after + 1:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(stems.os, "replace", move)
    return moves


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "an earlier separation"])
def test_interrupted_at_any_move_the_folder_is_as_it_was(there: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    if there != "nothing":
        out.mkdir(parents=True)
    if there == "an earlier separation":
        shutil.rmtree(out)
        write_folder(out, ["01_square.wav", *NAMES], filling("old", ["01_square.wav", *NAMES]), overwrite=False)
        (out / "notes.txt").write_text("mine")
    before, existed = contents(tmp_path), out.exists()
    for after in range(100):
        with pytest.MonkeyPatch.context() as patch:
            moves = interrupt(patch, after)
            try:
                write_folder(out, NAMES, filling("new"), overwrite=True)
            except KeyboardInterrupt:
                assert contents(tmp_path) == before
                assert out.exists() == existed and (existed or list(tmp_path.iterdir()) == [])
                continue
        break
    assert len(moves) == {"nothing": 1, "an empty folder": 3, "an earlier separation": 7}[there]
    mine = {"notes.txt": "mine"} if there == "an earlier separation" else {}
    assert contents(tmp_path).keys() == {*NAMES, *mine}
    assert contents(out)["01_sine.wav"] == "new" and (out / RECORD).exists()


def test_ctrl_c_while_files_are_exchanged_comes_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also several of them: the folder holds the new files, and nothing else is left."""
    out = tmp_path / "out"
    write_folder(out, NAMES, filling("old"), overwrite=False)
    replace = os.replace

    def move(source: Path, target: Path) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        replace(source, target)

    monkeypatch.setattr(stems.os, "replace", move)
    with pytest.raises(KeyboardInterrupt):
        write_folder(out, NAMES, filling("new"), overwrite=True)
    assert contents(out).keys() == {*NAMES} and contents(out)["01_sine.wav"] == "new"


def test_files_that_cannot_be_moved_back_are_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write_folder(out, NAMES, filling("old"), overwrite=False)
    replace, moves = os.replace, list[int]()

    def move(source: Path, target: Path) -> None:
        moves.append(1)
        if len(moves) > 2:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(stems.os, "replace", move)
    with pytest.raises(InputError, match="No space left"):
        write_folder(out, NAMES, filling("new"), overwrite=True)
    kept = [path.name for path in out.rglob("*") if path.is_file() and path.read_text() != "new"]
    assert set(NAMES) <= set(kept)


@pytest.mark.parametrize("existed", [False, True])
def test_folder_that_vanishes_while_it_is_written_is_one_sentence(existed: bool, tmp_path: Path) -> None:
    out = tmp_path / "place" / "out"
    if existed:
        out.mkdir(parents=True)

    def fill(folder: Path) -> None:
        filling("new")(folder)
        shutil.rmtree(tmp_path / "place")

    with pytest.raises(InputError, match=r"out vanished while it was written to, and nothing is kept; choose one"):
        write_folder(out, NAMES, fill, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_exists_is_written_from_within(tmp_path: Path) -> None:
    """So one that lies in a folder that cannot be written to, or on a disk of its own, will do."""
    out = tmp_path / "out"
    out.mkdir()
    seen: list[Path] = []

    def fill(folder: Path) -> None:
        seen.append(folder.parent)
        filling("new")(folder)

    write_folder(out, NAMES, fill, overwrite=False)
    assert seen == [out] and contents(out).keys() == set(NAMES)


@pytest.mark.parametrize(("umask", "folder", "file"), [(0o022, 0o755, 0o644), (0o027, 0o750, 0o640)])
def test_others_may_read_what_the_umask_lets_them(umask: int, folder: int, file: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        out = write_folder(tmp_path / "out", NAMES, filling("new"), overwrite=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE(out.stat().st_mode) == folder
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {file}
