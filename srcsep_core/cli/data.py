"""The commands `srcsep data`. What they need is imported when they run."""

from __future__ import annotations

import click

from srcsep_core.errors import InputError


@click.group()
def data() -> None:
    """Take over what does not come with the package."""


@data.command()
@click.option("--from", "source", metavar="PLACE", help="A folder, a zip file, or the address of a zip file.")
def priors(source: str | None) -> None:
    """Take over sets of trained priors into the cache, all of those in PLACE or none.

    A checkout of the project has them in data/pretrained. No address has them yet.
    """
    if source is None:
        raise InputError(
            "name what holds the sets of priors with --from: a folder, a zip file, or the address of a zip file; "
            "a checkout of the project has them in data/pretrained"
        )
    from srcsep_core.run.store import Store
    from srcsep_core.run.takeover import take_over

    store = Store()
    for name, added in take_over(source, store).items():
        click.echo(f"{name}: {'taken over' if added else 'was there'}")
    click.echo(f"cache: {store.root}")
