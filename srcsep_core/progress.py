"""Progress on a terminal or in a notebook as a bar, elsewhere as plain log lines."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import NoReturn, Self

from tqdm import tqdm

log = logging.getLogger(__name__)

LINE_EVERY_S = 30.0


def log_to_stderr() -> None:
    """Show this package's log lines on stderr, and of other packages warnings only."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("srcsep_core").setLevel(logging.INFO)


def interactive() -> bool:
    """Whether a bar can be redrawn in place: stderr is a terminal or that of a Jupyter kernel."""
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")


class _Bar:
    """A bar that is closed at the end of a `with` block."""

    _bar: tqdm[NoReturn]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()


class Progress(_Bar):
    """Counts steps of a long job; shows value, speed and time left. Silent when `show` is False."""

    def __init__(self, total: int, title: str, *, initial: int = 0, show: bool = True) -> None:
        self.total, self.title, self.done, self.initial = total, title, initial, initial
        self.show = show
        self._started = self._last_line = time.monotonic()
        bar = show and interactive()
        self._bar = tqdm(
            total=total,
            initial=initial,
            desc=title,
            leave=False,
            disable=not bar,
            mininterval=0.5,
            file=sys.stderr,
        )

    def advance(self, note: str = "") -> None:
        """Count one step; `note` is shown beside the bar."""
        self.done += 1
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update()
        now = time.monotonic()
        if self.show and self._bar.disable and now - self._last_line > LINE_EVERY_S:
            self._last_line = now
            speed = (self.done - self.initial) / (now - self._started)
            left = tqdm.format_interval((self.total - self.done) / speed)
            log.info("%s: %d/%d, %.2f/s, %s left, %s", self.title, self.done, self.total, speed, left, note)


class Stages(_Bar):
    """Follows a job of a few long stages, whose expected seconds are given by name, and is redrawn while one runs.

    Says which stage runs, for how long, and how much is left: once a second on a bar, every `LINE_EVERY_S` in a log.
    """

    def __init__(self, expected: Mapping[str, float], title: str) -> None:
        self.expected, self.title = dict(expected), title
        self._finished: list[str] = []
        self._started = time.monotonic()
        self._bar = tqdm(
            total=1.0,
            desc=title,
            bar_format="{percentage:3.0f}%|{bar}| {desc}",
            leave=False,
            disable=not interactive(),
            file=sys.stderr,
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Run one of the stages, each once."""
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(name, stop), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
        self._finished.append(name)

    def _watch(self, name: str, stop: threading.Event) -> None:
        begun = time.monotonic()
        every = LINE_EVERY_S if self._bar.disable else 1.0
        while True:
            now = time.monotonic()
            self._show(name, begun - self._started, now - begun)
            if stop.wait(every):
                return

    def _show(self, name: str, before: float, inside: float) -> None:
        done = sum(self.expected[finished] for finished in self._finished)
        share, left = time_left(sum(self.expected.values()), done, self.expected[name], before=before, inside=inside)
        counted = f"{self.title} {len(self._finished) + 1}/{len(self.expected)}"
        text = f"{counted}: {name}, {clock(inside)}; about {clock(left)} left in all"
        if self._bar.disable:
            log.info("%s", text)
        else:
            self._bar.n = share
            self._bar.set_description_str(text)


def time_left(total: float, done: float, current: float, *, before: float, inside: float) -> tuple[float, float]:
    """The share of a job that is done, and the seconds left.

    `total`, `done` and `current` are the expected seconds of all stages, of those finished and of the one that runs;
    `before` are the seconds that the finished ones took, and `inside` those of the one that runs so far. The pace is
    that of the finished stages; a stage that takes longer than expected counts as all but finished.
    """
    pace = before / done if done > 0 and before > 0 else 1.0
    covered = done + min(inside / pace, current)
    return covered / total, pace * (total - covered)


def clock(seconds: float) -> str:
    """Seconds as 01:23, from an hour on as 1:02:03."""
    return str(tqdm.format_interval(round(seconds)))
