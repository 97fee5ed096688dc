"""The steps that separate sets of toy mixes and measure the result: a prior with a sampler, or a baseline."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.baselines.ica import fast_ica, instantaneous_mixes
from srcsep_core.baselines.masks import ideal_binary_mask, ideal_ratio_mask
from srcsep_core.baselines.mix import mix_baseline
from srcsep_core.baselines.nmf import SupervisedNMF
from srcsep_core.config import resolved
from srcsep_core.data.base import World
from srcsep_core.data.mixes import MixConfig, Mixes, draw_mixes
from srcsep_core.data.toy import ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.metrics import best_permutation, bss_eval, failure_kind, improvement
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.kinds import all_kinds
from srcsep_core.priors.ladder import NoiseLadder
from srcsep_core.priors.oracle import OraclePrior
from srcsep_core.progress import Progress
from srcsep_core.run.steps.base import VALUES, Context, Step
from srcsep_core.run.steps.training import TrainPriors, load_priors
from srcsep_core.samplers import SAMPLERS, Separation, released_langevin

BASELINES = ("mix", "nmf", "irm", "ibm", "fastica")
RELEASED = "langevin-released"
NMF_SIGNALS, NMF_SEED = 200, 5


@dataclass(frozen=True)
class PriorChoice:
    """The priors of a separation: a name for tables, the world, and what trained them (nothing: the oracle).

    Several steps are one flow by noise level (`NoiseLadder`). With a `ladder` of noise levels (std) priors are asked
    at these alone, as flows are that were trained at them.
    """

    name: str
    data: World
    trained: tuple[TrainPriors, ...] = ()
    ladder: tuple[float, ...] = ()

    @property
    def config(self) -> dict[str, Any]:
        """What a result depends on besides the steps that trained it."""
        levels = {"ladder": list(self.ladder)} if self.ladder else {}
        return {"name": self.name, "data": self.data.fingerprint, **levels}

    def load(self, context: Context) -> Callable[[str], DenoisingPrior]:
        """The prior of a class, by its name, on the device of `context`."""
        find = self._load(context)
        if not self.ladder:
            return find
        return lambda source: NoiseLadder(dict.fromkeys(self.ladder, find(source)), pinned=True)

    def _load(self, context: Context) -> Callable[[str], DenoisingPrior]:
        if not self.trained:
            if not isinstance(self.data, ToyWorld):
                raise InputError(f"the true density of {self.data.variant} is not known; name trained priors")
            data = self.data
            return lambda source: OraclePrior(source, data)
        kinds = [step.kind for step in self.trained]
        if not all(kind.scored for kind in kinds):
            able = ", ".join(name for name, kind in all_kinds().items() if kind.scored)
            raise InputError(f"the priors {self.name} have no score that a sampler can use; use one of {able}")
        sets = [load_priors(step, context.run(step), context.device) for step in self.trained]
        if len(sets) == 1 and not kinds[0].ladder:
            return sets[0].prior
        if not all(kind.ladder for kind in kinds):
            raise InputError(f"the priors {self.name} are no ladder of noise levels; use one set of them")
        levels = [step.train.noise_sigma for step in self.trained]
        return lambda source: NoiseLadder({s: one.prior(source) for s, one in zip(levels, sets, strict=True)})


class Separated(NamedTuple):
    """What was made of B mixes of K sources.

    estimates (B, K, T); residual (B,): root mean square relative to the mix; restarts (B,): how many were run; seconds:
    what a mix took, without what comes before: loading, training, and the first call.
    """

    estimates: Tensor
    residual: Tensor
    restarts: Tensor
    seconds: float


@dataclass(frozen=True)
class Separating(Step):
    """Separate a set of mixes; the values have one row per mix and source.

    Columns: mix, k, source, si_sdr, si_sdri, si_sir, si_sar (dB), failure (see `metrics.failure_kind`), residual
    (before projection, relative to the mix), restarts (how many were run). Sources of one class are matched to their
    references; others are known by class.
    """

    data: World
    mixes: MixConfig

    @property
    @abstractmethod
    def method(self) -> tuple[str, str]:
        """The prior's and the sampler's name, as in tables."""

    @property
    def version(self) -> int:
        return 2

    @property
    def title(self) -> str:
        names = "-".join(self.mixes.sources)
        return f"{self.name}-{'-'.join(self.method)}-{self.data.variant}-{names}-{self.mixes.mixes}-{self.key[:8]}"

    @abstractmethod
    def separate(self, drawn: Mixes, context: Context) -> Separated:
        """Estimates of all sources, with what it took."""

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        drawn = draw_mixes(self.data, self.mixes)
        estimates, residual, restarts, seconds = self.separate(drawn, context)
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
            "data": self.data.fingerprint,
            "mixes": resolved(self.mixes),
            "prior": self.prior.config,
            "sampler": {"name": self.sampler, **(resolved(self.sampler_config) or {})},
            "batch": self.batch,
            "seed": self.seed,
        }

    def separate(self, drawn: Mixes, context: Context) -> Separated:
        """The seconds are the sampler's alone, after a first call that is not counted (see `_warm_up`)."""
        if self.sampler not in (*SAMPLERS, RELEASED):
            raise InputError(f"unknown sampler {self.sampler!r}; use one of {', '.join((*SAMPLERS, RELEASED))}")
        load = self.prior.load(context)
        by_class = {name: load(name) for name in set(self.mixes.sources)}
        priors = [by_class[name] for name in self.mixes.sources]
        parts: list[Separation] = []
        seconds: list[float] = []
        batches = list(zip(drawn.mix.split(self.batch), drawn.sources.split(self.batch), strict=True))
        warm = self._warm_up(drawn.mix[:1].to(context.device), priors)
        with Progress(len(batches), self.title, show=context.progress) as bar:
            for index, (mix, sources) in enumerate(batches):
                generator = torch.Generator(context.device).manual_seed(self.seed + index)
                started = _now(context.device)
                if self.sampler == RELEASED:
                    result = released_langevin(sources.to(context.device), priors, generator=generator)
                else:
                    run = SAMPLERS[self.sampler]
                    result = run(mix.to(context.device), priors, config=self.sampler_config, generator=generator)
                seconds.append(_now(context.device) - started)
                parts.append(result)
                bar.advance()
        residual = torch.cat([part.residual for part in parts]).cpu() / drawn.mix[:, 0].square().mean(dim=1).sqrt()
        restarts = torch.cat([part.doubts.isfinite().sum(dim=1) for part in parts])
        counted = slice(0 if warm or len(parts) == 1 else 1, None)
        mean = sum(seconds[counted]) / sum(len(part.sources) for part in parts[counted])
        return Separated(torch.cat([part.sources for part in parts]), residual, restarts, mean)

    def _warm_up(self, mix: Tensor, priors: list[DenoisingPrior]) -> bool:
        """Run the sampler on one mix (1, 1, T) at one level; False for a sampler that has no levels to cut down.

        The first call of a network costs more than the next ones. Where it cannot be made beforehand, it is that of the
        first batch, which is then left out of the mean if there are others.
        """
        if not hasattr(self.sampler_config, "levels"):
            return False
        short = {name: 1 for name in ("levels", "restarts") if hasattr(self.sampler_config, name)}
        generator = torch.Generator(mix.device).manual_seed(self.seed)
        SAMPLERS[self.sampler](mix, priors, config=replace(self.sampler_config, **short), generator=generator)
        return True


@dataclass(frozen=True)
class SeparateByBaseline(Separating):
    """Separate without priors: see `srcsep_core.baselines`.

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
        return {"data": self.data.fingerprint, "mixes": resolved(self.mixes), "baseline": self.baseline}

    def separate(self, drawn: Mixes, context: Context) -> Separated:
        """The seconds are those of the separation, without the learning of dictionaries."""
        run = self._ready(drawn)
        started = perf_counter()
        estimates = run()
        seconds = (perf_counter() - started) / self.mixes.mixes
        nothing = torch.full((len(drawn.mix),), float("nan"))
        return Separated(estimates, nothing, torch.zeros(len(drawn.mix), dtype=torch.long), seconds)

    def _ready(self, drawn: Mixes) -> Callable[[], Tensor]:
        """What makes the estimates (B, K, T), ready to run."""
        names = self.mixes.sources
        mix, sources = drawn.mix, drawn.sources
        if self.baseline == "mix":
            return lambda: mix_baseline(mix, len(names))
        if self.baseline == "irm":
            return lambda: ideal_ratio_mask(mix, sources)
        if self.baseline == "ibm":
            return lambda: ideal_binary_mask(mix, sources)
        if self.baseline == "nmf":
            generator = torch.Generator().manual_seed(NMF_SEED)
            signals = self.data.draw(NMF_SIGNALS, self.mixes.length, generator)
            learned = SupervisedNMF().fit(signals, self.data.sources)
            return lambda: learned.separate(mix, names)
        if self.baseline == "fastica":
            generator = torch.Generator().manual_seed(self.mixes.seed)
            mixed = instantaneous_mixes(sources, generator)

            def unmix() -> Tensor:
                found = fast_ica(mixed, generator=generator)
                return best_permutation(estimate=found, reference=sources)[0]

            return unmix
        raise InputError(f"unknown baseline {self.baseline!r}; use one of {', '.join(BASELINES)}")


def _now(device: torch.device) -> float:
    """The clock in seconds, once `device` has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()


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
