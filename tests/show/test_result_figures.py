"""Figures of results, drawn from the committed tables: what stands in which panel, and that looks are the tables'."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color

from srcsep_core.audit.claims.measures import VERDICTS
from srcsep_core.paths import project_root
from srcsep_core.show import claims_figures, discrimination_figures, noise_figures, score_figures, styles


@pytest.fixture(autouse=True)
def clean_pyplot() -> Iterator[None]:
    yield
    plt.close("all")


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(project_root() / "figures" / f"{name}.csv")


def labels(ax: Axes) -> list[str]:
    return ax.get_legend_handles_labels()[1]


def test_print_stands_beside_clean_signals_only() -> None:
    clean, matched, *_ = noise_figures.presets_by_noise_figure(table("claims_noise")).axes
    assert (clean.get_title(), matched.get_title()) == ("clean signals", "signals with the prior's own noise")
    assert labels(clean) == ["published", "released", "exact", "oracle"]
    assert labels(matched) == ["released", "exact", "oracle"]
    for container, name in zip(clean.containers, labels(clean), strict=True):
        style = styles.preset_style(name)
        assert same_color(container[0].get_color(), style.colour) and container[0].get_marker() == style.marker


def test_every_way_to_train_a_prior_has_a_look_of_its_own() -> None:
    figure = noise_figures.setups_by_noise_figure(table("discrimination_by_noise"))
    looks = {
        label: (line.get_color(), line.get_marker())
        for ax in figure.axes
        for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    assert len(set(looks.values())) == len(looks) == 10
    assert looks["released, fine-tuned"] == ("#E69F00", "o")


def test_each_kind_of_prior_has_a_line_below_the_oracle() -> None:
    gap = table("gap_to_oracle")
    figure = noise_figures.gap_figure(gap)
    assert [ax.get_title() for ax in figure.axes] == list(styles.source_styles())[:4]
    kinds = len(gap.drop_duplicates(["model", "objective", "training", "noise"]))
    lines = figure.axes[0].lines
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == len(lines) == kinds


def test_verdicts_stand_in_their_columns() -> None:
    claims = table("claims_verdicts")
    ax = claims_figures.verdicts_figure(claims, VERDICTS).axes[0]
    assert [VERDICTS[int(line.get_xdata()[0])] for line in ax.lines] == list(claims["verdict"])


def test_scores_have_a_row_for_each_objective() -> None:
    figure = score_figures.scores_figure(table("scores"))
    assert [ax.get_title() for ax in figure.axes] == ["objective likelihood"] * 3 + ["objective quarter_log_det"] * 3
    assert labels(figure.axes[0]) == list(styles.source_styles())[:4]


def test_statistics_and_causes_are_named() -> None:
    exact, released = discrimination_figures.statistics_figure(table("statistics")).axes
    assert labels(exact) == labels(released) == ["log p", "likelihood ratio", "typicality", "log p + FLAC"]
    ablation = table("ablation")
    ax = discrimination_figures.ablation_figure(ablation).axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(ablation["setting"])
