"""Blind separation of digits and notes: data/measured/vae_bss.csv, and beside it vae_bss_seeds, _beta and _warmup.csv.

    python scripts/blind.py --train

Networks of five training seeds, and what stands beside them (`srcsep_core.benchmark.blind`): at the profile `laptop`
two hours on one core, of which most is training. What is cached is neither trained nor measured again.
"""

from __future__ import annotations

import click
import torch

from srcsep_core.benchmark.blind import blind_settings
from srcsep_core.benchmark.blind_tables import (
    SEEDS_TABLE,
    SWEEP_TABLE,
    TABLE,
    WARMUP_TABLE,
    blind_tables,
    sweep_table,
    warmup_table,
)
from srcsep_core.paths import REFERENCE, measured_folder
from srcsep_core.progress import log_to_stderr
from srcsep_core.report.results import write_table
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile


@click.command()
@click.option("-p", "--profile", "name", default=REFERENCE, show_default=True, help="The profile of the networks.")
@click.option("--mnist", is_flag=True, help="Measure on MNIST too (`srcsep data mnist`).")
@click.option("--train", is_flag=True, help="Train networks that are not there.")
def main(name: str, mnist: bool, train: bool) -> None:
    """Measure, and write the tables."""
    log_to_stderr()
    torch.set_num_threads(1)
    profile, pipeline = get_profile(name), Pipeline(device=torch.device("cpu"), progress=True, train=train)
    chosen = warmup_table(pipeline, profile)
    command = f"python scripts/blind.py -p {name}" + (" --mnist" if mnist else "")
    results, seeds = blind_tables(pipeline, blind_settings(profile, mnist=mnist), command)
    tables = {TABLE: results, SEEDS_TABLE: seeds, SWEEP_TABLE: sweep_table(pipeline, profile), WARMUP_TABLE: chosen}
    for title, table in tables.items():
        click.echo(write_table(table, measured_folder(name), title))


if __name__ == "__main__":
    main()
