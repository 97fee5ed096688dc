"""Priors in different spaces side by side: what they tell apart, how they take noise, where their gradients lead.

Densities in different spaces, such as time and spectrum, have different units of volume, so that their values are never
compared: only ranks (AUROC, accuracy), and falls in units of what is usual for the class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.diagnostics.discrimination import discriminate, worst_by_prior
from srcsep_core.errors import InputError

CENTRAL = (0.16, 0.84)  # quantiles that one standard deviation of a Gaussian reaches


def discrimination_by_space(values: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`discriminate` of every space's single values, by log-density and by ratio: with the columns space and ratio."""
    tables = [
        discriminate(table, ratio=ratio).assign(space=space, ratio=ratio)
        for space, table in values.items()
        for ratio in (False, True)
    ]
    return pd.concat(tables, ignore_index=True)


def worst_pairs(discrimination: pd.DataFrame) -> pd.DataFrame:
    """Of `discrimination_by_space` one row a space and prior: the worst pair's AUROC and ratio AUROC, and the accuracy.

    Each with its interval, in the columns auroc, ratio_auroc, accuracy, and these with _low and _high.
    """
    parts = []
    for space, rows in discrimination.groupby("space", sort=False):
        plain, ratio = (worst_by_prior(rows[rows["ratio"] == is_ratio]) for is_ratio in (False, True))
        measured = ratio.filter(like="auroc").add_prefix("ratio_")
        parts.append(plain.drop(columns="against").join(measured).assign(space=space))
    table = pd.concat(parts, ignore_index=True)
    return table[["space", *(name for name in table if name != "space")]]


def falls_with_noise(curve: pd.DataFrame, clean: pd.DataFrame) -> pd.DataFrame:
    """How far the median of a source's signals falls with noise under its own prior.

    `curve` has the columns data_sigma, prior, value; `clean` is a table of single values of clean signals with source,
    prior and value. Columns: prior, data_sigma, median, fall (from the clean signals of `curve`, in the value's unit),
    spread (half of the width that the central 68 % of the class's own clean signals take) and fall_in_spreads.
    """
    own = clean[clean["source"] == clean["prior"]].groupby("prior", sort=False)["value"]
    spread = (own.quantile(CENTRAL[1]) - own.quantile(CENTRAL[0])) / 2
    table = curve.groupby(["prior", "data_sigma"], sort=False)["value"].median().rename("median").reset_index()
    at_rest = table[table["data_sigma"] == 0].set_index("prior")["median"]
    table["fall"] = table["prior"].map(at_rest) - table["median"]
    table["spread"] = table["prior"].map(spread)
    return table.assign(fall_in_spreads=table["fall"] / table["spread"])


def follow_gradient(
    log_density: Callable[[Tensor], Tensor], start: Tensor, *, steps: int, step_size: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Climb a log-density, (B, 1, T) to (B,), from `start` by its gradient: the last signals, and the path's values.

    The values are (steps + 1, B). Every sample moves by Adam steps (Kingma & Ba 2015) of `step_size`, which falls to 0
    along a cosine; nothing is drawn. Raises `InputError` for no steps and a log-density that is not finite.
    """
    if steps < 1:
        raise InputError(f"steps is {steps}; use at least 1")
    x = start.detach().clone().requires_grad_(True)
    optimiser = torch.optim.Adam([x], lr=step_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    path = []
    for step in range(steps + 1):
        with torch.enable_grad():
            value = log_density(x)
        if not value.isfinite().all():
            raise InputError(f"the log-density is not finite after {step} steps of {step_size:g}; use smaller steps")
        path.append(value.detach())
        if step < steps:
            (x.grad,) = torch.autograd.grad(-value.sum(), x)
            optimiser.step()
            schedule.step()
    return x.detach(), torch.stack(path)
