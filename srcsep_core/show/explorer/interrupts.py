"""Kernel > Interrupt for work in a thread, which Python's own handling of it does not reach.

A Jupyter kernel that handles no message ignores the signal. While work is under way in a thread it stops that instead;
a cell that runs meanwhile is interrupted as ever.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

CHECK_EVERY_S = 0.1
_STOPS: set[Event] = set()


@contextmanager
def stopped_by_interrupts(stop: Event) -> Iterator[None]:
    """Within the block, in any thread, an interrupt of the kernel sets `stop`. Outside Jupyter it does nothing."""
    _STOPS.add(stop)
    loop = _main_loop()
    if loop is not None:
        loop.add_callback(_listen, loop)
    try:
        yield
    finally:
        _STOPS.discard(stop)


def _main_loop() -> Any:
    """The event loop of the kernel's main thread, the only one that may handle signals; None outside a kernel."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return getattr(getattr(get_ipython(), "kernel", None), "io_loop", None)


def _listen(loop: Any) -> None:
    """Handle interrupts wherever the kernel would ignore them; it puts its own handler back after every message."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop_all)
    if _STOPS:
        loop.call_later(CHECK_EVERY_S, _listen, loop)


def _stop_all(*_: Any) -> None:
    for stop in tuple(_STOPS):
        stop.set()
