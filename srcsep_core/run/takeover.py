"""Sets of trained priors from elsewhere, checked against their markers and put into the cache: all of them or none."""

from __future__ import annotations

import json
import re
from pathlib import Path

from srcsep_core.errors import InputError
from srcsep_core.fetch import opened
from srcsep_core.priors.kinds import all_kinds
from srcsep_core.run.artefacts import MARKER, PROVENANCE, fault
from srcsep_core.run.store import Store

WHERE = "name the folder that holds the sets, such as data/pretrained of a checkout, or a zip file of it"
DEPTHS = ("", "*/", "*/*/")  # of the sets in what was named: one itself, a folder of them, that folder in a zip file


def take_over(source: str, store: Store) -> dict[str, bool]:
    """Copy every set of priors in a folder, a zip file, or the zip file at an address into the store's cache.

    Returns the titles of the sets, and whether each was added: one that was there stays. Raises `InputError` if there
    are none, or anything but whole sets of priors; then nothing is copied.
    """
    with opened(source, WHERE) as folder:
        found = {_title(place): _checked(place) for place in _places(folder, source)}
        added = store.add(list(found.values()))
    return dict(zip(found, added, strict=True))


def _places(folder: Path, source: str) -> list[Path]:
    for depth in DEPTHS:
        if markers := sorted(folder.glob(f"{depth}{MARKER}")):
            return [marker.parent for marker in markers]
    raise InputError(f"{source} holds no sets of priors; {WHERE}")


def _title(place: Path) -> str:
    return str(_facts(place, PROVENANCE).get("title") or place.name)


def _checked(place: Path) -> tuple[str, str, Path]:
    """The set of priors in a folder, as (step, key, folder); raises `InputError` if it is none, or not whole."""
    step, key = (str(_facts(place, name).get(what)) for name, what in ((PROVENANCE, "step"), (MARKER, "key")))
    if step not in {f"{kind.step}-prior" for kind in all_kinds().values()}:
        raise InputError(f"{place.name} is no set of priors (its step is {step}); {WHERE}")
    reason = fault(place, key) if re.fullmatch("[0-9a-f]{64}", key) else f"its key is {key}"
    if reason is not None:
        raise InputError(f"the set {place.name} cannot be taken over: {reason}; copy it anew")
    return step, key, place


def _facts(place: Path, name: str) -> dict[str, object]:
    try:
        facts = json.loads((place / name).read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
