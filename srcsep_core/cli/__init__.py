"""The command line `srcsep`; every command imports what it needs when it runs."""

import sys

try:
    from srcsep_core.cli.commands import main
except KeyboardInterrupt:  # as `stopping.stoppable`, which is not there yet
    print("Stopped: nothing was begun", file=sys.stderr)
    sys.exit(130)

__all__ = ["main"]
