"""One cause at a time: what metric, objective, noise, amplitude and length each do to discrimination."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from srcsep_core.audit.presets import trained
from srcsep_core.audit.tables import select
from srcsep_core.run.profiles import Profile

# The metric that was read (protocol) and the objective that was trained for, by what it leaves to change.
EXACT = {"protocol": "log_prob", "objective": "likelihood"}
METRIC = {"protocol": "log_pz", "objective": "likelihood"}
OBJECTIVE = {"protocol": "log_prob", "objective": "quarter_log_det"}
BOTH = {"protocol": "log_pz", "objective": "quarter_log_det"}


def ablations(profile: Profile) -> dict[str, dict[str, Any]]:
    """The columns of the discrimination table that choose each setting, by its name.

    Noise-free flows on clean signals first, then flows of the widest noise level on signals with that noise; each
    setting changes one thing against the first of its group, but for the last ones, which change all.
    """
    widest = max(profile.noise_levels)
    flow = {"model": "flowavenet", "amplitude": "evaluation", "ratio": False}
    free = flow | {"prior_sigma": 0.0, "data_sigma": 0.0, "length": profile.evaluation.length}
    noisy = flow | {"prior_sigma": widest, "data_sigma": widest, "length": profile.plan.noisy.length}
    noisy |= trained("fine-tuned", "gaussian")
    clamped = trained("fine-tuned", "scaled_clamped")
    name = f"sigma {widest:g}, "
    return {
        "noise-free, all exact": free | EXACT,
        "metric without log-det": free | METRIC,
        "objective weight 1/4": free | OBJECTIVE,
        "both": free | BOTH,
        "amplitude U[0.8, 1] in tests": free | EXACT | {"amplitude": "training"},
        "length 16 384": free | EXACT | {"length": profile.plan.long.length},
        name + "all exact": noisy | EXACT,
        name + "metric without log-det": noisy | METRIC,
        name + "noise scaled and clamped": noisy | EXACT | clamped,
        name + "objective weight 1/4": noisy | OBJECTIVE,
        name + "clean test signals": noisy | EXACT | {"data_sigma": 0.0},
        name + "all released, clean": noisy | BOTH | clamped | {"data_sigma": 0.0},
    }


def ablation_table(discrimination: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    """AUROC and accuracy of each of the `ablations`; empty where the profile has no such rows.

    Columns: setting, auroc_mean and accuracy_mean (over the four sources), auroc_worst with low and high (95 %),
    worst_pair, n.
    """
    rows = []
    for name, facts in ablations(profile).items():
        part = select(discrimination, **facts)
        pairs, own = part.dropna(subset="auroc"), part.dropna(subset="accuracy")
        row: dict[str, Any] = {"setting": name, "auroc_mean": pairs["auroc"].mean()}
        row |= {"accuracy_mean": own["accuracy"].mean(), "auroc_worst": np.nan, "low": np.nan, "high": np.nan}
        row |= {"worst_pair": "", "n": own["n"].max()}
        if len(pairs):
            worst = pairs.sort_values("auroc").iloc[0]
            row |= {"auroc_worst": worst["auroc"], "low": worst["auroc_low"], "high": worst["auroc_high"]}
            row |= {"worst_pair": f"{worst['source']} under {worst['prior']}"}
        rows.append(row)
    return pd.DataFrame(rows)
