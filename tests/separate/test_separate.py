"""A recording of any length, rate and level is separated into stems that sum to it, and written whole or not at all."""

import html
import json
import math
import os
import re
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import soundfile
import torch
from audio_files import write_audio
from click.testing import CliRunner, Result
from codebook import RATE, WINDOW, codebook_priors, codebook_wave
from torch import Tensor

from srcsep_core import __version__
from srcsep_core.audio import read_audio
from srcsep_core.cli import main
from srcsep_core.cli.separate import DOUBTFUL
from srcsep_core.cli.wording import options_named
from srcsep_core.data.toy import ToyWorld, draw_sources
from srcsep_core.errors import InputError
from srcsep_core.metrics import best_permutation, si_sdr
from srcsep_core.run import pipeline
from srcsep_core.run.artefacts import file_digest
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.steps import prior_step
from srcsep_core.samplers.base import Separation
from srcsep_core.samplers.gibbs import GibbsConfig, gibbs
from srcsep_core.samplers.separator import PriorSeparator
from srcsep_core.separate import SeparateConfig, Separated, crew, job, separate_audio, separate_file, separated
from srcsep_core.separate.crew import Clock, Crew
from srcsep_core.separate.evidence import FEATURES
from srcsep_core.separate.record import summary_of
from srcsep_core.separate.recording import clipped_runs, prepare
from srcsep_core.separate.searching import Found, Search, SearchConfig
from srcsep_core.separate.stems import DETAILS, RECORD
from srcsep_core.separate.trust import Verdict

CPU = SeparateConfig(device="cpu")
ROOT = Path(__file__).resolve().parents[2]


def run(mix: Tensor, sources: list[str], config: SeparateConfig = CPU, sample_rate: int = RATE) -> Separated:
    return separate_audio(mix, sample_rate, sources, config, priors=codebook_priors())


def sine_and_square(length: int = 3000) -> Tensor:
    """(2, T): the sine changes its note half-way."""
    half = length // 2
    sine = torch.cat([codebook_wave("sine", 10, half), codebook_wave("sine", 18, length - half)])
    return torch.stack([sine, codebook_wave("square", 13, length)])


def mixed(references: Tensor, gain: float = 1.0) -> Tensor:
    return gain * references.mean(dim=0, keepdim=True)


@pytest.mark.parametrize("scale", [1.0, 0.05, 2.0])
def test_long_mix_of_any_level_is_separated(scale: float) -> None:
    references = sine_and_square()
    mix = mixed(references, scale)
    result = run(mix, ["sine", "square"])
    assert result.stems.shape == (2, 1, 3000) and result.sample_rate == RATE and result.names == ["sine", "square"]
    torch.testing.assert_close(result.stems.sum(dim=0), mix, atol=1e-6, rtol=0)
    assert (si_sdr(estimate=result.stems[:, 0], reference=references) > 25).all()
    torch.testing.assert_close(result.stems[:, 0], references * scale / 2, atol=0.6 * scale, rtol=0)
    assert result.report["gain"][0] == pytest.approx(1 / scale, rel=0.1)
    assert result.report["residual_db"] < -30


def test_gain_of_a_sum_and_of_a_mean_is_met_exactly() -> None:
    references = sine_and_square()
    assert run(mixed(references), ["sine", "square"]).report["gain"] == [1.0]
    assert run(mixed(references, 2), ["sine", "square"]).report["gain"] == [0.5]
    tried = run(mixed(references), ["sine", "square"]).report["channels"][0]["gains_tried"]
    assert min(tried, key=lambda one: one["doubt_db"])["gain"] == 1.0
    assert run(mixed(references), ["sine", "square"], replace(CPU, gain=0.9)).report["gain"] == [0.9]


def test_two_sources_of_one_class_keep_their_identity() -> None:
    references = torch.stack([codebook_wave("sine", 10, 3000), codebook_wave("sine", 7, 3000)])
    result = run(mixed(references), ["sine", "sine"])
    assert result.names == ["sine 1", "sine 2"]
    estimate, _ = best_permutation(estimate=result.stems[:, 0], reference=references)
    assert (si_sdr(estimate=estimate, reference=references) > 30).all()


def test_same_seed_gives_the_same_stems() -> None:
    mix = mixed(sine_and_square(500))
    first, again = run(mix, ["sine", "square"]), run(mix, ["sine", "square"])
    assert torch.equal(first.stems, again.stems)


@pytest.mark.parametrize("length", [WINDOW, WINDOW + 1, 113, 500])
def test_every_length_from_one_window(length: int) -> None:
    result = run(mixed(sine_and_square(length)), ["sine", "square"])
    assert result.stems.shape == (2, 1, length)
    assert len(result.report["channels"][0]["windows"]) == -(-(length - WINDOW) // (WINDOW * 3 // 4)) + 1


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_other_rates_are_resampled_and_stems_go_back(rate: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="srcsep_core")
    time = torch.arange(1001) / rate
    references = 0.9 * torch.stack([(2 * torch.pi * RATE / period * time).sin() for period in (10, 18)])
    result = run(mixed(references), ["sine", "sine"], sample_rate=rate)
    assert result.stems.shape == (2, 1, 1001) and result.sample_rate == rate
    torch.testing.assert_close(result.stems.sum(dim=0), mixed(references), atol=1e-6, rtol=0)
    estimate, _ = best_permutation(estimate=result.stems[:, 0], reference=references)
    assert (si_sdr(estimate=estimate[:, 100:-100], reference=references[:, 100:-100]) > 12).all()
    assert result.report["resampled"] and f"resampled from {rate} Hz to 16000 Hz" in caplog.text


def stereo_sines() -> Tensor:
    """(2, 600): two sines, half as loud in the second channel."""
    references = torch.stack([codebook_wave("sine", 10, 600), codebook_wave("sine", 7, 600)])
    return torch.cat([mixed(references), mixed(references, 0.5)])


def test_channels_that_differ_are_separated_each_unless_their_mean_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="srcsep_core")
    stereo = stereo_sines()
    averaged = run(stereo, ["sine", "sine"], replace(CPU, stereo="mean"))
    assert averaged.stems.shape == (2, 1, 600) and averaged.report["stereo"] == "mean"
    torch.testing.assert_close(averaged.stems.sum(dim=0), stereo.mean(dim=0, keepdim=True), atol=1e-6, rtol=0)
    assert "the 2 channels differ: they are averaged to one" in caplog.text
    for seed in range(3):
        each = run(stereo, ["sine", "sine"], replace(CPU, seed=seed))
        assert each.stems.shape == (2, 2, 600) and len(each.report["gain"]) == 2
        torch.testing.assert_close(each.stems.sum(dim=0), stereo, atol=1e-6, rtol=0)
        torch.testing.assert_close(each.stems[:, 0], 2 * each.stems[:, 1], atol=0.05, rtol=0)
    assert each.report["stereo"] == "each"
    assert each.summary["notes"] == ["the 2 channels differ: each is separated on its own"]
    assert each.summary["notes"][0] in caplog.text


def test_channels_that_are_alike_up_to_rounding_are_averaged() -> None:
    mix = mixed(sine_and_square(500))
    rounded = (mix * 32768 + 0.7 * torch.rand(2, 500, generator=torch.Generator().manual_seed(0))).round() / 32768
    assert not torch.equal(rounded[0], rounded[1])
    result = run(rounded, ["sine", "square"])
    assert result.stems.shape == (2, 1, 500) and result.report["stereo"] == "mean"
    assert result.summary["notes"] == ["the 2 channels are alike: they are averaged to one"]


def test_silent_channel_has_silent_stems_and_the_others_theirs(tmp_path: Path) -> None:
    stereo = torch.cat([0 * WAVE, mixed(sine_and_square(200)), mixed(sine_and_square(200), 0.5)])
    result = run(stereo, ["sine", "square"])
    torch.testing.assert_close(result.stems.sum(dim=0), stereo, atol=1e-6, rtol=0)
    assert result.stems[:, 0].abs().max() == 0
    assert [one["channel"] for one in result.report["channels"]] == [2, 3]
    assert "channel 1 is silent (peak below 1e-05) and is not separated" in result.summary["notes"]
    result.write(tmp_path / "out")


def test_channels_that_cancel_are_separated_and_heard(tmp_path: Path) -> None:
    result = run(torch.cat([WAVE, -WAVE]), ["sine"])
    torch.testing.assert_close(result.stems[0], torch.cat([WAVE, -WAVE]), atol=1e-6, rtol=0)
    assert '"name": "sine"' in (result.write(tmp_path / "out") / "player.html").read_text()


def test_offset_stays_unless_it_is_removed() -> None:
    mix = mixed(sine_and_square(500)) + 0.05
    kept = run(mix, ["sine", "square"])
    assert kept.report["dc_offset"][0] == pytest.approx(float(mix.mean()), abs=1e-6) and not kept.report["dc_removed"]
    torch.testing.assert_close(kept.stems.sum(dim=0), mix, atol=1e-6, rtol=0)
    removed = run(mix, ["sine", "square"], replace(CPU, remove_dc=True))
    torch.testing.assert_close(removed.stems.sum(dim=0), mix - mix.mean(), atol=1e-6, rtol=0)


def test_silent_windows_stay_silent() -> None:
    references = sine_and_square(600)
    references[:, 200:400] = 0
    result = run(mixed(references), ["sine", "square"])
    windows = result.report["channels"][0]["windows"]
    assert [n for n, one in enumerate(windows) if one["silent"]] == [5, 6, 7]
    assert all(one["chains_run"] == 0 for one in windows if one["silent"])
    assert result.stems[:, 0, 270:380].abs().max() < 1e-6


def test_doubtful_windows_are_searched_again_with_every_restart() -> None:
    """A sampler whose first chain gives the sources the wrong way round in some windows, with no residual."""
    wave = 0.5 * torch.randn(2, 400, generator=torch.Generator().manual_seed(0))
    calls: list[tuple[int, int]] = []

    def stub(mix: Tensor, priors: object, *, config: GibbsConfig, generator: object, callback: object) -> Separation:
        calls.append((len(mix), config.max_chains))
        chains = torch.zeros(len(mix), config.max_chains, 2, WINDOW)
        for row, heard in enumerate(mix[:, 0]):
            start = next(s for s in range(400 - WINDOW + 1) if torch.equal(total[s : s + WINDOW], heard))
            pair = torch.stack([one[start : start + WINDOW] for one in wave])
            chains[row] = pair
            if len(calls) <= 2 and start == 144:
                chains[row] = pair.flip(0)
        residuals = torch.full((len(mix), config.max_chains), torch.inf)
        residuals[:, -1] = 0.0
        return Separation(chains[:, 0], residuals[:, 0], residuals[:, 0], residuals, chains, pd.DataFrame())

    total = (wave[0] + wave[1]) / 2
    priors = codebook_priors()
    sampler = PriorSeparator(stub, GibbsConfig(max_chains=2), priors.by_source)
    search = Search(sampler, priors, ["sine", "saw"], SearchConfig(), Crew(torch.device("cpu"), 0, workers=1))
    found = search.run(total, 1.0)
    assert calls == [(4, 1), (4, 1), (2, 1), (1, 1)]
    assert found.report["rounds"] == 1 and found.report["windows_again"] == [3]
    assert [one["chains_run"] for one in found.report["windows"]] == [1, 1, 2, 2, 2, 1, 1, 1]
    torch.testing.assert_close(found.signals, wave)
    assert found.evidence["disagreement"].max() < 1e-6 and len(found.evidence) == 8
    calls.clear()
    unhelped = replace(search, config=SearchConfig(max_chains=1)).run(total, 1.0)
    assert unhelped.report["windows"][3]["disagreement"] > 0.5
    assert (unhelped.evidence["disagreement"] > 0.5).tolist() == [n in (2, 3, 4) for n in range(8)]


@pytest.mark.parametrize(("solved", "chains"), [(0, 4), (1, 8)])
def test_search_ends_when_chains_in_a_row_have_helped_no_window(solved: int, chains: int) -> None:
    """A sampler that leaves doubt everywhere, or in all windows but so many more with every call."""
    total = torch.randn(400, generator=torch.Generator().manual_seed(0))
    calls: list[int] = []

    def stub(mix: Tensor, *_: object, generator: torch.Generator, **__: object) -> Separation:
        calls.append(len(mix))
        sources = mix + torch.randn(len(mix), 2, WINDOW, generator=generator)
        doubts = torch.ones(len(mix), 1)
        if len(calls) > 1:
            doubts[:solved] = 0
        return Separation(sources, doubts[:, 0], doubts[:, 0], doubts, sources[:, None], pd.DataFrame())

    sampler = PriorSeparator(stub, GibbsConfig(), codebook_priors().by_source)
    one = Crew(torch.device("cpu"), 0, workers=1)
    config = SearchConfig(threshold=1e6, patience=16)
    found = Search(sampler, codebook_priors(), ["sine", "saw"], config, one).run(total, 1.0)
    assert max(one["chains_run"] for one in found.report["windows"]) == chains


def test_time_is_shared_among_channels_and_what_one_has_found_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop when the second channel begins: the first keeps its stems, the second is the mix."""
    clock, ran = Clock(100.0), list[float]()
    run_one = Search.run

    def run_and_stop(self: Search, channel: Tensor, gain: float | None = None) -> Found:
        ran.append(self.crew.clock.budget_s or 0.0)
        if len(ran) == 2:
            clock.stop()
        return run_one(self, channel, gain)

    monkeypatch.setattr(Search, "run", run_and_stop)
    sine, square = sine_and_square(500)
    mix = torch.stack([sine + square, sine - square]) / 2
    config = replace(CPU, gain=1.0)
    result = separate_audio(mix, RATE, ["sine", "square"], config, priors=codebook_priors(), clock=clock)
    assert ran[0] == pytest.approx(50, abs=1) and 50 < ran[1] <= 100
    first, second = (channel["windows"] for channel in result.report["channels"])
    assert all(one["chains_run"] for one in first) and not any(one["chains_run"] for one in second)
    assert result.summary["notes"][-1].startswith("stopped after")


def test_sampler_that_diverges_is_reported() -> None:
    def stub(mix: Tensor, priors: object, **_: object) -> Separation:
        lost = torch.full((len(mix), 1), torch.nan)
        return Separation(mix, lost[:, 0], lost[:, 0], lost, mix[:, None] * torch.nan, pd.DataFrame())

    priors = codebook_priors()
    sampler = PriorSeparator(stub, GibbsConfig(), priors.by_source)
    search = Search(sampler, priors, ["sine"], SearchConfig(), Crew(torch.device("cpu"), 0))
    with pytest.raises(InputError, match=r"diverged .* another sampler"):
        search.run(codebook_wave("sine", 7, 100), 1.0)


@pytest.mark.parametrize("sampler", ["projection", "langevin"])
def test_other_samplers_do_the_job_too(sampler: str) -> None:
    references = sine_and_square(200)
    result = run(mixed(references), ["sine", "square"], replace(CPU, sampler=sampler, gain=1.0))
    torch.testing.assert_close(result.stems.sum(dim=0), mixed(references), atol=1e-6, rtol=0)
    few = run(mixed(references), ["sine", "square"], replace(CPU, sampler=sampler, gain=1.0, max_chains=1))
    for found, most in ((result, SearchConfig().max_chains), (few, 1)):
        assert {one["chains_run"] for one in found.report["channels"][0]["windows"]} <= set(range(1, most + 1))


@pytest.mark.parametrize("method", ["mix", "nmf"])
def test_methods_that_need_the_mix_alone_separate_it_whole(method: str, tmp_path: Path) -> None:
    references = sine_and_square(2000)
    result = run(mixed(references), ["sine", "square"], replace(CPU, method=method))
    torch.testing.assert_close(result.stems.sum(dim=0), mixed(references), atol=1e-6, rtol=0)
    (channel,) = result.report["channels"]
    assert len(channel["windows"]) == 1 and result.report["settings"]["window"] == 2000
    assert result.report["settings"]["method"] == method and "prior_key" not in result.report["settings"]
    assert f"with the method {method}" in (result.write(tmp_path / "out") / "player.html").read_text()
    quality = si_sdr(estimate=result.stems[:, 0], reference=references)
    gained = quality - si_sdr(estimate=mixed(references).expand(2, -1), reference=references)
    assert gained.abs().max() < 1e-3 if method == "mix" else gained.min() > 2
    (evidence,) = result.evidence
    assert evidence["start_s"].tolist() == [0.0, 0.048, 976 / RATE], "judged by the denoiser, in its windows"
    assert evidence[list(FEATURES)].notna().all(axis=None)


def test_stems_of_a_method_that_nothing_can_judge_are_not_judged() -> None:
    result = run(mixed(sine_and_square(500)), ["sine", "square"], replace(CPU, method="mix"))
    assert len(result.evidence[0]) == 1 and not result.verdict.judged


def test_clipping_is_flat_tops_at_full_scale() -> None:
    loud = (2 * codebook_wave("sine", 18, 400)).clamp(-1, 1)[None]
    assert clipped_runs(loud) == 44
    assert clipped_runs(0.9 * loud) == 0 and clipped_runs(1.5 * loud) == 0
    assert clipped_runs(torch.ones(1, 100)) == 1
    with pytest.raises(InputError, match=r"full scale in 44 places.*allow_clipped=True"):
        run(loud, ["sine", "square"])
    run(loud, ["sine", "square"], replace(CPU, allow_clipped=True))
    run(codebook_wave("square", 18, 400)[None] / 0.9, ["square"])


WAVE = codebook_wave("sine", 10, 200)[None]
FOUR = ("sine", "square", "saw", "triangle")


@pytest.mark.parametrize(
    ("samples", "sources", "changes", "value", "remedy"),
    [
        (WAVE.index_fill(1, torch.tensor([5]), torch.nan), ["sine"], {}, "1 of 200 samples", "clean"),
        (0 * WAVE, ["sine"], {}, "silent", "raise its gain"),
        (WAVE[:, : WINDOW - 1], ["sine"], {}, "63 samples but 64", "longer signal"),
        (WAVE[0], ["sine"], {}, "shape (C, T), got (200,)", "samples[None]"),
        (torch.cat([WAVE, -WAVE]), ["sine"], {"stereo": "mean"}, "mean of the 2 channels is silent", "stereo='each'"),
        (0 * WAVE + 0.3, ["sine"], {"remove_dc": True}, "constant of 0.3", "passage that sounds"),
        (WAVE, ["sine", "piano"], {}, "unknown source 'piano'", "sine, square, saw, triangle"),
        (WAVE, [], {}, "0 sources", "name what is in the mix"),
        (WAVE, ["saw"] * 5 + ["sine"], {}, "6 sources (5 saw, 1 sine)", "name 4 of one class"),
        (WAVE, ["sine", *FOUR, *FOUR], {}, "9 sources (3 sine, 2 square, 2 saw, 2 triangle)", "2 of each of four"),
        (WAVE, ["sine"], {"prior": "flow"}, "unknown prior 'flow'", "denoiser, pnf, oracle"),
        (WAVE, ["sine"], {"prior": "score"}, "unknown prior 'score'", "it is now called denoiser"),
        (
            WAVE,
            ["sine"],
            {"sampler": "magic"},
            "unknown sampler 'magic'",
            "gibbs-exchange, langevin, means, projection",
        ),
        (
            WAVE,
            ["sine"],
            {"method": "magic"},
            "unknown method 'magic'",
            "use one of sampler, convtasnet, encoder, hdemucs, mix, nmf",
        ),
        (
            WAVE,
            ["sine"],
            {"method": "irm"},
            "irm needs the true sources of the mix",
            "use one of sampler, convtasnet, encoder, hdemucs, mix, nmf",
        ),
        (
            WAVE,
            ["sine"],
            {"method": "fastica"},
            "needs as many different mixes",
            "use one of sampler, convtasnet, encoder, hdemucs, mix, nmf",
        ),
        (WAVE, ["sine"], {"method": "nmf", "max_chains": 2}, "nmf has no chains", "use sampler"),
        (WAVE, ["sine"], {"method": "nmf", "gain": 1.0}, "200 samples but the window 256", "longer signal"),
        (WAVE, ["sine"], {"variant": "relased"}, "unknown variant 'relased'", "whole_periods, uniform_hz, piano_keys"),
        (WAVE, ["sine"], {"profile": "huge"}, "unknown profile 'huge'", "smoke, laptop, full"),
        (WAVE, ["sine"], {"device": "gpu"}, "unknown device 'gpu'", "auto, cpu or cuda"),
        (WAVE, ["sine"], {"max_chains": 0}, "max_chains is 0", "at least 1"),
        (WAVE, ["sine"], {"gain": -1.0}, "gain is -1", "positive number, or gain=None"),
        (WAVE, ["sine"], {"stereo": "both"}, "'both'", "auto, mean, each"),
        (WAVE, ["sine"], {"seed": -1}, "seed is -1", "0 or more"),
        (1e30 * WAVE, ["sine"], {}, "peaks at", "scale it"),
    ],
)
def test_mistake_names_value_and_remedy(
    samples: Tensor, sources: list[str], changes: dict[str, object], value: str, remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        run(samples, sources, replace(CPU, **changes))
    assert value in str(caught.value) and remedy in str(caught.value)


def test_rates_that_cannot_be_resampled_are_named() -> None:
    with pytest.raises(InputError, match=r"44101 Hz cannot be resampled.*44100"):
        run(WAVE, ["sine"], sample_rate=44_101)
    with pytest.raises(InputError, match="0 is not a whole number"):
        run(WAVE, ["sine"], sample_rate=0)


@pytest.fixture
def mix_file(tmp_path: Path) -> Path:
    return write_audio(tmp_path / "mix.wav", mixed(sine_and_square(600)), RATE)


def write(mix_file: Path, out: Path, sources: tuple[str, ...] = ("sine", "square"), **options: bool) -> Separated:
    return separate_file(mix_file, sources, CPU, out=out, priors=codebook_priors(), **options)


def test_folder_holds_stems_that_sum_to_the_mix_a_player_and_a_report(mix_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "stems"
    write(mix_file, out)
    assert sorted(p.name for p in out.iterdir()) == [
        "01_sine.wav",
        "02_square.wav",
        "player.html",
        "separation.json",
        "separation_details.json",
    ]
    stems = [read_audio(out / name) for name in ("01_sine.wav", "02_square.wav")]
    assert all(stem.sample_rate == RATE and stem.samples.shape == (1, 600) for stem in stems)
    page = (out / "player.html").read_text()
    assert "mix.wav" in page and '"name": "square"' in page
    record = json.loads((out / "separation.json").read_text())
    assert record["srcsep_version"] == __version__ and record["seed"] == 0
    assert record["input"] == {
        "name": "mix.wav",
        "subtype": "PCM_16",
        "sha256": file_digest(mix_file),
        "sample_rate": RATE,
        "channels": 1,
        "duration_s": 600 / RATE,
    }
    assert record["sources"] == ["sine", "square"] and record["settings"]["prior_key"] == "codebook"
    assert record["files"] == ["01_sine.wav", "02_square.wav", "player.html", "separation_details.json", RECORD]
    details = json.loads((out / record["details"]).read_text())
    settings = details["settings"]
    assert settings["method"] == "sampler" and settings["supervision"] == "single sources"
    assert settings["sampler"] == "gibbs" and settings["search"]["max_chains"] == 9
    (channel,) = details["channels"]
    assert set(channel["windows"][0]) == {"start_s", "silent", "doubt_db", "chains_run", "disagreement"}
    assert len(channel["windows"]) == record["windows"]
    assert record["most_doubtful_window"]["doubt_db"] == max(one["doubt_db"] for one in channel["windows"])
    assert str(tmp_path) not in (out / "separation.json").read_text() + page


def test_summary_fits_a_screen(tmp_path: Path) -> None:
    long = torch.cat(
        [mixed(sine_and_square(6000)), mixed(sine_and_square(6000), 0.5), 0.1 * mixed(sine_and_square(6000))]
    )
    result = run(long, ["sine", "square"], replace(CPU, gain=1.0, max_chains=1))
    assert sum(len(one["windows"]) for one in result.report["channels"]) > 300
    lines = (result.write(tmp_path / "out") / "separation.json").read_text().splitlines()
    assert len(lines) <= 40 and max(len(line) for line in lines) <= 240
    spans = [[n / 10, n / 10 + 0.064] for n in range(500)]
    doubted = {**result.report, "trust": {**result.report["trust"], "doubtful_s": spans}}
    assert summary_of(doubted)["doubtful_s"] == spans[:3]
    first = ["verdict", "p_trust", "right_db", "windows", "doubtful_windows", "doubtful_s", "why"]
    assert list(json.loads("\n".join(lines)))[:10] == [*first, "srcsep_version", "input", "sources"]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("subtype", "level"),
    [("FLOAT", 3.0), *((subtype, level) for subtype in ("PCM_16", "PCM_24", "FLOAT") for level in (1.0, 1e-4))],
)
def test_stems_on_disk_sum_to_the_mix(subtype: str, level: float, channels: int, tmp_path: Path) -> None:
    mix = level * torch.cat([mixed(sine_and_square(200)), mixed(sine_and_square(200).roll(7, dims=1))])[:channels]
    soundfile.write(tmp_path / "mix.wav", mix.T.numpy(), RATE, subtype=subtype)
    result = write(tmp_path / "mix.wav", tmp_path / "out")
    assert result.stems.shape == (2, channels, 200) and result.summary["input"]["subtype"] == subtype
    stems = [read_audio(tmp_path / "out" / name) for name in ("01_sine.wav", "02_square.wav")]
    assert all(torch.equal(one.samples, stem) for one, stem in zip(stems, result.stems, strict=True))
    assert {one.subtype for one in stems} == {"FLOAT"}
    heard = read_audio(tmp_path / "mix.wav").samples.double()
    left = heard - sum(one.samples.double() for one in stems)
    assert float(left.abs().max() / heard.abs().max()) < 1e-6


def test_what_lies_above_the_band_is_a_stem_of_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="srcsep_core")
    time = torch.arange(3000) / 48_000
    sine, high = (0.9 * (2 * torch.pi * hz * time).sin()[None] for hz in (1600, 15_000))
    mix = (sine + 0.1 * high).clamp(-1, 1)
    write_audio(tmp_path / "mix.wav", mix, 48_000, "FLOAT")
    result = write(tmp_path / "mix.wav", tmp_path / "out", ("sine",))
    assert result.above_band is not None
    stem, above = (read_audio(tmp_path / "out" / name).samples for name in ("01_sine.wav", "00_above_band.wav"))
    inner = slice(500, -500)
    torch.testing.assert_close(above[:, inner], 0.1 * high[:, inner], atol=2e-3, rtol=0)
    torch.testing.assert_close(stem[:, inner], sine[:, inner], atol=2e-3, rtol=0)
    torch.testing.assert_close(stem + above, mix, atol=1e-6, rtol=0)
    record = json.loads((tmp_path / "out" / "separation.json").read_text())
    assert record["above_band_db"] == pytest.approx(-20, abs=1.5) and "00_above_band.wav" in record["files"]
    (note,) = [note for note in record["notes"] if "above 8000 Hz" in note]
    assert "untouched" in note and note in caplog.text
    assert '"name": "above the band"' in (tmp_path / "out" / "player.html").read_text()


def test_report_is_of_the_bytes_that_were_separated(
    mix_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, separate = file_digest(mix_file), job.separate_audio

    def overwritten(*arguments: Any, **others: Any) -> Separated:
        mix_file.write_text("another recording")
        return separate(*arguments, **others)

    monkeypatch.setattr(job, "separate_audio", overwritten)
    assert write(mix_file, tmp_path / "out").report["input"]["sha256"] == digest


def test_out_folder_that_vanishes_meanwhile_is_made_anew(
    mix_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, separate = tmp_path / "place" / "out", job.separate_audio
    out.mkdir(parents=True)

    def vanishing(*arguments: Any, **others: Any) -> Separated:
        shutil.rmtree(tmp_path / "place")
        return separate(*arguments, **others)

    monkeypatch.setattr(job, "separate_audio", vanishing)
    write(mix_file, out)
    assert (out / RECORD).exists() and len(list(out.iterdir())) == 5


@pytest.mark.parametrize("rate", [6_000, 192_000])
def test_player_of_a_rate_that_browsers_do_not_play(rate: int, tmp_path: Path) -> None:
    time = torch.arange(2000) / rate
    mix = 0.9 * (2 * torch.pi * 1600 * time).sin()[None]
    run(mix, ["sine"], sample_rate=rate).write(tmp_path / "out")
    assert read_audio(tmp_path / "out" / "01_sine.wav").sample_rate == rate


def test_overwrite_replaces_only_files_of_an_earlier_separation(mix_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "stems"
    write(mix_file, out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"not empty.*overwrite=True"):
        write(mix_file, out)
    write(mix_file, out, ("square", "sine", "sine"), overwrite=True)
    names = ["01_square.wav", "02_sine_1.wav", "03_sine_2.wav", "notes.txt", "player.html", RECORD, DETAILS]
    assert sorted(p.name for p in out.iterdir()) == names
    assert (out / "notes.txt").read_text() == "mine"


def test_overwrite_never_touches_files_of_others(mix_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "stems"
    out.mkdir()
    (out / "01_sine.wav").write_text("mine")
    with pytest.raises(InputError, match=r"01_sine.wav, which no separation wrote"):
        write(mix_file, out, overwrite=True)
    assert (out / "01_sine.wav").read_text() == "mine"


@pytest.mark.parametrize("record", ["[1]", "{", '{"files": ["01_sine.wav"]}', '{"srcsep_version": 1, "files": 3}'])
def test_foreign_record_makes_no_file_ours(record: str, mix_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "stems"
    out.mkdir()
    (out / "separation.json").write_text(record)
    with pytest.raises(InputError, match=r"separation.json, which no separation wrote"):
        write(mix_file, out, overwrite=True)


def test_out_folder_is_checked_before_any_work(mix_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "read_audio", None)
    for out, words in (
        (mix_file, "is a file; choose a folder"),
        (mix_file / "stems", "cannot be written to"),
        (tmp_path, "not empty"),
    ):
        with pytest.raises(InputError, match=words):
            write(mix_file, out)
    assert [p.name for p in tmp_path.iterdir()] == ["mix.wav"]


def test_failure_while_writing_leaves_nothing(mix_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: object) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(separated, "write_json", full)
    with pytest.raises(InputError, match="No space left on device"):
        write(mix_file, tmp_path / "stems")
    assert [p.name for p in tmp_path.iterdir()] == ["mix.wav"]


def test_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mix.wav").write_text("no audio")
    with pytest.raises(InputError, match="not audio that can be decoded"):
        write(tmp_path / "mix.wav", tmp_path / "out")
    with pytest.raises(InputError, match="there is no file"):
        write(tmp_path / "none.wav", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lines_of_the_readme_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = (ROOT / "README.md").read_text().split("## Separate your own mix")[1]
    lines = re.search(r"```python\n(.*?)```", section, re.S)
    assert lines and len([line for line in lines[1].splitlines() if line]) == 3
    write_audio(tmp_path / "mix.wav", mixed(sine_and_square(1500)), RATE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job, "source_priors", lambda *_: codebook_priors())
    monkeypatch.setattr(job, "resolve_device", lambda _: torch.device("cpu"))
    exec(lines[1], {})
    assert (tmp_path / "stems" / "02_square.wav").exists()


def srcsep(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def toy_mix(tmp_path: Path) -> Path:
    """A tenth of a second of a real toy mix at 16 kHz."""
    sources = draw_sources(ToyWorld("uniform_hz"), 1, 1600, torch.Generator().manual_seed(0))[0, :2]
    return write_audio(tmp_path / "mix.wav", mixed(sources), RATE)


def test_command_with_priors_trained_on_the_spot(
    toy_mix: Path, tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "shipped_root", lambda: tmp_path / "shipped")
    arguments = ["--sources", "sine,square", "-p", "smoke", "--device", "cpu", "--max-chains", 1, "--gain", "1.0"]
    out = tmp_path / "stems"
    unasked = srcsep("separate", toy_mix, *arguments, "--out", out)
    assert unasked.exit_code == 1 and len(unasked.output.splitlines()) == 1
    assert "the priors denoiser-uniform_hz-smoke are not trained" in unasked.output
    assert "`srcsep train -p smoke --variant uniform_hz --model denoiser`" in unasked.output
    assert "--train" in unasked.output and not out.exists() and not cache_folder.exists()
    result = srcsep("separate", toy_mix, *arguments, "--sampler", "gibbs", "--out", out, "--train")
    assert result.exit_code == DOUBTFUL, "priors of a minute of training separate nothing"
    assert f"sine, square: {out}" in result.stdout and "residual" in result.stdout
    assert "do not trust: " in result.stdout and "calibrated with another prior or sampler" in result.stdout
    settings = json.loads((out / DETAILS).read_text())["settings"]
    assert settings["prior_key"] == prior_step(get_profile("smoke"), "denoiser", variant="uniform_hz").key
    assert settings["window"] == 256 and settings["search"]["max_chains"] == 1
    stems = [read_audio(out / name).samples for name in ("01_sine.wav", "02_square.wav")]
    assert (sum(stems) - read_audio(toy_mix).samples).abs().max() <= 1e-6
    again = srcsep("separate", toy_mix, *arguments, "--out", out)
    assert again.exit_code == 1 and "--overwrite" in again.output and len(again.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--sources", "sine,piano"], "unknown source 'piano'"),
        (["--sources", ","], "0 sources"),
        (["--sources", "auto,sine"], "the sources are auto, sine; give auto alone, or name every source"),
        (["--sources", "sine", "--gain", "loud"], "gain is 'loud'"),
        (["--sources", "sine", "--gain", "nan"], "gain is nan"),
        (["--sources", "sine", "--method", "irm"], "the method irm needs the true sources"),
        (["--sources", "sine", "--sampler", "magic"], "unknown sampler 'magic'"),
        (["--sources", "sine", "--prior", "magic"], "unknown prior 'magic'"),
        (["--sources", "sine", "--prior", "score"], "unknown prior 'score'; it is now called denoiser"),
        (["--sources", "sine", "--stereo", "both"], "'both'"),
        (["--sources", "sine", "--budget", "soon"], "the budget is 'soon'; use seconds, as in 60, 90s, 5m or 1h"),
        (["--sources", "sine", "--budget", "0"], "the budget is 0 s"),
        (["--sources", "sine", "--precision", "half"], "unknown precision 'half'"),
        (["--sources", "sine", "--levels", "loud"], "unknown kind of levels 'loud'"),
        (["--sources", "sine", "--levels", "estimated", "--sampler", "langevin"], "langevin cannot estimate levels"),
        (["--sources", "auto", "--method", "nmf"], "the method nmf cannot find the sources"),
    ],
)
def test_mistaken_command_is_one_sentence(arguments: list[str], value: str, toy_mix: Path, cache_folder: Path) -> None:
    result = srcsep("separate", toy_mix, *arguments, "--out", toy_mix.parent / "out")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and value in result.output and len(result.output.splitlines()) == 1
    assert sorted(p.name for p in toy_mix.parent.iterdir()) == ["mix.wav"]


@pytest.mark.parametrize("written", [False, True])
def test_ctrl_c_is_one_sentence_on_what_there_is(
    written: bool, toy_mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(mix: Path, *_: object, out: Path, **__: object) -> None:
        if written:
            out.mkdir()
            (out / RECORD).write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr("srcsep_core.separate.separate_file", stopped)
    result = srcsep("separate", toy_mix, "--sources", "sine", "--out", tmp_path / "out")
    assert result.exit_code == 130
    held = f"the stems in {tmp_path / 'out'} are complete" if written else f"{tmp_path / 'out'} is as it was"
    assert result.output == f"Stopped: {held}\n"


@pytest.mark.parametrize("found", [False, True])
def test_ctrl_c_keeps_the_best_found_or_the_folder_where_nothing_is_found_yet(
    found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes at the first noise level, or when the first window has its chain."""
    interrupted = threading.Event()
    step, candidates = crew._Bar.step, crew._candidates

    def interrupt() -> None:
        if not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)

    def stepped(*arguments: Any) -> None:
        step(*arguments)
        if not found:
            interrupt()

    def finished(*arguments: Any) -> tuple[Tensor, Tensor]:
        interrupt()
        return candidates(*arguments)

    monkeypatch.setattr(job, "source_priors", lambda *_: codebook_priors())
    monkeypatch.setattr(crew, "SMALL_BATCH", 1)
    monkeypatch.setattr(crew._Bar, "step", stepped)
    monkeypatch.setattr(crew, "_candidates", finished)
    mix, out = tmp_path / "mix.wav", tmp_path / "out"
    soundfile.write(mix, mixed(sine_and_square(3000))[0].numpy(), RATE, subtype="FLOAT")
    arguments = ["--sources", "sine,square", "-p", "smoke", "--device", "cpu", "--gain", "1"]
    result = srcsep("separate", mix, *arguments, "--out", out)
    said = "Stopping with the best found so far; Ctrl-C again to stop at once\n"
    if not found:
        assert result.stderr.startswith(f"{said}Error: the search was stopped before any window had a chain")
        assert result.exit_code == 1 and not out.exists()
        return
    assert result.stderr.startswith(said)
    torch.testing.assert_close(
        sum(read_audio(path).samples for path in sorted(out.glob("0?_*.wav"))), read_audio(mix).samples
    )
    (note,) = json.loads((out / RECORD).read_text())["notes"]
    assert re.fullmatch(r"stopped after \d+ s before \d+ windows had a chain: there the mix itself", note)


def test_messages_name_arguments_and_the_command_names_its_options(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="srcsep_core")
    loud = (2 * codebook_wave("sine", 18, 400)).clamp(-1, 1)[None]
    facts = {"sample_rate": 16_000, "remove_dc": False, "flat_tops": False, "window": 64, "rate": 16_000}
    apart = torch.cat([WAVE, 0.5 * WAVE]) + 0.1

    prepare(apart, **facts, stereo="mean")  # type: ignore[arg-type]
    assert "stereo='each' separates" in caplog.text and "remove_dc=True removes" in caplog.text
    assert "--" not in caplog.text
    caplog.clear()
    with pytest.raises(InputError, match="--allow-clipped"), options_named():
        prepare(apart, **facts, stereo="mean")  # type: ignore[arg-type]
        prepare(loud, **facts, stereo="mean")  # type: ignore[arg-type]
    assert "--stereo each separates" in caplog.text and "--remove-dc removes" in caplog.text
    assert "=" not in caplog.text.split("averaged")[1]
    caplog.clear()
    prepare(apart, **facts, stereo="mean")  # type: ignore[arg-type]
    assert "--" not in caplog.text, "outside the command the arguments are named again"


GOOD = Verdict(True, 0.97, 2, 0, (), ())
BAD = Verdict(False, 0.02, 2, 1, ((0.05, 0.11),), ("triangle fits better than saw",))


@pytest.mark.parametrize(("said", "code"), [(GOOD, 0), (BAD, 3), (replace(BAD, p=math.nan), 0)])
def test_last_line_is_the_verdict_and_a_doubtful_result_has_an_exit_code_of_its_own(
    said: Verdict, code: int, mix_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "source_priors", lambda *_: codebook_priors())
    monkeypatch.setattr(job, "verdict", lambda *_, **__: said)
    result = srcsep(
        "separate", mix_file, "--sources", "sine,square", "-p", "smoke", "--device", "cpu", "--out", tmp_path / "out"
    )
    assert result.exit_code == code, result.output
    assert result.stdout.splitlines()[-1] == said.line
    assert (tmp_path / "out" / "02_square.wav").exists(), "the stems are written all the same"
    assert json.loads((tmp_path / "out" / RECORD).read_text())["verdict"] == said.facts["verdict"]
    assert said.line in html.unescape((tmp_path / "out" / "player.html").read_text())


def test_auto_takes_the_likeliest_set_and_says_how_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = pd.DataFrame({"sources": ["sine+square", "sine"], "p": [0.8, 0.1], "doubt_db": [-30.0, -9.0], "gain": 1.0})
    asked: list[object] = []
    monkeypatch.setattr(job, "pick_sources", lambda channels, search, sets, world, gain: asked.extend(sets) or tried)
    result = run(mixed(sine_and_square(500)), ["auto"], replace(CPU, search=SearchConfig(budget_s=90)))
    assert result.report["notes"] == ["a third of the budget was over when 2 of 15 sets of sources had been tried"]
    assert len(asked) == 15 and result.sources == ("sine", "square") and result.stems.shape == (2, 1, 500)
    assert result.report["sources_tried"][0] == {"sources": "sine+square", "p": 0.8, "doubt_db": -30.0, "gain": 1.0}
    assert (si_sdr(estimate=result.stems[:, 0], reference=sine_and_square(500)) > 20).all()


def test_budget_ends_the_search_and_keeps_what_there_is() -> None:
    mix = mixed(sine_and_square(20_000))
    began = time.monotonic()
    result = run(mix, ["sine", "square"], replace(CPU, gain=1.0, search=SearchConfig(budget_s=1.0, workers=1)))
    assert time.monotonic() - began < 9
    torch.testing.assert_close(result.stems.sum(dim=0), mix, atol=1e-5, rtol=0)
    windows = result.report["channels"][0]["windows"]
    reached = [one["chains_run"] > 0 for one in windows]
    assert any(reached) and not all(reached) and all(math.isfinite(one["doubt_db"]) for one in windows)
    late = f"the budget of 1 s was over before {reached.count(False)} windows had a chain: there the mix itself"
    assert result.summary["notes"] == [late]


def test_budget_that_is_over_at_once_leaves_a_record_that_can_be_read(tmp_path: Path) -> None:
    result = run(mixed(sine_and_square()), ["sine", "square"], replace(CPU, search=SearchConfig(budget_s=1e-9)))
    assert "was over before" in result.report["notes"][-1]
    out = result.write(tmp_path / "out")
    for name in (RECORD, DETAILS):
        json.loads((out / name).read_text(), parse_constant=pytest.fail)  # Infinity and NaN are no JSON


def test_levels_are_estimated_where_equal_ones_leave_doubt() -> None:
    priors = codebook_priors()
    sampler = PriorSeparator(gibbs, GibbsConfig(levels=6), priors.by_source)
    config = SearchConfig(accept=0.01)
    search = Search(sampler, priors, ["sine", "square"], config, Crew(torch.device("cpu"), 0), estimate=True)
    references = sine_and_square(300) * torch.tensor([[1.0], [0.25]])
    found = search.run(references.mean(dim=0), 1.0)
    assert (si_sdr(estimate=found.signals, reference=references) > 15).all()
    equal = replace(search, estimate=False).run(references.mean(dim=0), 1.0)
    assert si_sdr(estimate=equal.signals, reference=references).min() < 10
