"""An artefact: a folder of files with a marker that lists them, moved into place whole; and where it came from."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from srcsep_core.config import resolved
from srcsep_core.paths import checkout

MARKER = "complete.json"
PROVENANCE = "provenance.json"


def content_key(step: str, config: Any, parents: Sequence[str] = (), *, step_version: int = 1) -> str:
    """SHA-256 (hex) over canonical JSON of everything that determines an artefact.

    `config` is hashed resolved, with every field written out; code revision, package versions and device
    are recorded beside the artefact but not hashed.
    """
    content = {"step": step, "config": resolved(config), "parents": list(parents), "version": step_version}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Write JSON through a temporary file, so that a reader sees the old text or the new one."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n")
    os.replace(temporary, path)


def provenance(**facts: Any) -> dict[str, Any]:
    """What is worth knowing about a run and does not determine its result, plus `facts`."""
    packages = ("torch", "numpy", "scipy", "pandas")
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_revision": git_revision(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in packages},
        **facts,
    }


def git_revision() -> str:
    """The checked-out commit, marked if files differ from it; `unknown` outside a git checkout."""
    root = checkout()
    if root is None:
        return "unknown"
    git = ["git", "--no-optional-locks", "-C", str(root)]  # killed by Ctrl-C, it leaves no lock behind
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run(
            [*git, "status", "--porcelain", "--", "srcsep_core"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("-dirty" if status.stdout.strip() else "")


@dataclass(frozen=True)
class Artefact:
    """A complete, verified folder of files."""

    path: Path
    key: str
    shipped: bool = False

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def provenance(self) -> dict[str, Any]:
        """What was recorded when it was made."""
        facts: dict[str, Any] = json.loads((self.path / PROVENANCE).read_text())
        return facts


def replace_folder(new: Path, target: Path) -> None:
    """Move a finished folder into place; an older one at `target` is removed once it is out of the way."""
    old = target.with_name(f".replaced-{uuid.uuid4().hex}")
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(new, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def seal(folder: Path, key: str) -> None:
    """Write the marker that makes the folder a complete artefact."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.iterdir())
        if path.name != MARKER
    }
    write_json(folder / MARKER, {"key": key, "files": files})


def fault(folder: Path, key: str) -> str | None:
    """Why the folder is not the complete artefact `key`, or None if it is."""
    marker = folder / MARKER
    if not marker.exists():
        return f"its marker {MARKER} is missing"
    try:
        content = json.loads(marker.read_text())
        files = {name: (facts["bytes"], facts["sha256"]) for name, facts in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"its marker {MARKER} is not readable"
    if content.get("key") != key:
        return f"it was made for another configuration (key {str(content.get('key'))[:20]})"
    for name, (size, digest) in files.items():
        path = folder / name
        if path.name != name:
            return f"its marker {MARKER} names {name}, which is not in the folder"
        if not path.exists():
            return f"the file {name} is missing"
        if path.stat().st_size != size:
            return f"the file {name} has {path.stat().st_size} bytes instead of {size} (truncated or replaced)"
        if file_digest(path) != digest:
            return f"the file {name} was changed after it was made"
    return None


def marked_key(folder: Path) -> str | None:
    try:
        key = json.loads((folder / MARKER).read_text())["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(key)
