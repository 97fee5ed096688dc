"""Who makes steps: this process, or worker processes beside it. A cluster would be a third.

An executor is given steps whose parents are there. Small networks gain little from a second thread and lose much where
threads contend, so workers have one thread each, as many workers as there are cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from tqdm import tqdm

from srcsep_core.progress import Progress
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.steps import Step
from srcsep_core.run.store import Store


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Executor(Protocol):
    """Makes steps that do not depend on each other."""

    def make(self, pipeline: Pipeline, steps: Sequence[Step]) -> Generator[Step]:
        """Have every step's artefact in the pipeline's store; gives each step back once it is there.

        Raises what making a step raises. Closed, or stopped by Ctrl-C, it stops making.
        """
        ...


@dataclass(frozen=True)
class Here:
    """One step after the other, in this process and on the pipeline's device."""

    def make(self, pipeline: Pipeline, steps: Sequence[Step]) -> Generator[Step]:
        """As `Executor.make`."""
        for step in steps:
            pipeline.run(step)
            yield step


@dataclass(frozen=True)
class Workers:
    """Several processes of one thread each on this machine's processor; `count` 0: as many as it has cores."""

    count: int = 0

    def make(self, pipeline: Pipeline, steps: Sequence[Step]) -> Generator[Step]:
        """As `Executor.make`; the first error ends the work that has not begun."""
        count = min(self.count or cores(), len(steps))
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(count, mp_context=context, initializer=_begin) as pool, _ending_with_us():
            try:
                with _deaf_to_ctrl_c():
                    root, shipped, training = pipeline.store.root, pipeline.store.shipped, pipeline.train
                    jobs = {pool.submit(_make, root, shipped, training, step): step for step in steps}
                for job in as_completed(jobs):
                    job.result()
                    yield jobs[job]
            except Exception:
                pool.shutdown(cancel_futures=True)
                raise


@contextmanager
def _ending_with_us() -> Iterator[None]:
    """End the processes that were started meanwhile, if this one is stopped."""
    others = multiprocessing.active_children()
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):
        for worker in multiprocessing.active_children():
            if worker not in others:
                worker.terminate()
        raise


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Have processes that are started meanwhile never get a Ctrl-C: this process ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """What a worker does first: one thread, and an orderly end when it is told to stop."""
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # its own is shared between processes, and would be left behind
    signal.signal(signal.SIGTERM, _stop)


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is half made is being removed
    sys.exit()


def _make(root: Path, shipped: Path | None, train: bool, step: Step) -> None:
    try:
        Pipeline(Store(root, shipped), train=train).run(step)
    except SystemExit:
        os._exit(1)  # the pool would catch it and go on with the next step


def prepare(pipeline: Pipeline, steps: Sequence[Step], executor: Executor | None = None) -> int:
    """Make what is missing of `steps`, parents first; returns how many steps were made.

    Without an `executor` it is the one that suits the pipeline's device. Raises as `Pipeline.check_trained`.
    """
    pipeline.check_trained(steps)
    executor = executor or executor_for(pipeline.device)
    layers: dict[int, dict[str, Step]] = {}
    for step in steps:
        _place(step, layers, pipeline.store)
    total = sum(len(layer) for layer in layers.values())
    with Progress(total, "steps", show=pipeline.progress and total > 0) as bar:
        for depth in sorted(layers):
            with closing(executor.make(pipeline, list(layers[depth].values()))) as made:
                for step in made:
                    bar.advance(step.title)
    return total


def _place(step: Step, layers: dict[int, dict[str, Step]], store: Store) -> int:
    """Put a step that is missing, and what it needs, into its layer: one above its parents'. Returns its depth."""
    if store.find(step.name, step.key) is not None:
        return 0
    depth = 1 + max((_place(parent, layers, store) for parent in step.parents), default=0)
    layers.setdefault(depth, {})[step.key] = step
    return depth


def executor_for(device: torch.device) -> Executor:
    """Workers on a processor of several cores; on a GPU, which they would share, this process."""
    return Workers() if device.type == "cpu" and cores() > 1 else Here()
