"""The mix itself as the estimate of every source: what a separator has to improve on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from srcsep_core.baselines.base import Method, register
from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.samplers.base import Callback, Separation, without_chains


def mix_baseline(mix: Tensor, sources_count: int) -> Tensor:
    """The mix (B, 1, T) itself as the estimate of each of `sources_count` sources: (B, K, T).

    What a separator has to improve on. Raises `InputError` for a bad mix or a count below 1.
    """
    check_waveform(mix)
    if sources_count < 1:
        raise InputError(f"the number of sources is {sources_count}; use at least 1")
    return mix.repeat(1, sources_count, 1)


class MixItself:
    """`mix_baseline` as a separator."""

    def separate(
        self, mix: Tensor, sources: Sequence[str], generator: torch.Generator, callback: Callback | None = None
    ) -> Separation:
        """The mix (B, 1, T) for every source; raises `InputError` as `mix_baseline` does."""
        return without_chains(mix_baseline(mix, len(sources)))


register(Method("mix", "nothing", lambda given: MixItself()))
