"""The step that separates a set of mixes by any separator and measures the result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.config import resolved
from srcsep_core.data.base import World
from srcsep_core.data.mixes import MixConfig, Mixes, draw_mixes
from srcsep_core.metrics import best_permutation, bss_eval, failure_kind, improvement
from srcsep_core.progress import Progress
from srcsep_core.run.steps.base import VALUES, Context, Step
from srcsep_core.run.steps.choices import SeparatorChoice
from srcsep_core.samplers import Separation
from srcsep_core.samplers.separator import PriorSeparator


@dataclass(frozen=True)
class SeparateMixes(Step):
    """Separate a set of mixes; the values have one row per mix and source.

    Columns: mix, k, source, si_sdr, si_sdri, si_sir, si_sar (dB), failure (see `metrics.failure_kind`), residual
    (before projection, relative to the mix), chains_run (how many of them). Sources of one class are matched to their
    references; others are known by class.
    """

    data: World
    mixes: MixConfig
    choice: SeparatorChoice

    version = 2

    @property
    def name(self) -> str:
        return self.choice.step

    @property
    def title(self) -> str:
        names, labels = "-".join(self.mixes.sources), "-".join(self.choice.labels)
        return f"{self.name}-{labels}-{self.data.variant}-{names}-{self.mixes.mixes}-{self.key[:8]}"

    @property
    def parents(self) -> tuple[Step, ...]:
        return self.choice.parents

    @property
    def config(self) -> dict[str, Any]:
        return {"data": self.data.fingerprint, "mixes": resolved(self.mixes), **self.choice.config}

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        drawn = draw_mixes(self.data, self.mixes).over(self.data.unit)
        parts, seconds = self.separate(drawn, context)
        estimates = torch.cat([part.sources for part in parts]).cpu()
        residual = torch.cat([part.residual for part in parts]).cpu() / drawn.mix[:, 0].square().mean(dim=1).sqrt()
        chains = torch.cat([part.doubts.isfinite().sum(dim=1) for part in parts]).cpu()
        table = measure(drawn, estimates, self.mixes.sources)
        count = len(self.mixes.sources)
        table["residual"] = residual.repeat_interleave(count).numpy()
        table["chains_run"] = chains.repeat_interleave(count).numpy()
        table.to_csv(folder / VALUES, index=False, float_format="%.6g")
        return {"device": context.device.type, "threads": torch.get_num_threads(), "seconds_per_mix": seconds}

    def separate(self, drawn: Mixes, context: Context) -> tuple[list[Separation], float]:
        """The results batch by batch, and the seconds that a mix took.

        They are the separator's alone, without loading, learning, and a first call: that of a network costs more than
        the next ones. A sampler is run at one level beforehand; one that has no levels is first called on the first
        batch, which is then left out of the mean if there are others.
        """
        bind = self.choice.load(context, self.data, self.mixes)
        parts, seconds, warm = [], list[float](), False
        batches = list(_split(drawn, self.choice.batch_of(self.mixes)))
        with Progress(len(batches), self.title, show=context.progress) as bar:
            for index, batch in enumerate(batches):
                separator, mix = bind(batch), batch.mix.to(context.device)
                if not index and isinstance(separator, PriorSeparator) and (short := separator.shortest()):
                    short.separate(mix[:1], self.mixes.sources, self._generator(context, 0))
                    warm = True
                generator = self._generator(context, index)
                started = _now(context.device)
                parts.append(separator.separate(mix, self.mixes.sources, generator))
                seconds.append(_now(context.device) - started)
                bar.advance()
        counted = slice(0 if warm or len(parts) == 1 else 1, None)
        return parts, sum(seconds[counted]) / sum(len(part.sources) for part in parts[counted])

    def _generator(self, context: Context, index: int) -> torch.Generator:
        return torch.Generator(context.device).manual_seed(self.choice.seed_of(self.mixes) + index)


def _split(drawn: Mixes, batch: int) -> Iterator[Mixes]:
    """The mixes in batches."""
    for parts in zip(drawn.mix.split(batch), drawn.sources.split(batch), drawn.gains.split(batch), strict=True):
        yield Mixes(*parts)


def _now(device: torch.device) -> float:
    """The clock in seconds, once `device` has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()


def measure(drawn: Mixes, estimates: Tensor, names: tuple[str, ...]) -> pd.DataFrame:
    """Metrics of estimates (B, K, T), a row per mix and source, but residual and chains_run; see `SeparateMixes`."""
    if len(set(names)) < len(names):
        estimates, _ = best_permutation(estimate=estimates, reference=drawn.sources, groups=names)
    found = bss_eval(estimate=estimates, reference=drawn.sources)
    gained = improvement(estimate=estimates, reference=drawn.sources, mix=drawn.mix)
    batch, count = found.si_sdr.shape
    return pd.DataFrame(
        {
            "mix": torch.arange(batch).repeat_interleave(count).numpy(),
            "k": torch.arange(count).repeat(batch).numpy(),
            "source": list(names) * batch,
            "si_sdr": found.si_sdr.flatten().numpy(),
            "si_sdri": gained.flatten().numpy(),
            "si_sir": found.si_sir.flatten().numpy(),
            "si_sar": found.si_sar.flatten().numpy(),
            "failure": failure_kind(estimate=estimates, reference=drawn.sources).ravel(),
        }
    )
