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
from srcsep_core.posteriors.variational import bound
from srcsep_core.priors.kinds import oracle_of
from srcsep_core.run.steps.base import VALUES, Context, Step
from srcsep_core.run.steps.choices import VariationalChoice

INTERVAL = 0.9


def slack(sigma: float, count: int) -> float:
    """The std of the noise on the mean of `count` sources that goes with the level `sigma`: one level on their sum."""
    return sigma / count


@dataclass(frozen=True)
class MeasurePosterior(Step):
    """Bounds and intervals of the posteriors that a choice gives, under the true densities of the world.

    Values by mix: elbo (nats/sample of the mix), of noisy sources at the level the posteriors are of; covered, the
    share of values of the true sources in fresh noise of that level that lie in the posteriors' central 90 %.
    """

    data: World
    mixes: MixConfig
    choice: VariationalChoice
    draws: int = 8

    @property
    def name(self) -> str:
        return "posterior"

    @property
    def title(self) -> str:
        labels = "-".join(self.choice.labels)
        return f"{self.name}-{labels}-{self.data.variant}-{'-'.join(self.mixes.sources)}-{self.key[:8]}"

    @property
    def parents(self) -> tuple[Step, ...]:
        return self.choice.parents

    @property
    def config(self) -> dict[str, Any]:
        own = {"data": self.data.fingerprint, "mixes": resolved(self.mixes), "draws": self.draws}
        return {**own, "choice": self.choice.config}

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        drawn = draw_mixes(self.data, self.mixes).over(self.data.unit)
        generator = torch.Generator(context.device).manual_seed(self.choice.seed_of(self.mixes))
        mix, names = drawn.mix.to(context.device), self.mixes.sources
        separator = self.choice.separator(context, self.data, names)
        posterior = separator.posterior(mix, names, generator)
        elbo = self._elbo(mix, posterior, generator)
        noise = torch.empty_like(drawn.sources).normal_(generator=torch.Generator().manual_seed(self.mixes.seed))
        place = posterior.cdf((drawn.sources + self.choice.level * noise).to(mix.device))
        covered = ((place - 0.5).abs() < INTERVAL / 2).double().mean(dim=(1, 2))
        table = pd.DataFrame({"mix": range(len(mix)), "elbo": elbo.cpu().numpy(), "covered": covered.cpu().numpy()})
        table.to_csv(folder / VALUES, index=False, float_format="%.6g")
        return {"device": context.device.type}

    def _elbo(self, mix: Tensor, posterior: TruncatedNormal, generator: torch.Generator) -> Tensor:
        """The bound under the true densities, nats/sample, (B,)."""
        level, count = self.choice.level, len(self.mixes.sources)
        true = _oracles(self.data, self.mixes.sources)
        found = [
            bound(mix, posterior, true, gamma=slack(level, count), sigma=level, generator=generator, exact=True).value()
            for _ in range(self.draws)
        ]
        return torch.stack(found).mean(dim=0).double() / self.mixes.length


@dataclass(frozen=True)
class MeasureEvidence(Step):
    """The log-evidence of mixes of two sources under the true densities (`posteriors.evidence`).

    The true first source is the guess. Values by mix: log_evidence (nats/sample of the mix), effective (draws).
    """

    data: World
    mixes: MixConfig
    level: float
    draws: int = 64

    @property
    def name(self) -> str:
        return "evidence"

    @property
    def title(self) -> str:
        return f"{self.name}-{self.data.variant}-{'-'.join(self.mixes.sources)}-{self.key[:8]}"

    @property
    def config(self) -> dict[str, Any]:
        own = {"data": self.data.fingerprint, "mixes": resolved(self.mixes)}
        return {**own, "level": self.level, "draws": self.draws}

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        drawn: Mixes = draw_mixes(self.data, self.mixes).over(self.data.unit)
        first, second = _oracles(self.data, self.mixes.sources)
        found = log_evidence(
            drawn.mix,
            first,
            second,
            drawn.sources[:, :1],
            gamma=slack(self.level, 2),
            sigma=self.level,
            draws=self.draws,
            generator=torch.Generator().manual_seed(self.mixes.seed),
        )
        rows = {"log_evidence": found.value / self.mixes.length, "effective": found.effective}
        table = pd.DataFrame({"mix": range(len(drawn.mix)), **{name: value.numpy() for name, value in rows.items()}})
        table.to_csv(folder / VALUES, index=False, float_format="%.6g")
        return {"device": "cpu"}


def _oracles(data: World, names: tuple[str, ...]) -> list[Any]:
    """The true densities of these sources, in order."""
    true = oracle_of(data)
    return [true.prior(name) for name in names]
