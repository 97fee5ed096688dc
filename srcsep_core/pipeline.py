"""The graph of steps from data to numbers. Asking for a step makes what it needs and is not there yet.

A step is an idempotent function of its resolved configuration and its parents' keys; see `cache`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from srcsep_core import diagnostics
from srcsep_core.cache import Artefact, Store, content_key, replace_folder, seal, shipped_root, write_json
from srcsep_core.config import OBJECTIVES, EvalConfig, FlowConfig, Objective, Profile, TrainConfig, resolved
from srcsep_core.data.toy import ToyConfig, draw_test_set, evaluation_config
from srcsep_core.errors import InputError
from srcsep_core.priors.flowavenet import FloWaveNet, FloWaveNetPrior
from srcsep_core.train import CHECKPOINT, train_flow

log = logging.getLogger(__name__)

WEIGHTS, CURVE, VALUES, CONFIG = "weights.safetensors", "curve.csv", "values.csv", "config.json"


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

    @abstractmethod
    def make(self, pipeline: Pipeline, folder: Path, work: Path) -> dict[str, Any]:
        """Write the artefact's files into `folder`; returns facts to record beside them."""


@dataclass(frozen=True)
class TrainFlow(Step):
    """Train one noise-free or noise-conditioned flow prior per toy source.

    With `initial` the weights that this step reached are the start (fine-tuning). `label` is for people.
    """

    label: str
    flow: FlowConfig
    data: ToyConfig
    train: TrainConfig
    initial: TrainFlow | None = None

    @property
    def name(self) -> str:
        return "flow-prior"

    @property
    def title(self) -> str:
        noise = f"-sigma{self.train.noise_sigma:g}" if self.train.noise_sigma else ""
        return f"flow-{self.data.variant}-{self.label}-{self.train.objective}{noise}"

    @property
    def parents(self) -> tuple[Step, ...]:
        return () if self.initial is None else (self.initial,)

    @property
    def config(self) -> dict[str, Any]:
        return {"flow": resolved(self.flow), "data": resolved(self.data), "train": self._hashed_training()}

    def _hashed_training(self) -> dict[str, Any]:
        training: dict[str, Any] = resolved(self.train)
        del training["checkpoint_every"]
        return training

    def make(self, pipeline: Pipeline, folder: Path, work: Path) -> dict[str, Any]:
        initial = None if self.initial is None else load_file(pipeline.run(self.initial) / WEIGHTS)
        trained = train_flow(
            self.flow,
            self.data,
            self.train,
            device=pipeline.device,
            work_folder=work,
            run_key=self.key,
            initial=initial,
            progress=pipeline.progress,
        )
        state = {name: value.cpu().contiguous() for name, value in trained.flow.state_dict().items()}
        save_file(state, folder / WEIGHTS, metadata={"key": self.key})
        trained.curve.to_csv(folder / CURVE, index=False, float_format="%.6g")
        write_json(folder / CONFIG, self.config)
        return {"device": pipeline.device.type, "threads": torch.get_num_threads()}


@dataclass(frozen=True)
class CrossLikelihood(Step):
    """Evaluate every test signal under every prior of a trained set."""

    prior: TrainFlow
    data: ToyConfig
    evaluation: EvalConfig

    @property
    def name(self) -> str:
        return "cross-likelihood"

    @property
    def title(self) -> str:
        return f"cross-likelihood-{self.prior.title}-{self.evaluation.signals}x{self.evaluation.length}"

    @property
    def parents(self) -> tuple[Step, ...]:
        return (self.prior,)

    @property
    def config(self) -> dict[str, Any]:
        evaluation: dict[str, Any] = resolved(self.evaluation)
        del evaluation["batch_size"]
        return {"data": resolved(evaluation_config(self.data)), "evaluation": evaluation}

    def make(self, pipeline: Pipeline, folder: Path, work: Path) -> dict[str, Any]:
        priors = pipeline.flow_priors(self.prior)
        signals = draw_test_set(self.data, self.evaluation.signals, self.evaluation.length, self.evaluation.seed)
        table = diagnostics.likelihood_table(
            priors.flow,
            signals,
            self.data.sources,
            batch_size=self.evaluation.batch_size,
            progress=pipeline.progress,
        )
        table.to_csv(folder / VALUES, index=False, float_format="%.9g")
        return {"device": pipeline.device.type}


@dataclass(frozen=True)
class FlowPriors:
    """A trained set of priors: the grouped network, its noise level, its loss curve and where it came from."""

    flow: FloWaveNet
    sources: tuple[str, ...]
    data: ToyConfig
    sigma: float
    curve: pd.DataFrame
    artefact: Artefact

    def prior(self, source: str) -> FloWaveNetPrior:
        """One source's prior, cut out of the grouped network."""
        if source not in self.sources:
            raise InputError(f"no prior for {source!r}; there are {', '.join(self.sources)}")
        return FloWaveNetPrior(self.flow.extract(self.sources.index(source)), self.sigma)


def flow_step(
    profile: Profile, *, objective: Objective = "exact", variant: str = "released", **training: Any
) -> TrainFlow:
    """The step that trains the toy flow priors of a profile; `training` replaces fields of its TrainConfig.

    Where the profile refines, this is the refining step and its parent the first training.
    """
    changes = {"objective": objective, **training}
    data = ToyConfig(variant)
    if profile.refine is None:
        return TrainFlow(profile.name, profile.flow, data, profile.training(**changes))
    first = TrainFlow(f"{profile.name}-start", profile.flow, data, profile.training(**changes))
    return TrainFlow(profile.name, profile.flow, data, dataclasses.replace(profile.refine, **changes), initial=first)


def cross_likelihood_step(profile: Profile, prior: TrainFlow) -> CrossLikelihood:
    """The step that evaluates `prior` on the profile's test set of the variant it was trained on."""
    factor, length = prior.flow.squeeze_factor, profile.evaluation.length
    if length % factor:
        raise InputError(
            f"EvalConfig.length is {length}, not a multiple of {factor} (2**blocks); "
            f"use {factor * max(1, length // factor)}"
        )
    return CrossLikelihood(prior, prior.data, profile.evaluation)


def steps_of(profile: Profile, variant: str = "released") -> list[Step]:
    """Every step that the notebooks of a profile ask for, parents first."""
    steps: list[Step] = []
    for objective in OBJECTIVES:
        prior = flow_step(profile, objective=objective, variant=variant)  # type: ignore[arg-type]
        steps += [*prior.parents, prior, cross_likelihood_step(profile, prior)]
    return steps


@dataclass
class Pipeline:
    """Runs steps on this machine: finds their artefacts in the store or makes them."""

    store: Store = field(default_factory=lambda: Store(shipped=shipped_root()))
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: bool = False

    def run(self, step: Step) -> Artefact:
        """The step's artefact, made if needed, its parents first."""
        found = self.store.find(step.name, step.key)
        return found if found is not None else self._make(step, self.store.get_or_make)

    def remake(self, step: Step) -> Artefact:
        """Make the step anew, whatever is cached or shipped; an unfinished run of it is continued."""
        return self._make(step, self.store.make_anew)

    def _make(self, step: Step, making: Callable[..., Artefact]) -> Artefact:
        log.info("making %s", step.title)
        return making(
            step.name,
            step.key,
            lambda folder, work: step.make(self, folder, work),
            title=step.title,
            parents=[parent.key for parent in step.parents],
        )

    def flow_priors(self, step: TrainFlow) -> FlowPriors:
        """The trained priors of a step, in evaluation mode on the pipeline's device."""
        artefact = self.run(step)
        flow = FloWaveNet(step.flow, len(step.data.sources))
        flow.load_state_dict(load_file(artefact / WEIGHTS))
        return FlowPriors(
            flow=flow.to(self.device).eval(),
            sources=step.data.sources,
            data=step.data,
            sigma=step.train.noise_sigma,
            curve=pd.read_csv(artefact / CURVE),
            artefact=artefact,
        )

    def cross_likelihood(self, step: CrossLikelihood) -> pd.DataFrame:
        """The table of single likelihoods (see `diagnostics.likelihood_table`)."""
        return pd.read_csv(self.run(step) / VALUES)

    def ship(self, step: Step, folder: Path) -> Path:
        """Copy a step's artefact to `folder / title`, whole or not at all; replaces an older one."""
        artefact = self.run(step)
        target = folder / step.title
        building = folder / f".{step.title}"
        shutil.rmtree(building, ignore_errors=True)
        shutil.copytree(artefact.path, building)
        seal(building, step.key)
        replace_folder(building, target)
        return target

    def status(self, steps: list[Step]) -> Iterator[tuple[Step, str]]:
        """For every step whether it is made, shipped, unfinished or missing."""
        for step in steps:
            found = self.store.find(step.name, step.key)
            work = self.store.work_folder(step.name, step.key) / CHECKPOINT
            if found is not None:
                yield step, "shipped" if found.shipped else "made"
            elif work.exists():
                yield step, f"unfinished (step {_checkpoint_step(work)})"
            else:
                yield step, "missing"


def _checkpoint_step(path: Path) -> str:
    try:
        with safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("step", "unknown"))
    except Exception:
        return "unreadable"


def describe(step: Step) -> str:
    """The step's configuration as readable JSON."""
    return json.dumps({"step": step.name, "key": step.key, **step.config}, indent=2, sort_keys=True)
