"""Progress on a terminal or in a notebook as a bar, elsewhere as plain log lines."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

log = logging.getLogger(__name__)

LINE_EVERY_S = 30.0


def log_to_stderr() -> None:
    """Show this package's log lines on stderr, and of other packages warnings only."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("srcsep_core").setLevel(logging.INFO)


def interactive() -> bool:
    """Whether a bar can be redrawn in place: a terminal or a Jupyter kernel."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class Progress:
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

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()

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
