"""What autoencoders make of signals: how well they give them back, and where their codes lie.

A set's priors are asked by `reconstruct(x)`, (B, 1, T) to the same shape, and `codes(x)`: numbers (B, L, N), or the
indices (B, N) of a codebook.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.priors.sets import PriorSet


def reconstructions(priors: PriorSet, signals: Tensor) -> Tensor:
    """Signals (B, K, T), the sources of `priors` in order, each given back by its own prior: the same shape."""
    own = [priors.prior(name).reconstruct(signals[:, k : k + 1]) for k, name in enumerate(priors.sources)]
    return torch.cat(own, dim=1)


def reconstruction_table(priors: PriorSet, signals: Tensor) -> pd.DataFrame:
    """One row a test signal of `signals` (B, K, T) and source: source, signal, value.

    `value` is the reconstruction's signal-to-noise ratio in dB, energy of the signal over that of the error.
    """
    error = (signals - reconstructions(priors, signals)).double().square().sum(dim=2)
    ratio = 10 * (signals.double().square().sum(dim=2) / error).log10()
    frames = [
        pd.DataFrame({"source": name, "signal": range(len(signals)), "value": ratio[:, k].cpu()})
        for k, name in enumerate(priors.sources)
    ]
    return pd.concat(frames, ignore_index=True)


def principal_axes(values: NDArray[np.floating], count: int = 2) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The first `count` principal components of rows (n, L), (n, count), and the share of variance of each, (count,).

    The largest weight of every axis is positive. Raises `InputError` for fewer columns than components.
    """
    if values.shape[1] < count:
        raise InputError(f"{values.shape[1]} numbers a code have no {count} principal components; use a larger latent")
    centred = values - values.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    power = sizes**2
    return (centred @ (axes * signs[:, None]).T)[:, :count], power[:count] / power.sum()


def code_table(priors: PriorSet, signals: Tensor, names: Sequence[str] = ()) -> pd.DataFrame:
    """The codes of the middle frame of signals (B, K, T) of all sources under each prior, in two dimensions.

    Columns: prior, source, signal, first and second (principal components of that prior's codes), and the shares of
    variance first_share and second_share. `names`: these priors alone.
    """
    count, kinds, length = signals.shape
    rows = signals.transpose(0, 1).reshape(-1, 1, length)
    about = {"source": np.repeat(priors.sources, count), "signal": np.tile(np.arange(count), kinds)}
    parts = []
    for name in names or priors.sources:
        codes = priors.prior(name).codes(rows)
        components, shares = principal_axes(codes[:, :, codes.shape[2] // 2].double().cpu().numpy())
        found = {"first": components[:, 0], "second": components[:, 1]}
        found |= {"first_share": shares[0], "second_share": shares[1]}
        parts.append(pd.DataFrame({"prior": name, **about, **found}))
    return pd.concat(parts, ignore_index=True)


def usage_table(priors: PriorSet, signals: Tensor, entries: int) -> pd.DataFrame:
    """How often each of the `entries` of a codebook is chosen in signals (B, K, T), each under its own prior.

    Columns: source, rank (1: the most used), share, and perplexity: the exponential of the entropy of the shares.
    """
    parts = []
    for k, name in enumerate(priors.sources):
        chosen = priors.prior(name).codes(signals[:, k : k + 1]).flatten().cpu().numpy()
        shares = np.sort(np.bincount(chosen, minlength=entries) / len(chosen))[::-1]
        used = shares[shares > 0]
        perplexity = float(np.exp(-(used * np.log(used)).sum()))
        ranks = np.arange(1, entries + 1)
        parts.append(pd.DataFrame({"source": name, "rank": ranks, "share": shares, "perplexity": perplexity}))
    return pd.concat(parts, ignore_index=True)
