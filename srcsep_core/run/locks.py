"""Locks between processes that say who holds them: a waiting process names the one that it waits for.

Beside the lock file `NAME.lock` its holder writes `NAME.json` (pid, host, since), and removes it in the end.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

SILENT_S = 1.0  # so long a lock is waited for without a word; its holder has named itself by then
REMIND_S = 60.0


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock: its id, its machine, and since when."""

    pid: int
    host: str
    since: datetime

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {_clock(self.since)}"


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock file `path`; None if nobody says so, or who did is a process of this machine that is gone."""
    try:
        said = json.loads(_note(path).read_text())
        holder = Holder(int(said["pid"]), str(said["host"]), datetime.fromisoformat(said["since"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return None if holder.host == socket.gethostname() and not _runs(holder.pid) else holder


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`; while another process holds it, say so every `REMIND_S`. `what` is made meanwhile."""
    lock = FileLock(path)
    _acquire(lock, path, what)
    try:
        note = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now().isoformat()}
        _note(path).write_text(json.dumps(note) + "\n")
        yield
    finally:
        with suppress(OSError):
            _note(path).unlink()
        lock.release()


def _acquire(lock: FileLock, path: Path, what: str) -> None:
    asked, patience = _now(), SILENT_S
    while True:
        try:
            lock.acquire(timeout=patience)
            return
        except Timeout:
            holder = holder_of(path) or "a process that has left no name"
            log.warning("waiting since %s for %s: it is being made by %s", _clock(asked), what, holder)
            patience = REMIND_S


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs under another user
        return True
    return True


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _clock(moment: datetime) -> str:
    """Date and time of day on this machine's clock."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
