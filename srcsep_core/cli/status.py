"""The command `srcsep status`, which only reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from srcsep_core.cli.options import profile_option, variant_option

if TYPE_CHECKING:
    from srcsep_core.run.pipeline import StepStatus

SCREEN = 24  # lines
LEAST_DETAILS = 3


@click.command()
@profile_option
@variant_option("whole_periods")
@click.option("--all", "every", is_flag=True, help="A line for every step, not for every kind of step.")
@click.option("--verbose", is_flag=True, help="Every step with its configuration and key.")
def status(profile: str, variant: str, every: bool, verbose: bool) -> None:
    """List what is made, shipped, unfinished, damaged or missing of a profile; changes nothing."""
    from srcsep_core.former import FORMER
    from srcsep_core.run.pipeline import Pipeline, describe
    from srcsep_core.run.profiles import get_profile
    from srcsep_core.run.steps import steps_of

    pipeline = Pipeline()
    found = []
    for one in pipeline.status(steps_of(get_profile(profile), variant)):
        found.append(one)
        if every or verbose:
            click.echo(f"{one.step.title:60s} {one.state:10s} {one.detail}".rstrip())
        if verbose:
            click.echo(describe(one.step))
    if not (every or verbose):
        for line in [*group_lines(found), *detail_lines(found)]:
            click.echo(line)
    for old, new in FORMER["step"].items():
        if (pipeline.store.root / old).exists():
            click.echo(f"not read: {old}, which is called {new} now; scripts/migrate_names.py renews it, or delete it")
    click.echo(f"{variant}, {profile}: {len(found)} steps, {counted(found)}; cache: {pipeline.store.root}")


def counted(found: Iterable[StepStatus]) -> str:
    """How many steps are in each state, as "2 made, 1 missing"."""
    from srcsep_core.run.pipeline import STATES

    counts = Counter(one.state for one in found)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])


def group_lines(found: Sequence[StepStatus]) -> list[str]:
    """A line for each kind of step, with counts."""
    names = dict.fromkeys(one.step.name for one in found)
    return [f"{name:20s} {counted(one for one in found if one.step.name == name)}" for name in names]


def detail_lines(found: Sequence[StepStatus]) -> list[str]:
    """A line for each step that is running, unfinished or damaged; of more than fit on a screen the first ones.

    The screen also has the lines of `group_lines`, and two that count.
    """
    lines = [f"{one.state}: {one.step.title}: {one.detail}" for one in found if one.detail]
    room = max(LEAST_DETAILS, SCREEN - 2 - len(group_lines(found)))
    more = len(lines) - room
    return lines[:room] + ([f"and {more} more: `srcsep status --all`"] if more > 0 else [])
