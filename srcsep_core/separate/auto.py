"""Which sources are in a recording: every set of classes is tried on a few windows, and judged by the same evidence.

A set that lacks a source leaves its wave unexplained, or hides it in another; a set with one too many must put a wave
where there is none. Both show when the estimates are noised and denoised (`evidence`). Compare `samplers.selection`,
which knows the sum of the sources and needs no more than the doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.samplers.base import rms
from srcsep_core.separate.searching import Search
from srcsep_core.separate.trust import trust_model

AUTO = "auto"
CANCELLED = 0.3  # of the loudest channel, the root mean square of the mean that is too little left


def pick_sources(
    channels: Tensor, search: Search, sets: Sequence[tuple[str, ...]], world: str, gain: float | None = None
) -> pd.DataFrame:
    """The sets of classes tried on channels (C, T), the likeliest first: sources, p, doubt_db, gain.

    They are tried on the mean of the channels, which holds what only some of them do, but not what is in two of them
    with opposite signs; if channels all but cancel in it, on the loudest. Without a `gain` one is found for each set.

    `p` is the probability that this set is right and no other: the odds that the sources of a window are right under it
    (the middle one of the windows tried, which get few chains), over 1, for none of them, and the odds of all. `search`
    is that of any set; where its time is up, the sets that are left are not tried, but one always is. The model is that
    of the `world` (its name); raises `InputError` where there is none.
    """
    model = trust_model(world)
    if model is None:
        raise InputError(f"auto needs a calibrated model and there is none for the world {world}; name the sources")
    channel = channels.mean(dim=0)
    if rms(channel) < CANCELLED * rms(channels).max():
        channel = channels[rms(channels).argmax()]
    rows, logits = list[dict[str, Any]](), [0.0]
    for names in _by_turns(sets):
        if rows and search.crew.clock.over:
            break
        used, evidence = replace(search, sources=names).try_few(channel, gain)
        logits.append(float(np.median(model.window.logit(evidence))))
        doubt = float(evidence["doubt_db"].median())
        rows.append({"sources": "+".join(names), "doubt_db": doubt, "gain": used})
    odds = np.exp(np.array(logits) - max(logits))
    found = pd.DataFrame(rows)
    found.insert(1, "p", (odds / odds.sum())[1:])
    return found.sort_values("p", ascending=False, kind="stable", ignore_index=True)


def _by_turns(sets: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Sets in an order that has one of every size early, for where there is no time for all."""
    sizes: dict[int, list[tuple[str, ...]]] = {}
    for names in sets:
        sizes.setdefault(len(names), []).append(names)
    return [names for turn in zip_longest(*sizes.values()) for names in turn if names]
