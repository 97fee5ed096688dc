"""The stems of a recording with what is known of them, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from srcsep_core import __version__
from srcsep_core.audio import encode_audio, mono, resample
from srcsep_core.run.artefacts import write_json
from srcsep_core.separate.record import readable_json, summary_of
from srcsep_core.separate.recording import relative_db
from srcsep_core.separate.stems import (
    ABOVE_BAND,
    DETAILS,
    PLAYER,
    RECORD,
    stem_files,
    stem_names,
    write_folder,
)
from srcsep_core.separate.trust import Verdict
from srcsep_core.show.player import RATES_HZ, player_page


@dataclass(frozen=True)
class Separated:
    """The stems of a recording.

    stems (K, C, T), in the recording's scale, rate (`sample_rate`, Hz) and length. `sources` are their classes.
    `above_band` (C, T) is what lies above the priors' band, where there is such. All of them sum to `mix` (C, T).
    `report` has every detail; `summary` is what a person reads first. `evidence`: what speaks for and against the
    windows of every channel that sounds (`evidence.window_evidence`), and `verdict` what follows from it.
    """

    stems: Tensor
    above_band: Tensor | None
    mix: Tensor
    sources: tuple[str, ...]
    sample_rate: int
    report: Mapping[str, Any]
    evidence: tuple[pd.DataFrame, ...]
    verdict: Verdict

    @property
    def names(self) -> list[str]:
        """The stems' names: their class, numbered where it comes more than once."""
        return stem_names(self.sources)

    @property
    def summary(self) -> dict[str, Any]:
        """What is written as `separation.json`, without the names of files (see `summary_of`)."""
        return summary_of(self.report)

    def write(self, out: str | Path, *, overwrite: bool = False) -> Path:
        """Write stems of 32-bit floats, a player, the summary and the details into the folder `out`; returns it.

        All of it or nothing. Floats hold any level, so that no gain is needed and the sum on disk is the mix. Raises
        `InputError` if `out` is not empty or cannot be written to; `overwrite` replaces the files of an earlier
        separation.
        """
        stems = dict(zip(stem_files(self.sources), self.stems, strict=True))
        if self.above_band is not None:
            stems = {ABOVE_BAND: self.above_band, **stems}
        files = [*stems, PLAYER, DETAILS, RECORD]

        def fill(folder: Path) -> None:
            for name, stem in stems.items():
                (folder / name).write_bytes(encode_audio(stem, self.sample_rate, ".wav", "FLOAT"))
            (folder / PLAYER).write_text(self.page(), encoding="utf-8")
            write_json(folder / DETAILS, self.report)
            text = readable_json({**self.summary, "details": DETAILS, "files": files})
            (folder / RECORD).write_text(text, encoding="utf-8")

        return write_folder(Path(out), files, fill, overwrite=overwrite)

    def page(self) -> str:
        """The player page."""
        tracks = dict(zip(self.names, self.stems, strict=True))
        if self.above_band is not None:
            tracks["above the band"] = self.above_band
        heard = self._one_channel({"mix": self.mix, **tracks})
        low, high = RATES_HZ
        rate = min(max(self.sample_rate, low), high)
        if rate != self.sample_rate:
            heard = {name: resample(x, from_rate=self.sample_rate, to_rate=rate) for name, x in heard.items()}
        name = self.report["input"]["name"]
        settings = self.report["settings"]
        how = f"sampler {settings['sampler']}" if "sampler" in settings else f"method {settings['method']}"
        notes = (
            f"Separated by srcsep {__version__} with the {how}. Before the rest "
            f"was shared among the stems, it stood at {self.report['residual_db']:.1f} dB of the mix. "
            f"Verdict: {self.verdict.line}."
        )
        return player_page(heard, rate, f"Stems of {name}", None, notes)

    def _one_channel(self, tracks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean of the channels of every track, (C, T) to (1, T); where they cancel in the mix, its loudest one."""
        if relative_db(mono(self.mix), self.mix) > -20:
            return {name: mono(track) for name, track in tracks.items()}
        loudest = int(self.mix.abs().amax(dim=1).argmax())
        return {name: track[loudest, None] for name, track in tracks.items()}
