"""How well a flow can be inverted: the error of x -> z -> x in both precisions."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.priors.flow import FlowPrior


def inverse_errors(priors: Mapping[str, FlowPrior], signals: Tensor) -> pd.DataFrame:
    """The largest error of the inverse at any sample of `signals` (N, K, T), whose K sources are those of `priors`.

    Columns: prior, data, precision (float32, float64), error (in units of amplitude). The priors stay as they are.
    """
    rows = []
    for name, prior in priors.items():
        for dtype in (torch.float32, torch.float64):
            flow = deepcopy(prior.flow).to(dtype)
            for data, x in zip(priors, signals.to(dtype).split(1, dim=1), strict=True):
                with torch.no_grad():
                    error = (flow.inverse(flow.terms(x).z) - x).abs().max().item()
                rows.append({"prior": name, "data": data, "precision": str(dtype).split(".")[1], "error": error})
    return pd.DataFrame(rows)
