"""Independent components of several mixes of the same sources, and the mixing that makes several of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from srcsep_core.baselines.base import Estimator, Given, Method, register
from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.metrics import best_permutation


def fast_ica(observations: Tensor, *, generator: torch.Generator, sources_count: int | None = None) -> Tensor:
    """Independent components (B, K, T) of observations (B, M, T): M different mixes of the same K sources.

    FastICA (Hyvarinen 1999, with the log-cosh contrast) on each example, from one random start drawn by `generator`.
    K is `sources_count`, or M. Order, sign and scale of the components are undetermined: each comes with mean 0 and
    variance 1, so find its source with `metrics.best_permutation`.

    Raises `InputError` for one channel, fewer channels than sources, channels that are combinations of fewer than K
    signals, NaN and infinity.
    """
    from sklearn.decomposition import FastICA

    check_waveform(observations, channels=None)
    channels = observations.shape[1]
    count = channels if sources_count is None else sources_count
    if channels < 2 or channels < count:
        wanted = "of 2 or more" if sources_count is None else f"of {count}"
        raise InputError(
            f"FastICA needs as many channels as sources, got {channels} channel(s) for a mix {wanted} sources; "
            "pass that many different mixes of the same sources, (B, M, T)"
        )
    if count < 1:
        raise InputError(f"the number of sources is {count}; use at least 1")
    start = torch.randn(count, count, generator=generator, device=generator.device, dtype=torch.float64).cpu().numpy()
    found = []
    for index, example in enumerate(observations.detach().cpu().double().numpy()):
        rank = int(np.linalg.matrix_rank(example - example.mean(axis=1, keepdims=True), rtol=1e-6))
        if rank < count:
            raise InputError(
                f"the channels of example {index} are combinations of {rank} signal(s) but {count} sources are "
                "asked for; pass mixes that differ in more than gain"
            )
        model = FastICA(count, whiten="unit-variance", w_init=start, max_iter=1000)
        found.append(model.fit_transform(example.T).T)
    return torch.from_numpy(np.stack(found)).to(observations)


def instantaneous_mixes(sources: Tensor, generator: torch.Generator) -> Tensor:
    """As many random mixes as sources: (B, K, T) to (B, K, T), an own invertible matrix for every example.

    The matrix is rotation @ diag(U[0.5, 1.5]) @ rotation, so that its condition number is at most 3.
    """
    check_waveform(sources, channels=None)
    batch, count, _ = sources.shape

    def rotations() -> Tensor:
        normal = torch.randn(batch, count, count, generator=generator, device=generator.device, dtype=torch.float64)
        return torch.linalg.qr(normal).Q

    left, right = rotations(), rotations()
    gains = 0.5 + torch.rand(batch, 1, count, generator=generator, device=generator.device, dtype=torch.float64)
    return ((left * gains) @ right).to(sources) @ sources


def _of_several_mixes(given: Given) -> Estimator:
    """As many different mixes of the true sources as there are sources, which none of the others has.

    The components are matched to the truth.
    """
    truth = given.known.sources

    def estimate(mix: Tensor, sources: Sequence[str], generator: torch.Generator) -> Tensor:
        true = truth.to(mix.device)
        found = fast_ica(instantaneous_mixes(true, generator), generator=generator)
        return best_permutation(estimate=found, reference=true)[0]

    return Estimator(estimate)


NEEDS = "as many different mixes of the same sources as there are sources"
register(Method("fastica", "mixes", _of_several_mixes, needs=NEEDS))
