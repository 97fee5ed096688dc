"""Scores of museval: interference counts as much as there is of it, and a filter is another kind of error."""

import os
from types import ModuleType

import pytest
import torch
from script_files import script_module

from srcsep_core.data.base import world_of
from srcsep_core.data.tracks import musdb_works

# CI installs ffmpeg, so that there these are never left out.
pytestmark = pytest.mark.skipif(
    not musdb_works() and "CI" not in os.environ, reason="museval needs ffmpeg and ffprobe, which are not on the PATH"
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    return script_module("museval_songs")


def test_scores_follow_interference_and_let_a_filter_pass(script: ModuleType) -> None:
    world = world_of("songs_8k").only(("drums", "vocals"))
    true = world.draw(1, 16_000, torch.Generator().manual_seed(0), split="validation")[0]
    mixed = true + 0.3 * true.flip(0)
    late = torch.cat([torch.zeros(2, 3), true[:, :-3]], dim=1)
    table = {name: script.frame_scores(true, x, 8000) for name, x in (("mixed", mixed), ("late", late))}
    assert list(table["mixed"]) == ["sdr", "isr", "sir", "sar"] and len(table["mixed"]) == 2
    assert table["late"]["sir"].min() > table["mixed"]["sir"].max() + 10, "a delay is a filter"
    assert table["late"]["isr"].max() < table["mixed"]["isr"].min()
    level = 10 * torch.log10(true.square().sum(dim=1) / (0.09 * true.flip(0).square().sum(dim=1)))
    torch.testing.assert_close(torch.tensor(table["mixed"]["sir"].to_numpy()).float(), level.float(), atol=4.0, rtol=0)


def test_rows_are_of_every_source_and_of_all(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from srcsep_core.benchmark.songs import Counts, song_settings
    from srcsep_core.run.pipeline import Pipeline
    from srcsep_core.run.profiles import get_profile

    settings = song_settings(get_profile("smoke"), ("songs",), Counts(2, 2, 2))
    ideal = next(one for one in settings if one.separator == "irm" and len(one.step.mixes.sources) == 2)
    rows = script.summary(script.scored(ideal, Pipeline()), ideal)
    assert rows["source"].tolist() == [*ideal.step.mixes.sources, "all"] and rows["n_mixes"].eq(2).all()
    assert rows["sdr"].gt(5).all() and (rows["low"] <= rows["sdr"]).all()
