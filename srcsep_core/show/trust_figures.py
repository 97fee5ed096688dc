"""How far verdicts on separations can be relied on."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from srcsep_core.show.styles import GUIDE, OTHER

AIM = {"caught": 0.95, "doubted": 0.05}


def trust_figure(curves: pd.DataFrame, found: pd.DataFrame) -> Figure:
    """The ROC and the calibration of verdicts (`separate.calibration.curves`); the aim is shaded.

    `found`: what the threshold in use comes to (`separate.calibration.detection`), marked with its intervals.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    roc = curves[curves["curve"] == "roc"]
    left.fill_between([0, AIM["doubted"]], AIM["caught"], 1, color="0.9", zorder=0, label="aim")
    left.plot([0, 1], [0, 1], **GUIDE)
    left.plot(roc["x"], roc["y"], color=OTHER.colour, drawstyle="steps-post", label="every threshold")
    doubted, caught = found.loc["false alarms"], found.loc["caught"]
    left.errorbar(
        doubted["share"],
        caught["share"],
        xerr=[[doubted["share"] - doubted["low"]], [doubted["high"] - doubted["share"]]],
        yerr=[[caught["share"] - caught["low"]], [caught["high"] - caught["share"]]],
        color="black",
        marker="o",
        linestyle="",
        capsize=2,
        label="the threshold in use",
    )
    left.set(xlabel="share of right results doubted", ylabel="share of wrong results caught")
    fit = curves[curves["curve"] == "calibration"]
    spread = [fit["y"] - fit["low"], fit["high"] - fit["y"]]
    right.plot([0, 1], [0, 1], **GUIDE)
    right.errorbar(fit["x"], fit["y"], yerr=spread, color="black", marker="s", linestyle="", capsize=2)
    right.set(xlabel="probability said", ylabel="share of right results", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    left.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
