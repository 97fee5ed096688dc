"""What every notebook needs around its prose: a checked start, saved figures and tables, a provenance line."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.errors import InputError
from srcsep_core.paths import figures_folder
from srcsep_core.progress import log_to_stderr
from srcsep_core.run.pipeline import Pipeline, resolve_device
from srcsep_core.run.profiles import Profile, get_profile
from srcsep_core.run.steps import Step
from srcsep_core.run.store import git_revision
from srcsep_core.show.plots import save_figure, set_style

PARAMETERS = ("profile", "seed", "device")


@dataclass(frozen=True)
class Session:
    """A running notebook: its profile, its pipeline, and the folder its figures go to."""

    notebook: str
    profile: Profile
    seed: int
    pipeline: Pipeline
    figures: Path

    def save_figure(self, figure: Figure, name: str, table: pd.DataFrame | None = None) -> None:
        """Write `name`.png and `name`.pdf, and the plotted numbers as `name`.csv."""
        save_figure(figure, self.figures, name)
        if table is not None:
            self.save_table(table, name)

    def save_table(self, table: pd.DataFrame, name: str) -> None:
        """Write `name`.csv with six significant digits, whole or not at all."""
        write_table(table, self.figures, name)

    def provenance(self, steps: Iterable[Step] = ()) -> str:
        """The line a notebook ends with: profile, seed, device, revision, and every artefact used."""
        import torch

        used = []
        for step in steps:
            artefact = self.pipeline.run(step)
            origin = "shipped" if artefact.shipped else "made here"
            used.append(f"{step.title} ({step.key[:12]}, {origin}, {artefact.provenance['created'][:10]})")
        parts = [
            f"{self.notebook}: profile {self.profile.name}, seed {self.seed}, device {self.pipeline.device.type}",
            f"torch {torch.__version__}, code {git_revision()}",
            *used,
        ]
        return "; ".join(parts)


def write_table(table: pd.DataFrame, folder: Path, name: str) -> Path:
    """Write `folder / name`.csv with six significant digits, whole or not at all; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    temporary = folder / f".{name}.csv.{os.getpid()}"
    table.to_csv(temporary, index=False, float_format="%.6g")
    os.replace(temporary, path)
    return path


def start(notebook: str, profile: str, seed: int, device: str) -> Session:
    """Begin a notebook: check its parameters, set the plot style, connect to the pipeline.

    Raises `InputError` for an unknown profile or device, for a seed that is not a whole number, and for a
    parameter that papermill injected and no notebook has (papermill itself only warns).
    """
    unknown = _injected_parameters() - set(PARAMETERS)
    if unknown:
        raise InputError(f"unknown notebook parameter(s) {', '.join(sorted(unknown))}; use {', '.join(PARAMETERS)}")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise InputError(f"the seed {seed!r} is not a whole number; use for example 0")
    log_to_stderr()
    set_style()
    pipeline = Pipeline(device=resolve_device(device), progress=True)
    return Session(notebook, get_profile(profile), seed, pipeline, figures_folder(profile))


def _injected_parameters() -> set[str]:
    """Names assigned in papermill's injected cell, which begins with the comment "# Parameters"."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    cells = shell.user_ns.get("In", []) if shell is not None else []
    names: set[str] = set()
    for source in cells:
        if source.lstrip().startswith("# Parameters"):
            for node in ast.parse(source).body:
                if isinstance(node, ast.Assign):
                    names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names
