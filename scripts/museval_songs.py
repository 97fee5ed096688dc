"""museval's SDR, ISR, SIR and SAR (BSS Eval v4) of separated test songs: data/measured/museval.csv.

    python scripts/museval_songs.py

The field's measures of musdb18, beside our SI-SDRi: medians over frames of a second. The SDR is not invariant to
scale; what is left of interference (SIR) and artefacts (SAR) is judged after a filter of 512 taps, whose own error is
the ISR. The mixes are those of all four classes of `srcsep benchmark --split songs`, separated anew. Needs museval,
which needs ffmpeg.

Sources: Stoter, Liutkus and Ito 2018 (arXiv 1804.06267); Vincent, Gribonval and Fevotte 2006, for the ratios.
"""

from __future__ import annotations

import warnings

import click
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from srcsep_core.benchmark.songs import ALL, Counts, SongSetting, song_settings
from srcsep_core.data.mixes import draw_mixes
from srcsep_core.diagnostics.discrimination import interval, resample
from srcsep_core.errors import InputError
from srcsep_core.paths import REFERENCE, measured_folder
from srcsep_core.progress import log_to_stderr
from srcsep_core.report.results import write_table
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import get_profile

SCORES = ("sdr", "isr", "sir", "sar")
TABLE, COMMAND = "museval", "python scripts/museval_songs.py"


def frame_scores(reference: Tensor, estimate: Tensor, sample_rate: int) -> pd.DataFrame:
    """The median over frames of a second of every score (dB) of sources (K, T), one row a source.

    Frames in which a source is silent have no score, as in museval. Raises `InputError` where museval cannot run.
    """
    try:
        from museval.metrics import bss_eval  # type: ignore[import-untyped]
    except (ImportError, RuntimeError) as error:
        raise InputError(f"museval cannot be used here ({error}); install museval and ffmpeg") from error
    signals = [x.double().numpy()[:, :, None] for x in (reference, estimate)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of frames without a score
        found = bss_eval(*signals, window=sample_rate, hop=sample_rate)[:4]
        return pd.DataFrame({name: np.nanmedian(values, axis=1) for name, values in zip(SCORES, found, strict=True)})


def scored(setting: SongSetting, pipeline: Pipeline) -> pd.DataFrame:
    """The scores of every mix of a setting: mix, source, and `SCORES`."""
    step = setting.step
    drawn = draw_mixes(step.data, step.mixes).over(step.data.unit)
    parts, _ = step.separate(drawn, pipeline)
    estimates = torch.cat([part.sources for part in parts]).cpu()
    rows = [
        frame_scores(true, found, step.data.sample_rate).assign(mix=mix, source=step.mixes.sources)
        for mix, (true, found) in enumerate(zip(drawn.sources, estimates, strict=True))
    ]
    return pd.concat(rows, ignore_index=True)


def summary(table: pd.DataFrame, setting: SongSetting) -> pd.DataFrame:
    """One row a source and one for all: the mean over mixes, the SDR's with its interval (bootstrap, 95 %)."""
    rows = []
    for source in (*setting.step.mixes.sources, ALL):
        own = table if source == ALL else table[table["source"] == source]
        by_mix = own.groupby("mix")[list(SCORES)].mean()
        values = by_mix["sdr"].dropna().to_numpy()
        low, high = interval(values[resample(len(values))].mean(axis=1))
        facts = {"split": setting.split, "separator": setting.separator, "source": source, "n_mixes": len(values)}
        rows.append({**facts, "sdr": values.mean(), "low": low, "high": high, **by_mix.mean().drop("sdr")})
    return pd.DataFrame(rows).assign(command=COMMAND)


@click.command()
@click.option("--mixes", type=int, help="So many mixes; default: as many as the benchmark has.")
def main(mixes: int | None) -> None:
    """Separate and score."""
    log_to_stderr()
    torch.set_num_threads(1)
    pipeline = Pipeline(device=torch.device("cpu"), progress=True)
    every = song_settings(get_profile(REFERENCE), ("songs",), Counts(mixes, mixes, mixes) if mixes else None)
    tables = [
        summary(scored(setting, pipeline), setting)
        for setting in every
        if len(setting.step.mixes.sources) == len(setting.step.data.sources)
    ]
    table = pd.concat(tables, ignore_index=True)
    click.echo(table.drop(columns="command").round(2).to_string(index=False))
    click.echo(write_table(table, measured_folder(REFERENCE), TABLE))


if __name__ == "__main__":
    main()
