"""The commands `srcsep separate` and `srcsep evaluate`. What they need is imported when they run."""

from __future__ import annotations

from pathlib import Path

import click

from srcsep_core.cli.options import (
    Choice,
    device_option,
    methods,
    priors,
    profile_option,
    samplers,
    sources,
    train_option,
    variant_option,
)
from srcsep_core.errors import InputError


@click.command()
@click.argument("mix", type=click.Path(path_type=Path))
@click.option(
    "--sources",
    "listed",
    cls=Choice,
    names=sources,
    required=True,
    metavar="A,B,...",
    help="What is in the mix, from {}; a class may be named twice.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write, new or empty.")
@click.option(
    "--method",
    cls=Choice,
    names=methods,
    default="sampler",
    show_default=True,
    help="One of {}; --sampler, --prior and --restarts are for the first.",
)
@click.option("--sampler", cls=Choice, names=samplers, default="gibbs", show_default=True, help="One of {}.")
@click.option("--prior", cls=Choice, names=priors, default="denoiser", show_default=True, help="One of {}.")
@variant_option("uniform_hz")
@profile_option
@device_option
@click.option("--seed", default=0, show_default=True, help="Of all random numbers.")
@click.option("--restarts", type=int, help="Chains a window, at most; default: the sampler's.")
@click.option(
    "--gain",
    default="auto",
    show_default=True,
    help="Factor on the mix after which it is the mean of sources of amplitude 0.9.",
)
@click.option("--stereo", default="mean", show_default=True, help="Separate the mean of the channels, or each.")
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
    variant: str,
    profile: str,
    device: str,
    seed: int,
    restarts: int | None,
    gain: str,
    stereo: str,
    remove_dc: bool,
    allow_clipped: bool,
    overwrite: bool,
    train: bool,
) -> None:
    """Separate an audio file MIX into stems that sum to it, with a player and a report."""
    from srcsep_core.separate import SeparateConfig, separate_file

    config = SeparateConfig(
        method=method,
        sampler=sampler,
        prior=prior,
        variant=variant,
        profile=profile,
        device=device,
        seed=seed,
        restarts=restarts,
        gain=_gain(gain),
        stereo=stereo,
        remove_dc=remove_dc,
        allow_clipped=allow_clipped,
        train=train,
    )
    names = [name.strip() for name in listed.split(",") if name.strip()]
    result = separate_file(mix, names, config, out=out, overwrite=overwrite, progress=True)
    report = result.report
    gains = ", ".join(f"{one:.3g}" for one in report["gain"])
    click.echo(f"{', '.join(result.names)}: {out}")
    click.echo(f"gain {gains}, residual {report['residual_db']:.1f} dB of the mix, {report['seconds']:.0f} s")


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
def evaluate(estimates: tuple[Path, ...], references: tuple[Path, ...], mix: Path | None, permute: bool) -> None:
    """Compare stems with references: SI-SDR, SI-SIR and SI-SAR in dB."""
    from srcsep_core.separate.scoring import score_files

    table = score_files(estimates, references, mix=mix, permute=permute)
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


def _gain(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"the gain is {text!r}; use a positive number, or auto") from error
