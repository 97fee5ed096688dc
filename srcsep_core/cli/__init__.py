"""The command line `srcsep`; every command imports what it needs when it runs."""

from srcsep_core.cli.commands import main

__all__ = ["main"]
