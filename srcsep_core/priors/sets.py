"""Sets of priors, one per source, that are evaluated alike: flows, WaveNets and the oracle.

`likelihoods` gives the log-likelihood under every protocol that applies to the model:

| model      | released                             | exact                    | oracle                          |
|------------|--------------------------------------|--------------------------|---------------------------------|
| flowavenet | log p_Z alone                        | log p_Z + log abs det    |                                 |
| wavenet    | mean sigmoid value (released network)| softmax (exact network)  |                                 |
| oracle     |                                      |                          | the true density, by quadrature |

All are nats/sample but the WaveNet's `released` one, a value in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import pandas as pd
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from srcsep_core.data.toy import ToyConfig
from srcsep_core.errors import InputError
from srcsep_core.priors.denoiser import ClassScorePrior, Denoiser
from srcsep_core.priors.flow import Flow, FlowPrior
from srcsep_core.priors.oracle import OraclePrior
from srcsep_core.priors.pnf import PnFPrior, PnFPriors
from srcsep_core.priors.wavenet import WaveNetPrior, WaveNetPriors, released_score
from srcsep_core.run.store import Artefact

PROTOCOLS = ("released", "exact", "oracle")


class PriorSet(Protocol):
    """One prior per source at one noise level."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The source of every prior."""
        ...

    @property
    def multiple_of(self) -> int:
        """What the length of a signal must be a multiple of."""
        ...

    def likelihoods(self, x: Tensor) -> Mapping[str, Tensor]:
        """By protocol: the value of signals (B, G, T), source g under prior g, (B, G) in nats/sample."""
        ...


@dataclass(frozen=True)
class Trained:
    """What every trained set has: its sources, their data, the noise level, the loss curve, and where it came from."""

    sources: tuple[str, ...]
    data: ToyConfig
    sigma: float
    curve: pd.DataFrame
    artefact: Artefact


@dataclass(frozen=True)
class FlowPriors(Trained):
    """Trained flows, in one grouped network."""

    flow: Flow

    @property
    def multiple_of(self) -> int:
        """The flow's squeeze factor."""
        return self.flow.multiple_of

    def at(self, sigma: float) -> FlowPriors:
        """The same priors at another level, for a noise-conditional network."""
        return replace(self, sigma=sigma)

    @torch.no_grad()
    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        """log p_Z (`released`) and log p_Z + log |det| (`exact`)."""
        with parametrize.cached():
            terms = self.flow.source_terms(x.to(next(self.flow.parameters()).device), self.sigma)
        log_pz = terms.log_pz.double().mean(dim=2)
        return {"released": log_pz, "exact": log_pz + terms.log_det.double().mean(dim=2)}

    def prior(self, source: str) -> FlowPrior:
        """One source's prior, cut out of the grouped network."""
        return FlowPrior(self.flow.extract(_index(self.sources, source)), self.sigma)


@dataclass(frozen=True)
class WaveNetSet(Trained):
    """Trained WaveNets, in one grouped network."""

    net: WaveNetPriors

    @property
    def multiple_of(self) -> int:
        """Any length will do."""
        return 1

    @torch.no_grad()
    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        """The density of the exact network, or the score of the released one."""
        x = x.to(next(self.net.parameters()).device)
        with parametrize.cached():
            if self.net.config.likelihood == "exact":
                return {"exact": self.net.log_prob(x) / x.shape[2]}
            return {"released": released_score(self.net, x).double()}

    def prior(self, source: str) -> WaveNetPrior:
        """One source's prior, cut out of the grouped network; the exact likelihood only."""
        return WaveNetPrior(self.net.extract(_index(self.sources, source)), self.sigma)


@dataclass(frozen=True)
class ScoreSet(Trained):
    """The score priors of all sources, which share one denoiser; they have no likelihood."""

    denoiser: Denoiser

    @property
    def window(self) -> int:
        """The length in samples that signals must have."""
        return self.denoiser.config.window

    def prior(self, source: str) -> ClassScorePrior:
        """One source's prior."""
        return ClassScorePrior(self.denoiser, _index(self.sources, source))


@dataclass(frozen=True)
class PnFSet(Trained):
    """Trained autoregressive priors with a noisy past, in one grouped network."""

    net: PnFPriors

    def prior(self, source: str) -> PnFPrior:
        """One source's prior, cut out of the grouped network."""
        return PnFPrior(self.net.extract(_index(self.sources, source)))


@dataclass(frozen=True)
class OracleSet:
    """The true densities of the toy sources at one noise level."""

    data: ToyConfig
    sigma: float

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of the data."""
        return self.data.sources

    @property
    def multiple_of(self) -> int:
        """Any length will do."""
        return 1

    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        """The true noisy log-density."""
        values = [self.prior(name).log_prob(x[:, g : g + 1]) for g, name in enumerate(self.sources)]
        return {"oracle": torch.stack(values, dim=1) / x.shape[2]}

    def prior(self, source: str) -> OraclePrior:
        """One source's prior."""
        _index(self.sources, source)
        return OraclePrior(source, self.data, self.sigma)


def _index(sources: tuple[str, ...], source: str) -> int:
    if source not in sources:
        raise InputError(f"no prior for {source!r}; there are {', '.join(sources)}")
    return sources.index(source)
