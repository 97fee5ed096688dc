"""Estimated stems against reference files: a table of the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.audio import FORMATS, Audio, read_audio
from srcsep_core.errors import InputError
from srcsep_core.metrics import best_permutation, bss_eval, improvement


def score_files(
    estimates: Sequence[str | Path],
    references: Sequence[str | Path],
    *,
    mix: str | Path | None = None,
    permute: bool = False,
) -> pd.DataFrame:
    """Compare estimated stems with references: one row for every reference, and channel if there are several.

    Files in the same order, or one folder each with files of the same names. Columns: reference, estimate, (channel,)
    si_sdr, si_sir, si_sar and, with a `mix`, si_sdri, in dB. With `permute`, every reference gets the estimate that
    suits all of them best. Raises `InputError` for numbers, names, rates, lengths or channels that do not agree.
    """
    pairs = _pairs([Path(path) for path in estimates], [Path(path) for path in references])
    paths = [path for pair in zip(*pairs, strict=True) for path in pair] + ([] if mix is None else [Path(mix)])
    audio = {path: read_audio(path) for path in paths}
    _check_alike(audio)
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


def _check_alike(audio: dict[Path, Audio]) -> None:
    first, *others = audio
    for other in others:
        for what, value, wanted, remedy in (
            ("Hz", audio[other].sample_rate, audio[first].sample_rate, "resample one"),
            ("channel(s)", audio[other].samples.shape[0], audio[first].samples.shape[0], "average or select channels"),
            ("samples", audio[other].samples.shape[1], audio[first].samples.shape[1], "cut them to one length"),
        ):
            if value != wanted:
                raise InputError(f"{first} has {wanted} {what} and {other} has {value}; {remedy}")
