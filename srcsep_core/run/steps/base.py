"""The contract of a step: an idempotent function of its resolved configuration and its parents.

A step says what it makes; `pipeline` finds it in the store or has it made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from srcsep_core.run.artefacts import Artefact, content_key

WEIGHTS, CURVE, VALUES, CONFIG = "weights.safetensors", "curve.csv", "values.csv", "config.json"


class Context(Protocol):
    """What a step needs from whoever runs it: a device, whether to show progress, and its parents' artefacts."""

    @property
    def device(self) -> torch.device:
        """Where to compute."""

    @property
    def progress(self) -> bool:
        """Whether to show progress."""

    def run(self, step: Step) -> Artefact:
        """The artefact of another step, made if needed."""
        ...


@dataclass(frozen=True)
class Step(ABC):
    """A node of the graph; subclasses hold its configuration as fields."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The kind of step, which is also its folder in the cache."""

    @property
    @abstractmethod
    def title(self) -> str:
        """A readable, file-safe name of this very step."""

    @property
    def version(self) -> int:
        """Raised when a change of code changes what the step makes."""
        return 1

    @property
    def parents(self) -> tuple[Step, ...]:
        """The steps whose artefacts this one reads."""
        return ()

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What the step's result depends on besides its parents."""

    @property
    def key(self) -> str:
        """The content key of the step's artefact."""
        return content_key(self.name, self.config, [p.key for p in self.parents], step_version=self.version)

    def unfinished(self, work: Path) -> str:
        """How far a run came whose work is in the folder `work`, as "step 200 of 2400"; empty if none left any."""
        return ""

    @abstractmethod
    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        """Write the artefact's files into `folder`; returns facts to record beside them."""
