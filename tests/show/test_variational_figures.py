"""Figures of variational separation: what stands in which panel, and that looks are the tables'."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import same_color

from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.show.styles import prior_style, source_style
from srcsep_core.show.variational_figures import posterior_figure, separators_figure


@pytest.fixture(autouse=True)
def clean_pyplot() -> Iterator[None]:
    yield
    plt.close("all")


def test_a_posterior_is_drawn_around_its_mean_over_the_truth() -> None:
    names, location = ("sine", "saw"), torch.linspace(-0.5, 0.5, 8).expand(1, 2, 8)
    posteriors = {scale: TruncatedNormal(location, torch.full_like(location, scale)) for scale in (0.05, 0.1)}
    truth = torch.zeros(2, 8)
    titled = {f"scale {scale}": posterior for scale, posterior in posteriors.items()}
    figure = posterior_figure(titled, truth, names, sample_rate=1000, shown=6)
    axes = np.array(figure.axes).reshape(2, 2)
    assert [ax.get_title() for ax in axes[0]] == list(titled)
    for ax, name in zip(axes[:, 1], names, strict=True):
        known, mean = ax.lines
        assert not known.get_ydata().any() and same_color(mean.get_color(), source_style(name).colour)
        np.testing.assert_allclose(mean.get_ydata(), location[0, 0, :6], atol=1e-3)
        np.testing.assert_allclose(mean.get_xdata(), np.arange(6.0))
        low, high = ax.collections[0].get_datalim(ax.transData).intervaly
        assert high - low == pytest.approx(float(location[0, 0, 5] - location[0, 0, 0]) + 0.4, abs=0.01)


def test_every_separator_has_a_row_and_its_gap() -> None:
    rows = {"low": 1.0, "high": 3.0, "si_sdri_mean": 2.0, "seconds_per_mix": 0.1, "covered": 0.8, "levels": 0}
    table = pd.DataFrame(
        [
            {"prior": "denoiser", "separator": "encoder", "elbo": -2.0, "log_evidence": 1.0, **rows},
            {"prior": "", "separator": "nmf", **rows},
            {"prior": "denoiser", "separator": "gibbs", **rows, "levels": 8},
        ]
    )
    figure = separators_figure(table)
    first = figure.axes[0]
    assert [text.get_text() for text in first.get_yticklabels()] == [
        "denoiser, encoder",
        "nmf",
        "denoiser, gibbs, 8 levels",
    ]
    assert same_color(first.lines[0].get_color(), prior_style("denoiser").colour)
    gaps = figure.axes[2]
    assert gaps.get_xscale() == "log" and gaps.lines[0].get_xdata()[0] == pytest.approx(3.0)
    assert figure.axes[0].get_xscale() == "linear" and len(first.lines) == 6
    without = separators_figure(table.iloc[1:].assign(covered=float("nan"), elbo=float("nan")))
    assert [ax.get_xlabel() for ax in without.axes] == ["mean SI-SDRi / dB", "seconds a mix"]
