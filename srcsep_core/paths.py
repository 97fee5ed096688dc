"""Where things lie: the project, the cache, the shipped artefacts, the figures and tables."""

from __future__ import annotations

import os
from pathlib import Path

REFERENCE = "laptop"
"""The profile whose figures and tables are committed."""


def project_root() -> Path:
    """The folder that holds `notebooks`, `data` and `figures`, or the current one outside a checkout."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").exists() else Path.cwd()


def default_root() -> Path:
    """Where artefacts are kept: the environment's SRCSEP_CACHE, else `.cache` in the project."""
    return Path(os.environ.get("SRCSEP_CACHE") or project_root() / ".cache")


def shipped_root() -> Path:
    """Where the artefacts that come with the project lie."""
    return project_root() / "data" / "pretrained"


def figures_root() -> Path:
    """Where the figures of all profiles go: SRCSEP_FIGURES, else `figures` in the project."""
    return Path(os.environ.get("SRCSEP_FIGURES") or project_root() / "figures")


def figures_folder(profile: str) -> Path:
    """Where figures go: SRCSEP_FIGURES, else `figures` for the laptop profile and `figures/<profile>` else."""
    return figures_root() if profile == REFERENCE else figures_root() / profile


def measured_folder(profile: str) -> Path:
    """Where the tables that notebooks read are written: `data/measured`, unless figures go elsewhere.

    They do for another profile than the reference, and with SRCSEP_FIGURES: then it is the folder of the figures.
    """
    if profile != REFERENCE or os.environ.get("SRCSEP_FIGURES"):
        return figures_folder(profile)
    return project_root() / "data" / "measured"


def measured_table(name: str) -> Path:
    """Where notebooks read the table `name`.csv: where it is written if it is there, else in `data/measured`."""
    written = measured_folder(REFERENCE) / f"{name}.csv"
    return written if written.exists() else project_root() / "data" / "measured" / f"{name}.csv"
