"""`srcsep data`: musdb18 decoded from a folder or a zip file, and what there is."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from song_trees import stems, write_stem_song, write_wav_song

from srcsep_core.cli import main
from srcsep_core.data import tracks
from srcsep_core.data.tracks import STEM_FILE

pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "musdb18"
    write_wav_song(root / "train" / "A", stems(1, 1.5))
    write_stem_song(root / "test" / f"B{STEM_FILE}", stems(2, 1.5))
    (root / "test" / f"C{STEM_FILE}").write_bytes(b"nothing")
    return root


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["data", *arguments])
    return result.exit_code, result.output


def test_tree_is_decoded_and_reported(tree: Path) -> None:
    code, output = run("musdb18", "--root", str(tree), "--variant", "musdb18_paper", "--variant", "musdb18_released")
    assert code == 0 and "C: C.stem.mp4 cannot be decoded" in output
    assert "musdb18_paper: 2 songs in" in output and "musdb18_released: 2 songs in" in output
    code, output = run("status")
    assert code == 0 and "musdb18_paper: 1 train, 0 validation, 1 test songs, 1 remarks" in output
    assert "musdb18_thesis: not decoded; srcsep data musdb18 --variant musdb18_thesis" in output


def test_zip_file_is_as_good_as_a_folder(tree: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "songs"), "zip", tmp_path, tree.name)
    code, output = run("musdb18", "--root", archive)
    assert code == 0 and "musdb18_paper: 2 songs" in output


def test_download_takes_the_address_that_musdb_knows(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracks.excerpts_address().endswith("MUSDB18-7-STEMS.zip")
    archive = shutil.make_archive(str(tmp_path / "songs"), "zip", tree)
    monkeypatch.setattr(tracks, "excerpts_address", lambda: archive)
    code, output = run("musdb18", "--download")
    assert code == 0 and "musdb18_paper: 2 songs" in output


@pytest.mark.parametrize("arguments", [(), ("--root", "x", "--download")])
def test_root_or_download_is_needed(arguments: tuple[str, ...]) -> None:
    code, output = run("musdb18", *arguments)
    assert code != 0 and "either a root or --download is needed" in output


def test_root_that_is_not_musdb18_is_named(tmp_path: Path) -> None:
    for root, words in ((tmp_path, "is not musdb18"), (tmp_path / "gone", "there is no")):
        code, output = run("musdb18", "--root", str(root))
        assert code != 0 and words in " ".join(output.split()) and "Traceback" not in output


def test_variant_that_there_is_not_is_named(tree: Path) -> None:
    code, output = run("musdb18", "--root", str(tree), "--variant", "mp3")
    assert code != 0 and "musdb18_released" in output
