"""The mix itself as the estimate of every source: what a separator has to improve on."""

from __future__ import annotations

from torch import Tensor

from srcsep_core.baselines.base import Estimator, Given, Method, register
from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError


def mix_baseline(mix: Tensor, sources_count: int) -> Tensor:
    """The mix (B, 1, T) itself as the estimate of each of `sources_count` sources: (B, K, T).

    What a separator has to improve on. Raises `InputError` for a bad mix or a count below 1.
    """
    check_waveform(mix)
    if sources_count < 1:
        raise InputError(f"the number of sources is {sources_count}; use at least 1")
    return mix.repeat(1, sources_count, 1)


def _of_mix(given: Given) -> Estimator:
    return Estimator(lambda mix, sources, _: mix_baseline(mix, len(sources)))


register(Method("mix", "nothing", _of_mix))
