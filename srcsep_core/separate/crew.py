"""Windows separated in small batches by workers of one thread each, until the time is up.

Small networks gain little from a second thread, so a processor gets a worker a core and each a batch of its own. Every
batch has its own random numbers, made of the seed and of how many batches came before it: how many workers there are
changes nothing but the time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

from srcsep_core.baselines.base import Separator
from srcsep_core.errors import InputError
from srcsep_core.progress import Progress
from srcsep_core.run.executors import cores
from srcsep_core.samplers.base import Separation, State, rms
from srcsep_core.stopping import Stopped

SMALL_BATCH = 16  # windows of a worker on a processor


@dataclass
class Clock:
    """When to stop: `budget_s` seconds from now (None: never), once `stop` is called, or with the clock `within`."""

    budget_s: float | None = None
    within: Clock | None = None
    started: float = field(default_factory=time.monotonic)
    stopped: bool = False
    begun: bool = False

    def share(self, parts: int) -> Clock:
        """A clock for one of so many parts of what is left, which stops with this one."""
        if self.budget_s is None:
            return Clock(None, self)
        return Clock(max(0.0, self.budget_s - (time.monotonic() - self.started)) / parts, self)

    def begin(self) -> None:
        """There is something to stop from now on."""
        self.begun = True
        if self.within is not None:
            self.within.begin()

    def stop(self) -> bool:
        """End now; returns whether anything had begun."""
        self.stopped = True
        return self.begun

    def note(self, late: int) -> str:
        """What to say of a search that it cut short; `late` windows had no chain yet."""
        lasted = time.monotonic() - self.started
        ended = f"stopped after {lasted:.0f} s" if self.stopped else f"the budget of {self.budget_s:g} s was over"
        return ended + (
            f" before {late} windows had a chain: there the mix itself" if late else ": the best found so far"
        )

    @property
    def over(self) -> bool:
        """Whether it is time to stop."""
        late = self.budget_s is not None and time.monotonic() - self.started > self.budget_s
        return self.stopped or late or (self.within is not None and self.within.over)


@dataclass
class Crew:
    """Runs separators on windows: `batch` windows at once on a GPU, `SMALL_BATCH` at most in a worker elsewhere.

    `workers` 0: as many as there are cores, and one on a GPU.
    """

    device: torch.device
    seed: int
    clock: Clock = field(default_factory=Clock)
    batch: int = 64
    workers: int = 0
    progress: bool = False
    begun: int = 0

    def separate(
        self,
        mixes: Tensor,
        sources: Sequence[str],
        separator: Separator,
        title: str,
        times: int = 1,
        *,
        first: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Every chain's sources (B, R, K, W) and doubts (B, R) for mixes (B, W), on the CPU.

        Every mix is separated so many `times`, side by side; R is that times the separator's own chains. Where the time
        was up first, or every chain diverged, the mix itself is the estimate of every source, with an infinite doubt.
        Raises `InputError` where all chains of a window diverge if they are its `first`.
        """
        self.clock.begin()
        parts = self._split(mixes.repeat_interleave(times, dim=0))
        generators = [self._generator(self.begun + index) for index in range(len(parts))]
        self.begun += len(parts)
        bar = _Bar(len(parts), title, self.progress)

        def work(part: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor] | None:
            def step(state: State) -> None:
                if self.clock.over:
                    raise Stopped
                bar.step(state)

            try:
                if self.clock.over:
                    return None
                return _candidates(separator.separate(part[:, None], sources, generator, step), part)
            except Stopped:
                return None
            except BaseException:
                self.clock.stop()
                raise

        with ThreadPoolExecutor(self._count(len(parts)), initializer=self._one_thread) as pool:
            try:
                done = list(pool.map(work, parts, generators))
            except BaseException:
                self.clock.stop()
                raise
            finally:
                bar.close()
        candidates, doubts = _joined(done, [part.cpu() for part in parts], len(sources))
        reached = [torch.full((len(part),), found is not None) for found, part in zip(done, parts, strict=True)]
        ran = torch.cat(reached).view(len(mixes), times).all(dim=1)
        doubts = doubts.reshape(len(mixes), -1)
        lost = int((ran & ~doubts.isfinite().any(dim=1)).sum())
        if lost and first:
            raise InputError(
                f"every chain diverged in {lost} of {len(mixes)} windows; use another sampler, seed or gain"
            )
        return candidates.reshape(len(mixes), -1, *candidates.shape[2:]), doubts

    def _split(self, mixes: Tensor) -> list[Tensor]:
        """Batches of nearly one size, an even number of them on a processor."""
        if self.device.type != "cpu":
            return list(mixes.to(self.device).split(self.batch))
        count = min(len(mixes), 2 * -(-len(mixes) // (2 * min(self.batch, SMALL_BATCH))))
        return list(mixes.tensor_split(count))

    def _generator(self, number: int) -> torch.Generator:
        return torch.Generator(device=self.device).manual_seed((self.seed + 1_000_003 * number) % 2**63)

    def _count(self, parts: int) -> int:
        return max(1, min(self.workers or (cores() if self.device.type == "cpu" else 1), parts))

    def _one_thread(self) -> None:
        if self.device.type == "cpu":
            torch.set_num_threads(1)


def _candidates(result: Separation, mix: Tensor) -> tuple[Tensor, Tensor]:
    """The chains (B, R, K, W) and their doubts (B, R); without chains the estimate and what it leaves of the mix."""
    if result.doubts.shape[1]:
        sources, doubts = result.chains, result.doubts
    else:
        sources, doubts = result.sources[:, None], rms(mix - result.sources.mean(dim=1))[:, None]
    return sources.cpu().nan_to_num(0.0, 0.0, 0.0), doubts.cpu().nan_to_num(torch.inf, torch.inf)


def _joined(
    done: Sequence[tuple[Tensor, Tensor] | None], parts: Sequence[Tensor], sources: int
) -> tuple[Tensor, Tensor]:
    """The results of all batches; the mix, with an infinite doubt, for those that were not reached."""
    chains = max((found[1].shape[1] for found in done if found is not None), default=1)
    every, costs = [], []
    for found, part in zip(done, parts, strict=True):
        if found is None:
            every.append(part[:, None, None].expand(-1, chains, sources, -1))
            costs.append(part.new_full((len(part), chains), torch.inf))
        else:
            every.append(found[0])
            costs.append(found[1])
    return torch.cat(every), torch.cat(costs)


class _Bar:
    """Progress over batches that run side by side."""

    def __init__(self, batches: int, title: str, show: bool) -> None:
        self.batches, self.title, self.show = batches, title, show
        self.bar: Progress | None = None
        self.lock = threading.Lock()

    def step(self, state: State) -> None:
        """Count a noise level of a batch."""
        with self.lock:
            if self.bar is None:
                self.bar = Progress(self.batches * state.steps, self.title, show=self.show)
            self.bar.advance()

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
