"""Locks: who waits is told for whom and since when; who holds one is known only while it runs."""

import json
import logging
import os
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from srcsep_core.run import locks
from srcsep_core.run.locks import Holder, holder_of, locked

HOLD_UNTIL_TOLD = """
import sys, time
from pathlib import Path
from srcsep_core.run.locks import locked

path = Path(sys.argv[1])
with locked(path, "it"):
    print("held", flush=True)
    while not path.with_suffix(".go").exists():
        time.sleep(0.01)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "step.lock"


class LetGo(logging.Handler):
    """Has the other process let go after the second message."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.messages = path, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        if len(self.messages) == 2:
            self.path.with_suffix(".go").touch()


def test_who_waits_is_told_for_whom_and_since_when_again_and_again(
    path: Path, start_python: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SILENT_S", 0.05)
    monkeypatch.setattr(locks, "REMIND_S", 0.05)
    process = start_python(HOLD_UNTIL_TOLD, path)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    heard = LetGo(path)
    locks.log.addHandler(heard)
    try:
        with locked(path, "flow-prior"):
            holder = holder_of(path)
    finally:
        locks.log.removeHandler(heard)
    assert holder is not None and holder.pid == os.getpid()
    day = datetime.now().strftime("%Y-%m-")
    for message in heard.messages[:2]:
        assert message.startswith(f"waiting since {day}") and " for flow-prior: " in message
        assert f"by process {process.pid} on {socket.gethostname()}, since {day}" in message


def test_a_lock_names_its_holder_while_it_is_held(path: Path) -> None:
    with pytest.raises(RuntimeError), locked(path, "it"):
        assert holder_of(path) is not None
        raise RuntimeError
    assert holder_of(path) is None
    assert [file.name for file in path.parent.iterdir()] in (["step.lock"], [])


def test_a_killed_process_holds_nothing_but_one_on_another_machine_may(
    path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start_python(HOLD_UNTIL_TOLD, path)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert holder_of(path) is not None
    process.kill()
    process.wait()
    assert holder_of(path) is None
    since = datetime(2020, 1, 1, tzinfo=UTC)
    note = {"pid": process.pid, "host": "elsewhere", "since": since.isoformat()}
    path.with_suffix(".json").write_text(json.dumps(note))
    assert holder_of(path) == Holder(process.pid, "elsewhere", since)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "host": "a", "since": "noon"}'])
def test_a_note_that_cannot_be_read_names_nobody(text: str, path: Path) -> None:
    path.with_suffix(".json").write_text(text)
    assert holder_of(path) is None
