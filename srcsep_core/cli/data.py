"""The commands `srcsep data`. What they need is imported when they run."""

from __future__ import annotations

from pathlib import Path

import click

from srcsep_core.cli.options import Choice
from srcsep_core.errors import InputError

ROOT = "name the folder that holds train and test, or a zip file of it, with --root"


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


@data.command()
@click.option("--root", metavar="PLACE", help="The folder that holds train and test, or a zip file of it.")
@click.option("--download", is_flag=True, help="Fetch the public excerpts of seven seconds of every song.")
@click.option(
    "--variant",
    "variants",
    cls=Choice,
    names="srcsep_core.data.musdb18:CUTS",
    multiple=True,
    default=("musdb18_paper",),
    show_default=True,
    help="How songs become frames: one or more of {}.",
)
def musdb18(root: str | None, download: bool, variants: tuple[str, ...]) -> None:
    """Decode musdb18 (.stem.mp4, or WAV as in MUSDB18-HQ) once into frames in the cache.

    Run again, it goes on where it was stopped, and decodes what is new or changed.
    """
    from srcsep_core.config import check_choice
    from srcsep_core.data.musdb18 import CUTS, decode
    from srcsep_core.data.tracks import excerpts_address, tracks_in
    from srcsep_core.fetch import opened
    from srcsep_core.progress import Progress

    if (root is None) != download:
        raise InputError(f"either a root or --download is needed, and not both; {ROOT}")
    for variant in variants:
        check_choice("variant", variant, tuple(CUTS))
    with opened(root or excerpts_address(), ROOT) as folder:
        for variant in variants:
            with Progress(len(tracks_in(folder)), f"decode {variant}") as bar:
                store = decode(folder, variant, done=bar.advance)
            for left in store.remarks:
                click.echo(f"{left.name}: {left.why}")
            click.echo(f"{variant}: {len(store.songs())} songs in {store.folder}")


@data.command()
@click.option("--root", metavar="FOLDER", help="The folder that holds the four files, plain or packed (.gz).")
@click.option("--download", is_flag=True, help="Fetch the four files, packed, 12 MB in all.")
def mnist(root: str | None, download: bool) -> None:
    """Take over the pictures of MNIST into the cache, all four files or none.

    Packed files are checked against the checksums of the originals, plain ones by their structure only.
    """
    from srcsep_core.data import mnist as pictures

    if (root is None) != download:
        raise InputError(f"either a root or --download is needed, and not both; {pictures.ROOT}")
    folder = pictures.take_over(Path(root)) if root is not None else pictures.download()
    click.echo(_pictures_line(folder))


def _pictures_line(folder: Path | None) -> str:
    """What there is of MNIST in a folder, or what is wrong with it."""
    from srcsep_core.data.mnist import ENDS, pictures_in

    if folder is None:
        return "mnist: not there; srcsep data mnist --root FOLDER, or srcsep data mnist --download"
    try:
        pictures_in(folder)
    except InputError as error:
        return f"mnist: {error}"
    counts = ", ".join(f"{end - start} {split}" for split, (start, end) in ENDS.items())
    return f"mnist: {counts} pictures, in {folder}"


@data.command("status")
def data_status() -> None:
    """Say which data sets are on this machine; changes nothing."""
    from srcsep_core.data.mnist import found
    from srcsep_core.data.musdb18 import CUTS, store_of

    for variant in CUTS:
        store = store_of(variant)
        if not store.complete:
            click.echo(f"{variant}: not decoded; srcsep data musdb18 --variant {variant} --root PLACE")
            continue
        counts = ", ".join(f"{len(store.songs(split))} {split}" for split in ("train", "validation", "test"))
        click.echo(f"{variant}: {counts} songs, {len(store.remarks)} remarks, in {store.folder}")
    click.echo(_pictures_line(found()))
