"""Whether to believe a separation: the probability that every source is right, and why not.

A source is right above 10 dB (SI-SDR) in mixes of toy waves, and above 5 dB in songs (`cases.BOOKS`).

A logistic regression of the evidence on a window (`evidence.FEATURES`) gives the probability that all of its sources
are right; another one, of the windows' log-odds, gives that of the whole recording. Both were fitted to labelled
recordings (`cases`), and checked on others (`calibration`); `trust_<world>.json` holds them, for each world one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from srcsep_core.separate.evidence import FEATURES

MODEL = "trust_{}.json"
LIMIT = 4.0  # standard deviations that a feature is clipped to
GROUPS = {
    "noising": ("doubt_db", "error", "error_wide"),
    "chains": ("disagreement", "rival"),
    "classes": ("margin",),
    "residual": ("residual_db",),
    "loudness": ("loudness_db",),
}
REASONS = 2
SHOWN = 3  # spans in a line and in the summary, and sets of sources tried
WHOLE = {"middle": 0.5, "low": 0.25, "tenth": 0.1}  # quantiles of the windows' log-odds, alike for any length


@dataclass(frozen=True)
class Logistic:
    """A logistic regression of `features`, each less its `mean`, over its `scale`, and clipped to 4.

    `threshold`: the probability from which on the answer is yes.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    threshold: float

    def parts(self, table: pd.DataFrame) -> np.ndarray:
        """What every feature adds to the log-odds, (N, F)."""
        z = (table[list(self.features)].to_numpy(dtype=float) - np.array(self.mean)) / np.array(self.scale)
        found: np.ndarray = np.clip(z, -LIMIT, LIMIT) * np.array(self.weights)
        return found

    def logit(self, table: pd.DataFrame) -> np.ndarray:
        """The log-odds, (N,)."""
        return self.parts(table).sum(axis=1) + self.bias

    def probability(self, table: pd.DataFrame) -> np.ndarray:
        """The probability, (N,)."""
        found: np.ndarray = 1 / (1 + np.exp(-self.logit(table)))
        return found


@dataclass(frozen=True)
class TrustModel:
    """`window`: that all sources of a window are right, of `FEATURES`; `whole`: of a recording, of `WHOLE`.

    `made_with`: the world, sampler and prior (`prior_key`) of the recordings that it was fitted to. Sources above
    `right_db` (SI-SDR) are right.
    """

    window: Logistic
    whole: Logistic
    made_with: Mapping[str, str] = field(default_factory=dict)
    right_db: float = 10.0


def whole_features(logits: np.ndarray) -> pd.DataFrame:
    """One row of `WHOLE` from the windows' log-odds (N,)."""
    return pd.DataFrame([{name: float(np.quantile(logits, q)) for name, q in WHOLE.items()}])


@cache
def trust_model(world: str) -> TrustModel | None:
    """The model for a world that comes with the package, if there is one."""
    path = files(__package__) / MODEL.format(world)
    if not path.is_file():
        return None
    found = json.loads(path.read_text())
    return TrustModel(_logistic(found.pop("window")), _logistic(found.pop("whole")), **found)


def _logistic(found: Mapping[str, Any]) -> Logistic:
    facts: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return Logistic(**facts)


@dataclass(frozen=True)
class Verdict:
    """Whether to believe a separation. `p` is NaN where nothing could be asked; `spans` (s) hold the doubtful windows.

    `why`: the reasons, the weightiest first; `doubtful` of `windows` windows are more likely wrong than right.
    `right_db`: what a source must be above to be right.
    """

    trust: bool
    p: float
    windows: int
    doubtful: int
    spans: tuple[tuple[float, float], ...]
    why: tuple[str, ...]
    right_db: float = TrustModel.right_db

    @property
    def judged(self) -> bool:
        """Whether there was anything to judge by."""
        return not math.isnan(self.p)

    @property
    def word(self) -> str:
        """The verdict in a word or three."""
        return ("trust" if self.trust else "do not trust") if self.judged else "not judged"

    @property
    def line(self) -> str:
        """One line for people."""
        if not self.judged:
            return f"{self.word}: {'; '.join(self.why)}"
        text = f"{self.word}: all sources right with probability {self.p:.2f}; "
        text += f"{self.doubtful} of {self.windows} windows doubtful"
        if self.spans:
            shown = ", ".join(f"{start:.2f}-{end:.2f}" for start, end in self.spans[:SHOWN])
            text += f" ({shown}{', ...' if len(self.spans) > SHOWN else ''} s)"
        return text + "".join(f"; {reason}" for reason in self.why)

    @property
    def facts(self) -> dict[str, Any]:
        """What is written."""
        return {
            "verdict": self.word,
            "p_trust": round(self.p, 4) if self.judged else None,
            "right_db": self.right_db,
            "windows": self.windows,
            "doubtful_windows": self.doubtful,
            "doubtful_s": [[round(start, 3), round(end, 3)] for start, end in self.spans],
            "why": list(self.why),
        }


def verdict(
    channels: Sequence[pd.DataFrame],
    names: Sequence[str],
    used: Mapping[str, str],
    model: TrustModel | None = None,
) -> Verdict:
    """The verdict on the evidence (`searching.Found.evidence`) of every channel; that of the worst channel counts.

    `names`: the classes of the sources. Without a `model` it is the one for the world that comes with the package.
    `used`: what separated, as in `TrustModel.made_with`; where the model was made with something else, the verdict says
    so.
    """
    model = model or trust_model(used["world"])
    every = pd.concat(channels, ignore_index=True)
    lacking = f"no verdicts are calibrated for the world {used['world']}" if model is None else ""
    if not lacking and every[list(FEATURES)].isna().any(axis=None):
        lacking = "there is no prior to judge it by"
    if model is None or lacking:
        return Verdict(False, math.nan, len(every), 0, (), (lacking,))
    whole = [whole_features(model.window.logit(evidence)) for evidence in channels if len(evidence)]
    p = min(float(model.whole.probability(one)[0]) for one in whole)
    doubtful = every[model.window.probability(every) < model.window.threshold]
    trust = p >= model.whole.threshold
    blamed = doubtful if trust or len(doubtful) else every
    why = _reasons(blamed, names, model) if len(blamed) else ()
    foreign = any(used.get(name) != value for name, value in model.made_with.items())
    why += ("the probability was calibrated with another prior or sampler",) if foreign else ()
    return Verdict(trust, p, len(every), len(doubtful), _spans(doubtful), why, model.right_db)


def _spans(doubtful: pd.DataFrame) -> tuple[tuple[float, float], ...]:
    """When the doubtful windows are, those that touch as one."""
    spans: list[tuple[float, float]] = []
    for start, end in sorted(zip(doubtful["start_s"], doubtful["end_s"], strict=True)):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((float(start), float(end)))
    return tuple(spans)


def _reasons(evidence: pd.DataFrame, names: Sequence[str], model: TrustModel) -> tuple[str, ...]:
    """The two groups of features that speak most against these windows, in words."""
    parts = pd.DataFrame(model.window.parts(evidence), columns=list(model.window.features)).mean()
    weights = {group: float(parts[list(features)].sum()) for group, features in GROUPS.items()}
    by_weight = sorted(weights, key=lambda group: weights[group])
    against = [group for group in by_weight if weights[group] < 0] or by_weight[:1]
    return tuple(_words(group, evidence, names) for group in against[:REASONS])


def _words(group: str, evidence: pd.DataFrame, names: Sequence[str]) -> str:
    middle = evidence[list(FEATURES)].median()
    if group == "classes":
        better = evidence[evidence["better"] != ""]
        if len(better):
            pairs = better["better"] + " fits better than " + better["worst"].map(lambda k: names[int(k)])
            return str(pairs.mode().iloc[0])
        return "no class fits much better than the others"
    if group == "chains":
        return "chains disagree"
    if group == "noising":
        return f"the stems do not survive noising ({middle['doubt_db']:.0f} dB of the mix is left)"
    if group == "residual":
        return f"the stems leave {middle['residual_db']:.0f} dB of the mix"
    return f"a source is {middle['loudness_db']:.0f} dB from its usual level"
