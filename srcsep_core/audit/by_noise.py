"""Discrimination against the noise level of the priors, of clean signals and of signals with the prior's own noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from srcsep_core.audit.claims.measures import Results, discrimination_rows, mean
from srcsep_core.audit.presets import EXACT, FLOW, ORACLE, RELEASED, WAVENET, Preset, trained
from srcsep_core.audit.published import authors
from srcsep_core.audit.tables import select
from srcsep_core.data.toy import SOURCES
from srcsep_core.diagnostics.windows import discrimination_window, mobility_onset

STORED = {"auroc": "auroc_mean", "accuracy": "argmax_prior_accuracy"}
STORED_SIGNALS = 1500
_TUNED = trained("fine-tuned", "gaussian")
_CLAMPED = trained("fine-tuned", "scaled_clamped")
_HALF = Preset("flowavenet", "quarter_log_det", "log_prob")
# What chooses the rows of a way to train and read a prior at a noise level, by name.
SETUPS = {
    "released, fine-tuned": FLOW[RELEASED].facts | _CLAMPED,
    "released objective, exact metric": _HALF.facts | _CLAMPED,
    "exact, fine-tuned": FLOW[EXACT].facts | _TUNED,
    "exact, from scratch": FLOW[EXACT].facts | trained("scratch", "gaussian"),
    "exact, sigma as input": FLOW[EXACT].facts | trained("conditional", "gaussian"),
    "WaveNet released": WAVENET[RELEASED].facts | _CLAMPED,
    "WaveNet exact": WAVENET[EXACT].facts | _TUNED,
    "oracle": FLOW[ORACLE].facts | trained(""),
}
WINDOW_SETUPS = {"oracle": "oracle", "exact flow": "exact, fine-tuned", "released flow": "released, fine-tuned"}


def presets_by_noise(results: Results, levels: Sequence[float]) -> pd.DataFrame:
    """Mean AUROC and accuracy of the paper's own flows, by preset, noise level and kind of signals.

    Columns: preset (published, released, exact, oracle), sigma (0 and `levels`), signals (clean, matched: with the
    prior's own noise), quantity (auroc, accuracy), mean, low and high (95 %, none for published), n. What was
    published is of clean signals alone.
    """
    rows: list[dict[str, Any]] = []
    for sigma in (0.0, *levels):
        stored = authors("discrimination", prior_sigma=sigma)
        for quantity, column in STORED.items():
            about = {"preset": "published", "sigma": sigma, "signals": "clean", "quantity": quantity}
            rows.append(about | {"mean": stored[column].mean(), "low": np.nan, "high": np.nan, "n": STORED_SIGNALS})
            for preset, case in FLOW.items():
                for signals, data_sigma in (("clean", 0.0), ("matched", sigma)):
                    found = mean(discrimination_rows(results, case, sigma, data_sigma), quantity)
                    about = {"preset": preset, "sigma": sigma, "signals": signals, "quantity": quantity}
                    if found.n:
                        rows.append(about | {"mean": found.value, "low": found.low, "high": found.high, "n": found.n})
    table = pd.DataFrame(rows)
    order = {name: place for place, name in enumerate(("published", *FLOW))}
    return table.sort_values("preset", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def setups_by_noise(discrimination: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
    """Mean AUROC and accuracy of every way to train and read a prior (`SETUPS`), and of the authors' arrays.

    `discrimination` holds one length. Columns: setup, prior_sigma, signals (clean, matched), n, auroc_mean (over all
    directed pairs), auroc_worst, auroc_low and auroc_high (of the four priors' means), accuracy_mean, accuracy_low and
    accuracy_high (of the four sources).
    """
    plain = select(discrimination, ratio=False, amplitude="evaluation")
    return pd.DataFrame([*_ours(plain, levels), *_published(levels)])


def gap_to_oracle(likelihood: pd.DataFrame, levels: Sequence[float]) -> pd.DataFrame:
    """How far the exact likelihood of signals at the prior's own noise lies from the oracle's, nats/sample.

    Columns: model, objective, training, noise, prior_sigma, source, n, mean, gap (0 is perfect).
    """
    own = likelihood[likelihood["source"] == likelihood["prior"]]
    own = own[(own["data_sigma"] == own["prior_sigma"]) & own["prior_sigma"].isin(levels)]
    keys = ["source", "prior_sigma"]
    best = select(own, model="oracle")[[*keys, "mean"]]
    learned = select(own, protocol="log_prob")
    both = learned.merge(best, on=keys, how="left", suffixes=("", "_oracle"))
    both = both.assign(gap=both["mean"] - both["mean_oracle"])
    return both[["model", "objective", "training", "noise", "prior_sigma", "source", "n", "mean", "gap"]]


def worst_pairs(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """AUROC of each prior's worst pair on signals with the prior's own noise, by statistic and noise level.

    `tables` are discrimination rows by the name of their statistic. Columns: statistic, setup (`WINDOW_SETUPS`),
    prior, sigma, auroc_worst.
    """
    parts = []
    for statistic, table in tables.items():
        for setup, name in WINDOW_SETUPS.items():
            part = select(table, **SETUPS[name])
            part = part[part["data_sigma"] == part["prior_sigma"]]
            for source in SOURCES:
                worst = select(part, prior=source).dropna(subset="auroc").groupby("prior_sigma")["auroc"].min()
                about = {"statistic": statistic, "setup": setup, "prior": source}
                parts.append(pd.DataFrame({**about, "sigma": worst.index, "auroc_worst": worst.to_numpy()}))
    return pd.concat(parts, ignore_index=True)


def windows_by_source(pairs: pd.DataFrame, modes: pd.DataFrame) -> pd.DataFrame:
    """sigma_disc and sigma_mob of every prior (`diagnostics.windows`), and the largest level that was tested.

    `pairs` is `worst_pairs`; `modes` has the columns source, sigma, modes. Columns: statistic, setup, prior,
    sigma_disc, largest_tested, sigma_mob.
    """
    rows = []
    for (statistic, setup, prior), part in pairs.groupby(["statistic", "setup", "prior"], sort=False):
        own = select(modes, source=prior)
        row = {"statistic": statistic, "setup": setup, "prior": prior}
        row |= {"sigma_disc": discrimination_window(part["sigma"].to_list(), part["auroc_worst"].to_list())}
        row |= {"largest_tested": part["sigma"].max()}
        rows.append(row | {"sigma_mob": mobility_onset(own["sigma"].to_list(), own["modes"].to_list())})
    return pd.DataFrame(rows)


def _ours(plain: pd.DataFrame, levels: Sequence[float]) -> Iterator[dict[str, Any]]:
    for name, facts in SETUPS.items():
        for sigma in (0.0, *levels):
            wanted = facts | trained("noise-free") if not sigma and facts["training"] == "fine-tuned" else facts
            for signals, data_sigma in (("clean", 0.0), ("matched", sigma)):
                cell = select(plain, **wanted, prior_sigma=sigma, data_sigma=data_sigma)
                if len(cell):
                    yield {"setup": name, "prior_sigma": sigma, "signals": signals} | _spread(cell)


def _spread(cell: pd.DataFrame) -> dict[str, float]:
    pairs, own = cell.dropna(subset="auroc"), cell.dropna(subset="accuracy")
    by_prior = pairs.groupby("prior")["auroc"].mean()
    return _measures(int(own["n"].iloc[0]), pairs["auroc"].mean(), pairs["auroc"].min(), by_prior, own["accuracy"])


def _published(levels: Sequence[float]) -> Iterator[dict[str, Any]]:
    for model in ("flowavenet", "wavenet"):
        for sigma in (0.0, *levels):
            stored = authors("discrimination", model=model, prior_sigma=sigma)
            auroc, accuracy = stored["auroc_mean"], stored["argmax_prior_accuracy"]
            about = {"setup": f"published ({model})", "prior_sigma": sigma, "signals": "clean"}
            yield about | _measures(STORED_SIGNALS, auroc.mean(), stored["auroc_worst"].min(), auroc, accuracy)


def _measures(n: int, auroc: float, worst: float, by_prior: pd.Series, accuracy: pd.Series) -> dict[str, float]:
    """The columns of numbers: `by_prior` are the priors' mean AUROCs, `accuracy` the sources'."""
    return {
        "n": n,
        "auroc_mean": auroc,
        "auroc_worst": worst,
        "auroc_low": by_prior.min(),
        "auroc_high": by_prior.max(),
        "accuracy_mean": accuracy.mean(),
        "accuracy_low": accuracy.min(),
        "accuracy_high": accuracy.max(),
    }
