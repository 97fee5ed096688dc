"""What the parts of a long recording gave, and what is said of the whole: the verdict, the report, the player."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from srcsep_core.data.base import world_of
from srcsep_core.separate.separated import Separated
from srcsep_core.separate.settings import SeparateConfig
from srcsep_core.separate.survey import Survey
from srcsep_core.separate.trust import Verdict, verdict


@dataclass
class Gathered:
    """What has been found in the parts so far of a file of which `known` is known."""

    path: Path
    known: Survey
    sources: tuple[str, ...]
    config: SeparateConfig
    remove_dc: bool
    gains: dict[int, float] = field(default_factory=dict)
    tried: list[dict[str, Any]] = field(default_factory=list)
    found: list[tuple[int, int, Separated]] = field(default_factory=list)  # part, channel, without its samples
    shown: list[Separated] = field(default_factory=list)  # the channels of the first part that sounds
    shown_at: int = 0
    late: list[int] = field(default_factory=list)  # parts that there was no time for
    energies: dict[str, np.ndarray] = field(default_factory=dict)

    def keep(self, index: int, channel: int, result: Separated) -> None:
        """Add the result of a channel of part number `index`."""
        if not self.shown:
            self.shown_at = index
        if self.shown_at == index:
            self.shown.append(result)
        self.found.append((index, channel, replace(result, stems=torch.zeros(0), mix=torch.zeros(0), above_band=None)))

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
