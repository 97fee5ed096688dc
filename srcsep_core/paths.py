"""Where things lie: the project, the cache, the shipped artefacts, the figures and tables."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from srcsep_core.errors import InputError

PACKAGE = Path(__file__).resolve().parent
REFERENCE = "laptop"
"""The profile whose figures and tables are committed."""
ELSEWHERE = "clone the project and run it there, or set SRCSEP_FIGURES to a folder for figures and tables"


def checkout() -> Path | None:
    """The folder that holds `notebooks`, `data` and `figures`; None where the package is installed without them."""
    return PACKAGE.parent if (PACKAGE.parent / "data" / "pretrained").is_dir() else None


def project_root(remedy: str = "clone the project and run it there") -> Path:
    """The checkout; raises `InputError`, which names the remedy, where there is none."""
    root = checkout()
    if root is None:
        raise InputError(f"this needs a checkout of the project, and {PACKAGE} is not in one; {remedy}")
    return root


def default_root() -> Path:
    """Where artefacts are kept: SRCSEP_CACHE, else `.cache` in the checkout, else the user's folder for caches."""
    if folder := os.environ.get("SRCSEP_CACHE"):
        return Path(folder)
    root = checkout()
    return user_cache_path("srcsep", appauthor=False) if root is None else root / ".cache"


def shipped_root() -> Path:
    """Where the artefacts that come with the project lie: `data/pretrained`, or the few that are in the package."""
    root = checkout()
    return PACKAGE / "pretrained" if root is None else root / "data" / "pretrained"


def figures_root() -> Path:
    """Where the figures of all profiles go: SRCSEP_FIGURES, else `figures` in the checkout (`InputError` without)."""
    return Path(os.environ.get("SRCSEP_FIGURES") or project_root(ELSEWHERE) / "figures")


def figures_folder(profile: str) -> Path:
    """Where figures go: SRCSEP_FIGURES, else `figures` for the laptop profile and `figures/<profile>` else."""
    return figures_root() if profile == REFERENCE else figures_root() / profile


def measured_folder(profile: str) -> Path:
    """Where the tables that notebooks read are written: `data/measured`, unless figures go elsewhere.

    They do for another profile than the reference, and with SRCSEP_FIGURES: then it is the folder of the figures.
    """
    if profile != REFERENCE or os.environ.get("SRCSEP_FIGURES"):
        return figures_folder(profile)
    return project_root(ELSEWHERE) / "data" / "measured"


def measured_table(name: str) -> Path:
    """Where notebooks read the table `name`.csv: where it is written if it is there, else in `data/measured`."""
    written = measured_folder(REFERENCE) / f"{name}.csv"
    return written if written.exists() else project_root() / "data" / "measured" / f"{name}.csv"
