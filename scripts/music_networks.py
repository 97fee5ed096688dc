"""Compare networks of music denoisers, each trained for about as long: data/measured/music_networks.csv.

    python scripts/music_networks.py

Each candidate is trained for so many steps as take about 25 minutes on one core, and then measured on songs of the
split `validation`, which no result is reported on: its denoising loss, whether it denoises better under the own class
than under others, and how the sampler `means` separates one window with it. A stopped run goes on from the cache; rows
of candidates that were not asked for stay in the table. `train_seconds` is the processor time of all steps, from that
of a few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import click
import numpy as np
import pandas as pd
import torch

from srcsep_core.data.base import World, world_of
from srcsep_core.data.mixes import VALIDATION_SEED, MixConfig, draw_mixes
from srcsep_core.diagnostics.discrimination import interval, resample
from srcsep_core.metrics import improvement
from srcsep_core.nn.denoiser import PreconditionedNet
from srcsep_core.nn.stem_denoiser import StemDenoiserConfig
from srcsep_core.paths import REFERENCE, measured_folder
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.unit import in_unit
from srcsep_core.progress import log_to_stderr
from srcsep_core.report.results import write_table
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.plans import DENOISER_TRAIN
from srcsep_core.run.steps import TrainPriors
from srcsep_core.samplers import means
from srcsep_core.training.loop import train

VARIANT = "songs_8k"
TRAIN = replace(DENOISER_TRAIN, steps=1200, crop=8192, batch_size=4)
WAVEFORM = StemDenoiserConfig()
SPECTROGRAM = StemDenoiserConfig(domain="spectrogram", channels=(48, 96, 192), strides=(2, 2))
CANDIDATES = {
    "waveform": WAVEFORM,
    "spectrogram": SPECTROGRAM,
    "long spectrogram": replace(SPECTROGRAM, domain="long spectrogram"),
    "waveform, noise alone": replace(WAVEFORM, interference=0.0),
    "spectrogram, noise alone": replace(SPECTROGRAM, interference=0.0),
}
SIGNALS, LEVELS = 24, (0.035, 0.1)  # of the classes' own denoising; the levels in the songs' unit
PAIR_MIXES, FOUR_MIXES = 12, 12
TABLE = "music_networks"
WARM, TIMED = 2, 12  # training steps


def denoising(network: PreconditionedNet, config: StemDenoiserConfig, world: World) -> tuple[float, float]:
    """The denoising loss in Gaussian noise, and the error under the best other class over that under the own.

    The second is a ratio of squared errors, the geometric mean over classes and `LEVELS`.
    """
    clean = world.draw(
        SIGNALS, network.config.window, torch.Generator().manual_seed(VALIDATION_SEED), split="validation"
    )
    count, rows = len(world.sources), clean.reshape(-1, 1, clean.shape[2])
    generator = torch.Generator().manual_seed(VALIDATION_SEED)
    losses = PreconditionedNet(replace(config, classes=count, interference=0.0))
    losses.net = network.net
    with torch.no_grad():
        loss = float(torch.stack([losses.loss(one[None], generator).mean() for one in clean]).mean())
    ratios = []
    for sigma in LEVELS:
        noisy = rows + sigma * torch.randn(rows.shape, generator=generator)
        errors = torch.stack(
            [
                (network.denoise_rows(noisy, sigma, torch.full((len(rows),), k)) - rows).square().mean(dim=(1, 2))
                for k in range(count)
            ]
        )
        by_class = errors.view(count, SIGNALS, count).mean(dim=1)  # [asked, true]
        own = by_class.diagonal()
        others = by_class.masked_fill(torch.eye(count, dtype=torch.bool), torch.inf).amin(dim=0)
        ratios += (others / own).log().tolist()
    return loss, float(np.exp(np.mean(ratios)))


def separation(
    priors: Mapping[str, DenoisingPrior], world: World, sets: Sequence[tuple[str, ...]], count: int, window: int
) -> np.ndarray:
    """The mean SI-SDRi (dB) of every validation mix of these sets of classes, one window long."""
    found = []
    for names in sets:
        mixes = MixConfig(names, count, window, seed=VALIDATION_SEED)
        drawn = draw_mixes(world, mixes, split="validation").over(world.unit)
        own = [priors[name] for name in names]
        estimates = means(drawn.mix, own, generator=torch.Generator().manual_seed(0)).sources
        found.append(improvement(estimate=estimates, reference=drawn.sources, mix=drawn.mix).mean(dim=1))
    return torch.cat(found).numpy()


def train_seconds(step: TrainPriors) -> float:
    """The processor time of a whole training, from that of a few of its steps (s)."""
    task = step.kind.task(step.network, len(step.data.sources), step.train.objective)
    times = []
    for count in (WARM, WARM, WARM + TIMED):
        with TemporaryDirectory() as folder:
            begun = process_time()
            few = replace(step.train, steps=count)
            train(task, step.data, few, device=torch.device("cpu"), work_folder=Path(folder))
            times.append(process_time() - begun)
    return (times[2] - times[1]) / TIMED * step.train.steps


def row_of(name: str, step: TrainPriors, pipeline: Pipeline) -> dict[str, Any]:
    """The table's row of one candidate."""
    world, network = step.data, step.network
    trained = pipeline.priors(step)
    loss, ratio = denoising(trained.denoiser, network, world)
    priors = in_unit({source: trained.prior(source) for source in world.sources}, world)
    pairs = separation(priors, world, list(combinations(world.sources, 2)), PAIR_MIXES, network.window)
    four = separation(priors, world, [world.sources], FOUR_MIXES, network.window)
    low, high = interval(pairs[resample(len(pairs))].mean(axis=1))
    return {
        "network": name,
        "domain": network.domain,
        "interference": network.interference,
        "parameters": sum(p.numel() for p in trained.denoiser.parameters()),
        "train_steps": step.train.steps,
        "train_seconds": train_seconds(step),
        "denoising_loss": loss,
        "class_ratio": ratio,
        "si_sdri_pairs": float(pairs.mean()),
        "low": low,
        "high": high,
        "n_mixes": len(pairs),
        "si_sdri_four": float(four.mean()),
        "command": f"python scripts/music_networks.py --only '{name}'",
    }


@click.command()
@click.option("--only", "names", multiple=True, type=click.Choice(list(CANDIDATES)), help="Default: all.")
def main(names: tuple[str, ...]) -> None:
    """Train and measure the candidates."""
    log_to_stderr()
    torch.set_num_threads(1)
    pipeline = Pipeline(device=torch.device("cpu"), progress=True, train=True)
    folder = measured_folder(REFERENCE)
    path = folder / f"{TABLE}.csv"
    for name in names or CANDIDATES:
        step = TrainPriors("denoiser", REFERENCE, world_of(VARIANT), TRAIN, CANDIDATES[name])
        pipeline.run(step)
        table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["network"])
        row = pd.DataFrame([row_of(name, step, pipeline)])
        table = pd.concat([table[table["network"] != name], row], ignore_index=True)
        table = table.sort_values("network", key=lambda column: column.map(list(CANDIDATES).index))
        click.echo(f"{row.T.to_string(header=False)}\n{write_table(table, folder, TABLE)}")


if __name__ == "__main__":
    main()
