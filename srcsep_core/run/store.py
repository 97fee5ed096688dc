"""A content-addressed store of artefacts: the same configuration is never computed twice.

An artefact is a folder `<root>/<step>/<key>/` with its files, `provenance.json` and, written last, the marker
`complete.json` that lists every file with its size and SHA-256. It is built in a private folder and moved
into place in one rename, so it is there whole or not at all. A lock file per key keeps two processes from
making the same artefact; the second one waits, says for whom, and then reads what the first one made.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from srcsep_core.errors import StoreError
from srcsep_core.paths import default_root
from srcsep_core.run.artefacts import (
    MARKER,
    PROVENANCE,
    Artefact,
    fault,
    marked_key,
    provenance,
    replace_folder,
    seal,
    write_json,
)
from srcsep_core.run.locks import Holder, holder_of, locked

log = logging.getLogger(__name__)

UNUSABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)
REMEDY = "set SRCSEP_CACHE to a folder on a disk that you can write to"


@contextmanager
def clear_os_errors(root: Path) -> Iterator[None]:
    """Turn what the operating system refuses into one sentence that names the folder and the remedy."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        code = error.errno if isinstance(error, OSError) else None
        if code in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error):
            message = f"no space left for the cache in {root}; free some space or {REMEDY}"
        elif code in UNUSABLE:
            message = f"the cache folder {root} cannot be used ({os.strerror(code)}); {REMEDY}"
        else:
            raise
        raise StoreError(message) from error


Maker = Callable[[Path, Path], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Finding:
    """What there is of an artefact: the one that is used, if any, and why folders that should be it are `damaged`."""

    artefact: Artefact | None
    damaged: Mapping[Path, str] = field(default_factory=dict)


class Store:
    """Artefacts under `root`, with read-only `shipped` ones beside it (None: ignore these)."""

    def __init__(self, root: Path | None = None, shipped: Path | None = None) -> None:
        self.root = root or default_root()
        self.shipped = shipped

    def folder(self, step: str, key: str) -> Path:
        """Where the artefact is kept once it is complete."""
        return self.root / step / key[:20]

    def work_folder(self, step: str, key: str) -> Path:
        """Where unfinished work on the artefact is kept, so that a killed run resumes."""
        return self.root / "unfinished" / step / key[:20]

    def holder(self, step: str, key: str) -> Holder | None:
        """Who is making the artefact now; None if nobody is known to."""
        return holder_of(self._lock_file(step, key))

    def look(self, step: str, key: str) -> Finding:
        """The complete artefact, from the cache or else from the shipped ones, and what is damaged. Only reads."""
        damaged: dict[Path, str] = {}
        folder = self.folder(step, key)
        with clear_os_errors(self.root):
            if folder.exists():
                reason = fault(folder, key)
                if reason is None:
                    return Finding(Artefact(folder, key))
                damaged[folder] = reason
        for shipped in self._shipped_folders():
            if marked_key(shipped) == key:
                reason = fault(shipped, key)
                if reason is None:
                    return Finding(Artefact(shipped, key, shipped=True), damaged)
                damaged[shipped] = reason
        return Finding(None, damaged)

    def find(self, step: str, key: str) -> Artefact | None:
        """The complete artefact, from the cache or else from the shipped ones; None if there is none. Only reads."""
        return self.look(step, key).artefact

    def get(self, step: str, key: str) -> Artefact | None:
        """As `find`, for use: one in the cache that is damaged is set aside if a shipped one takes its place.

        What was set aside is in `<root>/rejected`; a warning names it and says why.
        """
        found = self.look(step, key)
        if found.artefact is None or not found.damaged:
            return found.artefact
        with self._lock(step, key):
            return self._get_locked(step, key)

    def _get_locked(self, step: str, key: str) -> Artefact | None:
        found = self.look(step, key)
        then = "" if found.artefact is None else "; a shipped one is used"
        for folder, reason in found.damaged.items():
            if folder == self.folder(step, key):
                reason += f"; it was moved to {self._set_aside(folder)}"
            log.warning("the artefact %s is not used: %s%s", folder, reason, then)
        return found.artefact

    def get_or_make(self, step: str, key: str, make: Maker, **facts: Any) -> Artefact:
        """The artefact `key`; `make(folder, work_folder)` writes its files if it is not there yet.

        `make` fills `folder`, may keep checkpoints in `work_folder`, and may return facts to record, beside the
        processor time that it took. It runs in one process at a time, and what it leaves in `work_folder` is removed
        once it has finished.
        """
        found = self.get(step, key)
        if found is not None:
            return found
        with self._lock(step, key, facts.get("title", "")):
            return self._get_locked(step, key) or self._make(step, key, make, facts)

    def make_anew(self, step: str, key: str, make: Maker, **facts: Any) -> Artefact:
        """As `get_or_make`, whether the artefact is there or not; an older one stays until the new one is whole."""
        with self._lock(step, key, facts.get("title", "")):
            return self._make(step, key, make, facts)

    def add(self, complete: Sequence[tuple[str, str, Path]]) -> list[bool]:
        """Copy complete artefacts (step, key, folder) into the cache, all or none; says which were not there yet."""
        incoming = self.root / f".incoming-{uuid.uuid4().hex}"
        try:
            with clear_os_errors(self.root):
                self._make_folder(incoming)
                for step, key, folder in complete:
                    copy = incoming / step / key[:20]
                    copy.mkdir(parents=True)
                    for name in (*json.loads((folder / MARKER).read_text())["files"], MARKER):
                        shutil.copyfile(folder / name, copy / name)
                return [self._move_in(incoming / step / key[:20], step, key) for step, key, _ in complete]
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def _move_in(self, copy: Path, step: str, key: str) -> bool:
        with self._lock(step, key):
            final = self.folder(step, key)
            if fault(final, key) is None:
                return False
            final.parent.mkdir(parents=True, exist_ok=True)
            replace_folder(copy, final)
            return True

    def _lock_file(self, step: str, key: str) -> Path:
        return self.root / "locks" / f"{step}-{key[:20]}.lock"

    @contextmanager
    def _lock(self, step: str, key: str, title: str = "") -> Iterator[None]:
        path = self._lock_file(step, key)
        with clear_os_errors(self.root):
            self._make_folder(path.parent)
            with locked(path, title or step):
                yield

    def _make_folder(self, folder: Path) -> None:
        """Make a folder of the cache; raises `StoreError` where none can be made, as in /proc."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:
            message = f"the cache folder {self.root} cannot be made ({error.strerror}); {REMEDY}"
            raise StoreError(message) from error

    def _make(self, step: str, key: str, make: Maker, facts: Mapping[str, Any]) -> Artefact:
        final, work = self.folder(step, key), self.work_folder(step, key)
        building = final.with_name(f".building-{final.name}")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        work.mkdir(parents=True, exist_ok=True)
        try:
            before = time.process_time()
            recorded = make(building, work) or {}
            spent = {"cpu_seconds": round(time.process_time() - before, 1)}
            write_json(building / PROVENANCE, provenance(step=step, key=key, **facts, **{**spent, **recorded}))
            seal(building, key)
            replace_folder(building, final)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        shutil.rmtree(work, ignore_errors=True)
        return Artefact(final, key)

    def _set_aside(self, folder: Path) -> Path:
        rejected = self.root / "rejected" / f"{folder.parent.name}-{folder.name}-{uuid.uuid4().hex[:6]}"
        rejected.parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder, rejected)
        return rejected

    def _shipped_folders(self) -> list[Path]:
        if self.shipped is None or not self.shipped.is_dir():
            return []
        return sorted(path.parent for path in self.shipped.glob(f"*/{MARKER}"))
