"""The command `srcsep benchmark`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from srcsep_core.cli.options import VARIANTS, Choice, device_option, profile_option, train_option
from srcsep_core.cli.stopping import stoppable
from srcsep_core.errors import InputError

if TYPE_CHECKING:
    from srcsep_core.run.steps import Step


@click.command()
@profile_option
@device_option
@click.option("--mixes", type=click.IntRange(min=1), help="Mixes a setting with quick priors; default: the profile's.")
@click.option(
    "--slow-mixes",
    type=click.IntRange(min=1),
    help="Mixes a setting with slow priors: flows, PnF, the oracle but for Gibbs; default: the profile's.",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    help="One or more of known, baseline, oracle, causal, beyond, compute, controls and unknown; default all.",
)
@click.option(
    "--count",
    "counts",
    type=click.IntRange(min=1),
    multiple=True,
    help="Only mixes of so many sources; default: of any number.",
)
@click.option(
    "--variant",
    "chosen_variants",
    cls=Choice,
    names=VARIANTS,
    multiple=True,
    help="Variants of a world, the first for all groups, others for known and baseline; default: the profile's. Of {}.",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    help="Music in place of waves: mixes of one or more of songs, instruments and excerpt (separation_music.csv).",
)
@click.option("--out", type=click.Path(path_type=Path), help="The folder for the tables; default: data/measured.")
@click.option("--overwrite", is_flag=True, help="Replace rows that were measured on more mixes.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Separate in so many processes of one thread each; on a processor, one a core is fastest.",
)
@train_option
@click.option("--list", "list_only", is_flag=True, help="Only list the settings and whether they are done.")
def benchmark(
    profile: str,
    device: str,
    mixes: int | None,
    slow_mixes: int | None,
    groups: tuple[str, ...],
    counts: tuple[int, ...],
    chosen_variants: tuple[str, ...],
    splits: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    workers: int,
    train: bool,
    list_only: bool,
) -> None:
    """Separate sets of fresh test mixes with every prior, sampler and method, and write the table of the results.

    What is done is cached: a stopped run goes on, and two runs share the work. With --group the rows of other groups
    stay in the table, and with --count those of mixes of other numbers of sources. With --split it is the table of
    music, whose mixes a --mixes of 1 cuts to one of each set of classes.
    """
    if splits:
        music(profile, device, mixes, splits, out, workers=workers, train=train, list_only=list_only)
        return
    from srcsep_core.benchmark.plans import plan_of
    from srcsep_core.benchmark.results import (
        check_counts,
        check_no_loss,
        planned_rows,
        planned_unknown,
        separation_rows,
        unknown_table,
        with_other_groups,
    )
    from srcsep_core.benchmark.settings import GROUPS, UNKNOWN, selection_step, settings_of
    from srcsep_core.paths import measured_folder
    from srcsep_core.report.results import write_table
    from srcsep_core.run.executors import Workers, prepare
    from srcsep_core.run.pipeline import Pipeline, resolve_device
    from srcsep_core.run.profiles import get_profile

    chosen = get_profile(profile)
    plan = plan_of(chosen).with_mixes(mixes, slow_mixes)
    plan = replace(plan, variants=chosen_variants or plan.variants)
    wanted = groups or (*GROUPS, UNKNOWN)
    settings = settings_of(chosen, plan, [group for group in wanted if group != UNKNOWN])
    if counts:
        check_counts(settings, counts)
        settings = [one for one in settings if len(one.step.mixes.sources) in counts]
    pipeline = Pipeline(device=resolve_device(device), progress=True, train=train)
    if workers > 1 and pipeline.device.type != "cpu":
        raise InputError(
            f"{workers} workers would leave the {pipeline.device.type} idle; use --workers 1, or --device cpu"
        )
    step = selection_step(chosen, plan) if UNKNOWN in wanted else None
    if list_only:
        every = [(one.group, one.step, one.note) for one in settings] + ([(UNKNOWN, step, "")] if step else [])
        for group, one, note in every:
            done = pipeline.store.find(one.name, one.key) is not None
            click.echo(f"{'done' if done else 'open'}  {group:8s} {one.title}  {note}")
        return
    command = f"srcsep benchmark -p {profile} --mixes {plan.mixes} --slow-mixes {plan.slow_mixes}"
    command += "".join(f" --variant {variant}" for variant in chosen_variants)
    folder = out or measured_folder(profile)
    if settings:
        check_no_loss(folder / "separation.csv", planned_rows(settings), overwrite=overwrite)
    if step is not None:
        check_no_loss(folder / "separation_unknown.csv", planned_unknown(step), overwrite=overwrite)
    steps = [*(one.step for one in settings), *([step] if step else [])]
    pipeline.check_trained(steps)
    kept = f"finished settings are in {pipeline.store.root}, and every table is whole, the earlier or the new one"
    with stoppable(lambda: f"{kept}; the same command goes on from there"):
        if workers > 1:
            prepare(pipeline, steps, Workers(workers))
        if settings:
            rows = separation_rows(pipeline, settings, profile=profile, command=command)
            table = with_other_groups(rows, folder / "separation.csv", counts)
            click.echo(f"{len(rows)} of {len(table)} rows: {write_table(table, folder, 'separation')}")
        if step is not None:
            found = unknown_table(pipeline, step, profile=profile, command=f"{command} --group {UNKNOWN}")
            click.echo(f"unknown sources: {write_table(found, folder, 'separation_unknown')}")


def music(
    profile: str,
    device: str,
    mixes: int | None,
    splits: tuple[str, ...],
    out: Path | None,
    *,
    workers: int,
    train: bool,
    list_only: bool,
) -> None:
    """Write the table of music (`benchmark.songs`); rows of other splits stay in it."""
    from srcsep_core.benchmark.songs import TABLE, Counts, song_settings, song_table, with_other_splits
    from srcsep_core.paths import measured_folder
    from srcsep_core.report.results import write_table
    from srcsep_core.run.executors import Workers, prepare
    from srcsep_core.run.pipeline import Pipeline, resolve_device
    from srcsep_core.run.profiles import get_profile

    settings = song_settings(get_profile(profile), splits, Counts(mixes, mixes, mixes, mixes) if mixes else None)
    pipeline = Pipeline(device=resolve_device(device), progress=True, train=train)

    def has(step: Step) -> bool:
        return pipeline.store.find(step.name, step.key) is not None

    if list_only:
        for one in settings:
            click.echo(f"{'done' if has(one.step) else 'open'}  {one.split:11s} {one.step.title}")
        return
    ready = [one for one in settings if train or all(has(parent) for parent in one.step.parents)]
    left_out = dict.fromkeys(one.separator for one in settings if one not in ready)
    if left_out and ready:
        click.echo(f"not trained and left out: {', '.join(left_out)}; --train trains them", err=True)
    settings = ready or settings
    pipeline.check_trained([one.step for one in settings])
    with stoppable(lambda: f"finished settings are in {pipeline.store.root}; the same command goes on from there"):
        if workers > 1:
            prepare(pipeline, [one.step for one in settings], Workers(workers))
        command = f"srcsep benchmark -p {profile}" + (f" --mixes {mixes}" if mixes else "") + " --split"
        rows = song_table(pipeline, settings, profile=profile, command=command)
        folder = out or measured_folder(profile)
        table = with_other_splits(rows, folder / f"{TABLE}.csv")
        click.echo(f"{len(rows)} of {len(table)} rows: {write_table(table, folder, TABLE)}")
