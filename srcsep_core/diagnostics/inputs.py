"""How likely priors find inputs that are no signals at all: constants and white noise.

Source: Frank & Ilse 2020, Table 1, whose N(0, 0.5) is one draw with that standard deviation; levels as in the
authors' result arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.diagnostics.likelihood import Evaluate, in_batches
from srcsep_core.errors import InputError

CONSTANT_LEVELS = tuple(round(k / 15 - 1, 4) for k in range(31))
PRINTED_CONSTANTS = (0.0, 1.0)
RANDOM_SIGMAS = (0.0, 0.001, 0.01, 0.027, 0.077, 0.1, 0.3, 0.5, 0.7, 1.0)
DATA_SIGMAS = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3)


def constant_table(
    evaluate: Evaluate,
    sources: Sequence[str],
    length: int,
    levels: Sequence[float] = CONSTANT_LEVELS,
    *,
    batch_size: int = 8,
) -> pd.DataFrame:
    """Constant inputs of `length` samples under the priors of `sources`, in the order of `evaluate`'s G.

    Columns: prior, protocol, level (amplitude, one of `levels`), value (nats/sample). Inputs are
    float32 on the CPU. Raises `InputError` for a length or batch size below 1, and if `evaluate` returns
    another shape.
    """
    _check_sizes(length=length)
    x = torch.tensor(list(levels)).reshape(-1, 1, 1).repeat(1, 1, length)
    return _table(evaluate, sources, x, pd.DataFrame({"level": list(levels)}), batch_size)


def random_table(
    evaluate: Evaluate, sources: Sequence[str], length: int, *, draws: int, seed: int, batch_size: int = 8
) -> pd.DataFrame:
    """White Gaussian noise of `length` samples and each standard deviation in `RANDOM_SIGMAS`.

    The same `draws` unit draws are scaled to every level. The zero input stands for the level 0, in one row.
    Columns: prior, protocol, input_sigma, draw, value (nats/sample). Otherwise as `constant_table`.
    """
    _check_sizes(length=length, draws=draws)
    unit = torch.randn(draws, 1, length, generator=torch.Generator().manual_seed(seed))
    x = torch.cat([sigma * unit if sigma else torch.zeros_like(unit[:1]) for sigma in RANDOM_SIGMAS])
    levels = [(sigma, draw) for sigma in RANDOM_SIGMAS for draw in range(draws if sigma else 1)]
    return _table(evaluate, sources, x, pd.DataFrame(levels, columns=["input_sigma", "draw"]), batch_size)


def _table(
    evaluate: Evaluate, sources: Sequence[str], x: Tensor, labels: pd.DataFrame, batch_size: int
) -> pd.DataFrame:
    """Long table of `evaluate` on the inputs `x` (N, 1, T), whose row n is described by row n of `labels`."""
    table = in_batches(evaluate, sources, x, labels, batch_size)
    long = table.melt(id_vars=["prior", *labels.columns], var_name="protocol")
    return long[["prior", "protocol", *labels.columns, "value"]]


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} is {size}; use at least 1")
