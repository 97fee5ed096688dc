"""Which sources are in a mix when nobody says so: every set of classes is tried, and the best explanation is kept.

The sum of the sources is given here, not their mean, because the mean would tell their number. A set that lacks a
source leaves its wave unexplained; one with a source too many must put a wave of amplitude 0.8 or more where there is
none. So the doubt about the best chain, in units of the sum, should be lowest for the right set, without a penalty on
their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.samplers.gibbs import GibbsConfig, gibbs


@dataclass(frozen=True)
class Selection:
    """For B sums: `hypotheses`, the sets tried; `doubts` (B, H) in units of the sum; `chosen` (B,), the lowest."""

    hypotheses: tuple[tuple[str, ...], ...]
    doubts: Tensor
    chosen: Tensor

    def names(self, index: int) -> tuple[str, ...]:
        """The set chosen for sum number `index`."""
        return self.hypotheses[int(self.chosen[index])]


def select_sources(
    total: Tensor,
    priors: Mapping[str, DenoisingPrior],
    *,
    hypotheses: Sequence[tuple[str, ...]] | None = None,
    config: GibbsConfig | None = None,
    generator: torch.Generator,
) -> Selection:
    """Try sets of classes on sums of sources (B, 1, T); all subsets of the classes of `priors` by default.

    Each set is separated by the Gibbs sampler with `config`, whose swaps count for two sources and grow with the set.
    Raises `InputError` for a bad sum, an empty set and a class without a prior.
    """
    check_waveform(total)
    config = config or GibbsConfig(swaps=1)
    tried = tuple(hypotheses) if hypotheses is not None else all_subsets(tuple(priors))
    if not tried or not all(tried):
        raise InputError(f"the sets to try are {list(tried)}; give at least one, and each at least one class")
    unknown = sorted({name for names in tried for name in names} - set(priors))
    if unknown:
        raise InputError(f"there is no prior for {', '.join(unknown)}; there are {', '.join(priors)}")
    columns = []
    for names in tried:
        count = len(names)
        own = replace(config, swaps=max(1, count // 2) * config.swaps)
        found = gibbs(total / count, [priors[name] for name in names], config=own, generator=generator)
        columns.append(found.doubts.amin(dim=1) * count)
    doubts = torch.stack(columns, dim=1)
    return Selection(tried, doubts, doubts.argmin(dim=1))


def all_subsets(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Every non-empty subset, small ones first."""
    return tuple(chosen for size in range(1, len(names) + 1) for chosen in combinations(names, size))
