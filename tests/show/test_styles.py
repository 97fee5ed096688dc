"""One look for each source, preset, prior and sampler, that can be told apart in colour and in grey."""

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from bands import BANDS
from matplotlib.colors import to_rgb

from srcsep_core.data.base import all_sources, variants_of, world_of
from srcsep_core.show import styles
from srcsep_core.show.assets import asset
from srcsep_core.show.explorer.widget import explorer
from srcsep_core.show.player import player
from srcsep_core.show.styles import Style

WORLDS = {world.name: world for world in map(world_of, variants_of())}
SOURCES_OF = {
    f"sources of {name}": {source: styles.source_style(source) for source in [*world.colours, "mix"]}
    for name, world in WORLDS.items()
}
TABLES = {
    **SOURCES_OF,
    "presets": styles.PRESETS,
    "priors": styles.PRIORS,
    "families": styles.FAMILIES,
    "samplers": styles.SAMPLERS,
    "thresholds": styles.THRESHOLDS,
}
ACCESSORS = (styles.preset_style, styles.prior_style, styles.sampler_style, styles.statistic_style)
ROOT = Path(__file__).parents[2]


def lightness(colour: str) -> float:
    """CIE L* from 0 (black) to 100 (white), for colours that are not very dark: what greyscale leaves."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return 116 * float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]) ** (1 / 3) - 16


def least_step(table: Mapping[str, Style]) -> float:
    """The smallest difference in lightness between two of a table."""
    pairs = itertools.combinations([lightness(style.colour) for style in table.values()], 2)
    return min(abs(first - second) for first, second in pairs)


@pytest.mark.parametrize("name", TABLES)
def test_no_two_of_a_table_share_a_marker(name: str) -> None:
    table = TABLES[name]
    assert len({style.marker for style in table.values()}) == len(table)
    assert len({(style.colour, str(style.linestyle)) for style in table.values()}) == len(table)


@pytest.mark.parametrize("name", [*SOURCES_OF, "presets", "samplers", "thresholds"])
def test_no_two_of_a_table_share_a_colour_or_a_line(name: str) -> None:
    table = TABLES[name]
    assert len({style.colour for style in table.values()}) == len(table)
    assert len({str(style.linestyle) for style in table.values()}) == len(table)


def test_colours_differ_in_greyscale_too() -> None:
    assert all(least_step(table) > 6 for table in SOURCES_OF.values())
    assert least_step(styles.PRESETS) > 15
    assert least_step(styles.THRESHOLDS) > 15


def test_colours_of_sources_mean_nothing_else() -> None:
    sources = all_sources()
    own = {styles.source_style(name).colour for name in sources}
    assert len(own) == len(sources), "nor does a source of one world look like one of another"
    others = [styles.PRESETS, styles.PRIORS, styles.FAMILIES, styles.SAMPLERS, styles.THRESHOLDS, styles.STATISTICS]
    used = {style.colour for table in others for style in table.values()} | set(styles.FAILURES.values())
    used |= {style.colour for style in (*styles.SPARE, styles.OTHER, styles.TRUTH, styles.BOUND)}
    assert not own & used


def test_a_prior_that_stands_for_a_preset_looks_like_it() -> None:
    assert styles.prior_style("flow-quarter_log_det-tuned") == styles.preset_style("released")
    assert styles.prior_style("flow-likelihood-tuned") == styles.setting_style("exact", "exact")
    assert styles.prior_style("oracle") == styles.setting_style("oracle", "oracle")


def test_a_mixed_setting_has_the_colour_of_the_preset_that_reads_it_and_a_marker_of_its_own() -> None:
    mixed = styles.setting_style("exact", "released"), styles.setting_style("released", "exact")
    assert [style.colour for style in mixed] == [styles.preset_style(p).colour for p in ("exact", "released")]
    markers = [style.marker for style in (*mixed, *styles.PRESETS.values())]
    assert len(set(markers)) == len(markers)


@pytest.mark.parametrize("look", ACCESSORS)
def test_what_no_table_knows_gets_a_look_that_it_keeps(look: object) -> None:
    assert callable(look)
    assert look("from a plugin") == look("from a plugin")
    assert look("from a plugin") in styles.SPARE
    assert len({look(f"plugin {k}") for k in range(50)}) > 5


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_notebooks_take_their_looks_from_the_tables(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"#[0-9a-fA-F]{6}\b|plt\.cm\.|get_cmap", text)


def test_player_and_explorer_have_one_stylesheet_and_take_their_colours_from_the_tables() -> None:
    page = player({"mix": torch.ones(9)}, 16_000).data
    outputs = explorer({"whole_periods": {"band": BANDS}}, length=64).children[0].outputs
    for text in (page, outputs[0]["data"]["text/html"]):
        assert text.count(asset("look.css")) == 1
        assert not re.findall(r"#[0-9a-fA-F]{6}\b", text)
