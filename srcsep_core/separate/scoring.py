"""Estimated stems against reference files: a table of the metrics."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.audio import FORMATS, SILENCE_PEAK, Audio, mono, read_audio
from srcsep_core.errors import InputError
from srcsep_core.metrics import best_permutation, bss_eval, improvement
from srcsep_core.separate.stems import ABOVE_BAND

log = logging.getLogger(__name__)


def score_files(
    estimates: Sequence[str | Path],
    references: Sequence[str | Path],
    *,
    mix: str | Path | None = None,
    permute: bool = False,
    mono: bool = False,
) -> pd.DataFrame:
    """Compare estimated stems with references: one row for every reference, and channel if there are several.

    Files in the same order, or one folder each with files of the same names; what lies above the band is left out
    where one folder alone has it. Columns: reference, estimate, (channel,) si_sdr, si_sir, si_sar and, with a `mix`,
    si_sdri, in dB. With `permute`, every reference gets the estimate that suits all of them best. Where some files
    have one channel and others several, the means of the channels are compared; `mono` compares them always. Raises
    `InputError` for numbers, names, rates, lengths or channels that do not agree, and for channels that cancel.
    """
    pairs = _pairs([Path(path) for path in estimates], [Path(path) for path in references])
    paths = [path for pair in zip(*pairs, strict=True) for path in pair] + ([] if mix is None else [Path(mix)])
    audio = _in_step({path: read_audio(path) for path in paths}, average=mono)
    estimate, reference = (torch.stack([audio[path].samples for path in side], dim=1) for side in pairs)  # (C, K, T)
    order = torch.arange(len(pairs[0])).expand(len(estimate), -1)
    if permute:
        estimate, order = best_permutation(estimate=estimate, reference=reference)
    ratios = bss_eval(estimate=estimate, reference=reference)
    figures = {"si_sdr": ratios.si_sdr, "si_sir": ratios.si_sir, "si_sar": ratios.si_sar}
    if mix is not None:
        figures["si_sdri"] = improvement(estimate=estimate, reference=reference, mix=audio[Path(mix)].samples[:, None])
    return pd.DataFrame(_rows(pairs, order, figures))


def _rows(pairs: tuple[list[Path], list[Path]], order: Tensor, figures: dict[str, Tensor]) -> list[dict[str, object]]:
    estimates, references = pairs
    return [
        {
            "reference": reference.name,
            "estimate": estimates[int(order[channel, k])].name,
            **({"channel": channel + 1} if len(order) > 1 else {}),
            **{name: float(value[channel, k]) for name, value in figures.items()},
        }
        for k, reference in enumerate(references)
        for channel in range(len(order))
    ]


def _pairs(estimates: list[Path], references: list[Path]) -> tuple[list[Path], list[Path]]:
    """Estimates and references in one order."""
    if len(estimates) == len(references) == 1 and estimates[0].is_dir() and references[0].is_dir():
        ours, theirs = (_audio_files(folder) for folder in (estimates[0], references[0]))
        if (ABOVE_BAND in ours) != (ABOVE_BAND in theirs):
            log.info("%s is in one of the folders alone and is not compared", ABOVE_BAND)
            ours, theirs = ({name: side[name] for name in side if name != ABOVE_BAND} for side in (ours, theirs))
        for name in sorted(ours.keys() ^ theirs.keys()):
            there, lacking = (estimates[0], references[0]) if name in ours else (references[0], estimates[0])
            raise InputError(f"{there} holds {name} and {lacking} does not; give the same names to both, or list files")
        return [ours[name] for name in ours], [theirs[name] for name in ours]
    folders = [path for path in [*estimates, *references] if path.is_dir()]
    if folders:
        raise InputError(f"{folders[0]} is a folder; give one folder of estimates and one of references, or files")
    if len(estimates) != len(references):
        raise InputError(
            f"there are {len(estimates)} estimate(s) and {len(references)} reference(s); "
            "give one reference for every estimate, in the same order"
        )
    return estimates, references


def _audio_files(folder: Path) -> dict[str, Path]:
    files = {path.name: path for path in sorted(folder.iterdir()) if path.suffix.lower() in FORMATS}
    if not files:
        raise InputError(f"the folder {folder} holds no {' or '.join(FORMATS)} files; choose a folder of stems")
    return files


def _in_step(audio: dict[Path, Audio], *, average: bool) -> dict[Path, Audio]:
    """Files of one rate, length and number of channels, averaged to one channel where that makes them so."""
    first, *others = audio
    channels = {len(one.samples) for one in audio.values()}
    if average or (len(channels) > 1 and 1 in channels):
        if not average:
            log.info("some files have one channel and others several: the means of the channels are compared")
        audio = {path: replace(one, samples=_mean(path, one.samples)) for path, one in audio.items()}
    for other in others:
        for what, value, wanted, remedy in (
            ("Hz", audio[other].sample_rate, audio[first].sample_rate, "resample one"),
            (
                "channel(s)",
                audio[other].samples.shape[0],
                audio[first].samples.shape[0],
                "mono=True compares the means of the channels",
            ),
            ("samples", audio[other].samples.shape[1], audio[first].samples.shape[1], "cut them to one length"),
        ):
            if value != wanted:
                raise InputError(f"{first} has {wanted} {what} and {other} has {value}; {remedy}")
    return audio


def _mean(path: Path, samples: Tensor) -> Tensor:
    """The mean of the channels of a file, (1, T); raises `InputError` where a file that sounds is silent in it."""
    mean = mono(samples)
    if float(mean.abs().max()) < SILENCE_PEAK <= float(samples.abs().max()):
        raise InputError(f"the {len(samples)} channels of {path} cancel in their mean; give files of the same channels")
    return mean
