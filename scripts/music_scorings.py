"""Score stems of songs under the priors of all classes in several ways: data/measured/music_scorings.csv.

    python scripts/music_scorings.py

For rendered songs, the excerpt, and what of musdb18 is decoded here, 32 signals a class at the profile `laptop`: four
minutes a world on one core. What is cached is not scored again.
"""

from __future__ import annotations

import click
import pandas as pd
import torch

from srcsep_core.audit.songs import asked_variants, scoring_step, scorings_summary
from srcsep_core.paths import REFERENCE, measured_folder
from srcsep_core.progress import log_to_stderr
from srcsep_core.report.results import write_table
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import VALUES

TABLE = "music_scorings"


@click.command()
@click.option("-p", "--profile", "name", default=REFERENCE, show_default=True, help="The profile of the priors.")
def main(name: str) -> None:
    """Score, summarise, and write the table."""
    log_to_stderr()
    torch.set_num_threads(1)
    profile, pipeline = get_profile(name), Pipeline(device=torch.device("cpu"), progress=True)
    values = {}
    for variant in asked_variants(pipeline, profile):
        values[variant] = pd.read_csv(pipeline.run(scoring_step(profile, variant)) / VALUES)
    table = scorings_summary(values).assign(command=f"python scripts/music_scorings.py -p {name}")
    click.echo(write_table(table, measured_folder(name), TABLE))


if __name__ == "__main__":
    main()
