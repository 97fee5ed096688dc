"""The step that trains a set of priors of any kind, and the loading of what it made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor

from srcsep_core.config import resolved
from srcsep_core.data.base import World
from srcsep_core.priors.kinds import Kind, Task, kind_of, oracle_of
from srcsep_core.priors.sets import PriorSet, Trained
from srcsep_core.run.artefacts import Artefact, write_json
from srcsep_core.run.steps.base import CONFIG, CURVE, WEIGHTS, Context, Step
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import CHECKPOINT, checkpoint_step, train
from srcsep_core.weights import save_weights

ORACLE = "oracle"
FAMILY = (
    "-family"  # ends the label of a kind that has two sizes in a profile, for the one that families are compared in
)


@dataclass(frozen=True)
class TrainPriors(Step):
    """Train one prior per source of a world, noise-free or at the noise level of `train`.

    `model` names the kind of prior, `network` is its network's configuration. If `initial` is given, training starts
    from the weights which that step reached (fine-tuning). `teacher` trains the priors that a kind learns from which
    is taught by priors (none: the true ones). `label` is for people and does not change the result.
    """

    model: str
    label: str
    data: World
    train: TrainConfig
    network: Any
    initial: TrainPriors | None = None
    teacher: TrainPriors | None = None

    @property
    def kind(self) -> Kind:
        """The kind of prior; raises `InputError` for a model that there is not."""
        return kind_of(self.model)

    @property
    def name(self) -> str:
        return f"{self.kind.step}-prior"

    @property
    def conditional(self) -> bool:
        """Whether the network takes the noise level as an input."""
        return self.kind.levels(self.network) is not None

    @property
    def title(self) -> str:
        parts = [self.kind.step, self.data.variant, self.label]
        if len(self.kind.objectives) > 1:
            parts.append(self.train.objective)
        if self.train.noise_sigma:
            parts += [f"sigma{self.train.noise_sigma:g}", f"{self.train.noise}-noise"]
            parts += [] if self.initial else ["scratch"]
        levels = self.kind.levels(self.network)
        if levels and self.kind.density:
            default = self.kind.levels(type(self.network)())
            parts += ["conditional", *([f"to{levels[1]:g}"] if levels != default else [])]
        if self.kind.teach is not None:
            parts.append(f"from-{self._teacher}")
        return "-".join(parts)

    @property
    def parents(self) -> tuple[Step, ...]:
        return tuple(step for step in (self.initial, self.teacher) if step is not None)

    @property
    def config(self) -> dict[str, Any]:
        training: dict[str, Any] = resolved(self.train)
        del training["checkpoint_every"]
        taught = {} if self.kind.teach is None else {"teacher": self._teacher}
        return {self.kind.section: resolved(self.network), "data": self.data.fingerprint, "train": training, **taught}

    @property
    def _teacher(self) -> str:
        return ORACLE if self.teacher is None else self.teacher.model

    def unfinished(self, work: Path) -> str:
        if not (work / CHECKPOINT).exists():
            return ""
        reached = checkpoint_step(work / CHECKPOINT)
        return "an unreadable checkpoint" if reached is None else f"step {reached} of {self.train.steps}"

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        initial = None if self.initial is None else load_file(context.run(self.initial) / WEIGHTS)
        trained = train(
            self._task(context),
            self.data,
            self.train,
            device=context.device,
            work_folder=work,
            run_key=self.key,
            initial=initial,
            progress=context.progress,
        )
        state = {name: self._stored(value) for name, value in trained.network.state_dict().items()}
        save_weights(state, folder / WEIGHTS, metadata={"key": self.key})
        self._whole_curve(context, trained.curve).to_csv(folder / CURVE, index=False, float_format="%.6g")
        write_json(folder / CONFIG, self.config)
        spent = {"threads": torch.get_num_threads(), "cpu_seconds": round(trained.cpu_seconds, 1)}
        return {"device": context.device.type, **spent}

    def _task(self, context: Context) -> Task:
        if self.kind.teach is None:
            return self.kind.task(self.network, len(self.data.sources), self.train.objective)
        step = self.teacher
        priors = oracle_of(self.data) if step is None else load_priors(step, context.run(step), context.device)
        return self.kind.teach(self.network, [priors.prior(name) for name in self.data.sources], self.train.steps)

    def _stored(self, value: Tensor) -> Tensor:
        """A weight as it is kept: in half precision where noise smooths the density on a far larger scale.

        The noise-free priors, where the last digits count, keep single precision.
        """
        kept = value.cpu().contiguous()
        smooth = self.train.noise_sigma > 0 or self.conditional or self.kind.half
        return kept.half() if smooth and kept.is_floating_point() else kept

    def _whole_curve(self, context: Context, curve: pd.DataFrame) -> pd.DataFrame:
        """The loss curve with that of the first training before it, steps counted on."""
        if self.initial is None:
            return curve
        before = pd.read_csv(context.run(self.initial) / CURVE)
        return pd.concat([before, curve.assign(step=curve["step"] + before["step"].max())], ignore_index=True)


def load_priors(step: TrainPriors, artefact: Artefact, device: torch.device) -> PriorSet:
    """The priors that `step` trained, in evaluation mode on `device`."""
    curve = pd.read_csv(artefact / CURVE)
    about = Trained(step.data.sources, step.data, step.train.noise_sigma, curve, artefact.path)
    return step.kind.load(step.network, load_file(artefact / WEIGHTS), about, device)
