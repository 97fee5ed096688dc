"""What a user names as a folder, a zip file, or the address of a zip file, opened as a folder; and single files."""

from __future__ import annotations

import http.client
import logging
import shutil
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srcsep_core import __version__
from srcsep_core.errors import InputError

log = logging.getLogger(__name__)

TIMEOUT_S = 60


@contextmanager
def opened(source: str, remedy: str) -> Iterator[Path]:
    """The folder that was named, or one with the content of the zip file, which is gone afterwards.

    Raises `InputError`, with the remedy, where there is no such thing or it cannot be fetched or unpacked.
    """
    path = Path(source)
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory() as scratch:
        if "://" in source:
            path = fetch(source, Path(scratch) / "fetched.zip", remedy)
        if not path.is_file():
            raise InputError(f"there is no {source}; {remedy}")
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(Path(scratch) / "content")
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise InputError(f"{source} cannot be unpacked ({error}); {remedy}") from error
        yield Path(scratch) / "content"


def fetch(address: str, target: Path, remedy: str) -> Path:
    """Write the file at an address to `target`, and return that; raises `InputError`, with the remedy, where it cannot.

    What was interrupted may leave a part of it at `target`.
    """
    if not address.startswith(("https://", "http://")):
        raise InputError(f"{address} is no address that can be fetched; use one that begins with https://")
    log.info("fetching %s", address)
    request = urllib.request.Request(address, headers={"User-Agent": f"srcsep/{__version__}"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise InputError(f"{address} cannot be fetched ({error}); check the address, or {remedy}") from error
    return target
