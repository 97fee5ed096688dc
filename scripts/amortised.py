"""Variational separation beside the samplers on toy mixes: data/measured/separation_amortised.csv.

    python scripts/amortised.py

Encoders, fits and samplers on the same test mixes (`srcsep_core.benchmark.amortised`): at the profile `laptop` three
quarters of an hour on one core. What is cached is not measured again. With `--only whole` the rows of pairs stay as
they are, with `--only pairs` those of mixes of all classes.
"""

from __future__ import annotations

import click
import pandas as pd
import torch

from srcsep_core.benchmark.amortised import AMOUNTS, TABLE, amortised_table, pair_settings, whole_settings
from srcsep_core.paths import REFERENCE, measured_folder
from srcsep_core.progress import log_to_stderr
from srcsep_core.report.results import write_table
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile

SETTINGS = {"pairs": pair_settings, "whole": whole_settings}


@click.command()
@click.option("-p", "--profile", "name", default=REFERENCE, show_default=True, help="The profile of the priors.")
@click.option("--only", type=click.Choice(list(SETTINGS)), help="Only these mixes; default: all.")
@click.option("--train", is_flag=True, help="Train priors that are not there.")
def main(name: str, only: str | None, train: bool) -> None:
    """Measure, and write the table."""
    log_to_stderr()
    torch.set_num_threads(1)
    profile, pipeline = get_profile(name), Pipeline(device=torch.device("cpu"), progress=True, train=train)
    settings = [setting for which in ([only] if only else SETTINGS) for setting in SETTINGS[which](profile)]
    command = f"python scripts/amortised.py -p {name}"
    table = amortised_table(pipeline, settings, profile=name, bounds=AMOUNTS[name].bounds, command=command)
    held = measured_folder(name) / f"{TABLE}.csv"
    if only and held.exists():
        before = pd.read_csv(held)
        table = pd.concat([before[~before["n_sources"].isin(table["n_sources"])], table], ignore_index=True)
        table = table.sort_values("n_sources", kind="stable", ignore_index=True)
    click.echo(write_table(table, held.parent, TABLE))


if __name__ == "__main__":
    main()
