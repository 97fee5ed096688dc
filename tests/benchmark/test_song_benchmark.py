"""The benchmark of music: its settings, that recordings are separated as users' are, and the table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from analytic import Scored
from click.testing import CliRunner

from srcsep_core.benchmark.songs import (
    ALL,
    DURATION_S,
    POOLED,
    SPLITS,
    Counts,
    RecordingSeparator,
    song_settings,
    song_table,
    with_other_splits,
)
from srcsep_core.cli import main
from srcsep_core.data.base import world_of
from srcsep_core.data.mixes import MixConfig
from srcsep_core.errors import InputError
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import VALUES
from srcsep_core.run.steps.choices import MethodChoice
from srcsep_core.separate import SeparateConfig, separate_audio
from srcsep_core.separate.separators import SourcePriors

SMOKE = get_profile("smoke")


def test_settings_of_a_split_are_all_separators_on_the_same_mixes() -> None:
    settings = song_settings(SMOKE, ["instruments"])
    by_separator: dict[str, list[Any]] = {}
    for one in settings:
        by_separator.setdefault(one.separator, []).append(one.step.mixes)
    assert set(by_separator) == {"means", "mix", "nmf", "irm", "ibm", "convtasnet", "hdemucs"}
    (mixes,) = {tuple(mixes) for mixes in by_separator.values()}
    assert [len(one.sources) for one in mixes] == [2] * 6 + [3] * 4 + [4]
    for one in settings:
        assert one.step.data.variant == SPLITS[one.split] == "instruments_8k"
        assert one.step.mixes.length / one.step.data.sample_rate == DURATION_S


def test_minutes_are_of_all_classes_and_of_no_other_song_than_those_of_the_test() -> None:
    (mixes,) = {one.step.mixes for one in song_settings(SMOKE, ["minutes"])}
    assert len(mixes.sources) == 4 and 60 < mixes.length / 8000 < 64 and mixes.seed == MixConfig(mixes.sources, 1).seed
    assert {one.step.data.variant for one in song_settings(SMOKE, ["minutes"])} == {"songs_8k"}


def test_nothing_learns_from_the_instruments_it_is_tested_on() -> None:
    learned = [one.step.choice for one in song_settings(SMOKE) if isinstance(one.step.choice, MethodChoice)]
    assert {choice.learned for choice in learned} == {world_of("songs_8k")}
    assert {choice.trained.data for choice in learned if choice.trained} == {world_of("songs_8k")}


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(InputError, match="unknown split 'album'; use one of songs, instruments, excerpt, minutes"):
        song_settings(SMOKE, ["album"])
    result = CliRunner().invoke(main, ["benchmark", "-p", "smoke", "--split", "album"])
    assert result.exit_code == 1 and "unknown split 'album'" in result.stderr


def test_the_command_lists_its_settings() -> None:
    result = CliRunner().invoke(main, ["benchmark", "-p", "smoke", "--split", "songs", "--split", "excerpt", "--list"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == len(song_settings(SMOKE, ["songs", "excerpt"])) and all(
        line.startswith("open") for line in lines
    )


def test_recordings_are_separated_in_windows_and_sum_to_the_mix() -> None:
    typical = {"drums": 0.5, "bass": 0.5}
    known = {"drums": Scored(0.0, 0.3), "bass": Scored(0.0, 0.1)}
    priors = SourcePriors(256, 8000, typical, False, by_source=known, key="gaussian")
    config = SeparateConfig(variant="songs_8k", allow_clipped=True, device="cpu")
    separator = RecordingSeparator(config, priors)
    mix = 0.1 * torch.randn(2, 1, 1000, generator=torch.Generator().manual_seed(1))
    found = separator.separate(mix, ("drums", "bass"), torch.Generator().manual_seed(0)).sources
    torch.testing.assert_close(found.mean(dim=1, keepdim=True), mix, rtol=1e-4, atol=1e-6)
    again = separator.separate(mix, ("drums", "bass"), torch.Generator().manual_seed(0)).sources
    assert torch.equal(found, again)
    loud, quiet = found.square().mean(dim=2).unbind(dim=1)
    assert bool((loud > 2 * quiet).all()), "a Gaussian prior of three times the variance takes three quarters"


def test_sources_of_any_level_get_one_chain_at_the_loudness_of_the_recording() -> None:
    """No gain is tried: a quiet passage is no reason to take the sources to be loud."""
    known = {"drums": Scored(0.0, 0.3), "bass": Scored(0.0, 0.1)}
    config = SeparateConfig(variant="songs_8k", device="cpu")
    mix = 0.1 * torch.randn(1, 2000, generator=torch.Generator().manual_seed(1))
    for steady, chains in ((True, set(range(1, 10))), (False, {1})):
        priors = SourcePriors(256, 8000, {"drums": 0.5, "bass": 0.3}, steady, by_source=known, key="gaussian")
        report = separate_audio(mix, 8000, ("drums", "bass"), config, priors=priors).report["channels"][0]
        assert {window["chains_run"] for window in report["windows"]} <= chains
        assert bool(report["gains_tried"]) == steady
    assert report["gain"] == pytest.approx(0.5 * (0.5**2 + 0.3**2) ** 0.5 / 0.1, rel=0.2)


REST = {"residual": 0.0, "chains_run": 0, "failure": "none"}


@dataclass
class Made:
    """A pipeline whose steps are all made: the values given, by the title of the separator."""

    folder: Path
    values: dict[str, list[list[float]]]

    def run(self, step: Any) -> Any:
        prior, sampler = step.choice.labels
        gains = self.values[prior if sampler == "none" else sampler]
        names = step.mixes.sources
        rows = [
            {
                "mix": mix,
                "source": name,
                "si_sdri": gain,
                "si_sdr": gain,
                **REST,
                "si_sir": gain + 1,
                "si_sar": gain + 2,
            }
            for mix, each in enumerate(gains)
            for name, gain in zip(names, each, strict=True)
        ]
        folder = self.folder / f"{step.key}"
        folder.mkdir()
        pd.DataFrame(rows).to_csv(folder / VALUES, index=False)
        return type(
            "Made", (), {"__truediv__": lambda _, name: folder / name, "provenance": {"seconds_per_mix": 8.192}}
        )()


def table_of(tmp_path: Path) -> pd.DataFrame:
    settings = [
        one
        for one in song_settings(SMOKE, ["songs"], Counts(2, 2, 2))
        if len(one.step.mixes.sources) == 2 and one.separator in ("means", "mix")
    ]
    made: Any = Made(tmp_path, {"means": [[10.0, 20.0], [30.0, 40.0]], "mix": [[0.0, 0.0], [-100.0, 0.0]]})
    return song_table(made, settings, profile="smoke", command="srcsep benchmark --split")


def test_the_table_has_a_row_a_source_one_of_all_and_the_pairs_pooled(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    drums_bass = table[(table["separator"] == "means") & (table["sources"] == "drums+bass")].set_index("source")
    assert drums_bass["si_sdri_mean"].to_dict() == {"drums": 20.0, "bass": 30.0, ALL: 25.0}
    assert drums_bass.loc[ALL, "si_sir"] == 26.0 and drums_bass.loc[ALL, "si_sar"] == 27.0
    assert drums_bass.loc[ALL, "seconds_per_second"] == pytest.approx(2.0)
    assert drums_bass.loc[ALL, "command"] == "srcsep benchmark --split songs"
    pooled = table[(table["separator"] == "means") & (table["sources"] == POOLED)].iloc[0]
    assert pooled["n_mixes"] == 12 and pooled["si_sdri_mean"] == 25.0 and pooled["low"] < 25 < pooled["high"]
    mix = table[(table["separator"] == "mix") & (table["sources"] == "drums+bass")].set_index("source")
    assert mix.loc["drums", "si_sdri_mean"] == -30.0, "what is below -60 dB counts as -60"
    assert set(table["supervision"]) == {"single sources", "nothing"}


def test_rows_of_other_splits_stay(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    path = tmp_path / "separation_music.csv"
    assert with_other_splits(table, path) is table
    table.assign(split="excerpt").to_csv(path, index=False)
    both = with_other_splits(table, path)
    assert both["split"].value_counts().to_dict() == {"excerpt": len(table), "songs": len(table)}
    both.to_csv(path, index=False)
    assert len(with_other_splits(table, path)) == len(both)


def test_a_setting_of_the_smoke_profile_runs(tmp_path: Path) -> None:
    """Real songs, a denoiser of a few steps, and both methods that know the truth and that know nothing."""
    from srcsep_core.run.pipeline import Pipeline
    from srcsep_core.run.store import Store

    settings = [
        one
        for one in song_settings(SMOKE, ["songs"], Counts(1, 1, 1))
        if one.step.mixes.sources == ("drums", "bass") and one.separator in ("means", "mix", "irm")
    ]
    pipeline = Pipeline(Store(tmp_path), train=True)
    short = [replace(one, step=replace(one.step, mixes=replace(one.step.mixes, length=4096))) for one in settings]
    table = song_table(pipeline, short, profile="smoke", command="")
    all_rows = table[(table["source"] == ALL) & (table["sources"] != POOLED)].set_index("separator")
    assert all_rows.loc["irm", "si_sdri_mean"] > 5 > all_rows.loc["mix", "si_sdri_mean"]
    assert all_rows["si_sdri_mean"].notna().all() and set(all_rows.index) == {"means", "mix", "irm"}
