"""Options that several commands share."""

from __future__ import annotations

import click

from srcsep_core.run.profiles import PROFILES

profile_option = click.option(
    "-p", "--profile", default="laptop", show_default=True, help=f"One of {', '.join(PROFILES)}."
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
