"""The plots of the separation benchmark: what is drawn where, and legends that hide nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from benchmark_values import values
from matplotlib.figure import Figure

from srcsep_core.benchmark import controls
from srcsep_core.benchmark.field import subsets
from srcsep_core.benchmark.results import summarise_separation
from srcsep_core.data.toy import SOURCES
from srcsep_core.run.steps.choices import UNCONSTRAINED
from srcsep_core.show.plots import set_style
from srcsep_core.show.separation_figures import (
    beyond_classes,
    compute_curves,
    failure_bars,
    known_classes,
    share_by_prior,
)


@pytest.fixture
def style() -> Iterator[None]:
    """Our style for this test, and neither figures nor settings afterwards."""
    with plt.rc_context():
        set_style()
        yield
    plt.close("all")


def measured(si_sdr: Sequence[Sequence[float]], **facts: Any) -> dict[str, Any]:
    """A row of the table."""
    row: dict[str, Any] = {"variant": "whole_periods", "group": "causal", "control": ""}
    row |= {"world": "toy", "prior": "denoiser", "sampler": "gibbs"}
    row |= {"n_sources": 2, "sources": "sine+square", "n_mixes": 2, "seconds_per_mix": 1.0}
    row |= summarise_separation(values(si_sdr)) | facts
    return row | {"note": controls.words(row["control"])}


GOOD, HALF, BAD = [[30.0, 30.0]] * 4, [[30.0, 15.0], [15.0, 5.0]], [[5.0, -math.inf]] * 3


def texts(figure: Figure) -> list[str]:
    """What the legend of the figure says."""
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def check_legend_is_outside(figure: Figure) -> None:
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and figure.bbox.y0 <= box.y0
    for ax in figure.axes:
        around = ax.get_tightbbox()
        assert around is not None and box.y1 <= around.y0 + 1, "the legend lies below the axes"


def marks(figure: Figure, panel: int) -> list[tuple[float, float]]:
    """The points of a panel with an interval: (share, place)."""
    containers = figure.axes[panel].containers
    points = [container.lines[0].get_xydata()[0] for container in containers]  # type: ignore[attr-defined]
    return [(float(x), float(y)) for x, y in points]


def test_shares_by_prior_are_one_panel_a_number_of_sources(style: None) -> None:
    table = pd.DataFrame(
        [
            measured(GOOD, prior="oracle", group="oracle"),
            measured(HALF),
            measured(BAD, sampler="langevin"),
            measured(BAD, control=controls.ONE_CHAIN),
            measured(BAD, prior="flow-likelihood", sampler=UNCONSTRAINED, control=controls.TRUE_START),
            measured(HALF, n_sources=4, sources="+".join(SOURCES)),
        ]
    )
    order = ["oracle", "denoiser", "flow-likelihood", "pnf"]
    figure = share_by_prior(table, order)
    assert [ax.get_title() for ax in figure.axes] == ["2 sources", "4 sources"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == order
    assert texts(figure) == [
        "gibbs",
        "gibbs, no swaps, one chain",
        "langevin",
        "langevin-unconstrained, starts at the truth",
    ]
    assert figure.axes[0].yaxis_inverted()
    check_legend_is_outside(figure)
    first, second = marks(figure, 0), marks(figure, 1)
    assert [round(x, 6) for x, _ in first] == [1.0, 0.5, 0.0, 0.0, 0.0] and [x for x, _ in second] == [0.5]
    assert [round(y) for _, y in first] == [0, 1, 1, 1, 2] and len({y for _, y in first}) == 5
    assert len({round(y % 1, 6) for y in (first[0][1], first[1][1], second[0][1])}) == 1, "a height for every sampler"
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["not run"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["not run"] * 3
    faces = [container.lines[0].get_markerfacecolor() for container in ax.containers]  # type: ignore[attr-defined]
    assert [face == "white" for face in faces] == [False, False, False, True, False]


def test_shares_by_prior_show_the_pool_of_several_classes(style: None) -> None:
    parts = [measured(share, sources=name) for share, name in ((GOOD, "sine+square"), (BAD, "sine+saw"))]
    table = pd.DataFrame([*parts, measured(HALF, sources="any 2"), measured(GOOD, prior="pnf")])
    assert [x for x, _ in marks(share_by_prior(table, ["denoiser", "pnf"]), 0)] == [0.5, 1.0]


def test_shares_by_prior_at_another_threshold(style: None) -> None:
    figure = share_by_prior(pd.DataFrame([measured([[15.0, 15.0]] * 2)]), ["denoiser"], threshold_db=20)
    assert marks(figure, 0) == [(0.0, 0.0)] and "above 20 dB" in figure.axes[0].get_xlabel()


def test_known_classes_are_one_panel_a_variant(style: None) -> None:
    rows = [
        measured(values_of, group="known", variant=variant, sources="+".join(names), n_sources=len(names))
        for variant, values_of in (("whole_periods", GOOD), ("uniform_hz", HALF))
        for names in subsets(SOURCES)
    ]
    figure = known_classes(pd.DataFrame(rows))
    assert [ax.get_title() for ax in figure.axes] == ["toy variant whole_periods", "toy variant uniform_hz"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 11 and labels[-1] == f"{'+'.join(SOURCES)}  (n = 2)" and labels[0].count("+") == 1
    assert texts(figure) == ["10 dB", "20 dB"]
    check_legend_is_outside(figure)
    assert [x for x, _ in marks(figure, 0)] == [1.0] * 22
    assert [x for x, _ in marks(figure, 1)] == [0.5, 0.0] * 11


def test_settings_beyond_the_paper_are_named_by_their_notes(style: None) -> None:
    rows = [
        measured(GOOD, group="beyond", control=controls.SAME_CLASS, sources="saw+saw"),
        measured(HALF, group="beyond", control="sources:5", sources="+".join((*SOURCES, "sine")), n_sources=5),
    ]
    figure = beyond_classes(pd.DataFrame(rows))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["same class twice: saw+saw  (n = 2)", "5 sources  (n = 2)"] and figure.axes[0].yaxis_inverted()
    assert texts(figure) == ["10 dB", "20 dB"]
    check_legend_is_outside(figure)
    assert [x for x, _ in marks(figure, 0)] == [1.0, 1.0, 0.5, 0.0]


def test_failures_are_stacked_by_kind(style: None) -> None:
    kinds = [["swap", "swap", "none", "edge"], ["none", "none", "other", "other"]]
    rows = [summarise_separation(values([[0, 0]] * 2, failure=own)) for own in kinds]
    figure = failure_bars(pd.DataFrame(rows), ["first", "second"])
    (ax,) = figure.axes
    assert texts(figure) == ["swap", "edge", "other"], "kinds that do not occur are not shown"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    bars = {(bar.get_y() + 0.4, bar.get_x(), bar.get_width()) for bar in ax.patches if bar.get_width()}  # type: ignore[attr-defined]
    assert bars == {(0.0, 0.0, 0.5), (0.0, 0.5, 0.25), (1.0, 0.0, 0.5)}
    assert ax.get_xlim() == pytest.approx((0, 1.05 * 0.75))
    check_legend_is_outside(figure)


@pytest.mark.parametrize("rows", [0, 2])
def test_nothing_failed_is_an_empty_plot(rows: int, style: None) -> None:
    table = pd.DataFrame([measured(GOOD)] * 2).iloc[:rows]
    figure = failure_bars(table, ["good"] * rows)
    figure.canvas.draw()
    assert not figure.legends and not figure.axes[0].patches


def test_compute_is_a_line_a_number_of_levels(style: None) -> None:
    rows = [
        measured(share, group="compute", control=f"levels:{levels}", seconds_per_mix=levels * (1.0 + i), n_sources=4)
        for levels in (8, 24)
        for i, share in enumerate((BAD, HALF, GOOD))
    ]
    figure = compute_curves(pd.DataFrame(rows))
    assert [ax.get_title() for ax in figure.axes] == ["all sources above 10 dB", "all sources above 20 dB"]
    assert texts(figure) == ["8 levels", "24 levels"]
    check_legend_is_outside(figure)
    for ax, middle in zip(figure.axes, (0.5, 0.0), strict=True):
        assert [np.asarray(line.get_ydata()).tolist() for line in ax.lines] == [[0.0, middle, 1.0]] * 2
        assert [np.asarray(line.get_xdata()).tolist() for line in ax.lines] == [[8.0, 16.0, 24.0], [24.0, 48.0, 72.0]]
        assert len(ax.collections) == 2
