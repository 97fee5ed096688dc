"""Ctrl-C ends a command with one sentence that says what is kept, and the exit code of shells for it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

STOPPED = 130
_heard = threading.Event()


def listen() -> None:
    """Remember a Ctrl-C as well as raise it: libraries swallow it, or turn it into errors of their own, on import."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as with nohup
        signal.signal(signal.SIGINT, _hear)


def _hear(*_: object) -> None:
    _heard.set()
    raise KeyboardInterrupt


@contextmanager
def ends_early(stop: Callable[[], bool], said: str) -> Iterator[None]:
    """Around a search that can end early: the first Ctrl-C calls `stop` and says so, the next is as ever.

    So is the first if `stop` returns False: the search has not begun.
    """
    before = signal.getsignal(signal.SIGINT)

    def gently(*_: object) -> None:
        _heard.set()
        signal.signal(signal.SIGINT, before)
        if not stop():
            raise KeyboardInterrupt
        _heard.clear()  # errors to come are errors
        click.echo(said, err=True)

    if before is not _hear:  # it is ignored, or not ours
        yield
        return
    signal.signal(signal.SIGINT, gently)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stoppable(kept: Callable[[], str]) -> Iterator[None]:
    """Around the work of a command: at Ctrl-C say what is `kept`, which is asked for then, and exit with `STOPPED`.

    A second Ctrl-C ends the process at once.
    """
    try:
        if _heard.is_set():
            raise KeyboardInterrupt
        yield
    except (KeyboardInterrupt, Exception) as error:
        if not (_heard.is_set() or isinstance(error, KeyboardInterrupt)):
            raise
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if sys.stderr.isatty():
            click.echo(err=True)  # the terminal has written ^C
        click.echo(f"Stopped: {kept()}", err=True)
        sys.exit(STOPPED)
