"""Figures of autoencoders: what stands in which panel, and that looks are the tables'."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import same_color

from srcsep_core.show.autoencoder_figures import (
    by_source_figure,
    codes_figure,
    reconstruction_figure,
    reconstruction_samples,
    usage_figure,
)
from srcsep_core.show.styles import family_style, source_style


@pytest.fixture(autouse=True)
def clean_pyplot() -> Iterator[None]:
    yield
    plt.close("all")


def test_what_is_given_back_is_drawn_over_the_truth_and_tabled() -> None:
    truth, names = torch.zeros(2, 8), ("sine", "saw")
    given = {"vae": torch.full((2, 8), 0.1), "vq-vae": torch.full((2, 8), 0.2)}
    figure = reconstruction_figure(given, truth, names, sample_rate=1000, shown=6)
    axes = np.array(figure.axes).reshape(2, 2)
    assert [ax.get_title() for ax in axes[0]] == list(given)
    known, own = axes[1, 1].lines
    assert not known.get_ydata().any() and same_color(own.get_color(), source_style("saw").colour)
    np.testing.assert_allclose(own.get_ydata(), 0.2)
    table = reconstruction_samples(given, truth, names, sample_rate=1000, shown=6)
    assert list(table) == ["time_ms", "sine_truth", "sine_vae", "sine_vq-vae", "saw_truth", "saw_vae", "saw_vq-vae"]
    assert table["time_ms"].tolist() == [0, 1, 2, 3, 4, 5]


def test_codes_have_a_panel_a_model_and_prior_with_the_colours_of_the_sources() -> None:
    rows = [
        {"model": m, "prior": p, "source": s, "first": 1.0, "second": 2.0, "first_share": 0.5, "second_share": 0.2}
        for m in ("vae", "beta-vae")
        for p in ("sine", "saw")
        for s in ("sine", "saw")
    ]
    figure = codes_figure(pd.DataFrame(rows))
    axes = np.array(figure.axes).reshape(2, 2)
    assert [ax.get_title() for ax in axes[0]] == ["sine prior", "saw prior"]
    assert axes[1, 0].get_ylabel().startswith("beta-vae")
    for line, name in zip(axes[0, 0].lines, ("sine", "saw"), strict=True):
        assert same_color(line.get_color(), source_style(name).colour)
    assert axes[0, 0].texts[0].get_text() == "70%"


def test_entries_are_drawn_by_rank_without_those_that_are_not_used() -> None:
    table = pd.DataFrame({"source": "saw", "rank": [1, 2, 3, 4], "share": [0.5, 0.5, 0.0, 0.0], "perplexity": 2.0})
    used, alike = usage_figure(table).axes[0].lines
    assert used.get_xdata().tolist() == [1, 2] and alike.get_ydata()[0] == 0.25


def test_models_stand_side_by_side_in_their_looks() -> None:
    rows = [
        {"model": m, "source": s, "auroc": 0.8, "auroc_low": 0.7, "auroc_high": 0.9}
        for m in ("vae", "vq-vae")
        for s in ("sine", "saw")
    ]
    (ax,) = by_source_figure(pd.DataFrame(rows), {"auroc": "AUROC"}).axes
    first, second = (container.lines[0] for container in ax.containers)
    assert (first.get_xdata() < second.get_xdata()).all() and ax.get_ylabel() == "AUROC"
    assert same_color(second.get_color(), family_style("vq-vae").colour)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["sine", "saw"]
