"""The step that scores every test signal under every prior in the ways of `diagnostics.scorings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from srcsep_core.config import resolved
from srcsep_core.data.base import EvalConfig, World
from srcsep_core.diagnostics.scorings import denoising_scorings, likelihood_scorings
from srcsep_core.priors.denoiser import DenoiserSet
from srcsep_core.priors.sets import LikelihoodSet
from srcsep_core.run.steps.base import VALUES, Context, Step
from srcsep_core.run.steps.training import TrainPriors, load_priors


@dataclass(frozen=True)
class ScoreClasses(Step):
    """Test signals of a world under `density`, against its `background`, and under the denoisers at `sigmas` (std).

    Columns: source, prior, signal, scoring, value (nats/sample).
    """

    density: TrainPriors
    background: TrainPriors
    denoiser: TrainPriors
    data: World
    evaluation: EvalConfig
    sigmas: tuple[float, ...]

    name = "scorings"

    @property
    def title(self) -> str:
        return f"scorings-{self.density.title}-of-{self.data.variant}"

    @property
    def parents(self) -> tuple[TrainPriors, ...]:
        return (self.density, self.background, self.denoiser)

    @property
    def config(self) -> dict[str, Any]:
        evaluation: dict[str, Any] = resolved(self.evaluation)
        del evaluation["batch_size"]
        return {"data": self.data.fingerprint, "evaluation": evaluation, "sigmas": list(self.sigmas)}

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        density, background, denoiser = (load_priors(s, context.run(s), context.device) for s in self.parents)
        signals = self.data.test_set(self.evaluation)
        shown = context.progress
        tables = [
            likelihood_scorings(
                cast(LikelihoodSet, density),
                cast(LikelihoodSet, background),
                signals,
                self.data.sample_rate,
                progress=shown,
            ),
            denoising_scorings(
                cast(DenoiserSet, denoiser).at(self.evaluation.length), signals, self.sigmas, progress=shown
            ),
        ]
        pd.concat(tables).to_csv(folder / VALUES, index=False, float_format="%.9g")
        return {"device": context.device.type}
