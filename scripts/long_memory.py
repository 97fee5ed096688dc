"""Memory that `srcsep separate` takes for recordings of several lengths: data/measured/long_memory.csv.

    OMP_NUM_THREADS=1 python scripts/long_memory.py

The recordings are a rendered test song of drums and bass, half a minute of it over and over: what is in it does not
change with its length. Each goes through the command line, in a process of its own. Columns: the method; seconds of
sound; `peak_mb`, the largest sum over the command's processes of their proportional set size (10^6 bytes; pages that
several of them share are counted once), looked at every half second; seconds of wall time. Rows of a method and length
that are in the table already are made anew. Linux only, as the proportional set size is.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import click
import numpy as np
import pandas as pd
import psutil
import soundfile
import torch

from srcsep_core.data.base import world_of
from srcsep_core.paths import REFERENCE, measured_folder
from srcsep_core.report.results import write_table

TABLE = "long_memory"
MINUTES = (3, 6, 12)
SOURCES = ("drums", "bass")
REPEATED_S, EVERY_S = 30.0, 0.5
DOUBTED = 3  # the exit code of a separation that is not to be trusted


def recording(seconds: float) -> tuple[np.ndarray, int]:
    """A mix (T,) of drums and bass of so many seconds, and its sample rate."""
    world = world_of("songs_8k").only(SOURCES)
    rate = world.sample_rate
    drawn = world.draw(1, round(min(seconds, REPEATED_S) * rate), torch.Generator().manual_seed(0), split="test")[0]
    return np.resize(drawn.mean(dim=0).numpy(), round(seconds * rate)), rate


def memory_mb(process: psutil.Process) -> float:
    """What a process and those that it started hold now, in 10^6 bytes; nothing of those that have ended."""
    total, every = 0, [process]
    with suppress(psutil.NoSuchProcess):
        every += process.children(recursive=True)
    for one in every:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it has ended meanwhile
            total += one.memory_full_info().pss
    return total / 1e6


def measured(seconds: float, method: str, folder: Path) -> dict[str, object]:
    """The row of one recording. Raises `ClickException` where the command fails."""
    path = folder / "song.wav"
    soundfile.write(path, *recording(seconds), subtype="FLOAT")
    command = [sys.executable, "-c", "from srcsep_core.cli import main; main()", "separate", str(path)]
    command += ["--world", "rendered", "--sources", ",".join(SOURCES), "--method", method]
    command += ["--out", str(folder / "stems"), "--overwrite"]
    started, peak = time.monotonic(), 0.0
    with (folder / "said.txt").open("w+") as said:
        running = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        while running.poll() is None:
            peak = max(peak, memory_mb(psutil.Process(running.pid)))
            time.sleep(EVERY_S)
        if running.returncode not in (0, DOUBTED):
            said.seek(0)
            raise click.ClickException(f"`srcsep separate` ended with code {running.returncode}: {said.read()[-500:]}")
    taken = time.monotonic() - started
    return {"method": method, "duration_s": seconds, "peak_mb": round(peak, 1), "seconds": round(taken, 1)}


@click.command()
@click.option(
    "--seconds",
    default=[60.0 * count for count in MINUTES],
    multiple=True,
    type=click.FloatRange(1.0),
    help="Of sound; several times.",
)
@click.option("--method", default="convtasnet", show_default=True, help="As of `srcsep separate`.")
def main(seconds: tuple[float, ...], method: str) -> None:
    """Measure, and put the rows into the table."""
    folder = measured_folder(REFERENCE)
    held, command = folder / f"{TABLE}.csv", f"python scripts/long_memory.py --method {method}"
    table = pd.read_csv(held) if held.exists() else pd.DataFrame({"method": [], "duration_s": []})
    with tempfile.TemporaryDirectory() as temporary:
        for length in seconds:
            row = measured(length, method, Path(temporary))
            other = ~((table["method"] == method) & (table["duration_s"] == length))
            table = pd.concat([table[other], pd.DataFrame([row]).assign(command=command)], ignore_index=True)
            click.echo(write_table(table.sort_values(["method", "duration_s"]), folder, TABLE))
            click.echo(row)


if __name__ == "__main__":
    main()
