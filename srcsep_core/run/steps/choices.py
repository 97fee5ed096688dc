"""What a set of mixes is separated by: priors by name with a sampler, or a method of `srcsep_core.baselines`.

A choice is plain data: what a table calls it, what it depends on, which steps make what it needs, and how it is loaded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from srcsep_core.baselines.base import Given, Separator, Supervision, method_of
from srcsep_core.config import check_choice, resolved
from srcsep_core.data.base import World
from srcsep_core.data.mixes import MixConfig, Mixes
from srcsep_core.errors import InputError
from srcsep_core.posteriors.separator import VariationalSeparator
from srcsep_core.posteriors.variational import RefineConfig
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.encoder import EncoderSet
from srcsep_core.priors.kinds import all_kinds, oracle_of
from srcsep_core.priors.ladder import NoiseLadder
from srcsep_core.priors.unit import in_unit
from srcsep_core.run.steps.base import Context, Step
from srcsep_core.run.steps.training import TrainPriors, load_priors
from srcsep_core.samplers import SAMPLERS, GibbsConfig
from srcsep_core.samplers.separator import PriorSeparator, UnconstrainedDynamics

UNCONSTRAINED = "langevin-unconstrained"
Bind = Callable[[Mixes], Separator]
"""The separator of a batch of mixes; who must not see their truth does not look."""


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
            true: Callable[[str], DenoisingPrior] = oracle_of(self.data).prior
            return true
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


@dataclass(frozen=True)
class SeparatorChoice(ABC):
    """Which separator. `step`: the kind of step, which is also the folder of its results in the cache."""

    step: ClassVar[str]

    @property
    @abstractmethod
    def labels(self) -> tuple[str, str]:
        """The prior's and the sampler's name, as in tables."""

    @property
    @abstractmethod
    def supervision(self) -> Supervision:
        """What it has seen."""

    @property
    @abstractmethod
    def parents(self) -> tuple[Step, ...]:
        """The steps that trained what it needs."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What its results depend on besides the mixes and the parents."""

    @abstractmethod
    def batch_of(self, mixes: MixConfig) -> int:
        """How many of the mixes are separated at once."""

    @abstractmethod
    def seed_of(self, mixes: MixConfig) -> int:
        """The seed of the first batch; the next ones count on from it."""

    @abstractmethod
    def load(self, context: Context, data: World, mixes: MixConfig) -> Bind:
        """What gives the separator of a batch, on the device of `context`; raises `InputError` for unknown names."""


@dataclass(frozen=True)
class SamplerChoice(SeparatorChoice):
    """Priors and a sampler; `sampler_config` is the sampler's, `batch` how many mixes run at once.

    The unconstrained dynamics (`UNCONSTRAINED`) have no configuration: None.
    """

    step = "separation"
    prior: PriorChoice
    sampler: str
    sampler_config: Any
    batch: int = 32
    seed: int = 0

    @property
    def labels(self) -> tuple[str, str]:
        return self.prior.name, self.sampler

    @property
    def supervision(self) -> Supervision:
        return "single sources" if self.prior.trained and self.sampler != UNCONSTRAINED else "truth"

    @property
    def parents(self) -> tuple[Step, ...]:
        return self.prior.trained

    @property
    def config(self) -> dict[str, Any]:
        return {
            "prior": self.prior.config,
            "sampler": {"name": self.sampler, **(resolved(self.sampler_config) or {})},
            "batch": self.batch,
            "seed": self.seed,
        }

    def batch_of(self, mixes: MixConfig) -> int:
        return self.batch

    def seed_of(self, mixes: MixConfig) -> int:
        return self.seed

    def load(self, context: Context, data: World, mixes: MixConfig) -> Bind:
        check_choice("sampler", self.sampler, (*SAMPLERS, UNCONSTRAINED))
        find = self.prior.load(context)
        priors = in_unit({name: find(name) for name in dict.fromkeys(mixes.sources)}, data)
        if self.sampler == UNCONSTRAINED:
            return lambda truth: UnconstrainedDynamics(priors, truth)
        separator = PriorSeparator(SAMPLERS[self.sampler], self.sampler_config, priors)
        return lambda truth: separator


@dataclass(frozen=True)
class VariationalChoice(SeparatorChoice):
    """An encoder (`trained`), a fit under priors (`fit`), or the fit from where the encoder points.

    With `reorder` the encoder's posteriors are put in the order of least doubt, and with `chains` Gibbs chains start
    from draws of them (`posteriors.separator`).
    """

    step = "variational"
    prior: PriorChoice
    trained: TrainPriors | None = None
    fit: RefineConfig | None = None
    reorder: bool = False
    chains: GibbsConfig | None = None
    batch: int = 32
    seed: int = 0

    @property
    def labels(self) -> tuple[str, str]:
        parts = {"encoder": self.trained is not None, "reordered": self.reorder, "fit": self.fit is not None}
        parts["gibbs"] = self.chains is not None
        return self.prior.name, "-".join(name for name, there in parts.items() if there)

    @property
    def level(self) -> float:
        """The noise level of the sources that the posteriors are of."""
        if self.fit is not None:
            return self.fit.sigma_min
        return float(self.trained.network.sigma_min) if self.trained is not None else 0.0

    @property
    def supervision(self) -> Supervision:
        return "single sources" if self.prior.trained else "truth"

    @property
    def parents(self) -> tuple[Step, ...]:
        return self.prior.trained + (() if self.trained is None else (self.trained,))

    @property
    def config(self) -> dict[str, Any]:
        own: dict[str, Any] = {"fit": resolved(self.fit), "reorder": self.reorder}
        if self.chains is not None:
            own["chains"] = resolved(self.chains)
        return {"prior": self.prior.config, **own, "batch": self.batch, "seed": self.seed}

    def batch_of(self, mixes: MixConfig) -> int:
        return self.batch

    def seed_of(self, mixes: MixConfig) -> int:
        return self.seed

    def load(self, context: Context, data: World, mixes: MixConfig) -> Bind:
        separator = self.separator(context, data, mixes.sources)
        return lambda truth: separator

    def separator(self, context: Context, data: World, sources: Sequence[str]) -> VariationalSeparator:
        """The separator, which also has the posteriors, on the device of `context`."""
        priors: dict[str, DenoisingPrior] = {}
        if self.fit is not None or self.reorder or self.chains is not None:
            find = self.prior.load(context)
            priors = in_unit({name: find(name) for name in dict.fromkeys(sources)}, data)
        step = self.trained
        encoder = None if step is None else load_priors(step, context.run(step), context.device)
        assert encoder is None or isinstance(encoder, EncoderSet)
        return VariationalSeparator(priors, encoder, self.fit, self.reorder, self.chains)


@dataclass(frozen=True)
class MethodChoice(SeparatorChoice):
    """A method by name (`baselines.base.method_of`); `trained` makes the set of its `model`, if it has one.

    All mixes are separated at once. A method that learns does so from signals of the world of the mixes, or `learned`.
    """

    step = "baseline"
    method: str
    trained: TrainPriors | None = None
    learned: World | None = None

    @property
    def labels(self) -> tuple[str, str]:
        return self.method, "none"

    @property
    def supervision(self) -> Supervision:
        return method_of(self.method).supervision

    @property
    def parents(self) -> tuple[Step, ...]:
        return () if self.trained is None else (self.trained,)

    @property
    def config(self) -> dict[str, Any]:
        learned = {} if self.learned is None else {"learned": self.learned.fingerprint}
        return {"baseline": self.method, **learned}

    def batch_of(self, mixes: MixConfig) -> int:
        return mixes.mixes

    def seed_of(self, mixes: MixConfig) -> int:
        return mixes.seed

    def load(self, context: Context, data: World, mixes: MixConfig) -> Bind:
        method, step = method_of(self.method), self.trained
        trained = None if step is None else load_priors(step, context.run(step), context.device)
        return lambda truth: method.make(Given(self.learned or data, mixes.length, trained, truth))
