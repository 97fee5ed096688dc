"""How long every notebook took when it last ran, so that a run can say how much is left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from srcsep_core.paths import default_root
from srcsep_core.run.artefacts import write_json
from srcsep_core.run.store import clear_os_errors

# Seconds on two cores with the shipped priors and an empty cache, by the number that a notebook's name begins with.
DEFAULT_SECONDS = {
    "00": 20.0,
    "01": 8.0,
    "02": 25.0,
    "03": 330.0,
    "04": 60.0,
    "05": 110.0,
    "06": 190.0,
    "07": 14.0,
    "08": 36.0,
    "09": 190.0,
    "10": 60.0,
    "11": 15.0,
    "12": 105.0,
    "13": 40.0,
    "14": 60.0,
    "15": 15.0,
    "16": 15.0,
    "17": 15.0,
    "18": 120.0,
    "19": 120.0,
    "20": 40.0,
    "21": 20.0,
    "22": 20.0,
}
UNKNOWN_SECONDS = 60.0


def expected(profile: str, names: Sequence[str]) -> dict[str, float]:
    """Seconds that each notebook is expected to take: those of its last run at the profile, else the default."""
    measured = _read().get(profile, {})
    return {name: measured.get(name, DEFAULT_SECONDS.get(name[:2], UNKNOWN_SECONDS)) for name in names}


def record(profile: str, name: str, seconds: float) -> None:
    """Keep how long a notebook took at a profile, beside the cache."""
    path = _path()
    every = _read()
    with clear_os_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, every | {profile: every.get(profile, {}) | {name: round(seconds, 1)}})


def _path() -> Path:
    return default_root() / "timings.json"


def _read() -> dict[str, dict[str, float]]:
    """What was kept; nothing where the file is missing or damaged, as it only weighs a progress bar."""
    try:
        kept = json.loads(_path().read_text())
        return {
            str(profile): {str(name): float(seconds) for name, seconds in times.items() if float(seconds) > 0}
            for profile, times in kept.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
