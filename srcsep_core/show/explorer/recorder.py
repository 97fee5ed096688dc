"""Where the chains of one mix were, noise level by noise level."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from srcsep_core.samplers.base import State, residual_of, rms


@dataclass(frozen=True)
class Frame:
    """One chain after one noise level: sources (K, T) on the CPU; `residual` as in `Separation.trace`.

    While a chain of the projection sampler runs, its residual is not known: it is NaN.
    """

    restart: int
    step: int
    sigma: float
    sources: Tensor
    residual: float


class Recorder:
    """A callback of samplers that keeps copies of the states of every chain of one mix (1, T).

    With `hidden`, the residual of a running chain says nothing, and is left out.
    """

    def __init__(self, mix: Tensor, count: int, *, hidden: bool, callback: Callable[[Frame], None] | None) -> None:
        self.total = count * mix
        self.hidden, self.callback = hidden, callback
        self.frames: list[Frame] = []
        self._started, self._step, self._sigma = -1, 0, math.inf

    def __call__(self, state: State) -> None:
        """Copy the state. Restarts one after the other are told apart by the rise of sigma, others by their row."""
        if not self.frames or state.sigma > self._sigma:
            self._started, self._step = self._started + 1, 0
        self._sigma = state.sigma
        for row, sources in enumerate(state.sources.detach().float().cpu()):
            residual = float("nan") if self.hidden else float(rms(residual_of(self.total, sources)))
            frame = Frame(self._started + row, self._step, state.sigma, sources.clone(), residual)
            self.frames.append(frame)
            if row == 0 and self.callback is not None:
                self.callback(frame)
        self._step += 1

    def chain(self, restart: int) -> list[Frame]:
        """The frames of one chain, in order."""
        return [frame for frame in self.frames if frame.restart == restart]

    def closest(self) -> int:
        """The chain whose last frame has the lowest residual; the first one where none is known."""
        last = {frame.restart: frame for frame in self.frames}
        return min(last, key=lambda restart: math.inf if self.hidden else last[restart].residual)
