"""The evidence on a channel that was separated, asked for window by window, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.progress import Progress
from srcsep_core.separate.crew import Crew
from srcsep_core.separate.evidence import MOST, window_evidence
from srcsep_core.separate.separators import SourcePriors, Windows
from srcsep_core.separate.windows import cut, sounding, window_starts

BATCH = 32  # windows; so many more signals are denoised as there are sources and classes


@dataclass(frozen=True)
class Judge:
    """Asks for the evidence (`evidence.window_evidence`) on estimates of `sources`, on the device of the `crew`.

    `priors` of all classes of the world are asked; without them what needs them is NaN. `heard` is what was separated.
    """

    sources: Sequence[str]
    heard: Windows
    priors: SourcePriors | None
    crew: Crew

    def whole(self, signals: Tensor, heard: Tensor) -> pd.DataFrame:
        """The evidence on signals (K, T) found at once, in windows of the priors, of what was heard (T,)."""
        window = self.priors.window if self.priors else None
        if window is None or len(heard) < window:
            return replace(self, priors=None)._in_windows(signals, heard, len(heard))
        return self._in_windows(signals, heard, window)

    def _in_windows(self, signals: Tensor, heard: Tensor, window: int) -> pd.DataFrame:
        starts = window_starts(len(heard), window, window // 4)
        mixes, kept = cut(heard, starts, window), torch.stack([cut(one, starts, window) for one in signals], dim=1)
        apart, active = mixes.new_zeros(len(mixes)), sounding(mixes, heard)
        return self.windows(kept.to(mixes), mixes, apart, torch.full_like(apart, MOST), active, starts)

    def windows(
        self, kept: Tensor, mixes: Tensor, disagreement: Tensor, rival: Tensor, active: Tensor, starts: Sequence[int]
    ) -> pd.DataFrame:
        """The evidence on the windows that are `active`, with `window`, their number, and start_s and end_s."""
        found = self.ask(kept[active], mixes[active], disagreement[active], rival[active])
        rate, begin = self.heard.sample_rate, torch.tensor(starts)[active].numpy()
        found.insert(0, "window", torch.arange(len(mixes))[active].numpy())
        found.insert(1, "start_s", begin / rate)
        found.insert(2, "end_s", (begin + mixes.shape[1]) / rate)
        return found

    def ask(self, kept: Tensor, mixes: Tensor, disagreement: Tensor, rival: Tensor) -> pd.DataFrame:
        """The evidence on windows (N, W) whose estimates are kept (N, K, W)."""
        priors = None if self.priors is None else self.priors.by_source
        generator = torch.Generator(self.crew.device).manual_seed(self.crew.seed)
        parts = [part.split(BATCH) for part in (kept, len(self.sources) * mixes, disagreement, rival)]
        tables, typical = [], self.heard.typical_rms
        with Progress(len(parts[0]), "judging", show=self.crew.progress) as bar:
            for some in zip(*parts, strict=True):
                here, total, apart, other = (part.to(self.crew.device) for part in some)
                tables.append(window_evidence(here, total, apart, other, self.sources, priors, typical, generator))
                bar.advance()
        return pd.concat(tables, ignore_index=True)
