"""What every notebook needs around its prose: a checked start, saved figures and tables, a provenance line."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.errors import InputError
from srcsep_core.progress import log_to_stderr
from srcsep_core.report.results import ResultFolders, results_of
from srcsep_core.run.artefacts import git_revision
from srcsep_core.run.pipeline import Pipeline, resolve_device
from srcsep_core.run.profiles import Profile, get_profile
from srcsep_core.run.steps import Step
from srcsep_core.show.plots import set_style

PARAMETERS = ("profile", "seed", "device")


@dataclass(frozen=True)
class Session:
    """A running notebook: its profile, its pipeline, and the places its results go to."""

    notebook: str
    profile: Profile
    seed: int
    pipeline: Pipeline
    results: ResultFolders

    def save_figure(self, figure: Figure, name: str, table: pd.DataFrame | None = None) -> None:
        """Keep the figure as PNG and PDF, and the plotted numbers as CSV; see `ResultFolders.save_figure`."""
        self.results.save_figure(figure, name, table)

    def save_table(self, table: pd.DataFrame, name: str) -> None:
        """Keep a table as CSV; see `ResultFolders.save_table`."""
        self.results.save_table(table, name)

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


def start(notebook: str, profile: str, seed: int, device: str) -> Session:
    """Begin a notebook: check its parameters, set the plot style, connect to a pipeline.

    The pipeline trains what is missing where the profile's priors are trained on the spot.

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
    chosen = get_profile(profile)
    pipeline = Pipeline(device=resolve_device(device), progress=True, train=chosen.on_the_spot)
    return Session(notebook, chosen, seed, pipeline, results_of(profile))


def listed(values: Mapping[Any, float] | pd.Series, spec: str = ".2f", unit: str = "") -> str:
    """Named numbers in words, each in the format `spec` and followed by `unit`: "sine 0.50, square 1.00"."""
    return ", ".join(f"{name} {value:{spec}}{unit}" for name, value in values.items())


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
