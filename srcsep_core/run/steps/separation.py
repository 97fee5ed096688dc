"""The steps that separate sets of toy mixes and measure the result: a prior with a sampler, or a baseline."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.baselines import baselines
from srcsep_core.config import resolved
from srcsep_core.data.mixes import MixConfig, Mixes, draw_mixes
from srcsep_core.data.toy import ToyConfig, draw_sources
from srcsep_core.errors import InputError
from srcsep_core.metrics import best_permutation, bss_eval, failure_kind, improvement
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.ladder import NoiseLadder
from srcsep_core.priors.oracle import OraclePrior
from srcsep_core.priors.sets import FlowPriors, PnFSet, ScoreSet
from srcsep_core.progress import Progress
from srcsep_core.run.steps.base import VALUES, Context, Step
from srcsep_core.run.steps.loading import load_priors
from srcsep_core.run.steps.training import TrainPriors
from srcsep_core.samplers import SAMPLERS, Separation, released_langevin

BASELINES = ("mix", "nmf", "irm", "ibm", "fastica")
RELEASED = "langevin-released"
NMF_SIGNALS, NMF_SEED = 200, 5


@dataclass(frozen=True)
class PriorChoice:
    """The priors of a separation: a name for tables, the toy world, and what trained them (nothing: the oracle).

    Several steps are one flow by noise level (`NoiseLadder`).
    """

    name: str
    data: ToyConfig
    trained: tuple[TrainPriors, ...] = ()

    def load(self, context: Context) -> Callable[[str], DenoisingPrior]:
        """The prior of a class, by its name, on the device of `context`."""
        if not self.trained:
            return lambda source: OraclePrior(source, self.data)
        sets = [load_priors(step, context.run(step), context.device) for step in self.trained]
        first = sets[0]
        if len(sets) == 1 and isinstance(first, ScoreSet | PnFSet):
            return first.prior
        flows = [found for found in sets if isinstance(found, FlowPriors)]
        if len(flows) < len(sets):
            raise InputError(
                f"the priors {self.name} have no score that a sampler can use; use flow, score or pnf priors"
            )
        return lambda source: NoiseLadder({flow.sigma: flow.prior(source) for flow in flows})


@dataclass(frozen=True)
class Separating(Step):
    """Separate a set of mixes; the values have one row per mix and source.

    Columns: mix, k, source, si_sdr, si_sdri, si_sir, si_sar (dB), failure (see `metrics.failure_kind`), residual
    (before projection, relative to the mix), restarts (how many were run). Sources of one class are matched to their
    references; others are known by class.
    """

    data: ToyConfig
    mixes: MixConfig

    @property
    @abstractmethod
    def method(self) -> tuple[str, str]:
        """The prior's and the sampler's name, as in tables."""

    @property
    def title(self) -> str:
        names = "-".join(self.mixes.sources)
        return f"{self.name}-{'-'.join(self.method)}-{self.data.variant}-{names}-{self.mixes.mixes}-{self.key[:8]}"

    @abstractmethod
    def separate(self, drawn: Mixes, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """Estimates (B, K, T), residuals relative to the mix (B,), and restarts (B,)."""

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        drawn = draw_mixes(self.data, self.mixes)
        started = time.perf_counter()
        estimates, residual, restarts = self.separate(drawn, context)
        seconds = (time.perf_counter() - started) / self.mixes.mixes
        table = measure(drawn, estimates.cpu(), self.mixes.sources)
        count = len(self.mixes.sources)
        table["residual"] = residual.cpu().repeat_interleave(count).numpy()
        table["restarts"] = restarts.cpu().repeat_interleave(count).numpy()
        table.to_csv(folder / VALUES, index=False, float_format="%.6g")
        return {"device": context.device.type, "threads": torch.get_num_threads(), "seconds_per_mix": seconds}


@dataclass(frozen=True)
class SeparateMixes(Separating):
    """Separate with priors and a sampler; `sampler_config` is the sampler's, `batch` how many mixes run at once.

    The released dynamics (`RELEASED`) have no configuration: None.
    """

    prior: PriorChoice
    sampler: str
    sampler_config: Any
    batch: int = 32
    seed: int = 0

    @property
    def name(self) -> str:
        return "separation"

    @property
    def method(self) -> tuple[str, str]:
        return self.prior.name, self.sampler

    @property
    def parents(self) -> tuple[Step, ...]:
        return self.prior.trained

    @property
    def config(self) -> dict[str, Any]:
        return {
            "data": resolved(self.data),
            "mixes": resolved(self.mixes),
            "prior": {"name": self.prior.name, "data": resolved(self.prior.data)},
            "sampler": {"name": self.sampler, **(resolved(self.sampler_config) or {})},
            "batch": self.batch,
            "seed": self.seed,
        }

    def separate(self, drawn: Mixes, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        if self.sampler not in (*SAMPLERS, RELEASED):
            raise InputError(f"unknown sampler {self.sampler!r}; use one of {', '.join((*SAMPLERS, RELEASED))}")
        load = self.prior.load(context)
        by_class = {name: load(name) for name in set(self.mixes.sources)}
        priors = [by_class[name] for name in self.mixes.sources]
        parts: list[Separation] = []
        batches = list(zip(drawn.mix.split(self.batch), drawn.sources.split(self.batch), strict=True))
        with Progress(len(batches), self.title, show=context.progress) as bar:
            for index, (mix, sources) in enumerate(batches):
                generator = torch.Generator(context.device).manual_seed(self.seed + index)
                if self.sampler == RELEASED:
                    result = released_langevin(sources.to(context.device), priors, generator=generator)
                else:
                    run = SAMPLERS[self.sampler]
                    result = run(mix.to(context.device), priors, config=self.sampler_config, generator=generator)
                parts.append(result)
                bar.advance()
        residual = torch.cat([part.residual for part in parts]).cpu() / drawn.mix[:, 0].square().mean(dim=1).sqrt()
        restarts = torch.cat([part.doubts.isfinite().sum(dim=1) for part in parts])
        return torch.cat([part.sources for part in parts]), residual, restarts


@dataclass(frozen=True)
class SeparateByBaseline(Separating):
    """Separate without priors: see `blind.baselines`.

    `nmf` learns its dictionaries from signals of its own. `fastica` gets as many different mixes of the same sources as
    there are sources, which none of the others has; its results are matched to the references.
    """

    baseline: str

    @property
    def name(self) -> str:
        return "baseline"

    @property
    def method(self) -> tuple[str, str]:
        return self.baseline, "none"

    @property
    def config(self) -> dict[str, Any]:
        return {"data": resolved(self.data), "mixes": resolved(self.mixes), "baseline": self.baseline}

    def separate(self, drawn: Mixes, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        names = self.mixes.sources
        mix, sources = drawn.mix, drawn.sources
        if self.baseline == "mix":
            estimates = baselines.mix_baseline(mix, len(names))
        elif self.baseline == "irm":
            estimates = baselines.ideal_ratio_mask(mix, sources)
        elif self.baseline == "ibm":
            estimates = baselines.ideal_binary_mask(mix, sources)
        elif self.baseline == "nmf":
            generator = torch.Generator().manual_seed(NMF_SEED)
            signals = draw_sources(self.data, NMF_SIGNALS, self.mixes.length, generator)
            estimates = baselines.SupervisedNMF().fit(signals, self.data.sources).separate(mix, names)
        elif self.baseline == "fastica":
            generator = torch.Generator().manual_seed(self.mixes.seed)
            found = baselines.fast_ica(baselines.instantaneous_mixes(sources, generator), generator=generator)
            estimates, _ = best_permutation(estimate=found, reference=sources)
        else:
            raise InputError(f"unknown baseline {self.baseline!r}; use one of {', '.join(BASELINES)}")
        nothing = torch.full((len(mix),), float("nan"))
        return estimates, nothing, torch.zeros(len(mix), dtype=torch.long)


def measure(drawn: Mixes, estimates: Tensor, names: tuple[str, ...]) -> pd.DataFrame:
    """Metrics of estimates (B, K, T), one row per mix and source, without residual and restarts (see `Separating`)."""
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
