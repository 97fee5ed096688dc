"""Figures of spectral priors: what stands in which panel."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import same_color

from srcsep_core.show.spectral_figures import (
    falls_figure,
    followed_figure,
    gradients_figure,
    paths_figure,
    space_style,
    spaces_figure,
)
from srcsep_core.show.styles import source_style

SPACES, NAMES = ("time", "log-mel", "log-stft"), ("sine", "saw")


@pytest.fixture(autouse=True)
def clean_pyplot() -> Iterator[None]:
    yield
    plt.close("all")


def test_every_space_has_its_look_in_every_panel() -> None:
    measures = ("auroc", "ratio_auroc", "accuracy")
    ends = {f"{name}{end}": 0.9 for name in measures for end in ("", "_low", "_high")}
    worst = pd.DataFrame([{"space": space, "prior": name, **ends} for space in SPACES for name in NAMES])
    axes = spaces_figure(worst).axes
    assert len(axes) == 3 and [text.get_text() for text in axes[0].get_xticklabels()] == list(NAMES)
    for ax in axes:
        looks = [container.lines[0] for container in ax.containers]
        assert [line.get_marker() for line in looks] == [space_style(space).marker for space in SPACES]
        assert all(same_color(line.get_color(), space_style(s).colour) for line, s in zip(looks, SPACES, strict=True))


def test_falls_are_drawn_in_both_units() -> None:
    rows = [
        {"space": space, "prior": name, "data_sigma": sigma, "fall": 2 * sigma, "fall_in_spreads": 9 * sigma}
        for space in SPACES
        for name in NAMES
        for sigma in (0.0, 0.01, 0.1)
    ]
    axes = np.array(falls_figure(pd.DataFrame(rows)).axes).reshape(2, 2)
    for row, factor in zip(axes, (2, 9), strict=True):
        for ax in row:
            assert [line.get_label() for line in ax.lines] == list(SPACES)
            np.testing.assert_allclose(ax.lines[1].get_ydata(), factor * np.array([0.01, 0.1]))


def test_gradients_stand_below_their_signals() -> None:
    signals = {name: torch.full((5,), float(k)) for k, name in enumerate(NAMES)}
    gradients = {space: {name: x + 10 for name, x in signals.items()} for space in SPACES[1:]}
    axes = np.array(gradients_figure(signals, gradients, 1000).axes).reshape(3, 2)
    assert [ax.get_title() for ax in axes[0]] == list(NAMES)
    assert axes[0, 1].lines[0].get_ydata()[0] == 1 and axes[2, 1].lines[0].get_ydata()[0] == 11


def test_what_was_followed_is_drawn_over_the_truth_with_both_spectra_on_one_scale() -> None:
    truth = {name: torch.zeros(6) for name in NAMES}
    features = {name: (torch.linspace(-2, 1, 8).view(2, 4), torch.ones(2, 4)) for name in NAMES}
    axes = np.array(followed_figure(truth, {n: x + 1 for n, x in truth.items()}, features, 1000).axes).reshape(2, 3)
    for row, name in zip(axes, NAMES, strict=True):
        known, followed = row[0].lines
        assert not known.get_ydata().any() and same_color(followed.get_color(), source_style(name).colour)
        assert {ax.images[0].get_clim() for ax in row[1:]} == {(-2.0, 1.0)}


def test_paths_are_drawn_beside_what_is_usual() -> None:
    rows = [
        {"space": space, "source": name, "step": step, "value": step - 5.0, "usual": 0.5}
        for space in SPACES[1:]
        for name in NAMES
        for step in range(3)
    ]
    axes = paths_figure(pd.DataFrame(rows)).axes
    assert [ax.get_title() for ax in axes] == list(SPACES[1:])
    for ax in axes:
        assert [line.get_ydata()[0] for line in ax.lines[:-1]] == [-5.0, -5.0, 0.5, 0.5]
        assert ax.lines[-1].get_label() == "own signals, median"
