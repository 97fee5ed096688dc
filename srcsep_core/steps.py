"""The steps from data to numbers, each an idempotent function of its resolved configuration and its parents.

A step says what it makes; `pipeline` finds it in the store or has it made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from srcsep_core import diagnostics
from srcsep_core.cache import Artefact, content_key, write_json
from srcsep_core.config import OBJECTIVES, EvalConfig, FlowConfig, Noise, Objective, Profile, TrainConfig, resolved
from srcsep_core.data.toy import ToyConfig, draw_test_set, evaluation_config
from srcsep_core.errors import InputError
from srcsep_core.priors.flowavenet import FloWaveNet, FloWaveNetPrior
from srcsep_core.train import train_flow

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

    @abstractmethod
    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        """Write the artefact's files into `folder`; returns facts to record beside them."""


@dataclass(frozen=True)
class TrainFlow(Step):
    """Train one noise-free or noise-conditioned flow prior per toy source.

    If `initial` is given, training starts from the weights which that step reached (fine-tuning). `label` is for
    people and does not change the result.
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
        parts = ["flow", self.data.variant, self.label, self.train.objective]
        if self.train.noise_sigma:
            parts += [f"sigma{self.train.noise_sigma:g}", f"{self.train.noise}-noise"]
            parts += [] if self.initial else ["scratch"]
        return "-".join(parts)

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

    def _whole_curve(self, context: Context, curve: pd.DataFrame) -> pd.DataFrame:
        """The loss curve with that of the first training before it, steps counted on."""
        if self.initial is None:
            return curve
        before = pd.read_csv(context.run(self.initial) / CURVE)
        return pd.concat([before, curve.assign(step=curve["step"] + before["step"].max())], ignore_index=True)

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        initial = None if self.initial is None else load_file(context.run(self.initial) / WEIGHTS)
        trained = train_flow(
            self.flow,
            self.data,
            self.train,
            device=context.device,
            work_folder=work,
            run_key=self.key,
            initial=initial,
            progress=context.progress,
        )
        state = {name: value.cpu().contiguous() for name, value in trained.flow.state_dict().items()}
        save_file(state, folder / WEIGHTS, metadata={"key": self.key})
        self._whole_curve(context, trained.curve).to_csv(folder / CURVE, index=False, float_format="%.6g")
        write_json(folder / CONFIG, self.config)
        return {"device": context.device.type, "threads": torch.get_num_threads()}


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

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        priors = load_flow_priors(self.prior, context.run(self.prior), context.device)
        signals = draw_test_set(self.data, self.evaluation.signals, self.evaluation.length, self.evaluation.seed)
        table = diagnostics.likelihood_table(
            priors.flow,
            signals,
            self.data.sources,
            batch_size=self.evaluation.batch_size,
            progress=context.progress,
        )
        table.to_csv(folder / VALUES, index=False, float_format="%.9g")
        return {"device": context.device.type}


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


def load_flow_priors(step: TrainFlow, artefact: Artefact, device: torch.device) -> FlowPriors:
    """The priors that `step` trained, in evaluation mode on `device`."""
    flow = FloWaveNet(step.flow, len(step.data.sources))
    flow.load_state_dict(load_file(artefact / WEIGHTS))
    return FlowPriors(
        flow=flow.to(device).eval(),
        sources=step.data.sources,
        data=step.data,
        sigma=step.train.noise_sigma,
        curve=pd.read_csv(artefact / CURVE),
        artefact=artefact,
    )


def flow_step(
    profile: Profile, *, objective: Objective = "exact", variant: str = "released", **training: Any
) -> TrainFlow:
    """The step that trains the toy flow priors of a profile; `training` replaces fields of its TrainConfig."""
    train = profile.training(objective=objective, **training)
    return TrainFlow(profile.name, profile.flow, ToyConfig(variant), train)


def noisy_flow_step(
    profile: Profile,
    sigma: float,
    *,
    objective: Objective = "exact",
    variant: str = "released",
    noise: Noise | None = None,
    scratch: bool = False,
) -> TrainFlow:
    """The step that trains the flow priors at noise level `sigma`, from the noise-free weights or from `scratch`.

    Without `noise` it is the objective's own: Gaussian at just that level for `exact` (what the thesis says), and
    scaled by U(0, 1) and clamped for `released` (what the authors' code does).
    """
    kind: Noise = noise or ("thesis" if objective == "exact" else "released")
    clean = flow_step(profile, objective=objective, variant=variant)
    if scratch:
        steps = max(1, profile.train.steps // 4)
        return flow_step(
            profile, objective=objective, variant=variant, noise_sigma=sigma, noise=kind, steps=steps, seed=1
        )
    train = profile.fine_tuning(objective=objective, noise_sigma=sigma, noise=kind)
    return TrainFlow(profile.name, profile.flow, ToyConfig(variant), train, initial=clean)


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
        steps += [prior, cross_likelihood_step(profile, prior)]
    return steps
