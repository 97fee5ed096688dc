"""The command line `srcsep`: separation and its benchmark from modules of their own, the other commands here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from srcsep_core import __version__
from srcsep_core.cli.benchmark import benchmark
from srcsep_core.cli.data import data
from srcsep_core.cli.options import (
    MODELS,
    OBJECTIVES,
    Choice,
    device_option,
    profile_option,
    train_option,
    variant_option,
)
from srcsep_core.cli.separate import evaluate, score, separate
from srcsep_core.cli.status import status
from srcsep_core.cli.stopping import listen, stoppable
from srcsep_core.cli.wording import options_named
from srcsep_core.config import check_choice
from srcsep_core.errors import DivergenceError, InputError, StoreError
from srcsep_core.progress import log_to_stderr

if TYPE_CHECKING:
    from srcsep_core.run.steps import TrainPriors
    from srcsep_core.run.store import Store


class _Group(click.Group):
    """A command group that reports a mendable error as one sentence with exit code 1, and Ctrl-C as one with 130.

    Messages name options.
    """

    def invoke(self, context: click.Context) -> object:
        log_to_stderr()
        listen()
        try:
            with options_named(), stoppable(lambda: "what was finished is kept"):
                return super().invoke(context)
        except (InputError, StoreError, DivergenceError) as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Group)
@click.version_option(__version__)
def main() -> None:
    """Generative priors of audio: train them, measure what they can tell apart, separate with them."""


main.add_command(separate)
main.add_command(evaluate)
main.add_command(score)
main.add_command(benchmark)
main.add_command(data)
main.add_command(status)


@main.command()
@profile_option
@variant_option("whole_periods")
@device_option
@click.option("--model", "chosen", cls=Choice, names=MODELS, multiple=True, help="One or more of {}; default all.")
@click.option(
    "--objective", "wanted", cls=Choice, names=OBJECTIVES, multiple=True, help="One or more of {}; default all."
)
@click.option("--noise-free", is_flag=True, help="Leave out the priors that are conditioned on noise.")
@click.option("--retrain", is_flag=True, help="Train anew even if the priors are cached or shipped.")
@click.option("--ship", is_flag=True, help="Copy the trained priors into data/pretrained (for maintainers).")
def train(
    profile: str,
    variant: str,
    device: str,
    chosen: tuple[str, ...],
    wanted: tuple[str, ...],
    noise_free: bool,
    retrain: bool,
    ship: bool,
) -> None:
    """Train the priors of a profile, or find them in the cache or among the shipped ones."""
    from srcsep_core.paths import project_root
    from srcsep_core.priors.kinds import all_objectives, kind_of
    from srcsep_core.run.pipeline import Pipeline, resolve_device
    from srcsep_core.run.profiles import get_profile
    from srcsep_core.run.steps import priors_of

    plans = get_profile(profile).of(variant)
    for name in chosen:
        kind_of(name), plans.plan_of(name)
    for name in wanted:
        check_choice("objective", name, all_objectives())
    steps = [
        step
        for step in priors_of(plans, variant)
        if (not chosen or step.model in chosen)
        and (not wanted or step.train.objective in wanted)
        and not (noise_free and (step.train.noise_sigma or step.conditional))
    ]
    for name in chosen:
        if not any(step.model == name for step in steps):
            raise _unmatched(profile, (name,), wanted, noise_free)
    for name in wanted:
        if not any(step.train.objective == name for step in steps):
            raise _unmatched(profile, chosen, (name,), noise_free)
    shipped = project_root() / "data" / "pretrained" if ship else None
    pipeline = Pipeline(device=resolve_device(device), progress=True, train=True)
    done: list[TrainPriors] = []
    with stoppable(lambda: _kept(pipeline.store, steps, done, retrain)):
        for step in steps:
            artefact = pipeline.remake(step) if retrain else pipeline.run(step)
            done.append(step)
            if shipped is not None:
                click.echo(f"{step.title}: shipped to {pipeline.ship(step, shipped)}")
            else:
                click.echo(f"{step.title}: {artefact.path}")


def _unmatched(profile: str, chosen: Sequence[str], wanted: Sequence[str], noise_free: bool) -> InputError:
    options = [f"--model {' or '.join(chosen)}"] if chosen else []
    options += [f"--objective {' or '.join(wanted)}"] if wanted else []
    options += ["--noise-free"] if noise_free else []
    return InputError(f"the profile {profile} has no priors for {' with '.join(options)}; leave one of these out")


def _kept(store: Store, steps: Sequence[TrainPriors], done: Sequence[TrainPriors], retrain: bool) -> str:
    """What a training of `steps` that is stopped after those `done` leaves behind."""
    kept = f"{len(done)} of {len(steps)} sets of priors are finished and kept"
    if len(done) == len(steps):
        return kept
    current = steps[len(done)]
    begun = [
        f"{step.title} up to {reached}"
        for step in (*current.parents, current)
        if (reached := step.unfinished(store.work_folder(step.name, step.key)))
    ]
    again = f" once it has trained those {len(done)} anew" if retrain and done else ""
    return f"{', '.join([kept, *begun])}; the same command goes on from there{again}"


@main.command()
@click.argument("names", nargs=-1)
@profile_option
@device_option
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="profile, seed or device.")
@click.option("--in-place", is_flag=True, help="Renew what is committed: .ipynb files, tables, figures (maintainers).")
@click.option("--pair", "pair_only", is_flag=True, help="Only write the .ipynb files from the percent scripts.")
@train_option
def notebooks(
    names: tuple[str, ...],
    profile: str,
    device: str,
    parameters: tuple[str, ...],
    in_place: bool,
    pair_only: bool,
    train: bool,
) -> None:
    """Run all notebooks, or those whose names start with NAMES (as 03), and make the gallery.

    Ends with the verdict of `srcsep verify`; a table or a figure that agrees with the one that stands is left as it is.
    """
    from srcsep_core.paths import default_root, figures_folder, figures_root
    from srcsep_core.report import notebooks as runner
    from srcsep_core.report.session import PARAMETERS
    from srcsep_core.run.pipeline import resolve_device
    from srcsep_core.run.profiles import get_profile

    values = {"profile": profile, "device": device} | runner.parse_parameters(parameters, PARAMETERS)
    get_profile(values["profile"])
    resolve_device(values["device"])
    if pair_only:
        for source in runner.notebook_sources(names):
            click.echo(runner.pair(source))
        return
    gallery = figures_root() / "gallery"
    kept = f"finished notebooks are in {gallery}, finished steps in {default_root()}"
    with stoppable(lambda: f"{kept}; the same command makes none of these steps again"):
        executed, index = runner.run_notebooks(names, values, in_place=in_place, train=train)
    for done in executed:
        click.echo(f"{done.name:28s} {done.seconds:6.0f} s  {done.page}")
    click.echo(f"figures and tables: {figures_folder(values['profile'])}")
    click.echo(f"gallery: {index}")
    _judge(values["profile"], renewed=in_place)


@main.command()
@profile_option
def verify(profile: str) -> None:
    """Say whether the last run of the notebooks reproduced the tables that stood in figures/; exit code 1 if not."""
    _judge(profile)


def _judge(profile: str, *, renewed: bool = False) -> None:
    from srcsep_core.report.results import fresh_folder, last_verdict
    from srcsep_core.run.profiles import get_profile

    get_profile(profile)
    verdict = last_verdict(profile)
    if renewed:
        click.echo(f"renewed in {verdict.folder}; commit what has changed")
        return
    click.echo(verdict)
    if not verdict.reproduced:
        fresh = fresh_folder(profile)
        click.echo(f"Not reproduced: {fresh} holds what came out, {fresh / 'before'} what stood.")
        click.echo("To accept all that came out: `srcsep notebooks --in-place`")
        sys.exit(1)


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@profile_option
@variant_option("whole_periods")
@device_option
@click.option("--objective", cls=Choice, names=OBJECTIVES, default="likelihood", show_default=True, help="One of {}.")
@click.option("--resample", "resampling", is_flag=True, help="Resample a file of another rate to the priors' rate.")
@click.option("--mono", "averaging", is_flag=True, help="Average the channels of a file that has several.")
@train_option
def likelihood(
    path: Path,
    profile: str,
    variant: str,
    device: str,
    objective: str,
    resampling: bool,
    averaging: bool,
    train: bool,
) -> None:
    """Log-likelihood of an audio file (mono) under every source's prior, in nats/sample."""
    from srcsep_core.audio import check_signal, mono, read_audio, resample
    from srcsep_core.diagnostics import file_likelihood
    from srcsep_core.run.pipeline import Pipeline, resolve_device
    from srcsep_core.run.profiles import get_profile
    from srcsep_core.run.steps import prior_step

    chosen = get_profile(profile)
    step = prior_step(chosen, "flowavenet", objective=objective, variant=variant)  # type: ignore[arg-type]
    rate = step.data.sample_rate
    pipeline = Pipeline(device=resolve_device(device), progress=True, train=train)
    audio = read_audio(path)
    samples, found_rate = mono(audio.samples) if averaging else audio.samples, audio.sample_rate
    if resampling and found_rate != rate:
        samples, found_rate = resample(samples, from_rate=found_rate, to_rate=rate), rate
        click.echo(f"resampled from {audio.sample_rate} Hz to {rate} Hz", err=True)
    check_signal(samples, found_rate, expected_rate=rate, minimum=step.network.squeeze_factor)
    priors = pipeline.priors(step)
    table = file_likelihood(priors, samples[:, None])
    click.echo(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    likeliest = table.sort_values("log_likelihood")["prior"].iloc[-1]
    click.echo(f"log-likelihood in nats/sample; likeliest source: {likeliest}")


@main.command()
@click.option("--check", is_flag=True, help="Only say whether the README agrees with the tables.")
def readme(check: bool) -> None:
    """Renew the README's numbers and claims from the tables in figures/ (for maintainers)."""
    from srcsep_core.paths import project_root
    from srcsep_core.report.readme import update_readme

    path = project_root() / "README.md"
    renewed = update_readme(path)
    if check and renewed != path.read_text():
        raise InputError("README.md does not agree with the tables in figures/; run `srcsep readme`")
    if not check:
        path.write_text(renewed)
    click.echo("README.md agrees with the tables in figures/")
