"""Calibrate the verdict on separations, and check it on recordings that nothing was fitted to.

    python scripts/calibrate_trust.py
    python scripts/calibrate_trust.py --world rendered

Separates labelled recordings of every kind (`separate.cases`) with the shipped denoiser, fits the model to those of one
seed, writes it to srcsep_core/separate/trust_<world>.json, and the verdicts on those of another seed to
data/measured/trust_<world>.csv, which notebook 13 shows. It takes hours; a stopped run goes on from the cache, and so
does one with more recordings.
"""

from __future__ import annotations

from dataclasses import asdict

import click
import torch

from srcsep_core.paths import REFERENCE, measured_folder, project_root
from srcsep_core.progress import log_to_stderr
from srcsep_core.report.results import write_table
from srcsep_core.run.artefacts import write_json
from srcsep_core.run.executors import prepare
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile
from srcsep_core.separate.calibration import (
    auroc,
    by_kind,
    calibration_steps,
    detection,
    fit,
    judged,
    windows_of,
)
from srcsep_core.separate.cases import BOOKS, FIT_SEED, HELD_OUT_SEED
from srcsep_core.separate.settings import SeparateConfig
from srcsep_core.separate.trust import MODEL


@click.command()
@click.option("--world", type=click.Choice(list(BOOKS)), default=next(iter(BOOKS)), show_default=True)
@click.option("--fit", "fit_count", default=16, show_default=True, help="Recordings of a kind to fit to.")
@click.option("--held-out", "held_count", default=8, show_default=True, help="Recordings of a kind to check on.")
def main(world: str, fit_count: int, held_count: int) -> None:
    """Fit the model and check it."""
    log_to_stderr()
    pipeline = Pipeline(device=torch.device("cpu"), progress=True)
    chosen, book = get_profile(REFERENCE), BOOKS[world]
    fitting = calibration_steps(chosen, book, FIT_SEED, fit_count)
    checking = calibration_steps(chosen, book, HELD_OUT_SEED, held_count)
    prepare(pipeline, [*fitting, *checking])
    trained = fitting[0].trained
    sampler = SeparateConfig(variant=book.variant).request.sampler
    model = fit(
        windows_of(pipeline, fitting), {"world": world, "sampler": sampler, "prior_key": trained.key}, book.right_db
    )
    path = project_root() / "srcsep_core" / "separate" / MODEL.format(world)
    write_json(path, asdict(model))
    click.echo(f"the model: {path}")
    for name, steps in (("fitted", fitting), ("held out", checking)):
        table = judged(windows_of(pipeline, steps), model)
        click.echo(f"{name}:\n{detection(table).round(3).to_string()}")
    click.echo(by_kind(table).to_string(index=False))
    click.echo(f"AUROC of the held out: {auroc(table):.3f}")
    click.echo(f"the verdicts on the held out: {write_table(table, measured_folder(REFERENCE), f'trust_{world}')}")


if __name__ == "__main__":
    main()
