"""What a set of priors can tell apart: cross-likelihood, AUROC and argmax accuracy with intervals.

Everything starts from one table of single values, `likelihood_table`: how likely is signal i of source s
under prior p, in nats/sample. The summaries are the rows of `figures/cross_likelihood.csv` and
`figures/discrimination.csv`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from torch.nn.utils import parametrize

from srcsep_core.errors import InputError
from srcsep_core.priors.flowavenet import FloWaveNet
from srcsep_core.progress import Progress

PROTOCOLS = ("released", "exact")
RESAMPLES = 1000
CONFIDENCE = 0.95


@torch.no_grad()
def likelihood_table(
    flow: FloWaveNet,
    signals: Tensor,
    sources: Sequence[str],
    *,
    batch_size: int = 16,
    progress: bool = False,
) -> pd.DataFrame:
    """Log-likelihood of every test signal under every prior of a grouped network.

    `signals` (N, K, T) hold `sources` in order, group g of `flow` being the prior of source g. Columns:
    source, prior, signal, log_pz, log_det; nats/sample (summed over the T samples and divided by T).
    The exact log-likelihood is log_pz + log_det; the released evaluation reports log_pz alone.
    """
    device = next(flow.parameters()).device
    frames = []
    count, _, length = signals.shape
    batches = -(-count // batch_size)
    with Progress(len(sources) * batches, "cross-likelihood", show=progress) as bar, parametrize.cached():
        for k, source in enumerate(sources):
            for start in range(0, count, batch_size):
                batch = signals[start : start + batch_size, k : k + 1].to(device)
                terms = flow.source_terms(batch.expand(-1, flow.groups, -1))
                log_pz = (terms.log_pz.double().sum(dim=2) / length).cpu().numpy()
                log_det = (terms.log_det.double().sum(dim=2) / length).cpu().numpy()
                rows = np.arange(start, start + len(batch))
                for g, prior in enumerate(sources):
                    frames.append(
                        pd.DataFrame(
                            {
                                "source": source,
                                "prior": prior,
                                "signal": rows,
                                "log_pz": log_pz[:, g],
                                "log_det": log_det[:, g],
                            }
                        )
                    )
                bar.advance(source)
    return pd.concat(frames, ignore_index=True)


@torch.no_grad()
def file_likelihood(flow: FloWaveNet, signal: Tensor, sources: Sequence[str]) -> pd.DataFrame:
    """Exact log-likelihood of one signal (1, 1, T) under every prior of a grouped network.

    T is cut to a multiple of the flow's squeeze factor. Columns: prior, log_likelihood (nats/sample).
    """
    length = signal.shape[2] - signal.shape[2] % flow.config.squeeze_factor
    batch = signal[..., :length].to(next(flow.parameters()).device).expand(-1, flow.groups, -1)
    values = (flow.log_prob(batch)[0] / length).tolist()
    return pd.DataFrame({"prior": list(sources), "log_likelihood": values})


def protocol_values(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The table with a column `value` (nats/sample) under `protocol`: `exact`, or `released` without log |det|."""
    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol {protocol!r}; use one of {', '.join(PROTOCOLS)}")
    value = table["log_pz"] + table["log_det"] if protocol == "exact" else table["log_pz"]
    return table.assign(value=value)


def summarise(values: pd.DataFrame) -> pd.DataFrame:
    """Mean, median and 5 % and 95 % quantiles of `value` for every source and prior, with intervals.

    Columns: source, prior, n, mean, median, q05, q95, median_low, median_high (percentile bootstrap, 95 %).
    """
    rows = []
    for (source, prior), group in values.groupby(["source", "prior"], sort=False):
        x = group["value"].to_numpy()
        low, high = interval(np.median(x[_resample(len(x))], axis=1))
        rows.append(
            {
                "source": source,
                "prior": prior,
                "n": len(x),
                "mean": x.mean(),
                "median": np.median(x),
                "q05": np.quantile(x, 0.05),
                "q95": np.quantile(x, 0.95),
                "median_low": low,
                "median_high": high,
            }
        )
    return pd.DataFrame(rows)


def discriminate(values: pd.DataFrame, *, ratio: bool = False) -> pd.DataFrame:
    """AUROC of every pair and argmax-over-priors accuracy of every source, with bootstrap intervals.

    Row (source, prior) with source != prior: `auroc` is the chance that a signal of the prior's own source is
    more likely under that prior than a signal of `source` (Hanley & McNeil 1982; ties count half). With `ratio`
    the signals are compared by log p(prior) - log p(source) instead, in which what both priors find easy, such
    as a low pitch, cancels (a likelihood ratio, as in Ren et al. 2019, arXiv 1906.02845). Row
    (source, source): `accuracy` is the share of the source's signals that its own prior finds likeliest. The
    columns that do not apply are empty. Intervals are percentile bootstrap over signals (95 %); where every
    resample agrees, at 0 or 1, they have no width and say only that no error was seen among n signals.
    """
    cells = {
        (str(source), str(prior)): group.sort_values("signal")["value"].to_numpy()
        for (source, prior), group in values.groupby(["source", "prior"], sort=False)
    }
    sources = list(dict.fromkeys(source for source, _ in cells))
    rows = []
    for source in sources:
        for prior in sources:
            row: dict[str, object] = {"source": source, "prior": prior}
            if source == prior:
                own = cells[source, source]
                others = np.stack([cells[source, p] for p in sources if p != source])
                correct = (own > others.max(axis=0)).astype(float)
                low, high = interval(correct[_resample(len(correct))].mean(axis=1))
                row |= {"accuracy": correct.mean(), "accuracy_low": low, "accuracy_high": high, "n": len(own)}
            else:
                positive, negative = cells[prior, prior], cells[source, prior]
                if ratio:
                    positive, negative = positive - cells[prior, source], negative - cells[source, source]
                draws = auroc(positive[_resample(len(positive))], negative[_resample(len(negative), seed=1)])
                low, high = interval(draws)
                row |= {"auroc": float(auroc(positive, negative)), "auroc_low": low, "auroc_high": high}
                row["n"] = len(positive) + len(negative)
            rows.append(row)
    columns = [
        "source",
        "prior",
        "auroc",
        "auroc_low",
        "auroc_high",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "n",
    ]
    return pd.DataFrame(rows, columns=columns)


def auroc(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> NDArray[np.float64]:
    """Area under the ROC curve along the last axis: P(positive > negative) + P(equal) / 2 (Mann-Whitney)."""
    n, m = positive.shape[-1], negative.shape[-1]
    ranks = rankdata(np.concatenate([positive, negative], axis=-1), axis=-1)
    return np.asarray((ranks[..., :n].sum(axis=-1) - n * (n + 1) / 2) / (n * m))


def interval(draws: NDArray[np.floating]) -> tuple[float, float]:
    """The central `CONFIDENCE` interval of bootstrap draws."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _resample(n: int, *, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
