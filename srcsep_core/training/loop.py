"""One training loop for training, fine-tuning and resuming.

Killed at any moment, a run started again with the same arguments continues from its last checkpoint and ends
with the same weights as an unbroken one: the checkpoint holds weights, optimiser, random state and the loss
curve, and each is written whole or not at all.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from srcsep_core.checks import check_multiple
from srcsep_core.data.base import World, add_noise
from srcsep_core.errors import DivergenceError
from srcsep_core.priors.kinds import Task
from srcsep_core.progress import Progress
from srcsep_core.training.config import TrainConfig
from srcsep_core.weights import save_weights

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
DIVERGENCE_WINDOW = 50
DIVERGENCE_MARGIN = 20.0
CURVE_BIN = 10


@dataclass(frozen=True)
class TrainingResult:
    """A trained network, its loss curve, and the processor time that it took (seconds, of all threads and runs).

    `curve` has one row per bin of steps and source: step, source, loss, the task's terms (nats/sample),
    learning_rate.
    """

    network: nn.Module
    curve: pd.DataFrame
    cpu_seconds: float


def learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate at `step`: linear warm-up, then the schedule."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "cosine":
        decay = 0.5 * (1 + math.cos(math.pi * step / config.steps))
    else:
        decay = config.decay ** sum(step >= milestone * config.steps for milestone in config.milestones)
    return config.learning_rate * warmup * decay


def clip_gradients(network: nn.Module, config: TrainConfig) -> None:
    """Clip by value, then by norm for every source on its own, so that no source's step depends on another."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    torch.nn.utils.clip_grad_value_(network.parameters(), config.clip_value)
    if config.clip_norm is None:
        return
    by_source = [gradient.view(groups_of(network), -1) for gradient in gradients]
    norm = torch.stack([g.square().sum(dim=1) for g in by_source]).sum(dim=0).sqrt()
    factor = (config.clip_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in by_source:
        gradient.mul_(factor[:, None])


def groups_of(network: nn.Module) -> int:
    """How many independent groups a network has, one a source, which every parameter holds one after the other.

    A network that all sources share is one group.
    """
    return int(cast(Any, network).groups)


def new_network(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A freshly initialised network; leaves the global random state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU too
        return build()


def train(
    task: Task,
    data: World,
    config: TrainConfig,
    *,
    device: torch.device,
    work_folder: Path,
    run_key: str = "",
    initial: Mapping[str, Tensor] | None = None,
    progress: bool = False,
) -> TrainingResult:
    """Train one network per source of `data`, all in one grouped network.

    `initial` are weights to start from (fine-tuning). Checkpoints are kept in `work_folder`; one that belongs
    to another run (`run_key`) or cannot be read is set aside with a warning. Raises `DivergenceError` if the
    loss stops being finite or runs away; the last good checkpoint stays.
    """
    check_multiple("crop", config.crop, task.multiple_of)

    def fresh() -> _Run:
        run = _Run(task, data, config, device, work_folder, run_key)
        if initial is not None:
            run.network.load_state_dict(initial)
        return run

    run = fresh()
    if not run.resume():
        run = fresh()  # rid of what was read from a checkpoint that turned out to be useless
    if run.step:
        log.warning("train %s: resumed at step %d of %d", task.name, run.step, config.steps)
    note = ""
    with Progress(config.steps, f"train {task.name}", initial=run.step, show=progress) as bar:
        while run.step < config.steps:
            run.advance()
            save = run.step % config.checkpoint_every == 0 or run.step == config.steps
            if save or run.step % CURVE_BIN == 0:
                note = f"loss {run.check():.3f} {task.unit}"
            if save:
                run.save()
            bar.advance(note)
    return TrainingResult(run.network.eval(), run.curve_frame(), run.cpu_seconds())


def checkpoint_step(path: Path) -> int | None:
    """The step at which the checkpoint `path` was kept; None if it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return int((file.metadata() or {})["step"])
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


class _Run:
    """The state of a training run: everything a checkpoint holds."""

    def __init__(
        self,
        task: Task,
        data: World,
        config: TrainConfig,
        device: torch.device,
        work_folder: Path,
        run_key: str,
    ) -> None:
        self.task, self.data, self.config = task, data, config
        self.device, self.run_key = device, run_key
        self.path = work_folder / CHECKPOINT
        self.network = new_network(task.build, config.seed).to(device).train()
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)
        self.generator = torch.Generator(device).manual_seed(config.seed)
        self.step = 0
        self._began = time.process_time()
        self.curve = torch.zeros(config.steps, 1 + len(task.terms), len(data.sources))

    def advance(self) -> None:
        """One optimisation step."""
        config = self.config
        x = self.data.draw(config.batch_size, config.crop, self.generator)
        x = add_noise(x, config.noise_sigma, self.generator, kind=config.noise)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(config, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.mixed_precision):
            losses = self.task.losses(self.network, x, self.generator)
        losses[0].sum().backward()
        clip_gradients(self.network, config)
        self.optimiser.step()
        self.curve[self.step] = losses.detach()
        self.step += 1

    def check(self) -> float:
        """Raise `DivergenceError` if the run cannot be continued; returns the mean loss."""
        losses = self.curve[: self.step, 0]
        recent = losses[-DIVERGENCE_WINDOW:].median(dim=0).values
        limit = losses[0].clamp(min=0) + DIVERGENCE_MARGIN
        finite = losses.isfinite().all(dim=0) & self._finite_weights()
        bad = [name for name, ok in zip(self.data.sources, (finite & (recent < limit)).tolist(), strict=True) if not ok]
        if bad:
            kept = f"the last good checkpoint is {self.path}" if self.path.exists() else "no checkpoint was reached"
            raise DivergenceError(
                f"training diverged at step {self.step} for {', '.join(bad)} (loss "
                f"{[round(v, 2) for v in losses[-1].tolist()]} {self.task.unit}); {kept}; "
                f"lower the learning rate (now {self.config.learning_rate:g}) or clip_norm ({self.config.clip_norm})"
            )
        return float(losses[-1].mean())

    def _finite_weights(self) -> Tensor:
        groups = groups_of(self.network)
        return (
            torch.stack([p.isfinite().view(groups, -1).all(dim=1) for p in self.network.parameters()]).all(dim=0).cpu()
        )

    def cpu_seconds(self) -> float:
        """The processor time so far, that of the runs before included."""
        return time.process_time() - self._began

    def save(self) -> None:
        """Write the checkpoint under a temporary name and move it into place."""
        tensors = {f"model.{name}": value for name, value in self.network.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
        tensors["generator"] = self.generator.get_state()
        tensors["curve"] = self.curve[: self.step]
        tensors = {name: value.detach().contiguous().cpu().clone() for name, value in tensors.items()}
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            save_weights(tensors, temporary, metadata=self._about())
            os.replace(temporary, self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def _about(self) -> dict[str, str]:
        return {"step": str(self.step), "run_key": self.run_key, "cpu_seconds": f"{self.cpu_seconds():.1f}"}

    def resume(self) -> bool:
        """Continue from the checkpoint, if there is one of this very run; False if it was useless and set aside."""
        if not self.path.exists():
            return True
        reason = None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata.get("run_key") != self.run_key:
                reason = f"it belongs to another run ({json.dumps(metadata)})"
            else:
                self._restore(tensors, int(metadata["step"]))
                self._began -= float(metadata.get("cpu_seconds", 0.0))
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            reason = f"it cannot be read ({error})"
        if reason:
            aside = self.path.with_suffix(".rejected")
            os.replace(self.path, aside)
            log.warning(
                "the checkpoint %s is not used: %s; moved to %s, training starts anew",
                self.path,
                reason,
                aside,
            )
        return reason is None

    def _restore(self, tensors: dict[str, Tensor], step: int) -> None:
        model = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, field = name.split(".", 2)
                states.setdefault(int(index), {})[field] = value
        parameters = len(list(self.network.parameters()))
        if len(states) != parameters:
            raise KeyError(f"the state of {len(states)} of {parameters} parameters")
        optimiser = self.optimiser.state_dict() | {"state": states}
        self.network.load_state_dict(model)
        self.optimiser.load_state_dict(optimiser)
        self.generator.set_state(tensors["generator"])
        self.curve[:step] = tensors["curve"]
        self.step = step

    def curve_frame(self) -> pd.DataFrame:
        """The loss curve as a table, averaged over bins of `CURVE_BIN` steps."""
        rows = []
        for start in range(0, self.step, CURVE_BIN):
            part = slice(start, min(start + CURVE_BIN, self.step))
            means = self.curve[part].mean(dim=0)
            for k, source in enumerate(self.data.sources):
                values = dict(zip(("loss", *self.task.terms), means[:, k].tolist(), strict=True))
                rate = learning_rate(self.config, part.stop - 1)
                rows.append({"step": part.stop, "source": source, **values, "learning_rate": rate})
        return pd.DataFrame(rows)
