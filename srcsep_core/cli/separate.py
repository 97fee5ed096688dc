"""The commands `srcsep separate` and `srcsep evaluate`. What they need is imported when they run."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import click

from srcsep_core.cli.options import (
    METHODS,
    PRIORS,
    SAMPLERS,
    SOURCES,
    WORLDS,
    Choice,
    device_option,
    profile_option,
    train_option,
    variant_option,
)
from srcsep_core.cli.stopping import ends_early, stoppable
from srcsep_core.config import check_choice
from srcsep_core.errors import InputError

DOUBTFUL = 3  # the exit code of a separation that is not to be trusted
SHOWN = 3  # sets of sources that were tried
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


@click.command()
@click.argument("mix", type=click.Path(path_type=Path))
@click.option(
    "--sources",
    "listed",
    cls=Choice,
    names=SOURCES,
    required=True,
    metavar="A,B,...",
    help="What is in the mix, from {}; a class may be named twice. auto: the likeliest set of them.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write, new or empty.")
@click.option(
    "--method",
    cls=Choice,
    names=METHODS,
    default="sampler",
    show_default=True,
    help="One of {}; --sampler, --prior and --max-chains are for the first.",
)
@click.option(
    "--sampler",
    cls=Choice,
    names=SAMPLERS,
    default="auto",
    show_default=True,
    help="One of {}; auto: gibbs, or means for music.",
)
@click.option("--prior", cls=Choice, names=PRIORS, default="denoiser", show_default=True, help="One of {}.")
@click.option(
    "--world",
    cls=Choice,
    names=WORLDS,
    help="Whose sources they are: rendered has priors of music; of {}. Default: toy, or that of --variant.",
)
@variant_option(None)
@profile_option
@device_option
@click.option("--seed", default=0, show_default=True, help="Of all random numbers.")
@click.option("--max-chains", "--restarts", type=int, help="Chains a window, at most; default: 9, for music 1.")
@click.option(
    "--budget", metavar="SECONDS", help="After so many seconds (60, 90s or 5m) the best found so far is taken."
)
@click.option("--precision", default="auto", show_default=True, help="full, or rounded where that is faster; or auto.")
@click.option(
    "--gain",
    default="auto",
    show_default=True,
    help="Factor on the mix after which it is the mean of sources of amplitude 0.9.",
)
@click.option(
    "--levels",
    default="auto",
    show_default=True,
    help="Of the sources: equal, or estimated; auto: estimated where equal ones leave doubt.",
)
@click.option(
    "--stereo",
    default="auto",
    show_default=True,
    help="Separate the mean of the channels, or each; auto: each, unless they are alike.",
)
@click.option("--remove-dc", is_flag=True, help="Take off the mean of the signal first.")
@click.option("--allow-clipped", is_flag=True, help="Accept flat tops at full scale.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier separation in the folder.")
@train_option
def separate(
    mix: Path,
    listed: str,
    out: Path,
    method: str,
    sampler: str,
    prior: str,
    world: str | None,
    variant: str | None,
    profile: str,
    device: str,
    seed: int,
    max_chains: int | None,
    budget: str | None,
    precision: str,
    gain: str,
    levels: str,
    stereo: str,
    remove_dc: bool,
    allow_clipped: bool,
    overwrite: bool,
    train: bool,
) -> None:
    """Separate an audio file MIX into stems that sum to it, with a player and a report.

    The last line says whether to trust the result, if that can be judged. Where it is not to be trusted the stems are
    written all the same, and the exit code is 3. Ctrl-C ends the search with the best found so far.
    """
    before = _files(out)
    with stoppable(lambda: _kept(out, before)):
        from srcsep_core.audio_parts import audio_facts
        from srcsep_core.separate import Clock, SearchConfig, SeparateConfig, separate_file, separate_long
        from srcsep_core.separate.long import LONG_S

        config = SeparateConfig(
            method=method,
            sampler=sampler,
            prior=prior,
            variant=_variant(world, variant),
            profile=profile,
            device=device,
            seed=seed,
            max_chains=max_chains,
            precision=precision,
            search=SearchConfig(budget_s=_seconds(budget)),
            gain=_gain(gain),
            levels=levels,
            stereo=stereo,
            remove_dc=remove_dc,
            allow_clipped=allow_clipped,
            train=train,
        )
        names = [name.strip() for name in listed.split(",") if name.strip()]
        clock = Clock(config.search.budget_s)
        with ends_early(clock.stop, "Stopping with the best found so far; Ctrl-C again to stop at once"):
            separate = separate_long if mix.is_file() and audio_facts(mix).duration_s >= LONG_S else separate_file
            result = separate(mix, names, config, out=out, overwrite=overwrite, clock=clock, progress=True)
    report = result.report
    gains = ", ".join(f"{one:.3g}" for one in report["gain"])
    click.echo(f"{', '.join(result.names)}: {out}")
    click.echo(f"gain {gains}, residual {report['residual_db']:.1f} dB of the mix, {report['seconds']:.0f} s")
    for tried in report["sources_tried"][:SHOWN]:
        click.echo(f"  {tried['sources']}: probability {tried['p']:.2f}")
    click.echo(result.verdict.line)
    if result.verdict.judged and not result.verdict.trust:
        sys.exit(DOUBTFUL)


@click.command()
@click.argument("estimates", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ESTIMATE...")
@click.option(
    "--reference",
    "references",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="One for every estimate, in the same order; or a folder, for a folder.",
)
@click.option("--mix", type=click.Path(path_type=Path), help="The mix: adds the improvement over it, si_sdri.")
@click.option("--permute", is_flag=True, help="Give every reference the estimate that suits all of them best.")
@click.option("--mono", is_flag=True, help="Compare the means of the channels.")
def evaluate(
    estimates: tuple[Path, ...], references: tuple[Path, ...], mix: Path | None, permute: bool, mono: bool
) -> None:
    """Compare stems with references: SI-SDR, SI-SIR and SI-SAR in dB."""
    from srcsep_core.separate.scoring import score_files

    table = score_files(estimates, references, mix=mix, permute=permute, mono=mono)
    click.echo(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))


@click.command(
    hidden=True,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def score(context: click.Context) -> None:
    """The old name of `evaluate`: a score is the gradient of a log-density here."""
    click.echo("Error: `srcsep score` is now called `srcsep evaluate`; its arguments are the same", err=True)
    context.exit(2)


def _variant(world: str | None, variant: str | None) -> str:
    """The variant asked for, or the world's own; raises `InputError` where they do not belong together."""
    from srcsep_core.data.base import variants_of, worlds_of
    from srcsep_core.separate import SeparateConfig

    known, usual = variants_of(), SeparateConfig().variant
    if world is None:
        return variant or usual
    check_choice("world", world, worlds_of())
    if variant is None:
        return usual if known[usual] == world else next(one for one, name in known.items() if name == world)
    if known.get(variant, world) != world:
        raise InputError(f"the variant {variant} is of the world {known[variant]}, not {world}; name one of them alone")
    return variant


def _gain(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"the gain is {text!r}; use a positive number, or auto") from error


def _seconds(text: str | None) -> float | None:
    """Seconds from 60, 60s, 5m or 1h."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in UNITS_S else (text, "s")
    try:
        return UNITS_S[unit] * float(number)
    except ValueError as error:
        raise InputError(f"the budget is {text!r}; use seconds, as in 60, 90s, 5m or 1h") from error


def _kept(out: Path, before: dict[str, int]) -> str:
    """What the folder `out` holds after a stop, given its files before."""
    return f"{out} is as it was" if _files(out) == before else f"the stems in {out} are complete"


def _files(folder: Path) -> dict[str, int]:
    """The files of a folder, if it is there, with the times they were written."""
    found: dict[str, int] = {}
    with suppress(OSError):
        found.update((path.name, path.stat().st_mtime_ns) for path in folder.iterdir())
    return found
