"""Sets of priors, one per source, that are evaluated and sampled with alike.

`likelihoods` gives the log-likelihood under every protocol that applies to the model:

| model      | log_pz, mean_sigmoid          | log_prob              | oracle                          |
|------------|-------------------------------|-----------------------|---------------------------------|
| flowavenet | log p_Z alone                 | log p_Z + log abs det |                                 |
| wavenet    | mean sigmoid value (sigmoids) | softmax               |                                 |
| oracle     |                               |                       | the true density, by quadrature |

All are nats/sample but `mean_sigmoid`, a value in [0, 1]. Two more kinds of number are no likelihood of the waveform,
and so go by names of their own: `bound`, a lower bound of it (autoencoders; nats/sample), and `spectral`, the
log-density of the signal's spectrum (nats for each of its values). Each kind's set is in the kind's own file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import pandas as pd
from torch import Tensor

from srcsep_core.data.base import World
from srcsep_core.errors import InputError

PROTOCOLS = ("log_pz", "mean_sigmoid", "log_prob", "bound", "spectral", "oracle")


class PriorSet(Protocol):
    """One prior per source at one noise level, or for all of a range."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The source of every prior."""
        ...

    def prior(self, source: str) -> Any:
        """One source's prior; raises `InputError` for a source that the set has not."""
        ...


@runtime_checkable
class LikelihoodSet(PriorSet, Protocol):
    """A set whose likelihoods are evaluated."""

    @property
    def multiple_of(self) -> int:
        """What the length of a signal must be a multiple of."""
        ...

    def at(self, sigma: float) -> LikelihoodSet:
        """The same priors at another noise level, for those that are told the level."""
        ...

    def likelihoods(self, x: Tensor) -> Mapping[str, Tensor]:
        """By protocol: the value of signals (B, G, T), source g under prior g, (B, G) in nats/sample."""
        ...


@dataclass(frozen=True)
class Trained:
    """What every trained set has: its sources, their world, the noise level, the loss curve, and its folder."""

    sources: tuple[str, ...]
    data: World
    sigma: float
    curve: pd.DataFrame
    folder: Path

    def index(self, source: str) -> int:
        """The place of a source in the set; raises `InputError` for a source that is not there."""
        return index_of(self.sources, source)

    def other_level(self, sigma: float) -> Self:
        """This set, if it has the level `sigma`; raises `InputError` if it was trained at another one."""
        if sigma != self.sigma:
            raise InputError(
                f"these priors were trained at sigma {self.sigma:g}, not {sigma:g}; load those of {sigma:g}"
            )
        return self

    def rounded(self) -> Self:
        """The set in bfloat16 where that changes little, for samplers; here itself."""
        return self

    def traced(self) -> Self:
        """The set with the same numbers in less time on a processor, where there is one; here itself."""
        return self


def index_of(sources: tuple[str, ...], source: str) -> int:
    """The place of `source` among `sources`; raises `InputError` if it is not there."""
    if source not in sources:
        raise InputError(f"no prior for {source!r}; there are {', '.join(sources)}")
    return sources.index(source)
