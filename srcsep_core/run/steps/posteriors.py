"""The steps that measure fitted posteriors of mixes against the true model: bounds, intervals, and the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.config import resolved
from srcsep_core.data.base import World
from srcsep_core.data.mixes import MixConfig, Mixes, draw_mixes
from srcsep_core.posteriors.evidence import log_evidence
from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.posteriors.variational import bound, sum_noise
from srcsep_core.priors.kinds import oracle_of
from srcsep_core.run.steps.base import VALUES, Context, Step
from srcsep_core.run.steps.choices import VariationalChoice

INTERVAL = 0.9


@dataclass(frozen=True)
class _OfMixes(Step):
    """A step whose values have a row for each of some mixes."""

    data: World
    mixes: MixConfig

    @property
    def title(self) -> str:
        parts = (*self._labels, self.data.variant, *self.mixes.sources)
        return f"{self.name}-{'-'.join(parts)}-{self.key[:8]}"

    @property
    def _labels(self) -> tuple[str, ...]:
        return ()

    @property
    def config(self) -> dict[str, Any]:
        return {"data": self.data.fingerprint, "mixes": resolved(self.mixes)}

    def _drawn(self) -> Mixes:
        return draw_mixes(self.data, self.mixes).over(self.data.unit)

    def _oracles(self) -> list[Any]:
        """The true densities of the sources, in order."""
        true = oracle_of(self.data)
        return [true.prior(name) for name in self.mixes.sources]

    def _write(self, folder: Path, **columns: Tensor) -> None:
        values = {name: value.cpu().numpy() for name, value in columns.items()}
        table = pd.DataFrame({"mix": range(self.mixes.mixes), **values})
        table.to_csv(folder / VALUES, index=False, float_format="%.6g")


@dataclass(frozen=True)
class MeasurePosterior(_OfMixes):
    """Bounds and intervals of the posteriors that a choice gives, under the true densities of the world.

    Values by mix: elbo (nats/sample of the mix), of noisy sources at the level the posteriors are of, whose sum has
    noise of that level too; covered, the share of values of the true sources in fresh noise of that level that lie in
    the posteriors' central 90 %.
    """

    choice: VariationalChoice
    draws: int = 8

    name = "posterior"

    @property
    def _labels(self) -> tuple[str, ...]:
        return self.choice.labels

    @property
    def parents(self) -> tuple[Step, ...]:
        return self.choice.parents

    @property
    def config(self) -> dict[str, Any]:
        return {**super().config, "draws": self.draws, "choice": self.choice.config}

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        drawn, level = self._drawn(), self.choice.level
        generator = torch.Generator(context.device).manual_seed(self.choice.seed_of(self.mixes))
        mix, names = drawn.mix.to(context.device), self.mixes.sources
        posterior = self.choice.separator(context, self.data, names).posterior(mix, names, generator)
        noise = torch.empty_like(drawn.sources).normal_(generator=torch.Generator().manual_seed(self.mixes.seed))
        place = posterior.cdf((drawn.sources + level * noise).to(mix.device))
        covered = ((place - 0.5).abs() < INTERVAL / 2).double().mean(dim=(1, 2))
        self._write(folder, elbo=self._elbo(mix, posterior, generator), covered=covered)
        return {"device": context.device.type}

    def _elbo(self, mix: Tensor, posterior: TruncatedNormal, generator: torch.Generator) -> Tensor:
        """The bound under the true densities, nats/sample, (B,)."""
        true, sigma = self._oracles(), self.choice.level
        gamma = sum_noise(sigma, len(true))
        found = [
            bound(mix, posterior, true, gamma=gamma, sigma=sigma, generator=generator, exact=True).value()
            for _ in range(self.draws)
        ]
        return torch.stack(found).mean(dim=0).double() / self.mixes.length


@dataclass(frozen=True)
class MeasureEvidence(_OfMixes):
    """The log-evidence of mixes of two sources under the true densities (`posteriors.evidence`).

    The true first source is the guess. Values by mix: log_evidence (nats/sample of the mix), effective (draws).
    """

    level: float
    draws: int = 64

    name = "evidence"

    @property
    def config(self) -> dict[str, Any]:
        return {**super().config, "level": self.level, "draws": self.draws}

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        drawn, generator = self._drawn(), torch.Generator().manual_seed(self.mixes.seed)
        first, second = self._oracles()
        found = log_evidence(
            drawn.mix,
            first,
            second,
            drawn.sources[:, :1],
            gamma=sum_noise(self.level, 2),
            sigma=self.level,
            draws=self.draws,
            generator=generator,
        )
        self._write(folder, log_evidence=found.value / self.mixes.length, effective=found.effective)
        return {"device": "cpu"}
