"""Presets: model, objective and protocol that belong together, and the noise that goes with them, under one name.

`released` is what the authors' code does, `exact` what the texts describe, and `oracle` the true density.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from srcsep_core.training.config import own_noise

RELEASED, EXACT, ORACLE = "released", "exact", "oracle"


@dataclass(frozen=True)
class Preset:
    """Priors of `model` trained for `objective` (the oracle: for nothing) and read under `protocol`."""

    model: str
    objective: str
    protocol: str

    @property
    def facts(self) -> dict[str, str]:
        """The columns of a table of results that choose it."""
        return {"model": self.model, "protocol": self.protocol, "objective": self.objective}

    def training(self, sigma: float) -> dict[str, str]:
        """The columns that choose how its priors of level `sigma` were trained: noise-free, or fine-tuned on noise."""
        if not self.objective:
            return {"training": "", "noise": ""}
        return trained("fine-tuned", own_noise(self.objective)) if sigma else trained("noise-free")


ORACLE_PRESET = Preset("oracle", "", "oracle")
FLOW = {
    RELEASED: Preset("flowavenet", "quarter_log_det", "log_pz"),
    EXACT: Preset("flowavenet", "likelihood", "log_prob"),
    ORACLE: ORACLE_PRESET,
}
WAVENET = {
    RELEASED: Preset("wavenet", "sigmoid", "mean_sigmoid"),
    EXACT: Preset("wavenet", "likelihood", "log_prob"),
    ORACLE: ORACLE_PRESET,
}
BY_MODEL = {"flowavenet": FLOW, "wavenet": WAVENET}
_OF_PROTOCOL = {one.protocol: name for presets in BY_MODEL.values() for name, one in presets.items()}
_OF_OBJECTIVE = {one.objective: name for presets in BY_MODEL.values() for name, one in presets.items()}


def trained(training: str, noise: str = "") -> dict[str, str]:
    """The columns that choose a way of training and its noise."""
    return {"training": training, "noise": noise}


def read_as(protocol: str) -> str:
    """The preset that a protocol belongs to."""
    return _OF_PROTOCOL[protocol]


def trained_as(objective: str) -> str:
    """The preset that an objective belongs to; without one the oracle."""
    return _OF_OBJECTIVE[objective]


def like_for_like(table: pd.DataFrame) -> pd.Series:
    """Which rows are read under the protocol of the preset that they were trained for; the oracle's always are."""
    objective = table["objective"].fillna("")
    return (objective == "") | (table["protocol"].map(_OF_PROTOCOL) == objective.map(_OF_OBJECTIVE))
