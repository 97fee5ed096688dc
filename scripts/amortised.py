"""Variational separation beside the samplers on mixes of two sources: data/measured/separation_amortised.csv.

    python scripts/amortised.py

Encoders, fits and samplers on the same test mixes (`srcsep_core.benchmark.amortised`): at the profile `laptop` half an
hour on one core. What is cached is not measured again.
"""

from __future__ import annotations

import click
import torch

from srcsep_core.benchmark.amortised import AMOUNTS, TABLE, amortised_table, pair_settings
from srcsep_core.paths import REFERENCE, measured_folder
from srcsep_core.progress import log_to_stderr
from srcsep_core.report.results import write_table
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile


@click.command()
@click.option("-p", "--profile", "name", default=REFERENCE, show_default=True, help="The profile of the priors.")
@click.option("--train", is_flag=True, help="Train priors that are not there.")
def main(name: str, train: bool) -> None:
    """Measure, and write the table."""
    log_to_stderr()
    torch.set_num_threads(1)
    profile, pipeline = get_profile(name), Pipeline(device=torch.device("cpu"), progress=True, train=train)
    command = f"python scripts/amortised.py -p {name}"
    settings, bounds = pair_settings(profile), AMOUNTS[name].bounds
    table = amortised_table(pipeline, settings, profile=name, bounds=bounds, command=command)
    click.echo(write_table(table, measured_folder(name), TABLE))


if __name__ == "__main__":
    main()
