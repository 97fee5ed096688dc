"""The step that asks the sampler which sources are in a mix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from srcsep_core.config import resolved
from srcsep_core.data.mixes import TEST_SEED, MixConfig, draw_mixes
from srcsep_core.progress import Progress
from srcsep_core.run.steps.base import VALUES, Context, Step
from srcsep_core.run.steps.choices import PriorChoice
from srcsep_core.samplers.gibbs import GibbsConfig
from srcsep_core.samplers.selection import all_subsets, select_sources


@dataclass(frozen=True)
class SelectSources(Step):
    """`each` mixes of every subset of the classes, number and classes unknown; one row a mix.

    Columns: sources, n_sources (the truth), found, n_found, right (the very set), doubt (of the set found), doubt_true.
    """

    prior: PriorChoice
    each: int
    length: int
    sampler_config: GibbsConfig
    seed: int = 0

    name = "selection"
    version = 2

    @property
    def title(self) -> str:
        return f"selection-{self.prior.name}-{self.prior.data.variant}-{self.each}-{self.key[:8]}"

    @property
    def parents(self) -> tuple[Step, ...]:
        return self.prior.trained

    @property
    def config(self) -> dict[str, Any]:
        return {
            "prior": self.prior.config,
            "each": self.each,
            "length": self.length,
            "sampler": resolved(self.sampler_config),
            "seed": self.seed,
        }

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        load = self.prior.load(context)
        classes = self.prior.data.sources
        priors = {name: load(name) for name in classes}
        rows = []
        with Progress(len(all_subsets(classes)), self.title, show=context.progress) as bar:
            for index, names in enumerate(all_subsets(classes)):
                drawn = draw_mixes(self.prior.data, MixConfig(names, self.each, self.length, seed=TEST_SEED + index))
                generator = torch.Generator(context.device).manual_seed(self.seed + index)
                total = (len(names) * drawn.mix).to(context.device)
                found = select_sources(total, priors, config=self.sampler_config, generator=generator)
                true = found.hypotheses.index(names)
                for row in range(self.each):
                    chosen = found.names(row)
                    rows.append(
                        {
                            "sources": "+".join(names),
                            "n_sources": len(names),
                            "found": "+".join(chosen),
                            "n_found": len(chosen),
                            "right": chosen == names,
                            "doubt": float(found.doubts[row, found.chosen[row]]),
                            "doubt_true": float(found.doubts[row, true]),
                        }
                    )
                bar.advance()
        pd.DataFrame(rows).to_csv(folder / VALUES, index=False, float_format="%.6g")
        return {"device": context.device.type, "threads": torch.get_num_threads()}
