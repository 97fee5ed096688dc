"""Recordings of any length in memory that does not grow with it: separated part by part, and written as they come.

The file is read twice. The first time for what belongs to the whole of it: whether its channels are alike, their
offsets, clipping, and how loud they are. Then neighbouring parts, which share a window of the priors, are separated as
recordings of their own, with one gain for all of them, and faded into each other. The stems sum to the recording in
every part, and so they do in the whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srcsep_core.audio import SILENCE_PEAK
from srcsep_core.audio_parts import FloatWriter, audio_parts
from srcsep_core.data.base import world_of
from srcsep_core.errors import InputError
from srcsep_core.memory import give_back
from srcsep_core.run.artefacts import file_digest, write_json
from srcsep_core.run.pipeline import Pipeline, resolve_device
from srcsep_core.separate.auto import AUTO
from srcsep_core.separate.crew import Clock
from srcsep_core.separate.gathered import Gathered
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
from srcsep_core.separate.trust import Verdict
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
    gathered = Gathered(path, known, names, usual, remove_dc=config.remove_dc)
    job = _Long(gathered, heard, priors, clock, progress)
    if names == (AUTO,):
        job.find_sources()
    files = [*([ABOVE_BAND] if known.above else []), *stem_files(gathered.sources), PLAYER, DETAILS, RECORD]

    def fill(folder: Path) -> None:
        job.write_stems(folder)
        if file_digest(path) != known.sha256:
            raise InputError(f"the file {path} changed meanwhile; wait until it is complete, then try again")
        report = gathered.report(started)
        (folder / PLAYER).write_text(gathered.sample(report).page(), encoding="utf-8")
        write_json(folder / DETAILS, report)
        text = readable_json({**summary_of(report), "details": DETAILS, "files": files})
        (folder / RECORD).write_text(text, encoding="utf-8")

    write_folder(out, files, fill, overwrite=overwrite)
    return SeparatedFolder(out, gathered.sources, gathered.report(started), gathered.verdict())


@dataclass
class _Long:
    """A long separation as it goes, and what is gathered of the whole."""

    whole: Gathered
    heard: Windows
    priors: SourcePriors | None
    clock: Clock
    progress: bool

    @property
    def known(self) -> Survey:
        return self.whole.known

    def find_sources(self) -> None:
        """Name the sources by the first stretch that sounds."""
        rate = self.known.facts.sample_rate
        for part in audio_parts(self.whole.path, self.known.starts, self.known.length):
            rows = self.known.channels(part, remove_dc=self.whole.remove_dc)
            loud = rows.abs().amax(dim=0) > SILENCE * max(self.known.peaks)
            if bool(loud.any()):
                first = min(int(loud.int().argmax()), max(0, rows.shape[1] - round(TRIED_S * rate)))
                some = rows[:, first : first + round(TRIED_S * rate)]
                config = replace(self.whole.config, stereo="each" if self.known.stereo == "each" else "mean")
                result = separate_audio(
                    some, rate, (AUTO,), config, priors=self.priors, clock=self.clock.share(3), progress=self.progress
                )
                self.whole.sources, self.whole.tried = result.sources, result.report["sources_tried"]
                return

    def write_stems(self, folder: Path) -> None:
        """Separate all parts, and write the stems."""
        facts, count = self.known.facts, len(self.known.offsets)
        files = [*stem_files(self.whole.sources), *([ABOVE_BAND] if self.known.above else [])]
        self.whole.energies = {"stems": np.zeros(len(files)), "mix": np.zeros(1), "left": np.zeros(1)}
        held: Tensor | None = None
        with ExitStack() as stack:
            writers = [FloatWriter(folder / name, facts.sample_rate, count, facts.frames) for name in files]
            for writer in writers:
                stack.callback(writer.close)
            for index, part in enumerate(audio_parts(self.whole.path, self.known.starts, self.known.length)):
                block = self._part(index, self.known.channels(part, remove_dc=self.whole.remove_dc))[: len(files)]
                block = _joined(held, block, self.whole.sources, self.known.shares(index))
                last = index == len(self.known.starts) - 1
                ready = block if last else block[..., : -self.known.shares(index + 1)]
                held = None if last else block[..., ready.shape[-1] :]
                for writer, stem in zip(writers, ready, strict=True):
                    writer.write(stem)
                self.whole.energies["stems"] += ready.double().square().sum(dim=(1, 2)).numpy()
                self.whole.energies["mix"] += float(ready.sum(dim=0).double().square().sum())
                give_back()
        if not self.whole.found:
            raise InputError("the search was stopped before any window had a chain; give it more time")

    def _part(self, index: int, rows: Tensor) -> Tensor:
        """The stems, and what lies above the band, of the channels (C, T) of a part: (K + 1, C, T)."""
        done = [self._channel(index, c, row) for c, row in enumerate(rows)]
        for channel, result in enumerate(done):
            if result is not None:
                self.whole.keep(index, channel, result)
        blocks = []
        for row, result in zip(rows, done, strict=True):
            if result is None:  # silence, or no time
                shared = (row / len(self.whole.sources)).expand(len(self.whole.sources), -1)
                blocks.append(torch.cat([shared, torch.zeros_like(row)[None]]))
            else:
                above = torch.zeros_like(row)[None] if result.above_band is None else result.above_band
                blocks.append(torch.cat([result.stems[:, 0], above]))
                self.whole.energies["left"] += 10 ** (result.report["residual_db"] / 10) * float(
                    row.double().square().sum()
                )
        return torch.stack(blocks, dim=1)

    def _channel(self, index: int, channel: int, row: Tensor) -> Separated | None:
        """One channel (T,) of a part; None where it is silent, or there is no time."""
        if float(row.abs().max()) < max(SILENCE_PEAK, SILENCE * self.known.peaks[channel]):
            return None
        begin = self.known.starts[index] / self.known.facts.sample_rate
        remaining = (len(self.known.starts) - index) * len(self.known.offsets) - channel
        if not self.clock.over:
            log.info("part %d of %d, from %.0f s", index + 1, len(self.known.starts), begin)
            gain = self.whole.config.gain or self.whole.gains.get(channel) or self._expected(channel)
            try:
                result = separate_audio(
                    row[None],
                    self.known.facts.sample_rate,
                    self.whole.sources,
                    replace(self.whole.config, gain=gain, seed=self.whole.config.seed + 7919 * index),
                    priors=self.priors,
                    clock=self.clock.share(remaining),
                    progress=self.progress,
                )
            except InputError:
                if not self.clock.over:
                    raise
            else:
                self.whole.gains.setdefault(channel, result.report["gain"][0])
                moved = tuple(
                    one.assign(start_s=one["start_s"] + begin, end_s=one["end_s"] + begin) for one in result.evidence
                )
                return replace(result, evidence=moved)
        self.whole.late.append(index)
        return None

    def _expected(self, channel: int) -> float | None:
        """The gain by the loudness of the whole channel; None for waves whose gain is found by trying."""
        if self.heard.steady:
            return None
        return expected_gain(self.heard, self.whole.sources, self.known.loudness[channel])


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
