"""Try `srcsep separate` as a user would, on a dozen mixes, and say what came of each.

    git worktree add ../older dae7177
    export OMP_NUM_THREADS=1
    taskset -c 0 python scripts/trial.py --out data/measured/trial_before.csv --checkout ../older --limit 600
    taskset -c 1 python scripts/trial.py --out data/measured/trial.csv --before data/measured/trial_before.csv

Every mix goes through the command line, in a process of its own. Columns: mix; the classes named; seconds of wall
time with all that starting costs, here on one core; the exit code; the lowest SI-SDR (dB) of its stems; `told`,
whether what was said was right, which is trust where every source is above 10 dB, else not; and `said`, the verdict
that was printed, or nothing. What took longer than the limit has no exit code. Mixes that are in the table already
are not tried again. With `--before` both tables go to docs/trial.md.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd
import soundfile
import torch

from srcsep_core.data.toy import waveform
from srcsep_core.metrics import best_permutation, si_sdr
from srcsep_core.separate.trust import TrustModel

ROOT = Path(__file__).resolve().parents[1]
RATE, SECONDS = 16_000, 1.0
Wave = np.ndarray
TITLE = """# A dozen mixes, as a user would try them

Every mix is a second at 16 kHz, separated by `srcsep separate` at the command line on one core (an AMD EPYC without
AMX): before there were a verdict and the search of now (commit dae7177), and now. Made by `python scripts/trial.py`,
which says what the mixes are; the tables are `data/measured/trial_before.csv` and `trial.csv`. Told rightly: "trust"
where every source is above 10 dB, "do not trust" where not. Seconds hold all that starting costs; a limit of 600 was
set before. Two channels that differ are separated each now, with sources of other levels in each, which takes longer.

"""


@dataclass(frozen=True)
class Mix:
    """A mix of `truth` (K, T), the sources `named`, silent where there is none, and what else is in it; (C, T)."""

    name: str
    named: tuple[str, ...]
    truth: Wave
    mix: Wave


def tone(name: str, hertz: float, phase: float = 0.0, seconds: float = SECONDS) -> Wave:
    """A source of amplitude 0.9."""
    time_s = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    found: Wave = (0.9 * waveform(name, hertz * time_s + phase)).numpy()
    return found


def mixed(name: str, *tones: tuple[str, float], named: str = "", gains: tuple[float, ...] = ()) -> Mix:
    """The mean of tones; `named`: the classes said to be in it, if others."""
    classes = tuple(named.split("+")) if named else tuple(kind for kind, _ in tones)
    scale = gains or (1.0,) * len(tones)
    waves = [g * tone(kind, hertz, 0.13 * k) for k, ((kind, hertz), g) in enumerate(zip(tones, scale, strict=True))]
    held = dict(zip([kind for kind, _ in tones], waves, strict=True)) if len(set(classes)) == len(classes) else {}
    silent = np.zeros_like(waves[0])
    truth = [held.get(kind, silent) if held else wave for kind, wave in zip(classes, waves, strict=False)]
    return Mix(name, classes, np.stack(truth) / len(waves), np.mean(waves, axis=0)[None])


def noise() -> Mix:
    """White noise, said to be a sine and a square."""
    white = 0.2 * np.random.default_rng(1).standard_normal(round(SECONDS * RATE))
    return Mix("white noise", ("sine", "square"), np.zeros((2, len(white))), white[None])


def voice() -> Mix:
    """A gliding pulse train through two resonances, in syllables, said to be a saw and a triangle."""
    time_s = np.arange(round(SECONDS * RATE)) / RATE
    pitch = 140 * (1 + 0.1 * np.sin(2 * math.pi * 2 * time_s))
    phase = 2 * math.pi * np.cumsum(pitch) / RATE
    sound = sum(
        sum(1 / (1 + ((k * pitch - f) / 120) ** 2) for f in (600, 1500)) * np.sin(k * phase) for k in range(1, 30)
    )
    sound *= 0.5 - 0.5 * np.cos(2 * math.pi * 4 * time_s)
    return Mix(
        "a voice-like sound", ("saw", "triangle"), np.zeros((2, len(sound))), 0.5 * sound[None] / np.abs(sound).max()
    )


def stereo() -> Mix:
    """Sine and square, panned apart."""
    sine, square = tone("sine", 523.25), tone("square", 311.13)
    left, right = 0.8 * sine + 0.2 * square, 0.2 * sine + 0.8 * square
    return Mix("stereo, panned apart", ("sine", "square"), np.stack([sine, square]) / 2, np.stack([left, right]) / 2)


def change() -> Mix:
    """A sine beside a saw whose note changes in the middle."""
    sine, low, high = tone("sine", 660), tone("saw", 220), tone("saw", 277.18)
    half = len(low) // 2
    saw = np.concatenate([low[:half], high[half:]])
    return Mix("a note changes", ("sine", "saw"), np.stack([sine, saw]) / 2, np.mean([sine, saw], axis=0)[None])


MIXES: tuple[Callable[[], Mix], ...] = (
    lambda: mixed("sine + square", ("sine", 440), ("square", 330)),
    lambda: mixed("all four", ("sine", 523.25), ("square", 220), ("saw", 311.13), ("triangle", 392)),
    lambda: mixed("triangle 440 + sine 441 Hz", ("triangle", 440), ("sine", 441)),
    lambda: mixed("two sines, 440 and 445 Hz", ("sine", 440), ("sine", 445)),
    lambda: mixed("an octave, sine + square", ("sine", 880), ("square", 440)),
    lambda: mixed("wrong classes", ("saw", 220), ("triangle", 311.13), named="sine+square"),
    lambda: mixed("one class too few", ("sine", 523.25), ("square", 220), ("saw", 311.13), named="sine+square"),
    noise,
    voice,
    stereo,
    lambda: mixed("12 dB apart", ("sine", 523.25), ("saw", 220), gains=(1.0, 0.25)),
    change,
)


def worst(mix: Mix, stems: Wave) -> float:
    """The lowest SI-SDR (dB) of stems (K, T), sources of one class in their best order; -inf where one is not there."""
    if any(not wave.any() for wave in mix.truth):
        return -math.inf
    estimate, reference = (torch.from_numpy(np.ascontiguousarray(x)) for x in (stems, mix.truth))
    if len(set(mix.named)) < len(mix.named):
        matched, _ = best_permutation(estimate=estimate[None], reference=reference[None], groups=mix.named)
        estimate = matched[0]
    return float(si_sdr(estimate=estimate, reference=reference).min())


def tried(
    mix: Mix, checkout: Path, folder: Path, options: tuple[str, ...], limit: float | None = None
) -> dict[str, object]:
    """The row of one mix, which is stopped after `limit` seconds."""
    path, out = folder / "mix.wav", folder / mix.name.replace(" ", "_")
    soundfile.write(path, mix.mix.T, RATE, subtype="FLOAT")
    command = [sys.executable, "-c", "from srcsep_core.cli import main; main()", "separate", str(path)]
    command += ["--sources", ",".join(mix.named), "--out", str(out), *options]
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    named = {"mix": mix.name, "named": "+".join(mix.named)}
    try:
        ran = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        late = {"seconds": limit, "exit": None, "worst_si_sdr": None, "told": False}
        return {**named, **late, "said": f"stopped after {limit:g} s"}
    seconds = time.monotonic() - started
    kept = sorted(out.glob("0[1-9]_*.wav"))[: len(mix.named)] if out.exists() else []
    stems = [soundfile.read(stem, always_2d=True)[0].mean(axis=1) for stem in kept]
    found = worst(mix, np.stack(stems)) if len(stems) == len(mix.named) else math.nan
    said = next((line for line in ran.stdout.splitlines() if line.startswith(("trust", "do not trust"))), "nothing")
    told = said != "nothing" and said.startswith("trust") == (found > TrustModel.right_db)
    row = {"seconds": round(seconds, 1), "exit": ran.returncode}
    return {**named, **row, "worst_si_sdr": round(found, 1), "told": told, "said": said}


def page(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """Markdown: both tables beside each other, and how often the user was told rightly."""
    head = "| mix | named | seconds before | now | worst SI-SDR before, dB | now, dB | said before | now |"
    lines = [head, "|---" * 8 + "|"]
    for _, row in before.merge(after, on=["mix", "named"], suffixes=("_before", "_now")).iterrows():
        cells = [row["mix"], row["named"]]
        cells += [f"{row[f'seconds_{when}']:.0f}" for when in ("before", "now")]
        cells += [_decibels(row[f"worst_si_sdr_{when}"]) for when in ("before", "now")]
        lines.append(f"| {' | '.join([*cells, row['said_before'], row['said_now']])} |")
    told = [f"{int(table['told'].sum())} of {len(table)}" for table in (before, after)]
    return TITLE + "\n".join(lines) + f"\n\nTold rightly: {told[0]} before, {told[1]} now.\n"


def _decibels(value: float) -> str:
    return "" if math.isnan(value) else "a source is not there" if math.isinf(value) else f"{value:.1f}"


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The table to write.")
@click.option(
    "--checkout",
    default=ROOT,
    type=click.Path(path_type=Path, exists=True),
    help="The checkout whose command is tried; default: this one.",
)
@click.option("--before", type=click.Path(path_type=Path, exists=True), help="A table to show beside: docs/trial.md.")
@click.option("--limit", type=float, help="Seconds that a mix may take.")
@click.option("--only", multiple=True, help="Only the mixes whose name holds this.")
@click.argument("options", nargs=-1)
def main(
    out: Path, checkout: Path, before: Path | None, limit: float | None, only: tuple[str, ...], options: tuple[str, ...]
) -> None:
    """Try every mix, with more options of `srcsep separate` after --."""
    table = pd.read_csv(out) if out.exists() else pd.DataFrame({"mix": []})
    with tempfile.TemporaryDirectory() as folder:
        for make in MIXES:
            mix = make()
            if mix.name not in set(table["mix"]) and (not only or any(part in mix.name for part in only)):
                row = tried(mix, checkout.resolve(), Path(folder), options, limit)
                table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
                table.to_csv(out, index=False)
                click.echo(row)
    click.echo(table.to_string(index=False))
    if before is not None:
        (ROOT / "docs" / "trial.md").write_text(page(pd.read_csv(before), table))


if __name__ == "__main__":
    main()
