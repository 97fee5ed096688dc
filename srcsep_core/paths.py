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


def table_path(name: str) -> Path:
    """Where `name`.csv is read from: the folder that figures go to if it is there, else the committed `figures`."""
    redirected = figures_root() / f"{name}.csv"
    return redirected if redirected.exists() else project_root() / "figures" / f"{name}.csv"
