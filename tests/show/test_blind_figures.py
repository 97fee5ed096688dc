"""Figures of blind separation show what their tables say."""

import numpy as np
import pandas as pd
import pytest
import torch

from srcsep_core.blind.latents import latent_map
from srcsep_core.show.blind_figures import (
    map_figure,
    map_table,
    methods_figure,
    pictures_figure,
    pictures_table,
    slots_figure,
    slots_table,
    sweep_figure,
    wide_results,
)


def row(method: str, metric: str, value: float, printed: float = float("nan"), slots: int = 2) -> dict[str, object]:
    return {
        "world": "digits",
        "method": method,
        "supervision": "nothing",
        "sources": 2,
        "slots": slots,
        "metric": metric,
        "value": value,
        "low": value - 1,
        "high": value + 1,
        "printed": printed,
    }


TABLE = pd.DataFrame(
    [
        row("vaem", "psnr", 18.0, 26.7),
        row("vaem", "ssim", 0.9),
        row("irm", "psnr", 100.0),
        row("irm", "ssim", 1.0),
        row("vaem", "psnr", 12.0, slots=4),
        {**row("vaem", "psnr", 5.0), "world": "notes_5k"},
    ]
)


def test_a_row_a_method_and_number_of_slots() -> None:
    wide = wide_results(TABLE, "digits", 2)
    assert list(zip(wide["method"], wide["slots"], strict=True)) == [("vaem", 2), ("irm", 2), ("vaem", 4)]
    assert wide.loc[0, ["psnr", "psnr_low", "psnr_high", "psnr_printed", "ssim"]].tolist() == [18, 17, 19, 26.7, 0.9]


def test_what_is_exact_is_beyond_the_axis_and_printed_values_are_crosses() -> None:
    wide = wide_results(TABLE, "digits", 2)
    figure = methods_figure(wide[wide["slots"] == 2], ("psnr", "ssim"))
    first = figure.axes[0]
    assert 26.7 < first.get_xlim()[1] < 60
    crosses = [line for line in first.lines if line.get_label() == "printed"]
    assert np.nanmax(crosses[0].get_xdata()) == 26.7
    assert [label.get_text() for label in first.get_yticklabels()] == ["vaem (nothing)", "irm (nothing)"]


@pytest.mark.parametrize(("size", "origin"), [((8, 8), "upper"), ((16, 4), "lower")])
def test_every_picture_is_drawn(size: tuple[int, int], origin: str) -> None:
    rows = {"mix": torch.rand(3, *size), "part": torch.rand(2, *size)}
    figure = pictures_figure(rows)
    images = [image for ax in figure.axes for image in ax.images]
    assert len(images) == 5 and {image.origin for image in images} == {origin}
    np.testing.assert_allclose(images[1].get_array(), rows["mix"][1].numpy())
    table = pictures_table(rows)
    assert len(table) == 5 * size[0]
    part = table[(table["row"] == "part") & (table["picture"] == 1)]
    assert part["y"].tolist() == list(range(size[0]))
    drawn = part[[f"x{k}" for k in range(size[1])]].to_numpy()
    np.testing.assert_allclose(drawn, rows["part"][1].numpy(), atol=5e-4)


def test_a_map_has_a_label_a_point(generator: torch.Generator) -> None:
    found = latent_map(torch.randn(12, 4, generator=generator))
    labels = ["b", "v"] * 6
    figure = map_figure(found, labels, {"b": "bass", "v": "voice"})
    assert sorted(text.get_text() for text in figure.axes[0].texts) == sorted(labels)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["bass", "voice"]
    assert map_table(found, labels)["label"].tolist() == labels


def test_slots_and_sweep_show_their_tables() -> None:
    shares = {2: np.array([[0.6, 0.4], [0.8, 0.2]]), 3: np.array([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]])}
    table = slots_table(shares)
    assert table.groupby("slots")["rank"].max().to_dict() == {2: 2, 3: 3}
    assert table.set_index(["slots", "rank"]).loc[(2, 1), "median"] == pytest.approx(0.7)
    assert [ax.get_title() for ax in slots_figure(shares).axes] == ["2 slots", "3 slots"]
    sweep = pd.DataFrame({"beta": [0, 0.1], "psnr": [10, 18], "reconstruction": [1, 2], "divergence": [2, 0.5]})
    figure = sweep_figure(sweep)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["0", "0.1"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), sweep["psnr"])
