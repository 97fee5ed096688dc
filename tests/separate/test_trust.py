"""Verdicts follow the evidence, name windows and reasons, and are fitted to some recordings and checked on others."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from srcsep_core.paths import REFERENCE, measured_table
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import prior_step
from srcsep_core.separate.calibration import auroc, by_kind, curves, detection, fit, judged, mistaken
from srcsep_core.separate.cases import BOOKS
from srcsep_core.separate.evidence import FEATURES
from srcsep_core.separate.settings import SeparateConfig
from srcsep_core.separate.trust import TrustModel, Verdict, trust_model, verdict, whole_features
from srcsep_core.show.trust_figures import AIM, trust_figure

GOOD = {"residual_db": -38, "doubt_db": -33, "error": -0.8, "error_wide": -0.9, "margin": -0.5, "loudness_db": 0.5}
GOOD |= {"disagreement": 0.01, "rival": 2.0}
BAD = {"residual_db": -27, "doubt_db": -12, "error": -0.05, "error_wide": -0.3, "margin": 0.02, "loudness_db": 4.0}
BAD |= {"disagreement": 0.4, "rival": 0.1}
USED = {"world": "toy"}


def labelled(recordings: int, seed: int, spread: float = 0.15) -> pd.DataFrame:
    """Four windows of every recording, half of them right; some windows of wrong ones are right."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(recordings):
        wrong = number % 2
        for n in range(4):
            bad = wrong and n < 3
            centre, other = (BAD, GOOD) if bad else (GOOD, BAD)
            features = {f: centre[f] + spread * random.standard_normal() * (centre[f] - other[f]) for f in FEATURES}
            place = {"window": n, "start_s": 0.048 * n, "end_s": 0.048 * n + 0.064}
            labels = {"window_si_sdr": -3.0 if bad else 25.0, "worst_si_sdr": 2.0 if wrong else 24.0}
            names = {"kind": "wrong" if wrong else "right", "number": number, "sources_named": "sine+saw"}
            rows.append(features | place | labels | names | {"worst": 1, "better": "triangle" if bad else ""})
    return pd.DataFrame(rows).assign(sources_true="sine+saw", whole_residual_db=-30.0)


@pytest.fixture(scope="module")
def model() -> TrustModel:
    return fit(labelled(60, 0))


def test_fitted_to_some_it_tells_others_apart(model: TrustModel) -> None:
    table = judged(labelled(80, 1), model)
    found = detection(table)
    assert found["n"].to_dict() == {"caught": 40, "false alarms": 40}
    assert found["share"].to_dict() == {"caught": 1.0, "false alarms": 0.0}
    assert found.loc["caught", "low"] == pytest.approx(0.025 ** (1 / 40)) and found.loc["caught", "high"] == 1
    assert table.columns.tolist() == [
        *("case", "sources_named", "sources_true", "n", "worst_si_sdr", "right", "p_trust"),
        *("verdict", "residual_db", "doubt_db", "disagreement"),
    ]
    mixed_up = judged(labelled(80, 1).assign(worst_si_sdr=lambda t: 26 - t["worst_si_sdr"]), model)
    assert detection(mixed_up).loc["caught", "share"] == 0.0


def test_probabilities_are_those_that_were_seen() -> None:
    windows = labelled(300, 2, spread=1.2)
    p = fit(windows).window.probability(labelled(300, 3, spread=1.2))
    right = (labelled(300, 3, spread=1.2)["window_si_sdr"] > 10).to_numpy()
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        inside = (p >= low) & (p <= high)
        assert right[inside].mean() == pytest.approx(p[inside].mean(), abs=0.12)


def test_verdict_says_when_and_why(model: TrustModel) -> None:
    windows = labelled(2, 4)
    good, bad = windows[windows["number"] == 0], windows[windows["number"] == 1]
    trusted = verdict([good], ("sine", "saw"), USED, model)
    assert trusted.trust and trusted.doubtful == 0 and trusted.why == ()
    assert trusted.line.startswith("trust: all sources right with probability 0.9")
    doubted = verdict([bad], ("sine", "saw"), USED, model)
    assert not doubted.trust and doubted.doubtful == 3 and doubted.windows == 4
    assert np.allclose(doubted.spans, [(0.0, 0.16)])
    assert doubted.line.startswith("do not trust: ") and "3 of 4 windows doubtful (0.00-0.16 s)" in doubted.line
    assert doubted.facts["verdict"] == "do not trust" and doubted.facts["doubtful_s"] == [[0.0, 0.16]]
    assert verdict([good, bad], ("sine", "saw"), USED, model).p == doubted.p, "the worst channel counts"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"margin": 0.3, "better": "triangle"}, "triangle fits better than saw"),
        ({"disagreement": 0.9, "rival": 0.0}, "chains disagree"),
        (
            {"doubt_db": -5.0, "error": 0.3, "error_wide": 0.2},
            "the stems do not survive noising (-5 dB of the mix is left)",
        ),
        ({"residual_db": -3.0}, "the stems leave -3 dB of the mix"),
        ({"loudness_db": 20.0}, "a source is 20 dB from its usual level"),
    ],
)
def test_reason_is_what_speaks_most_against_it(changes: dict[str, object], reason: str, model: TrustModel) -> None:
    between = {name: (GOOD[name] + BAD[name]) / 2 for name in FEATURES}
    found = verdict([labelled(1, 5).assign(**between | changes)], ("sine", "saw"), USED, model)
    assert found.doubtful == 4 and found.why[0] == reason


def test_length_of_a_recording_changes_nothing_but_chance() -> None:
    random = np.random.default_rng(0)
    found = {n: [whole_features(random.normal(4, 2, n)).iloc[0] for _ in range(200)] for n in (21, 300)}
    short, long = (pd.DataFrame(rows).mean() for rows in found.values())
    assert (short - long).abs().max() < 0.3


def test_doubt_always_has_a_reason(model: TrustModel) -> None:
    stern = replace(model, whole=replace(model.whole, threshold=1.0), window=replace(model.window, threshold=1.0))
    assert not (found := verdict([labelled(1, 5)], ("sine", "saw"), USED, stern)).trust and found.why


def test_verdict_says_that_it_was_calibrated_with_something_else(model: TrustModel) -> None:
    known = replace(model, made_with={"sampler": "gibbs", "prior_key": "a"})
    said = [verdict([labelled(1, 4)], ("sine", "saw"), {"sampler": "gibbs", "prior_key": key}, known) for key in "ab"]
    assert "calibrated with another" not in said[0].line and "calibrated with another prior or sampler" in said[1].line
    assert said[0].p == said[1].p


def test_a_world_without_a_model_is_not_judged() -> None:
    said = [verdict([labelled(1, 4)], ("sine", "saw"), {"world": world}) for world in ("toy", "musdb18")]
    assert said[0].judged and not said[1].judged and not said[1].trust
    assert said[1].line == "not judged: no verdicts are calibrated for the world musdb18"


def test_what_was_not_asked_is_not_trusted(model: TrustModel) -> None:
    found = verdict([labelled(1, 6).assign(margin=math.nan)], ("sine", "saw"), USED, model)
    assert not found.trust and math.isnan(found.p) and found.facts["p_trust"] is None
    assert found.line == "not judged: there is no prior to judge it by"


def test_model_survives_its_file(model: TrustModel, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from srcsep_core.separate import trust

    monkeypatch.setattr(trust, "files", lambda _: tmp_path)
    trust_model.cache_clear()
    assert trust_model("toy") is None
    unknown = verdict([labelled(1, 7)], ("sine", "saw"), USED)
    assert unknown.line == "not judged: no verdicts are calibrated for the world toy"
    (tmp_path / "trust_toy.json").write_text(json.dumps(asdict(model)))  # type: ignore[operator]
    trust_model.cache_clear()
    assert trust_model("toy") == model and trust_model("rendered") is None
    monkeypatch.undo()
    trust_model.cache_clear()


def test_line_of_many_spans_stays_short() -> None:
    spans = tuple((n, n + 0.1) for n in range(9))
    assert "0.00-0.10, 1.00-1.10, 2.00-2.10, ... s" in Verdict(False, 0.1, 99, 9, spans, ()).line


def test_curves_and_counts_are_of_the_verdicts(model: TrustModel) -> None:
    table = judged(labelled(40, 8), model)
    assert auroc(table) == 1.0
    counts = by_kind(table).set_index("case")
    assert counts.loc["right"].tolist() == [20, 20, 0, 0, 0] and counts.loc["wrong"].tolist() == [20, 0, 0, 20, 20]
    assert mistaken(table).empty
    assert mistaken(table.assign(verdict="trust"))["case"].eq("wrong").sum() == 20
    points = curves(table)
    roc, calibration = (points[points["curve"] == name] for name in ("roc", "calibration"))
    assert roc["x"].is_monotonic_increasing and roc["y"].is_monotonic_increasing
    assert (roc[roc["y"] == 1]["x"] == 0).any(), "all caught, none doubted"
    assert calibration["n"].sum() == 40 and (calibration["low"] <= calibration["y"]).all()
    figure = trust_figure(points, detection(table))
    left, right = figure.axes
    (marked,) = left.containers
    assert marked.lines[0].get_xydata().tolist() == [[0, 1]]
    assert left.get_ylabel() == "share of wrong results caught" and right.get_xlabel() == "probability said"


def test_aim_is_not_excluded_on_recordings_that_the_shipped_model_was_not_fitted_to() -> None:
    """A wrong separation is distrusted in 95 % of the cases, a right one in 5 % at most, as far as so many can tell."""
    found = detection(pd.read_csv(measured_table("trust_toy")))
    assert found["n"].min() >= 40, found
    assert found.loc["caught", "high"] >= AIM["caught"] and found.loc["caught", "low"] > 0.8, found
    assert found.loc["false alarms", "low"] <= AIM["doubted"] and found.loc["false alarms", "high"] < 0.2, found


@pytest.mark.parametrize("world", BOOKS)
def test_shipped_model_is_of_the_shipped_denoiser_and_the_default_sampler(world: str) -> None:
    book = BOOKS[world]
    step = prior_step(get_profile(REFERENCE), "denoiser", variant=book.variant)
    shipped = trust_model(world)
    assert shipped is not None and shipped.right_db == book.right_db
    sampler = SeparateConfig(variant=book.variant).request.sampler
    assert shipped.made_with == {"world": world, "sampler": sampler, "prior_key": step.key}
