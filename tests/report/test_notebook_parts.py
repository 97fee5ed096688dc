"""What notebooks call to measure and to draw: on priors with a known answer, and from the committed tables."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from srcsep_core.audio import stft_magnitude_phase
from srcsep_core.data.toy import SOURCES
from srcsep_core.diagnostics.invertibility import inverse_errors
from srcsep_core.diagnostics.scores import denoising_table
from srcsep_core.diagnostics.typicality import worst_by_statistic
from srcsep_core.paths import project_root
from srcsep_core.priors.flow import FlowPrior
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.flowavenet import flowavenet
from srcsep_core.report.session import listed
from srcsep_core.show import prior_figures, signal_figures, training_figures
from srcsep_core.show.styles import source_style


class Shrink:
    """The posterior mean of a standard normal signal: x / (1 + sigma^2)."""

    def denoise(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x / (1 + sigma**2)


def committed(name: str) -> pd.DataFrame:
    return pd.read_csv(project_root() / "figures" / f"{name}.csv")


def test_inverse_is_exact_in_float64_and_the_priors_stay_as_they_are(
    tiny_flow: FlowConfig, perturb: Callable[..., None], generator: torch.Generator
) -> None:
    flow = flowavenet(tiny_flow)
    perturb(flow)
    priors = {name: FlowPrior(flow) for name in ("sine", "saw")}
    table = inverse_errors(priors, torch.rand(2, 2, 64, generator=generator))
    assert table.groupby("precision").size().to_dict() == {"float32": 4, "float64": 4}
    worst = table.groupby("precision")["error"].max()
    assert worst["float64"] < 1e-12 < worst["float32"] < 1e-4
    assert next(flow.parameters()).dtype == torch.float32


def test_denoising_table_has_every_wave_at_every_level(generator: torch.Generator) -> None:
    clean, noise = torch.randn(2, 1, 1, 8, generator=generator)
    table = denoising_table({"sine": Shrink(), "saw": Shrink()}, clean, noise, (0.5, 2.0), 5)
    assert len(table) == 2 * 2 * 5
    np.testing.assert_allclose(table["noisy"] - table["clean"], table["sigma"] * np.tile(noise[0, 0, :5], 4), rtol=1e-5)
    np.testing.assert_allclose(table["denoised"], table["noisy"] / (1 + table["sigma"] ** 2), rtol=1e-6)


def test_each_statistic_has_its_worst_pair() -> None:
    """Prior a finds b's signals likelier than its own: log p is fooled, typicality is not."""
    rng = np.random.default_rng(0)
    centres = {("a", "a"): 0.0, ("b", "a"): 10.0, ("a", "b"): 0.0, ("b", "b"): 20.0}
    values, reference = (
        pd.concat(
            pd.DataFrame({"source": s, "prior": p, "signal": range(20), "value": centre + rng.normal(size=20)})
            for (s, p), centre in centres.items()
        )
        for _ in range(2)
    )
    signals = torch.randn(20, 2, 256, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    table = worst_by_statistic(values, reference, signals, 8000).set_index("statistic")
    assert list(table.index) == ["log p", "likelihood ratio", "typicality", "log p + FLAC"]
    assert table.loc["log p", ["auroc_worst", "data", "prior", "n"]].tolist() == [0.0, "b", "a", 40]
    assert table.loc["typicality", "auroc_worst"] == table.loc["likelihood ratio", "auroc_worst"] == 1.0


def test_numbers_are_listed_by_name() -> None:
    assert listed({"sine": 0.5, "saw": 1}, ".1f", " dB") == "sine 0.5 dB, saw 1.0 dB"
    assert listed(pd.Series({"a": 0.25}), ".0%") == "a 25%"


def test_each_source_has_its_line_in_every_panel() -> None:
    figure = training_figures.terms_figure(committed("training_curves"))
    looks = [source_style(name).colour for name in SOURCES]
    assert [[line.get_color() for line in ax.lines] for ax in figure.axes] == [looks] * 6
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(SOURCES)


def test_waves_are_coloured_by_row_or_column() -> None:
    wave = np.zeros(4)
    by_row = signal_figures.waves_figure({"sine": {"a": wave}, "saw": {"a": wave}}, np.arange(4), size=(4, 3))
    by_column = signal_figures.waves_figure({"": {"sine": wave, "saw": wave}}, np.arange(4), size=(4, 3))
    colours = [source_style(name).colour for name in ("sine", "saw")]
    for figure in (by_row, by_column):
        assert [ax.lines[0].get_color() for ax in figure.axes] == colours
    assert by_row.axes[0].get_ylabel() == "sine\namplitude" and by_column.axes[0].get_ylabel() == "amplitude"


def test_transform_is_drawn_and_tabled_alike() -> None:
    stfts = {name: stft_magnitude_phase(torch.randn(512), 8000, window=64, hop=16) for name in ("sine", "saw")}
    table, stft = signal_figures.stft_table(stfts), stfts["saw"]
    assert len(table) == sum(one.magnitude_db.numel() for one in stfts.values())
    last = table.iloc[-1]
    assert last["magnitude_db"] == pytest.approx(float(stft.magnitude_db[-1, -1]), abs=0.06)
    assert len(signal_figures.stft_figure(stfts).axes) == 4 + 2


def test_kept_chain_is_black() -> None:
    lines = prior_figures.residual_figure(committed("separation_chain"), 0).axes[0].lines
    assert lines[0].get_color() == "black" and lines[0].get_label() == "kept"
    plt.close("all")
