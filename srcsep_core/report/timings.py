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
    "01": 10.0,
    "02": 17.0,
    "03": 11.0,
    "04": 23.0,
    "05": 28.0,
    "06": 177.0,
    "07": 15.0,
    "08": 44.0,
    "09": 13.0,
    "10": 12.0,
    "11": 14.0,
    "12": 160.0,
    "13": 24.0,
    "14": 26.0,
    "15": 14.0,
    "16": 16.0,
    "17": 8.0,
    "18": 11.0,
    "19": 48.0,
    "20": 12.0,
    "21": 12.0,
    "22": 10.0,
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
