"""Tables of single log-likelihoods: test signals under every prior, and noised signals under their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.priors.sets import PROTOCOLS, LikelihoodSet
from srcsep_core.progress import Progress

Evaluate = Callable[[Tensor], Mapping[str, Tensor]]
"""Signals (B, C, T) to the values (B, G), nats/sample, of each row under each of G priors, by protocol."""


def single(priors: LikelihoodSet) -> Evaluate:
    """A function from one-channel signals (B, 1, T) to their values under each of G priors, (B, G), by protocol."""

    def evaluate(x: Tensor) -> Mapping[str, Tensor]:
        return priors.likelihoods(x.expand(-1, len(priors.sources), -1))

    return evaluate


def likelihood_table(
    priors: LikelihoodSet, signals: Tensor, *, batch_size: int = 16, progress: bool = False
) -> pd.DataFrame:
    """Log-likelihood of every test signal under every prior.

    `signals` (N, K, T) hold the sources of `priors` in order. Columns: source, prior, signal, and one for every
    protocol that applies to the model (nats/sample: summed over the T samples and divided by T).
    """
    count, kinds, length = signals.shape
    rows = signals.transpose(0, 1).reshape(-1, 1, length)
    about = pd.DataFrame({"source": np.repeat(priors.sources, count), "signal": np.tile(np.arange(count), kinds)})
    table = in_batches(single(priors), priors.sources, rows, about, batch_size, "cross-likelihood", progress)
    return table[["source", "prior", "signal", *protocols_of(table)]]


def noise_curve_table(
    priors: LikelihoodSet, signals: Mapping[float, Tensor], *, batch_size: int = 16, progress: bool = False
) -> pd.DataFrame:
    """Log-likelihood of noised test signals under their own source's prior.

    `signals` are (N, K, T) by noise level. Columns: data_sigma, prior, signal, and one for every protocol.
    """
    rows = torch.cat(list(signals.values()))
    about = pd.concat([pd.DataFrame({"data_sigma": sigma, "signal": range(len(x))}) for sigma, x in signals.items()])
    table = in_batches(priors.likelihoods, priors.sources, rows, about, batch_size, "noise curve", progress)
    return table[["data_sigma", "prior", "signal", *protocols_of(table)]]


def file_likelihood(priors: LikelihoodSet, signal: Tensor) -> pd.DataFrame:
    """Exact log-likelihood of one signal (1, 1, T) under every prior.

    T is cut to a multiple of what the priors need. Columns: prior, log_likelihood (nats/sample).
    """
    length = signal.shape[2] - signal.shape[2] % priors.multiple_of
    values = single(priors)(signal[..., :length])["log_prob"][0].tolist()
    return pd.DataFrame({"prior": list(priors.sources), "log_likelihood": values})


def protocols_of(table: pd.DataFrame) -> list[str]:
    """The protocols that a table has values for, in the order of `PROTOCOLS`."""
    return [protocol for protocol in PROTOCOLS if protocol in table]


def protocol_values(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The table with a column `value` (nats/sample) in place of those of the protocols."""
    found = protocols_of(table)
    if protocol not in found:
        raise InputError(f"no values under protocol {protocol!r}; use one of {', '.join(found)}")
    return table.drop(columns=found).assign(value=table[protocol])


def in_batches(
    evaluate: Evaluate,
    sources: Sequence[str],
    rows: Tensor,
    about: pd.DataFrame,
    batch_size: int,
    name: str = "",
    progress: bool = False,
) -> pd.DataFrame:
    """`evaluate` on the `rows` (N, C, T): one row for each under each prior, in this order whatever the batch.

    Columns: those of `about`, which describes row n in its own row n, prior, and one for every protocol. Raises
    `InputError` for a batch size below 1, and if `evaluate` returns another shape.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; use at least 1")
    found: dict[str, list[np.ndarray]] = {}
    with Progress(-(-len(rows) // batch_size), name, show=progress) as bar:
        for batch in rows.split(batch_size):
            for protocol, values in evaluate(batch).items():
                if values.shape != (len(batch), len(sources)):
                    raise InputError(
                        f"the values under protocol {protocol!r} have shape {tuple(values.shape)} for {len(batch)} "
                        f"inputs and {len(sources)} priors; return one value for each pair"
                    )
                found.setdefault(protocol, []).append(values.detach().double().cpu().numpy())
            bar.advance()
    table = about.iloc[np.arange(len(rows)).repeat(len(sources))].reset_index(drop=True)
    columns = {protocol: np.concatenate(values).ravel() for protocol, values in found.items()}
    return table.assign(prior=np.tile(sources, len(rows)), **columns)
