"""How well verdicts are calibrated: labelled recordings separated, the model fitted to some and checked on others.

`JudgeCases` is the long part, a step whose values are kept. `fit` makes the model of the recordings drawn with
`cases.FIT_SEED`; `judged` gives the verdicts on others, which no number of the model comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from srcsep_core.config import resolved
from srcsep_core.progress import Progress
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import VALUES, TrainPriors, prior_step
from srcsep_core.run.steps.base import Context, Step
from srcsep_core.separate.cases import HELD_OUT_SEED, CaseBook, draw_case, worst_by_window
from srcsep_core.separate.evidence import FEATURES
from srcsep_core.separate.job import separate_audio
from srcsep_core.separate.searching import SearchConfig
from srcsep_core.separate.settings import SeparateConfig
from srcsep_core.separate.trust import WHOLE, Logistic, TrustModel, verdict, whole_features

FOLDS = 5
CASE = ["kind", "number"]


@dataclass(frozen=True)
class JudgeCases(Step):
    """Cases number `first` to `first + count - 1` of a kind, separated with the denoiser and the default sampler.

    Case n is as long as the n-th of `lengths_s` (s), over and over. The version is raised when the code of the search
    or of the evidence changes what is found.

    The values have a row for every window that is not silent: kind, number, sources_named, sources_true,
    worst_si_sdr (dB, of the whole recording), window_si_sdr (dB), residual_db of the recording (`whole_residual_db`),
    and the evidence (`evidence.FEATURES`).
    """

    trained: TrainPriors
    kind: str
    first: int
    count: int
    seed: int
    lengths_s: tuple[float, ...]
    search: SearchConfig = field(default_factory=SearchConfig)
    precision: str = "rounded"

    name = "judged"
    version = 3

    @property
    def title(self) -> str:
        kind = self.kind.replace(" ", "_")
        return f"judged-{kind}-{self.seed}-{self.first}-{self.count}-{self.key[:8]}"

    @property
    def parents(self) -> tuple[Step, ...]:
        return (self.trained,)

    @property
    def config(self) -> dict[str, Any]:
        search = resolved(replace(self.search, workers=0))
        facts = {"kind": self.kind, "first": self.first, "count": self.count, "seed": self.seed}
        return {
            **facts,
            "lengths_s": list(self.lengths_s),
            "search": search,
            "precision": self.precision,
            "data": self.trained.data.fingerprint,
        }

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        world = self.trained.data
        config = SeparateConfig(
            profile=self.trained.label,
            variant=world.variant,
            device=context.device.type,
            precision=self.precision,
            search=replace(self.search, workers=1),  # the cases of other steps run beside it
        )
        rows = []
        with Progress(self.count, self.title, show=context.progress) as bar:
            for number in range(self.first, self.first + self.count):
                seconds = self.lengths_s[number % len(self.lengths_s)]
                case = draw_case(world, self.kind, number, self.seed, seconds)
                result = separate_audio(case.mix, case.sample_rate, case.named, config)
                evidence = result.evidence[0]
                window = int(result.report["settings"]["window"])
                starts = (evidence["start_s"] * case.sample_rate).round().astype(int).tolist()
                worst, by_window = worst_by_window(case, result.stems[:, 0], starts, window)
                facts = {
                    "kind": self.kind,
                    "number": number,
                    "sources_named": "+".join(case.named),
                    "sources_true": "+".join(case.true),
                    "worst_si_sdr": worst,
                    "whole_residual_db": result.report["residual_db"],
                    "seconds": result.report["seconds"],
                }
                rows.append(evidence.assign(window_si_sdr=by_window, **facts))
                bar.advance()
        pd.concat(rows, ignore_index=True).to_csv(folder / VALUES, index=False, float_format="%.6g")
        return {"device": context.device.type}


def windows_of(pipeline: Pipeline, steps: Sequence[JudgeCases]) -> pd.DataFrame:
    """The labelled windows of all steps, which are made where they are not yet."""
    tables = [pd.read_csv(pipeline.run(step) / VALUES, dtype={"better": str}) for step in steps]
    return pd.concat(tables, ignore_index=True).fillna({"better": ""})


def calibration_steps(profile: Profile, book: CaseBook, seed: int, count: int, each: int = 4) -> list[JudgeCases]:
    """The steps for `count` cases of every kind, `each` a step; the seed is `cases.FIT_SEED` or `HELD_OUT_SEED`.

    With the second the kinds are there as well that nothing is fitted to.
    """
    trained = prior_step(profile, "denoiser", variant=book.variant)
    return [
        JudgeCases(trained, kind, first, min(each, count - first), seed, book.lengths_s)
        for first in range(0, count, each)
        for kind in (*book.kinds, *(book.unfitted if seed == HELD_OUT_SEED else ()))
    ]


def fit(
    windows: pd.DataFrame, made_with: Mapping[str, str] | None = None, right_db: float = TrustModel.right_db
) -> TrustModel:
    """The model of labelled windows (`JudgeCases`), which were `made_with` what `TrustModel` says.

    A window or recording is right if every source is above `right_db` (SI-SDR).

    The regression of the whole recording is made of log-odds that the windows' one gives for recordings it was not
    fitted to (5 folds), and the thresholds are where as large a share of right ones as of wrong ones falls on the wrong
    side in the same way.
    """
    right = (windows["window_si_sdr"] > right_db).to_numpy()
    logits = _out_of_fold(windows, list(FEATURES), right, _groups(windows))
    window = _logistic(windows, FEATURES, right, _balanced(logits, right))
    cases, labels = _wholes(windows, logits, right_db)
    held = _out_of_fold(cases, list(WHOLE), labels, np.arange(len(cases)))
    whole = _logistic(cases, list(WHOLE), labels, _balanced(held, labels))
    return TrustModel(window, whole, dict(made_with or {}), right_db)


def judged(windows: pd.DataFrame, model: TrustModel) -> pd.DataFrame:
    """The verdict of a model on every recording of labelled windows, one row each."""
    rows = []
    for (kind, _), evidence in windows.groupby(CASE, sort=False):
        first = evidence.iloc[0]
        found = verdict([evidence], str(first["sources_named"]).split("+"), model.made_with, model)
        rows.append(
            {
                "case": kind,
                "sources_named": first["sources_named"],
                "sources_true": first["sources_true"],
                "n": len(evidence),
                "worst_si_sdr": first["worst_si_sdr"],
                "right": bool(first["worst_si_sdr"] > model.right_db),
                "p_trust": found.p,
                "verdict": found.facts["verdict"],
                "residual_db": first["whole_residual_db"],
                "doubt_db": evidence["doubt_db"].median(),
                "disagreement": evidence["disagreement"].max(),
            }
        )
    return pd.DataFrame(rows)


def detection(table: pd.DataFrame) -> pd.DataFrame:
    """Of verdicts (`judged`): how many wrong results are caught, and right ones doubted (`false alarms`).

    Two rows: share, its exact binomial interval (95 %; low, high), and n, of how many.
    """
    right, doubted = table["right"], _doubted(table)
    rows = {}
    for name, some in (("caught", doubted[~right]), ("false alarms", doubted[right])):
        share = binomtest(int(some.sum()), len(some)).proportion_ci()
        rows[name] = {"share": some.mean(), "low": share.low, "high": share.high, "n": len(some)}
    return pd.DataFrame(rows).T.astype({"n": int})


def mistaken(table: pd.DataFrame) -> pd.DataFrame:
    """The verdicts (`judged`) that are wrong: wrong results that are trusted, and right ones that are doubted."""
    return table[table["right"] == _doubted(table)]


def _doubted(table: pd.DataFrame) -> pd.Series:
    return table["verdict"] != "trust"


def _groups(windows: pd.DataFrame) -> np.ndarray:
    """The number of the recording of every window."""
    found: np.ndarray = windows.groupby(CASE, sort=False).ngroup().to_numpy()
    return found


def _wholes(windows: pd.DataFrame, logits: np.ndarray, right_db: float) -> tuple[pd.DataFrame, np.ndarray]:
    """`WHOLE` of every recording, and whether it is right."""
    groups = _groups(windows)
    parts = [whole_features(logits[groups == group]) for group in range(groups.max() + 1)]
    worst = windows.groupby(CASE, sort=False)["worst_si_sdr"].first()
    return pd.concat(parts, ignore_index=True), (worst > right_db).to_numpy()


def _logistic(table: pd.DataFrame, features: Sequence[str], right: np.ndarray, threshold: float) -> Logistic:
    x = table[list(features)].to_numpy(dtype=float)
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    empty = Logistic(tuple(features), tuple(mean.tolist()), tuple(scale.tolist()), (1.0,) * x.shape[1], 0.0, 0.5)
    fitted = LogisticRegression(C=1.0, max_iter=1000).fit(empty.parts(table), right)
    return replace(
        empty, weights=tuple(fitted.coef_[0].tolist()), bias=float(fitted.intercept_[0]), threshold=threshold
    )


def _out_of_fold(table: pd.DataFrame, features: list[str], right: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The log-odds of every row by regressions that were fitted to other recordings."""
    logits = np.zeros(len(table))
    for fitted, held in GroupKFold(FOLDS).split(table, right, groups):
        logits[held] = _logistic(table.iloc[fitted], features, right[fitted], 0.5).logit(table.iloc[held])
    return logits


def _balanced(logits: np.ndarray, right: np.ndarray) -> float:
    """The probability at which the share of wrong ones above is that of right ones below, or as near as can be."""
    candidates = np.sort(logits)
    worse = [max((logits[~right] >= at).mean(), (logits[right] < at).mean()) for at in candidates]
    best = int(np.argmin(worse))
    middle = (candidates[best] + candidates[max(0, best - 1)]) / 2
    return float(1 / (1 + np.exp(-middle)))


def curves(table: pd.DataFrame, bins: int = 5) -> pd.DataFrame:
    """The ROC and the calibration of verdicts (`judged`), one row a point: curve, x, y, low, high, n.

    roc: the share of right results that would be doubted (x) and of wrong ones that would be caught (y), for every
    threshold. calibration: the mean probability (x) of a fifth of the results, in order, and the share of right ones
    among them (y) with its exact binomial interval (95 %).
    """
    table = table.dropna(subset="p_trust").sort_values("p_trust", kind="stable")
    right, p = table["right"].to_numpy(), table["p_trust"].to_numpy()
    rows: list[dict[str, Any]] = []
    for at in (0.0, *np.unique(p), np.inf):
        caught, doubted = float((p[~right] < at).mean()), float((p[right] < at).mean())
        rows.append({"curve": "roc", "x": doubted, "y": caught, "low": np.nan, "high": np.nan, "n": len(p)})
    for some in np.array_split(np.arange(len(p)), bins):
        share = binomtest(int(right[some].sum()), len(some)).proportion_ci()
        facts = {"x": float(p[some].mean()), "y": float(right[some].mean()), "low": share.low, "high": share.high}
        rows.append({"curve": "calibration", **facts, "n": len(some)})
    return pd.DataFrame(rows)


def auroc(table: pd.DataFrame) -> float:
    """The probability that a right result has a higher p than a wrong one."""
    return float(roc_auc_score(table["right"], table["p_trust"]))


def by_kind(table: pd.DataFrame) -> pd.DataFrame:
    """Verdicts (`judged`) by kind of recording: n, right, right_doubted, wrong, wrong_doubted."""
    right, doubted = table["right"], _doubted(table)
    facts = table.assign(n=1, right=right, right_doubted=right & doubted, wrong=~right, wrong_doubted=~right & doubted)
    counted = ["n", "right", "right_doubted", "wrong", "wrong_doubted"]
    return facts.groupby("case", sort=False)[counted].sum().reset_index()
