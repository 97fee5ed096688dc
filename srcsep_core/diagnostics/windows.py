"""At which noise levels a prior discriminates, and at which a sampler can move between modes.

Annealed sampling needs one level at which both hold. The claim of Frank & Ilse 2020 that no such level exists
reads sigma_disc < sigma_mob.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from srcsep_core.errors import InputError

AUROC_THRESHOLD = 0.9
MODES_THRESHOLD = 10.0


def discrimination_window(
    sigmas: Sequence[float], aurocs: Sequence[float], *, threshold: float = AUROC_THRESHOLD
) -> float:
    """sigma_disc: the largest tested noise level whose AUROC is at least `threshold`, or NaN if there is none.

    `sigmas` (n,) are standard deviations in any order, `aurocs` (n,) the values there. The maximum is over the
    tested levels, and levels below it that fail do not matter. Where the largest tested level passes, the result
    is a lower bound. Raises `InputError` as `mobility_onset` does, and for an AUROC outside [0, 1].
    """
    _check(sigmas, aurocs, "AUROC")
    outside = [value for value in aurocs if not 0 <= value <= 1]
    if outside:
        raise InputError(f"the AUROC {outside[0]:g} is outside [0, 1]; pass noise levels first, then AUROCs")
    return max((s for s, value in zip(sigmas, aurocs, strict=True) if value >= threshold), default=math.nan)


def mobility_onset(sigmas: Sequence[float], modes: Sequence[float], *, threshold: float = MODES_THRESHOLD) -> float:
    """sigma_mob: the smallest tested noise level with at least `threshold` modes in reach, or NaN if there is none.

    `modes` (n,) is the mean over noisy signals of exp(entropy in nats) of the posterior over modes: how many
    modes a noisy signal may have come from. The minimum is over the tested levels `sigmas` (n,), in any order;
    where the smallest tested level passes, the result is an upper bound. Raises `InputError` for no levels,
    differing lengths, a negative or non-finite level, and NaN.
    """
    _check(sigmas, modes, "number of modes")
    return min((s for s, value in zip(sigmas, modes, strict=True) if value >= threshold), default=math.nan)


def _check(sigmas: Sequence[float], values: Sequence[float], what: str) -> None:
    if len(sigmas) != len(values) or len(sigmas) == 0:
        raise InputError(f"there are {len(sigmas)} noise levels and {len(values)} values of the {what}; pair them")
    for sigma, value in zip(sigmas, values, strict=True):
        if not 0 <= sigma < math.inf:
            raise InputError(f"the noise level {sigma:g} is not a finite number from 0 up; drop it")
        if math.isnan(value):
            raise InputError(f"the {what} at noise level {sigma:g} is NaN; drop that level")
