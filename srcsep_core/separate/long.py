"""Recordings of any length in memory that does not grow with it: separated part by part, and written as they come.

The file is read twice. The first time for what belongs to the whole of it: whether its channels are alike, their
offsets, clipping, and how loud they are. Then neighbouring parts, which share a window of the priors, are separated as
recordings of their own, with one gain for all of them, and faded into each other. The stems sum to the recording in
every part, and so they do in the whole.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from srcsep_core.audio import SILENCE_PEAK
from srcsep_core.audio_parts import FloatWriter, audio_parts
from srcsep_core.data.base import world_of
from srcsep_core.errors import InputError
from srcsep_core.run.artefacts import file_digest, write_json
from srcsep_core.run.pipeline import Pipeline, resolve_device
from srcsep_core.separate.auto import AUTO
from srcsep_core.separate.crew import Clock
from srcsep_core.separate.job import check_settings, separate_audio
from srcsep_core.separate.record import readable_json, summary_of
from srcsep_core.separate.searching import expected_gain
from srcsep_core.separate.separated import Separated
from srcsep_core.separate.separators import SourcePriors, Windows, source_priors
from srcsep_core.separate.settings import SeparateConfig
from srcsep_core.separate.stems import (
    ABOVE_BAND,
    DETAILS,
    PLAYER,
    RECORD,
    check_folder,
    stem_files,
    stem_names,
    write_folder,
)
from srcsep_core.separate.survey import Survey, survey
from srcsep_core.separate.trust import Verdict, verdict
from srcsep_core.separate.windows import SILENCE, class_orders

log = logging.getLogger(__name__)

PART_S = 60.0  # about: all parts are equally long
LONG_S = 150.0  # a recording as long as that is separated in parts by `srcsep separate`
TRIED_S = 15.0  # of the first part that sounds, to find the sources in


@dataclass(frozen=True)
class SeparatedFolder:
    """A separation that lies in the folder `out`; `report` and `verdict` as in `Separated`."""

    out: Path
    sources: tuple[str, ...]
    report: dict[str, Any]
    verdict: Verdict

    @property
    def names(self) -> list[str]:
        """The stems' names: their class, numbered where it comes more than once."""
        return stem_names(self.sources)


def separate_long(
    path: str | Path,
    sources: Sequence[str],
    config: SeparateConfig | None = None,
    *,
    out: str | Path,
    overwrite: bool = False,
    priors: SourcePriors | None = None,
    clock: Clock | None = None,
    progress: bool = False,
    part_s: float = PART_S,
) -> SeparatedFolder:
    """Separate a file of any length as `separate_file` does, in parts of about `part_s` seconds, into the folder `out`.

    What differs from one search over the whole: sources are named (`auto`) by the first seconds that sound, toy waves
    keep the gain of the first part, and the player has the first part that sounds. Once the `clock` is over the rest of
    the recording is shared equally among the stems, and the verdict says so. Raises `InputError` as `separate_file`.
    """
    config, path, out = config or SeparateConfig(), Path(path), Path(out)
    names = tuple(sources)
    check_settings(names, config, priors)
    stems = [] if names == (AUTO,) else stem_files(names)
    check_folder(out, [*stems, ABOVE_BAND, PLAYER, DETAILS, RECORD], overwrite=overwrite)
    started, asked, world = time.monotonic(), config.request, world_of(config.variant)
    heard: Windows = asked.windows if priors is None or not asked.sampled else priors
    flat = config.allow_clipped or set(names) <= world.flat_topped
    known = survey(path, config, heard, flat_tops=flat, part_s=part_s)
    if asked.sampled and priors is None:
        pipeline = Pipeline(device=resolve_device(config.device), progress=progress, train=config.train)
        priors = source_priors(asked, pipeline)
    clock = clock or Clock(config.search.budget_s)
    usual = replace(config, stereo="mean", remove_dc=False, allow_clipped=True)
    job = _Long(path, known, names, usual, heard, priors, clock, progress, remove_dc=config.remove_dc)
    if names == (AUTO,):
        job.find_sources()
    files = [*([ABOVE_BAND] if known.above else []), *stem_files(job.sources), PLAYER, DETAILS, RECORD]

    def fill(folder: Path) -> None:
        job.write_stems(folder)
        if file_digest(path) != known.sha256:
            raise InputError(f"the file {path} changed meanwhile; wait until it is complete, then try again")
        report = job.report(started)
        (folder / PLAYER).write_text(job.sample(report).page(), encoding="utf-8")
        write_json(folder / DETAILS, report)
        text = readable_json({**summary_of(report), "details": DETAILS, "files": files})
        (folder / RECORD).write_text(text, encoding="utf-8")

    write_folder(out, files, fill, overwrite=overwrite)
    return SeparatedFolder(out, job.sources, job.report(started), job.verdict())


@dataclass
class _Long:
    """A long separation as it goes: what is known of the file, and what has been found in the parts so far."""

    path: Path
    known: Survey
    sources: tuple[str, ...]
    config: SeparateConfig
    heard: Windows
    priors: SourcePriors | None
    clock: Clock
    progress: bool
    remove_dc: bool
    gains: dict[int, float] = field(default_factory=dict)
    tried: list[dict[str, Any]] = field(default_factory=list)
    found: list[tuple[int, int, Separated]] = field(default_factory=list)  # part, channel, without its samples
    shown: list[Separated] = field(default_factory=list)  # the channels of the first part that sounds
    shown_at: int = 0
    late: list[int] = field(default_factory=list)  # parts that there was no time for
    energies: dict[str, np.ndarray] = field(default_factory=dict)

    def find_sources(self) -> None:
        """Name the sources by the first stretch that sounds."""
        rate = self.known.facts.sample_rate
        for part in audio_parts(self.path, self.known.starts, self.known.length):
            rows = self.known.channels(part, remove_dc=self.remove_dc)
            loud = rows.abs().amax(dim=0) > SILENCE * max(self.known.peaks)
            if bool(loud.any()):
                first = min(int(loud.int().argmax()), max(0, rows.shape[1] - round(TRIED_S * rate)))
                some = rows[:, first : first + round(TRIED_S * rate)]
                config = replace(self.config, stereo="each" if self.known.stereo == "each" else "mean")
                result = separate_audio(
                    some, rate, (AUTO,), config, priors=self.priors, clock=self.clock.share(3), progress=self.progress
                )
                self.sources, self.tried = result.sources, result.report["sources_tried"]
                return

    def write_stems(self, folder: Path) -> None:
        """Separate all parts, and write the stems."""
        facts, count = self.known.facts, len(self.known.offsets)
        files = [*stem_files(self.sources), *([ABOVE_BAND] if self.known.above else [])]
        self.energies = {"stems": np.zeros(len(files)), "mix": np.zeros(1), "left": np.zeros(1)}
        held: Tensor | None = None
        with ExitStack() as stack:
            writers = [FloatWriter(folder / name, facts.sample_rate, count, facts.frames) for name in files]
            for writer in writers:
                stack.callback(writer.close)
            for index, part in enumerate(audio_parts(self.path, self.known.starts, self.known.length)):
                block = self._part(index, self.known.channels(part, remove_dc=self.remove_dc))[: len(files)]
                block = _joined(held, block, self.sources, self.known.shares(index))
                last = index == len(self.known.starts) - 1
                ready = block if last else block[..., : -self.known.shares(index + 1)]
                held = None if last else block[..., ready.shape[-1] :]
                for writer, stem in zip(writers, ready, strict=True):
                    writer.write(stem)
                self.energies["stems"] += ready.double().square().sum(dim=(1, 2)).numpy()
                self.energies["mix"] += float(ready.sum(dim=0).double().square().sum())
        if not self.found:
            raise InputError("the search was stopped before any window had a chain; give it more time")

    def _part(self, index: int, rows: Tensor) -> Tensor:
        """The stems, and what lies above the band, of the channels (C, T) of a part: (K + 1, C, T)."""
        done = [self._channel(index, c, row) for c, row in enumerate(rows)]
        if results := [result for result in done if isinstance(result, Separated)]:
            if not self.shown:
                self.shown, self.shown_at = results, index
            self.found += [
                (index, c, replace(result, stems=torch.zeros(0), mix=torch.zeros(0), above_band=None))
                for c, result in enumerate(done)
                if isinstance(result, Separated)
            ]
        blocks = []
        for row, result in zip(rows, done, strict=True):
            if result is None:  # silence, or no time
                shared = (row / len(self.sources)).expand(len(self.sources), -1)
                blocks.append(torch.cat([shared, torch.zeros_like(row)[None]]))
            else:
                above = torch.zeros_like(row)[None] if result.above_band is None else result.above_band
                blocks.append(torch.cat([result.stems[:, 0], above]))
                self.energies["left"] += 10 ** (result.report["residual_db"] / 10) * float(row.double().square().sum())
        return torch.stack(blocks, dim=1)

    def _channel(self, index: int, channel: int, row: Tensor) -> Separated | None:
        """One channel (T,) of a part; None where it is silent, or there is no time."""
        if float(row.abs().max()) < max(SILENCE_PEAK, SILENCE * self.known.peaks[channel]):
            return None
        begin = self.known.starts[index] / self.known.facts.sample_rate
        remaining = (len(self.known.starts) - index) * len(self.known.offsets) - channel
        if not self.clock.over:
            log.info("part %d of %d, from %.0f s", index + 1, len(self.known.starts), begin)
            gain = self.config.gain or self.gains.get(channel) or self._expected(channel)
            try:
                result = separate_audio(
                    row[None],
                    self.known.facts.sample_rate,
                    self.sources,
                    replace(self.config, gain=gain, seed=self.config.seed + 7919 * index),
                    priors=self.priors,
                    clock=self.clock.share(remaining),
                    progress=self.progress,
                )
            except InputError:
                if not self.clock.over:
                    raise
            else:
                self.gains.setdefault(channel, result.report["gain"][0])
                moved = tuple(
                    one.assign(start_s=one["start_s"] + begin, end_s=one["end_s"] + begin) for one in result.evidence
                )
                return replace(result, evidence=moved)
        self.late.append(index)
        return None

    def _expected(self, channel: int) -> float | None:
        """The gain by the loudness of the whole channel; None for waves whose gain is found by trying."""
        if self.heard.steady:
            return None
        return expected_gain(self.heard, self.sources, self.known.loudness[channel])

    def verdict(self) -> Verdict:
        """That of all parts; parts that there was no time for are not to be trusted."""
        world = world_of(self.config.variant)
        evidence = [
            pd.concat([table for _, c, one in self.found if c == channel for table in one.evidence], ignore_index=True)
            for channel in sorted({c for _, c, _ in self.found})
        ]
        how = {name: self.found[0][2].report["settings"].get(name) for name in ("sampler", "prior_key")}
        used = {"world": world.name, **{name: value for name, value in how.items() if value}}
        judged = verdict(evidence, self.sources, used)
        if not self.late:
            return judged
        begin = self.known.starts[self.late[0]] / self.known.facts.sample_rate
        return replace(judged, trust=False, p=0.0, why=(f"stopped at {begin:.0f} s: the mix itself from there on",))

    def report(self, started: float) -> dict[str, Any]:
        """As that of `separate_audio`, of all parts; `parts` says where they begin (s)."""
        first, facts, judged = self.found[0][2].report, self.known.facts, self.verdict()
        channels = []
        for channel in sorted({c for _, c, _ in self.found}):
            windows = [
                {**window, "start_s": window["start_s"] + self.known.starts[index] / facts.sample_rate}
                for index, c, one in self.found
                if c == channel
                for window in one.report["channels"][0]["windows"]
            ]
            channels.append({"channel": channel + 1, "gain": self.gains[channel], "windows": windows})
        mix = max(float(self.energies["mix"][0]), 1e-300)
        levels = [round(10 * math.log10(max(energy / mix, 1e-20)), 2) for energy in self.energies["stems"]]
        shape = {"sample_rate": facts.sample_rate, "channels": facts.channels, "duration_s": facts.duration_s}
        return {
            **first,
            "trust": judged.facts,
            "input": {"name": self.path.name, **shape, "subtype": facts.subtype, "sha256": self.known.sha256},
            "settings": {**first["settings"], "sources": list(self.sources)},
            "notes": [f"separated in {len(self.known.starts)} parts", *first["notes"]],
            "sources_tried": self.tried,
            "seed": self.config.seed,
            "stereo": self.known.stereo,
            "dc_offset": list(self.known.offsets),
            "dc_removed": self.remove_dc,
            "gain": [self.gains[c] for c in sorted(self.gains)],
            "residual_db": 10 * math.log10(max(float(self.energies["left"][0]) / mix, 1e-20)),
            "level_db": levels[: len(self.sources)],
            "above_band_db": levels[-1] if self.known.above else None,
            "channels": channels,
            "parts": [start / facts.sample_rate for start in self.known.starts],
            "seconds": round(time.monotonic() - started, 2),
        }

    def sample(self, report: dict[str, Any]) -> Separated:
        """What the player has: the first part that sounds."""
        rate, begin = self.known.facts.sample_rate, self.known.starts[self.shown_at]
        span = f"{begin / rate:.0f} to {(begin + self.known.length) / rate:.0f} s of {self.path.name}"
        above = [torch.zeros_like(one.mix) if one.above_band is None else one.above_band for one in self.shown]
        return replace(
            self.shown[0],
            stems=torch.cat([one.stems for one in self.shown], dim=1),
            mix=torch.cat([one.mix for one in self.shown]),
            above_band=torch.cat(above) if self.known.above else None,
            report={**report, "input": {**report["input"], "name": span}},
            verdict=self.verdict(),
        )


def _joined(held: Tensor | None, block: Tensor, sources: Sequence[str], shared: int) -> Tensor:
    """A block (S, C, T) whose first samples fade in from what was `held` back of the one before (S, C, shared).

    Sources of one class come in the order, in every channel, in which they are most like those before.
    """
    if held is None:
        return block
    orders, block = class_orders(sources), block.clone()
    for c in range(block.shape[1]):
        gaps = torch.stack([(block[order, c, :shared] - held[: len(sources), c]).square().sum() for order in orders])
        block[: len(sources), c] = block[orders[int(gaps.argmin())], c]
    time = (torch.arange(shared) + 0.5) / shared
    rise = torch.sin(time * torch.pi / 2).square()
    block[..., :shared] = held + rise * (block[..., :shared] - held)
    return block
