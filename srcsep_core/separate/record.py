"""What is written beside the stems: a summary that a person reads in a screen, of a report with every detail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from srcsep_core.separate.trust import SHOWN

SETTINGS = ("method", "sampler", "prior", "prior_key", "variant", "profile", "levels")


def summary_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a person wants to know first of a report of `separate_audio`, in that order."""
    settings = report["settings"]
    windows = [{"channel": one["channel"], **window} for one in report["channels"] for window in one["windows"]]
    worst = max(windows, key=lambda window: window["doubt_db"])
    judged = dict(report["trust"])
    judged["doubtful_s"] = judged["doubtful_s"][:SHOWN]
    return {
        **judged,
        "srcsep_version": report["srcsep_version"],
        "input": report["input"],
        "sources": settings["sources"],
        "sources_tried": report["sources_tried"][:SHOWN],
        "notes": report["notes"],
        "residual_db": round(report["residual_db"], 2),
        "most_doubtful_window": {name: worst[name] for name in ("channel", "start_s", "doubt_db")},
        "stereo": report["stereo"],
        "above_band_db": report["above_band_db"],
        "level_db": report["level_db"],
        "gain": [round(one, 4) for one in report["gain"]],
        "settings": {name: settings[name] for name in SETTINGS if name in settings},
        "seed": report["seed"],
        "seconds": report["seconds"],
    }


def readable_json(data: Mapping[str, Any]) -> str:
    """JSON with one line for every entry, in the order given."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in data.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
