"""Tune the exchange of samples: a grid of its settings on validation mixes of all four sources, with the denoiser.

    .venv/bin/python scripts/tune_exchange.py --mixes 50

Prints, for every setting, the share of mixes with all sources above 10 and 20 dB with its exact 95 % interval. The test
mixes, which results are reported on, are not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import click
import pandas as pd
import torch

from srcsep_core.benchmark.candidates import prior_choices
from srcsep_core.benchmark.plans import plan_of
from srcsep_core.benchmark.results import summarise_separation
from srcsep_core.benchmark.settings import gibbs_for
from srcsep_core.data.mixes import VALIDATION_SEED, MixConfig, Mixes, draw_mixes
from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.progress import Progress
from srcsep_core.run.pipeline import Pipeline, resolve_device
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps.separation import measure
from srcsep_core.samplers import ExchangingGibbsConfig, gibbs_exchange

SIGMAS = ((0.03,), (0.03, 0.1), (0.1, 0.3))
MARGINS = (0.0, 0.5, 2.0)
AGAIN = (0, 1)
BATCH = 32  # mixes that run at once
SHOWN = [f"all_above_{db}db{end}" for db in (10, 20) for end in ("", "_low", "_high")]


def grid(
    base: ExchangingGibbsConfig, sigmas: Sequence[tuple[float, ...]], margins: Sequence[float], again: Sequence[int]
) -> list[ExchangingGibbsConfig]:
    """`base` with every combination of the levels that exchanges are judged at, their margin, and their repeats."""
    return [
        replace(base, exchange=replace(base.exchange, sigmas=levels, margin=margin), again=times)
        for levels, margin, times in product(sigmas, margins, again)
    ]


def tried(
    drawn: Mixes,
    names: tuple[str, ...],
    priors: Mapping[str, DenoisingPrior],
    config: ExchangingGibbsConfig,
    device: torch.device,
    seed: int = 0,
) -> dict[str, object]:
    """The row of one setting: what it is, the number of mixes, and the shares of mixes above the thresholds."""
    parts = []
    for index, mix in enumerate(drawn.mix.split(BATCH)):
        generator = torch.Generator(device).manual_seed(seed + index)
        own = [priors[name] for name in names]
        parts.append(gibbs_exchange(mix.to(device), own, config=config, generator=generator).sources.cpu())
    values = measure(drawn, torch.cat(parts), names).assign(residual=float("nan"), chains_run=0)
    summary = summarise_separation(values)
    about = {"sigmas": config.exchange.sigmas, "margin": config.exchange.margin, "again": config.again}
    return {**about, "n_mixes": len(drawn.mix), **{name: summary[name] for name in SHOWN}}


@click.command()
@click.option("-p", "--profile", default="laptop", show_default=True, help="smoke, laptop or full.")
@click.option("--variant", default="whole_periods", show_default=True, help="The toy variant.")
@click.option("--mixes", default=50, show_default=True, type=click.IntRange(min=1), help="Validation mixes a setting.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
def main(profile: str, variant: str, mixes: int, device: str) -> None:
    """Try a small grid of settings of the exchange on validation mixes, and print the shares of mixes separated."""
    chosen = get_profile(profile)
    plan, choice = plan_of(chosen), prior_choices(chosen, variant)["denoiser"]
    pipeline = Pipeline(device=resolve_device(device), progress=True)
    load = choice.load(pipeline)
    priors = {name: load(name) for name in SOURCES}
    drawn = draw_mixes(
        ToyWorld(variant), MixConfig(SOURCES, mixes, plan.length, seed=VALIDATION_SEED), split="validation"
    )
    settings = grid(ExchangingGibbsConfig(**vars(gibbs_for(plan, len(SOURCES)))), SIGMAS, MARGINS, AGAIN)
    rows = []
    with Progress(len(settings), "exchange") as bar:
        for config in settings:
            rows.append(tried(drawn, SOURCES, priors, config, pipeline.device))
            bar.advance()
    click.echo(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))


if __name__ == "__main__":
    main()
