"""The command `srcsep benchmark`."""

from __future__ import annotations

from pathlib import Path

import click

from srcsep_core.cli.options import device_option, profile_option


@click.command()
@profile_option
@device_option
@click.option("--mixes", type=click.IntRange(min=1), help="Mixes a setting with quick priors; default: the profile's.")
@click.option("--slow-mixes", type=click.IntRange(min=1), help="Mixes a setting with flow and PnF priors.")
@click.option("--group", "groups", multiple=True, help="One or more groups of settings; default all.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The table to write; default separation.csv among figures."
)
@click.option("--list", "list_only", is_flag=True, help="Only list the settings and whether they are done.")
def benchmark(
    profile: str,
    device: str,
    mixes: int | None,
    slow_mixes: int | None,
    groups: tuple[str, ...],
    out: Path | None,
    list_only: bool,
) -> None:
    """Separate sets of fresh test mixes with every prior and sampler, and write the table of the results.

    What is done is cached: a stopped run goes on, and two runs share the work.
    """
    import pandas as pd

    from srcsep_core.benchmark.results import separation_row, unknown_table
    from srcsep_core.benchmark.settings import GROUPS, UNKNOWN, plan_of, selection_step, settings_of
    from srcsep_core.pipeline import Pipeline, resolve_device
    from srcsep_core.profiles import get_profile
    from srcsep_core.report import figures_folder, write_table

    chosen = get_profile(profile)
    plan = plan_of(chosen).with_mixes(mixes, slow_mixes)
    wanted = groups or (*GROUPS, UNKNOWN)
    settings = settings_of(chosen, plan, [group for group in wanted if group != UNKNOWN])
    pipeline = Pipeline(device=resolve_device(device), progress=True)
    if list_only:
        for setting in settings:
            done = pipeline.store.find(setting.step.name, setting.step.key) is not None
            click.echo(f"{'done' if done else 'open'}  {setting.group:8s} {setting.step.title}  {setting.note}")
        return
    command = f"srcsep benchmark -p {profile} --mixes {plan.mixes} --slow-mixes {plan.slow_mixes} --group "
    folder = out or figures_folder(profile)
    if settings:
        rows = [
            separation_row(pipeline, setting, profile=profile, command=command + setting.group) for setting in settings
        ]
        click.echo(f"{len(rows)} settings: {write_table(pd.DataFrame(rows), folder, 'separation')}")
    if UNKNOWN in wanted:
        step = selection_step(chosen, plan)
        table = unknown_table(pipeline, step, profile=profile, command=command + UNKNOWN)
        click.echo(f"unknown sources: {write_table(table, folder, 'separation_unknown')}")
