"""The script that tunes the exchange: its grid, the row of a setting, and that it asks for validation mixes alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from codebook import WINDOW, Codebook, codebook_wave
from script_files import script_module

from srcsep_core.data.mixes import VALIDATION_SEED, MixConfig, Mixes, draw_mixes
from srcsep_core.data.toy import SOURCES
from srcsep_core.run.steps.choices import PriorChoice
from srcsep_core.samplers import ExchangeConfig, ExchangingGibbsConfig


@pytest.fixture
def script() -> ModuleType:
    """The script as a module."""
    return script_module("tune_exchange")


def test_grid_is_every_combination_and_changes_nothing_else(script: ModuleType) -> None:
    base = ExchangingGibbsConfig(levels=3, exchange=ExchangeConfig(draws=5))
    found = script.grid(base, [(0.1,), (0.1, 0.3)], [0.5, 1.0], [0, 2])
    cells = {(config.exchange.sigmas, config.exchange.margin, config.again) for config in found}
    assert len(found) == len(cells) == 8
    assert all(config.levels == 3 and config.exchange.draws == 5 for config in found)


def test_row_of_a_setting_has_the_shares_with_their_intervals(script: ModuleType) -> None:
    """A mix of waves that the priors know separates, and one of another pair of waves does not."""
    names = ("square", "saw")
    known = torch.stack([codebook_wave("square", 10, WINDOW, 4), codebook_wave("saw", 13, WINDOW, 1)])
    sources = torch.stack([known, torch.stack([codebook_wave("sine", 11, WINDOW), codebook_wave("sine", 5, WINDOW)])])
    drawn = Mixes(sources.mean(dim=1, keepdim=True), sources, torch.ones(2, 2))
    config = ExchangingGibbsConfig(levels=8, max_chains=2, swaps=1)
    row = script.tried(drawn, names, {name: Codebook(name) for name in names}, config, torch.device("cpu"))
    assert (row["n_mixes"], row["all_above_10db"], row["all_above_20db"]) == (2, 0.5, 0.5)
    assert 0 < row["all_above_10db_low"] < 0.5 < row["all_above_10db_high"] < 1
    assert (row["sigmas"], row["margin"], row["again"]) == ((0.03, 0.1), 0.5, 1)


@pytest.mark.parametrize("variant", ["whole_periods", "uniform_hz"])
def test_command_prints_a_row_a_setting_of_validation_mixes(
    variant: str, script: ModuleType, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    asked: list[MixConfig] = []

    def draw(data: Any, config: MixConfig, *, split: str) -> Mixes:
        assert (data.variant, split) == (variant, "validation")
        asked.append(config)
        drawn = draw_mixes(data, config)
        return Mixes(drawn.mix[..., :WINDOW], drawn.sources[..., :WINDOW], drawn.gains)

    def load(choice: PriorChoice, context: Any) -> Callable[[str], Codebook]:
        assert (choice.name, choice.data.variant) == ("denoiser", variant)
        return Codebook

    monkeypatch.setattr(script, "draw_mixes", draw)
    monkeypatch.setattr(PriorChoice, "load", load)
    monkeypatch.setattr(script, "MARGINS", (0.5,))
    monkeypatch.setattr(script, "SIGMAS", ((0.1,),))
    options = ["-p", "smoke", "--mixes", "2", "--device", "cpu", "--variant", variant]
    result = CliRunner().invoke(script.main, options, catch_exceptions=False)
    assert result.exit_code == 0
    assert [(config.sources, config.mixes, config.seed) for config in asked] == [(SOURCES, 2, VALIDATION_SEED)]
    lines = [line.split() for line in result.output.splitlines()]
    [header] = [index for index, words in enumerate(lines) if words[:4] == ["sigmas", "margin", "again", "n_mixes"]]
    assert [words[1:4] for words in lines[header + 1 : header + 3]] == [["0.500", "0", "2"], ["0.500", "1", "2"]]
