"""A computation that is ended from outside: every tensor operation first asks whether to go on.

A draw from the oracle takes many seconds, and a sampler calls back once a noise level: neither is asked often enough. A
tensor operation takes milliseconds, whatever the prior and whatever the sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Stopped(Exception):
    """Raised inside a computation that was told to stop."""


class StopWhen(TorchFunctionMode):
    """Within `with StopWhen(stopped):`, the next tensor operation of this thread raises `Stopped` once `stopped()`."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        super().__init__()
        self.stopped = stopped

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do the operation, unless stopped; the end of `torch.no_grad` is none, and has to be reached."""
        if func is not torch._C._set_grad_enabled and self.stopped():
            raise Stopped
        return func(*args, **(kwargs or {}))
