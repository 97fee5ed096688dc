"""The static grid beside the player: what it shows where, and what it refuses."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color

from srcsep_core.errors import InputError
from srcsep_core.show.listening_grid import listening_grid
from srcsep_core.show.styles import TRUTH, source_style

RATE = 8_000
LENGTH = 4_000


@pytest.fixture(autouse=True)
def closed_figures() -> object:
    yield
    plt.close("all")


def signals() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Estimates, references and a mix that is loud from 2000 to 2200 samples alone."""
    time = np.arange(LENGTH) / RATE
    references = {"sine": np.sin(2 * np.pi * 300 * time), "saw": 2 * (200 * time % 1) - 1}
    estimates = {name: 0.5 * reference for name, reference in references.items()}
    mix = 0.01 * references["sine"]
    mix[2000:2200] *= 50
    return estimates, references, mix


def test_rows_columns_units_and_colours() -> None:
    estimates, references, mix = signals()
    figure = listening_grid(estimates, references, mix, RATE)
    *axes, bar = figure.axes
    grid = np.array(axes).reshape(3, 3)
    assert [ax.get_title(loc="left") for ax in grid[:, 0]] == ["mix", "sine", "saw"]
    assert [ax.get_xlabel() for ax in grid[-1]] == ["time / ms", "time / s", "time / s"]
    assert [ax.get_ylabel() for ax in grid[-1]] == ["amplitude", "frequency / kHz", ""]
    assert bar.get_ylabel() == "magnitude / dB"
    assert [[len(ax.images) for ax in row] for row in grid] == [[0, 1, 0], [0, 1, 1], [0, 1, 1]]
    for name, row in zip(("sine", "saw"), grid[1:], strict=True):
        truth, estimate = row[0].lines
        assert same_color(truth.get_color(), TRUTH.colour)
        assert same_color(estimate.get_color(), source_style(name).colour)
        np.testing.assert_allclose(estimate.get_ydata(), 0.5 * np.asarray(truth.get_ydata()), atol=1e-6)
        assert [ax.get_title(loc="left") for ax in row[1:]] == ["truth", "estimate"]
        # Half the amplitude: 6 dB below the truth, in the same colours.
        pictures = [np.asarray(ax.images[0].get_array()) for ax in row[1:]]
        assert pictures[0].max() - pictures[1].max() == pytest.approx(6.02, abs=0.01)
    assert len({ax.images[0].get_clim() for row in grid for ax in row if ax.images}) == 1


def test_the_excerpt_is_where_the_mix_is_loudest() -> None:
    figure = listening_grid(*signals(), RATE, excerpt_s=0.02)
    line = figure.axes[0].lines[0]
    assert len(np.asarray(line.get_xdata())) == 160
    first, last = np.asarray(line.get_xdata())[[0, -1]]
    assert 250 <= first < last < 275


def test_the_legend_lies_in_the_empty_cell() -> None:
    figure = listening_grid(*signals(), RATE)
    assert [ax for ax in figure.axes if ax.get_legend()] == [figure.axes[2]]
    legend = figure.axes[2].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["truth", "estimate: sine", "estimate: saw"]
    assert not figure.axes[2].axison


def test_bad_signals_get_one_sentence() -> None:
    estimates, references, mix = signals()
    with pytest.raises(InputError, match=r"estimates are sine, saw but the references sine; pass one reference"):
        listening_grid(estimates, {"sine": references["sine"]}, mix, RATE)
    with pytest.raises(InputError, match=r"mix 3999, .* cut them to 3999"):
        listening_grid(estimates, references, mix[:-1], RATE)
    with pytest.raises(InputError, match=r"have 100 samples but a spectrogram needs 128"):
        short = {name: signal[:100] for name, signal in references.items()}
        listening_grid(short, short, mix[:100], RATE)
    with pytest.raises(InputError, match=r"excerpt_s is 0.0001"):
        listening_grid(estimates, references, mix, RATE, excerpt_s=1e-4)
