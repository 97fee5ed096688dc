"""Stems against references: the right numbers beside the right names, and clear words when files do not agree."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from audio_files import write_audio
from click.testing import CliRunner, Result

from srcsep_core.audio import read_audio
from srcsep_core.cli import main
from srcsep_core.metrics import bss_eval, improvement
from srcsep_core.separate.scoring import score_files

RATE = 8_000


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Folders `est` and `ref` with a.wav and b.flac, and mix.wav."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(5, 1, 400, generator=generator)
    for k, name in enumerate(("a.wav", "b.flac")):
        write_audio(tmp_path / "ref" / name, noise[k], RATE)
        write_audio(tmp_path / "est" / name, noise[k] + (k + 1) * 0.1 * noise[2 + k], RATE)
    (tmp_path / "est" / "player.html").write_text("")
    write_audio(tmp_path / "mix.wav", noise[0] + noise[1], RATE)
    return tmp_path / "est", tmp_path / "ref"


def signals(folder: Path) -> torch.Tensor:
    return torch.cat([read_audio(folder / name).samples for name in ("a.wav", "b.flac")])


def srcsep(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def test_folders_are_compared_by_name(folders: tuple[Path, Path]) -> None:
    est, ref = folders
    mix = ref.parent / "mix.wav"
    table = score_files([est], [ref], mix=mix)
    assert list(table["reference"]) == list(table["estimate"]) == ["a.wav", "b.flac"]
    wanted = bss_eval(estimate=signals(est), reference=signals(ref))
    for name in ("si_sdr", "si_sir", "si_sar"):
        assert list(table[name]) == pytest.approx(getattr(wanted, name).tolist())
    gain = improvement(estimate=signals(est), reference=signals(ref), mix=read_audio(mix).samples)
    assert list(table["si_sdri"]) == pytest.approx(gain.tolist())


def test_permuted_files_find_their_references(folders: tuple[Path, Path]) -> None:
    est, ref = folders
    swapped, right = [est / "b.flac", est / "a.wav"], [ref / "a.wav", ref / "b.flac"]
    assert (score_files(swapped, right)["si_sdr"] < 0).all()
    table = score_files(swapped, right, permute=True)
    assert list(table["estimate"]) == ["a.wav", "b.flac"]
    assert list(table["si_sdr"]) == pytest.approx(list(score_files([est], [ref])["si_sdr"]))


def test_channels_are_scored_each(folders: tuple[Path, Path]) -> None:
    est, ref = folders
    for folder in (est, ref):
        write_audio(folder / "s.wav", signals(folder), RATE)
    table = score_files([est / "s.wav"], [ref / "s.wav"])
    assert list(table["channel"]) == [1, 2] and len(table) == 2


def stereo_twin(folder: Path) -> Path:
    """A folder beside it with the same files in two channels that differ, whose mean is what the one channel was."""
    for name in ("a.wav", "b.flac"):
        samples = read_audio(folder / name).samples
        write_audio(folder.parent / f"{folder.name} stereo" / name, torch.cat([1.5 * samples, 0.5 * samples]), RATE)
    return folder.parent / f"{folder.name} stereo"


def test_one_channel_is_compared_with_the_mean_of_several(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="srcsep_core")
    est, ref = folders
    mix = ref.parent / "mix.wav"
    wide_mix = write_audio(ref.parent / "wide.wav", read_audio(mix).samples * torch.tensor([[1.5], [0.5]]), RATE)
    wanted = score_files([est], [ref], mix=mix)
    assert "means of the channels" not in caplog.text
    for estimates, references, given in (
        (est, stereo_twin(ref), mix),
        (stereo_twin(est), ref, mix),
        (stereo_twin(est), stereo_twin(ref), mix),
        (est, ref, wide_mix),
    ):
        caplog.clear()
        table = score_files([estimates], [references], mix=given)
        assert "the means of the channels are compared" in caplog.text
        for name in ("si_sdr", "si_sir", "si_sar", "si_sdri"):
            assert list(table[name]) == pytest.approx(list(wanted[name]), abs=0.05)
    assert len(score_files([stereo_twin(est)], [stereo_twin(ref)], mix=wide_mix)) == 4
    assert len(score_files([stereo_twin(est)], [stereo_twin(ref)], mix=wide_mix, mono=True)) == 2


def test_channels_that_cannot_be_compared_are_named(folders: tuple[Path, Path]) -> None:
    _, ref = folders
    samples = read_audio(ref / "a.wav").samples
    three = write_audio(ref.parent / "three.wav", samples.expand(3, -1), RATE)
    two = write_audio(ref.parent / "two.wav", samples.expand(2, -1), RATE)
    against = write_audio(ref.parent / "against.wav", torch.cat([samples, -samples]), RATE)
    result = srcsep("evaluate", three, "--reference", two)
    assert result.exit_code == 1 and "has 3 channel(s)" in result.output
    assert "--mono compares the means" in result.output and len(result.output.splitlines()) == 1
    assert srcsep("evaluate", three, "--reference", two, "--mono").exit_code == 0
    result = srcsep("evaluate", ref / "a.wav", "--reference", against)
    assert result.exit_code == 1 and "the 2 channels of" in result.output and "cancel" in result.output


def test_what_lies_above_the_band_is_left_out_where_references_lack_it(folders: tuple[Path, Path]) -> None:
    est, ref = folders
    wanted = score_files([est], [ref])
    write_audio(est / "00_above_band.wav", signals(est)[:1], RATE)
    pd.testing.assert_frame_equal(score_files([est], [ref]), wanted)
    write_audio(ref / "00_above_band.wav", signals(ref)[:1], RATE)
    assert len(score_files([est], [ref])) == 3


def test_command_prints_a_table(folders: tuple[Path, Path]) -> None:
    est, ref = folders
    result = srcsep("evaluate", est, "--reference", ref, "--mix", ref.parent / "mix.wav", "--permute")
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["reference", "estimate", "si_sdr", "si_sir", "si_sar", "si_sdri"]
    assert [row.split()[0] for row in rows] == ["a.wav", "b.flac"]


def test_mistake_is_one_sentence_with_the_value_and_the_remedy(folders: tuple[Path, Path]) -> None:
    est, ref = folders
    a, b = ref / "a.wav", ref / "b.flac"
    samples = read_audio(a).samples
    other = ref.parent
    write_audio(other / "rate.wav", samples, 16_000)
    write_audio(other / "short.wav", samples[:, :300], RATE)
    write_audio(est / "c.wav", samples, RATE)
    (other / "empty").mkdir()
    for arguments, value, remedy in (
        ([a, b, "--reference", a], "2 estimate(s) and 1 reference(s)", "one reference for every estimate"),
        ([est, "--reference", ref], "holds c.wav", "same names"),
        ([est, "--reference", a], "is a folder", "or files"),
        ([other / "empty", "--reference", ref], "holds no .wav or .flac", "folder of stems"),
        ([other / "rate.wav", "--reference", a], "16000 Hz", "resample"),
        ([other / "short.wav", "--reference", a], "300 samples", "one length"),
        ([other / "none.wav", "--reference", a], "no file", "check the path"),
        ([a, "--reference", a, "--mix", other / "short.wav"], "300", "one length"),
    ):
        result = srcsep("evaluate", *arguments)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ") and len(result.output.splitlines()) == 1
        assert value in result.output and remedy in result.output
