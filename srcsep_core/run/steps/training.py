"""The steps that train priors."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from srcsep_core.config import DenoiserConfig, PnFConfig, TrainConfig, WaveNetPriorConfig, resolved
from srcsep_core.data.toy import ToyConfig
from srcsep_core.priors.flowavenet import ConditionalFlowConfig, FlowConfig
from srcsep_core.run.steps.base import CONFIG, CURVE, WEIGHTS, Context, Step
from srcsep_core.run.store import write_json
from srcsep_core.training.loop import Task, train
from srcsep_core.training.tasks import flow_task, pnf_task, score_task, wavenet_task


@dataclass(frozen=True)
class TrainPriors(Step):
    """Train one prior per toy source, noise-free or at the noise level of `train`, all in one grouped network.

    If `initial` is given, training starts from the weights which that step reached (fine-tuning). `label` is for
    people and does not change the result. Subclasses add the network and name their model.
    """

    label: str
    data: ToyConfig
    train: TrainConfig

    @property
    @abstractmethod
    def model(self) -> str:
        """The kind of network, as tables name it: flowavenet or wavenet."""

    @property
    @abstractmethod
    def network(self) -> dict[str, Any]:
        """The resolved configuration of the network, under its name."""

    @property
    @abstractmethod
    def initial_step(self) -> TrainPriors | None:
        """The step whose weights this one starts from."""

    @abstractmethod
    def task(self) -> Task:
        """What is trained."""

    @property
    def conditional(self) -> bool:
        """Whether the network takes the noise level as an input."""
        return False

    @property
    def title(self) -> str:
        parts = [self.name.removesuffix("-prior"), self.data.variant, self.label, self.train.objective]
        if self.train.noise_sigma:
            parts += [f"sigma{self.train.noise_sigma:g}", f"{self.train.noise}-noise"]
            parts += [] if self.initial_step else ["scratch"]
        return "-".join(parts)

    @property
    def parents(self) -> tuple[Step, ...]:
        return () if self.initial_step is None else (self.initial_step,)

    @property
    def config(self) -> dict[str, Any]:
        training: dict[str, Any] = resolved(self.train)
        del training["checkpoint_every"]
        return {**self.network, "data": resolved(self.data), "train": training}

    def _stored(self, value: Tensor) -> Tensor:
        """A weight as it is kept: in half precision where noise smooths the density on a far larger scale.

        The noise-free priors, where the last digits count, keep single precision.
        """
        kept = value.cpu().contiguous()
        smooth = self.train.noise_sigma > 0 or self.conditional
        return kept.half() if smooth and kept.is_floating_point() else kept

    def _whole_curve(self, context: Context, curve: pd.DataFrame) -> pd.DataFrame:
        """The loss curve with that of the first training before it, steps counted on."""
        if self.initial_step is None:
            return curve
        before = pd.read_csv(context.run(self.initial_step) / CURVE)
        return pd.concat([before, curve.assign(step=curve["step"] + before["step"].max())], ignore_index=True)

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        initial = None if self.initial_step is None else load_file(context.run(self.initial_step) / WEIGHTS)
        trained = train(
            self.task(),
            self.data,
            self.train,
            device=context.device,
            work_folder=work,
            run_key=self.key,
            initial=initial,
            progress=context.progress,
        )
        state = {name: self._stored(value) for name, value in trained.network.state_dict().items()}
        save_file(state, folder / WEIGHTS, metadata={"key": self.key})
        self._whole_curve(context, trained.curve).to_csv(folder / CURVE, index=False, float_format="%.6g")
        write_json(folder / CONFIG, self.config)
        return {"device": context.device.type, "threads": torch.get_num_threads()}


@dataclass(frozen=True)
class TrainFlow(TrainPriors):
    """Train FloWaveNet priors; with a `ConditionalFlowConfig` one network covers its whole range of noise levels."""

    flow: FlowConfig
    initial: TrainFlow | None = None

    @property
    def name(self) -> str:
        return "flow-prior"

    @property
    def model(self) -> str:
        return "flowavenet"

    @property
    def network(self) -> dict[str, Any]:
        return {"flow": resolved(self.flow)}

    @property
    def initial_step(self) -> TrainFlow | None:
        return self.initial

    @property
    def conditional(self) -> bool:
        return isinstance(self.flow, ConditionalFlowConfig)

    @property
    def title(self) -> str:
        if not isinstance(self.flow, ConditionalFlowConfig):
            return super().title
        beyond = f"-to{self.flow.sigma_max:g}" if self.flow.sigma_max != ConditionalFlowConfig().sigma_max else ""
        return f"{super().title}-conditional{beyond}"

    def task(self) -> Task:
        return flow_task(self.flow, len(self.data.sources), self.train.objective)


@dataclass(frozen=True)
class TrainWaveNet(TrainPriors):
    """Train WaveNet priors with the exact likelihood, or the network and the loss of the authors' code."""

    wavenet: WaveNetPriorConfig
    initial: TrainWaveNet | None = None

    @property
    def name(self) -> str:
        return "wavenet-prior"

    @property
    def model(self) -> str:
        return "wavenet"

    @property
    def network(self) -> dict[str, Any]:
        return {"wavenet": resolved(self.wavenet)}

    @property
    def initial_step(self) -> TrainWaveNet | None:
        return self.initial

    def task(self) -> Task:
        return wavenet_task(self.wavenet, len(self.data.sources))


@dataclass(frozen=True)
class TrainForSampling(TrainPriors):
    """Train priors that take the noise level as an input and that only samplers use, always from fresh weights."""

    @property
    def initial_step(self) -> None:
        return None

    @property
    def conditional(self) -> bool:
        return True

    @property
    def title(self) -> str:
        return f"{self.model}-{self.data.variant}-{self.label}"


@dataclass(frozen=True)
class TrainScore(TrainForSampling):
    """Train one class-conditional denoiser for all sources (`priors.score`)."""

    denoiser: DenoiserConfig

    @property
    def name(self) -> str:
        return "score-prior"

    @property
    def model(self) -> str:
        return "score"

    @property
    def network(self) -> dict[str, Any]:
        return {"denoiser": resolved(self.denoiser)}

    def task(self) -> Task:
        return score_task(self.denoiser)


@dataclass(frozen=True)
class TrainPnF(TrainForSampling):
    """Train one autoregressive network per source over a noisy past, for all noise levels (`priors.pnf`)."""

    pnf: PnFConfig

    @property
    def name(self) -> str:
        return "pnf-prior"

    @property
    def model(self) -> str:
        return "pnf"

    @property
    def network(self) -> dict[str, Any]:
        return {"pnf": resolved(self.pnf)}

    def task(self) -> Task:
        return pnf_task(self.pnf, len(self.data.sources))
