"""Figures: what is written in them, colours that can be told apart, files that do not change between runs."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from srcsep_core.data.toy import SOURCES
from srcsep_core.errors import InputError
from srcsep_core.show import styles
from srcsep_core.show.plots import (
    cross_likelihood_figure,
    likelihood_norm,
    matrix,
    readable_on,
    save_figure,
    set_style,
    short_number,
    source_grid,
)

RATE = 14_700


@pytest.fixture(autouse=True)
def clean_pyplot() -> Iterator[None]:
    """Every test starts with our style and leaves neither figures nor settings behind."""
    with plt.rc_context():
        set_style()
        yield
    plt.close("all")


def signals(length: int = 2048) -> dict[str, np.ndarray]:
    time = np.arange(length) / RATE
    return {name: np.sin(2 * np.pi * 300 * (k + 1) * time) for k, name in enumerate((*SOURCES, "mix"))}


def table() -> pd.DataFrame:
    values = [[4.83, -2.4e7, -12.5, np.nan], [0.0, 5.2, -312.4, 1.0], [3.0, 2.0, 1.0, 0.04], [-1.0, 9.0, -5e3, 4.6]]
    return pd.DataFrame(values, index=list(SOURCES), columns=list(SOURCES))


def luminance(colour: Any) -> float:
    """Relative luminance of WCAG 2.1, from 0 (black) to 1 (white)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: Any, second: Any) -> float:
    """Contrast ratio of WCAG 2.1, from 1 to 21."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    "background",
    [*(style.colour for style in styles.source_styles().values()), styles.OTHER.colour, "white", "#777777"],
)
def test_text_is_readable_on_its_background(background: str) -> None:
    chosen = readable_on(background)
    assert contrast(chosen, background) > 4.5
    assert contrast(chosen, background) == max(contrast(c, background) for c in ("black", "white"))


def test_source_grid_has_a_labelled_row_for_each_signal() -> None:
    shown = signals()
    figure = source_grid(shown, RATE, duration_s=0.02)
    *rows, colour_bar = figure.axes
    waves, spectrograms = rows[0::2], rows[1::2]
    assert [ax.get_title(loc="left") for ax in waves] == list(shown)
    assert [ax.lines[0].get_color() for ax in waves] == [styles.source_style(name).colour for name in shown]
    assert {ax.get_ylabel() for ax in waves} == {"amplitude"}
    assert {ax.get_ylabel() for ax in spectrograms} == {"frequency / kHz"}
    assert (waves[-1].get_xlabel(), spectrograms[-1].get_xlabel()) == ("time / ms", "time / s")
    assert colour_bar.get_ylabel() == "magnitude / dB"
    assert len({ax.images[0].get_clim() for ax in spectrograms}) == 1


def test_source_grid_plots_the_signal_in_its_units() -> None:
    figure = source_grid(signals(), RATE, duration_s=0.02)
    wave, spectrogram = figure.axes[:2]
    time_ms, amplitude = (np.asarray(values, dtype=float) for values in wave.lines[0].get_data())
    assert len(time_ms) == 294
    assert time_ms[-1] == pytest.approx(293 / RATE * 1e3)
    np.testing.assert_allclose(amplitude, signals()["sine"][:294], atol=1e-6)
    assert wave.get_xlim() == pytest.approx((0, 20))
    assert spectrogram.get_xlim() == pytest.approx((0, 2048 / RATE))
    assert spectrogram.get_ylim() == pytest.approx((0, RATE / 2e3))
    image = spectrogram.images[0]
    levels = image.get_array()
    assert levels is not None
    left, right, bottom, top = image.get_extent()
    loudest = int(np.argmax(levels[:, 0]))
    assert bottom + (loudest + 0.5) * (top - bottom) / len(levels) == pytest.approx(
        0.3, abs=(top - bottom) / len(levels)
    )
    assert 0 <= left < right <= 2048 / RATE


def test_source_grid_shows_a_single_short_or_silent_signal() -> None:
    assert len(source_grid({"vocals": np.zeros(128)}, RATE, duration_s=9.0).axes) == 3


@pytest.mark.parametrize(
    ("shown", "duration_s", "value", "remedy"),
    [
        ({}, None, "0 tracks", "pass at least one"),
        ({"sine": np.ones(127)}, None, "127 samples", "use longer ones"),
        ({"sine": np.full(500, np.nan)}, None, "500 of 500 samples of track 'sine'", "clean or drop"),
        ({"sine": np.ones(500), "saw": np.ones(501)}, None, "sine 500, saw 501", "cut them to 500"),
        ({"sine": np.ones(500)}, 0.0, "duration_s is 0.0", "use for example 0.02"),
    ],
)
def test_source_grid_names_bad_input(
    shown: dict[str, np.ndarray], duration_s: float | None, value: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        source_grid(shown, RATE, duration_s=duration_s)
    assert value in str(caught.value)
    assert remedy in str(caught.value)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-2.4e7, "-2e7"),
        (4.83, "4.8"),
        (9.97, "10"),
        (-12.4, "-12"),
        (-312.4, "-312"),
        (999.7, "1e3"),
        (-1234.0, "-1e3"),
        (0.5, "0.5"),
        (0.097, "0.1"),
        (-0.04, "-0.04"),
        (0.0004, "4e-4"),
        (1e12, "1e12"),
        (0.0, "0"),
        (-0.0, "0"),
        (float("nan"), "n/a"),
        (float("-inf"), "-inf"),
    ],
)
def test_short_number(value: float, text: str) -> None:
    assert short_number(value) == text


def test_matrix_writes_the_numbers_and_names_its_axes() -> None:
    ax = plt.figure().subplots()
    image = matrix(ax, table())
    written = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}
    assert len(written) == 16
    assert written[0, 0] == "4.8"
    assert written[0, 1] == "-2e7"
    assert written[0, 3] == "n/a"
    assert written[1, 2] == "-312"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("prior", "data (source)")
    assert [label.get_text() for label in ax.get_xticklabels()] == list(SOURCES)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(SOURCES)
    values = np.ma.masked_invalid(table().to_numpy())
    for text in ax.texts:
        column, row = (round(position) for position in text.get_position())
        assert contrast(text.get_color(), image.to_rgba(values)[row, column][:3]) > 4.5


def test_a_missing_value_is_grey() -> None:
    image = matrix(plt.figure().subplots(), table())
    assert image.to_rgba(np.ma.masked_invalid(table().to_numpy()))[0, 3, :3].tolist() == pytest.approx([0.85] * 3)


def test_the_colour_scale_diverges_around_zero_and_keeps_order() -> None:
    norm = likelihood_norm(table())
    assert (norm.vmin, norm.vmax) == (-1e8, 10.0)
    values = np.array([-1e8, -2.4e7, -312.0, -1.0, 0.0, 0.5, 4.8, 10.0])
    depths = np.asarray(norm(values))
    assert depths[[0, 4, 7]].tolist() == pytest.approx([0, 0.5, 1])
    assert (np.diff(depths) > 0).all()
    np.testing.assert_allclose(np.asarray(norm.inverse(depths)), values, rtol=1e-9, atol=1e-9)


def test_an_empty_table_is_named() -> None:
    with pytest.raises(InputError, match=r"shape \(0, 0\); pass a row a source"):
        matrix(plt.figure().subplots(), pd.DataFrame())
    plt.close("all")
    with pytest.raises(InputError, match=r"shape \(0, 0\); pass a row a source"):
        cross_likelihood_figure({"one": table(), "two": pd.DataFrame()})
    with pytest.raises(InputError, match="0 panels; pass at least one"):
        cross_likelihood_figure({})
    assert plt.get_fignums() == []


def test_another_quantity_has_a_linear_scale_of_its_own() -> None:
    values = table()
    figure = cross_likelihood_figure({"one": values, "two": 2 * values}, label="mean sigmoid / %")
    bar = figure.axes[-1]
    both = np.concatenate([values.to_numpy(float), 2 * values.to_numpy(float)])
    assert bar.get_ylabel() == "mean sigmoid / %"
    assert bar.get_ylim() == pytest.approx((np.nanmin(both), np.nanmax(both)))


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_panels_share_one_colour_scale_and_one_bar(count: int) -> None:
    panels = {f"panel {k}": table() / 10.0**k for k in range(count)}
    figure = cross_likelihood_figure(panels)
    drawn = [ax for ax in figure.axes if ax.images]
    bars = [ax for ax in figure.axes if ax.get_ylabel() == "log-likelihood / (nats/sample)"]
    assert [ax.get_title() for ax in drawn] == list(panels)
    assert len({id(ax.images[0].norm) for ax in drawn}) == 1
    assert len(bars) == 1
    figure.canvas.draw()
    ticks = [label.get_text() for label in bars[0].get_yticklabels()]
    assert ticks == ["$-10^{8}$", "$-10^{6}$", "$-10^{4}$", "$-10^{2}$", "$0$", "$1$", "$10$"]


def test_long_titles_do_not_overlap() -> None:
    figure = cross_likelihood_figure({f"{k}: protocol log_pz, objective quarter_log_det": table() for k in range(4)})
    figure.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in figure.axes if ax.images]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_no_text_leaves_the_figure() -> None:
    figures = [source_grid(signals(), RATE), cross_likelihood_figure({"one": table(), "two": table()})]
    for figure in figures:
        figure.canvas.draw()
        width, height = figure.canvas.get_width_height()
        box = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
        assert box.x0 > -1
        assert box.y0 > -1
        assert box.x1 < width + 1
        assert box.y1 < height + 1


def test_files_are_the_same_twice(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        png, pdf = save_figure(source_grid(signals(), RATE), tmp_path / folder, "grid")
        assert (png, pdf) == (tmp_path / folder / "grid.png", tmp_path / folder / "grid.pdf")
        save_figure(cross_likelihood_figure({"one": table()}), tmp_path / folder, "cross")
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == ["cross.pdf", "cross.png", "grid.pdf", "grid.png"]
    for name in names:
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("first", "second"))
        assert first == second
        assert first.startswith(b"%PDF" if name.endswith("pdf") else b"\x89PNG")
        assert b"CreationDate" not in first


def test_a_failed_save_keeps_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = cross_likelihood_figure({"one": table()})
    paths = save_figure(figure, tmp_path, "cross")
    before = [path.read_bytes() for path in paths]
    original = Figure.savefig

    def fail_on_pdf(self: Figure, path: Path, **options: object) -> None:
        original(self, path, **options)  # type: ignore[arg-type]
        if options["format"] == "pdf":
            raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail_on_pdf)
    with pytest.raises(OSError, match="disk full"):
        save_figure(source_grid(signals(), RATE), tmp_path, "cross")
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("name", ["", "a/b", "../x", "/tmp/x"])
def test_a_figure_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="plain file name; use for example"):
        save_figure(plt.figure(), tmp_path / "folder", name)
    assert list(tmp_path.iterdir()) == []
