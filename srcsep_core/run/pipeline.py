"""The graph of steps, run on this machine. Asking for a step makes what it needs and is not there yet.

All but priors: they are trained where that was asked for.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import torch

from srcsep_core.errors import InputError
from srcsep_core.paths import shipped_root
from srcsep_core.run.artefacts import Artefact, replace_folder, seal
from srcsep_core.run.steps import VALUES, Evaluation, Step, TrainPriors, load_priors
from srcsep_core.run.store import Finding, Store
from srcsep_core.run.untrained import cost, refusal

log = logging.getLogger(__name__)


def resolve_device(name: str) -> torch.device:
    """`auto` (a GPU if there is one), `cpu` or `cuda`.

    On a GPU convolutions are set to full float32: the ten bits of TF32 do not do for peaked densities.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"unknown device {name!r}; use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for but PyTorch finds no GPU; use auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return torch.device(name)


State = Literal["made", "shipped", "running", "unfinished", "damaged", "missing"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class StepStatus:
    """What there is of a step. `detail` says why it is damaged, how far it came, who makes it; else it is empty."""

    step: Step
    state: State
    detail: str = ""


@dataclass
class Pipeline:
    """Runs steps on this machine: finds their artefacts in the store or makes them; priors only with `train`."""

    store: Store = field(default_factory=lambda: Store(shipped=shipped_root()))
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: bool = False
    train: bool = False

    def run(self, step: Step) -> Artefact:
        """The step's artefact, made if needed, its parents first.

        Raises `InputError` where priors would have to be trained, without `train`.
        """
        found = self.store.get(step.name, step.key)
        return found if found is not None else self._make(step, self.store.get_or_make)

    def remake(self, step: Step) -> Artefact:
        """Make the step anew, whatever is cached or shipped; an unfinished run of it is continued."""
        return self._make(step, self.store.make_anew)

    def check_trained(self, steps: Iterable[Step]) -> None:
        """Raise `InputError` if `steps` need priors that are not trained; with `train`, log that they will be."""
        missing = list(self._untrained(steps, set()))
        if missing and not self.train:
            raise InputError(refusal(missing))
        if missing:
            log.info("to be trained: %s; %s", ", ".join(step.title for step in missing), cost(missing))

    def _untrained(self, steps: Iterable[Step], seen: set[str]) -> Iterator[TrainPriors]:
        """The priors that have to be trained for `steps`, parents first."""
        for step in steps:
            if step.key in seen or self.store.find(step.name, step.key) is not None:
                continue
            seen.add(step.key)
            yield from self._untrained(step.parents, seen)
            if isinstance(step, TrainPriors):
                yield step

    def _make(self, step: Step, making: Callable[..., Artefact]) -> Artefact:
        if not self.train:
            self.check_trained([step])
        for parent in step.parents:
            self.run(parent)  # before this step holds its lock
        log.info("making %s%s", step.title, f" ({cost([step])})" if isinstance(step, TrainPriors) else "")
        return making(
            step.name,
            step.key,
            lambda folder, work: step.make(self, folder, work),
            title=step.title,
            parents=[parent.key for parent in step.parents],
        )

    def priors(self, step: TrainPriors) -> Any:
        """The trained priors of a step, the set of their kind, in evaluation mode on the pipeline's device."""
        return load_priors(step, self.run(step), self.device)

    def values(self, step: Evaluation) -> pd.DataFrame:
        """The table of single values that an evaluation makes (see `diagnostics.likelihood`)."""
        return pd.read_csv(self.run(step) / VALUES)

    def ship(self, step: Step, folder: Path) -> Path:
        """Copy a step's artefact to `folder / title`, whole or not at all; replaces an older one."""
        artefact = self.run(step)
        target = folder / step.title
        building = folder / f".{step.title}"
        shutil.rmtree(building, ignore_errors=True)
        try:
            shutil.copytree(artefact.path, building)
            seal(building, step.key)
            replace_folder(building, target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return target

    def status(self, steps: Iterable[Step]) -> Iterator[StepStatus]:
        """What there is of each step, each once; what one that is not there needs comes before it. Only reads."""
        seen: set[str] = set()
        for step in steps:
            if step.key in seen:
                continue
            seen.add(step.key)
            found = self.store.look(step.name, step.key)
            if found.artefact is None:
                needed = [parent for parent in step.parents if parent.key not in seen]
                for parent in self.status(needed):
                    seen.add(parent.step.key)
                    yield parent
            yield self._status(step, found)

    def _status(self, step: Step, found: Finding) -> StepStatus:
        standing: State = "missing"
        if found.artefact is not None:
            standing = "shipped" if found.artefact.shipped else "made"
        beside = f"; the {standing} one is used" if found.artefact else ""
        reached = step.unfinished(self.store.work_folder(step.name, step.key))
        holder = self.store.holder(step.name, step.key)
        if holder is not None:
            kept = f", so far kept up to {reached}" if reached else ""
            return StepStatus(step, "running", f"being made by {holder}{kept}{beside}")
        if found.damaged:
            reasons = [f"{folder}: {reason}" for folder, reason in found.damaged.items()]
            return StepStatus(step, "damaged", "; ".join(reasons) + beside)
        if reached:
            return StepStatus(step, "unfinished", f"stopped at {reached}{beside}")
        return StepStatus(step, standing)


def describe(step: Step) -> str:
    """The step's configuration as readable JSON."""
    return json.dumps({"step": step.name, "key": step.key, **step.config}, indent=2, sort_keys=True)
