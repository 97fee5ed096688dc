"""Time the paper-size flow: a training step and a cross-likelihood evaluation, against length and sources.

    .venv/bin/python scripts/paper_size.py

Writes scripts/paper_size.csv (median, fastest and slowest of the repeats, in seconds) and prints it. A training
step is a batch of one: forward, backward, gradient clipping and Adam. An evaluation is one signal of every source
under every source's prior, without gradients.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import click
import pandas as pd
import torch

from srcsep_core.data.toy import SOURCES, ToyWorld, draw_test_set
from srcsep_core.diagnostics import likelihood_table
from srcsep_core.priors.flow import Flow
from srcsep_core.priors.flow_kind import FlowSet, objective_by_source
from srcsep_core.priors.flowavenet import flowavenet
from srcsep_core.progress import Progress
from srcsep_core.run.pipeline import resolve_device
from srcsep_core.run.profiles import get_profile
from srcsep_core.training.loop import clip_gradients, new_network

OUTPUT = Path(__file__).with_suffix(".csv")


def timed(work: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Seconds of each of `repeats` runs after one that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def measure(sources: int, length: int, repeats: int, device: torch.device) -> list[dict[str, object]]:
    """Rows of a training step and an evaluation of the paper-size model."""
    plan = get_profile("full").plan_of("flowavenet")
    toy = ToyWorld(sources=SOURCES[:sources])
    flow = cast(Flow, new_network(lambda: flowavenet(plan.network, sources), seed=0)).to(device).train()
    priors = FlowSet(sources=toy.sources, data=toy, sigma=0.0, curve=pd.DataFrame(), folder=Path(), flow=flow)
    optimiser = torch.optim.Adam(flow.parameters(), lr=plan.train.learning_rate)
    signals = draw_test_set(toy, 1, length, seed=0)
    batch = signals.to(device)

    def training_step() -> None:
        optimiser.zero_grad(set_to_none=True)
        objective_by_source(flow.source_terms(batch), "likelihood").sum().backward()
        clip_gradients(flow, plan.train)
        optimiser.step()

    def evaluation() -> None:
        flow.eval()
        likelihood_table(priors, signals)

    rows = []
    for name, work in (("training step", training_step), ("cross-likelihood", evaluation)):
        seconds = timed(work, repeats, device)
        rows.append(
            {
                "what": name,
                "sources": sources,
                "length": length,
                "median_s": statistics.median(seconds),
                "min_s": min(seconds),
                "max_s": max(seconds),
                "repeats": repeats,
                "device": torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU",
                "threads": torch.get_num_threads(),
            }
        )
    return rows


@click.command()
@click.option("--repeats", default=3, show_default=True, help="Counted runs of each setting.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
def main(repeats: int, device: str) -> None:
    """Time the paper-size flow on this machine."""
    chosen = resolve_device(device)
    settings = [(sources, 4096) for sources in (1, 2, 3, 4)] + [(4, length) for length in (1024, 2048, 8192, 16_384)]
    rows = []
    with Progress(len(settings), "benchmark") as bar:
        for sources, length in settings:
            rows += measure(sources, length, repeats, chosen)
            bar.advance(f"{sources} sources, {length} samples")
    table = pd.DataFrame(rows).sort_values(["what", "length", "sources"])
    table.to_csv(OUTPUT, index=False, float_format="%.4g")
    click.echo(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    click.echo(f"written to {OUTPUT.relative_to(Path.cwd()) if OUTPUT.is_relative_to(Path.cwd()) else OUTPUT}")


if __name__ == "__main__":
    main()
