"""Sets of priors from a folder, a zip file or an address come whole, all of them, or not at all."""

import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from srcsep_core.cli import main
from srcsep_core.errors import InputError
from srcsep_core.run.artefacts import MARKER, PROVENANCE, fault, seal
from srcsep_core.run.store import Store
from srcsep_core.run.takeover import take_over

KEYS = {"denoiser-world-laptop": "a" * 64, "flow-world-laptop": "b" * 64}


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Two sets of priors in a folder, as in data/pretrained, beside a file that is none."""
    folder = tmp_path / "pretrained"
    for title, key in KEYS.items():
        make(folder / title, key, f"{title.split('-')[0]}-prior")
    (folder / "README.md").write_text("a model card")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def make(folder: Path, key: str, step: str) -> None:
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(key.encode())
    (folder / PROVENANCE).write_text(json.dumps({"step": step, "title": folder.name}))
    seal(folder, key)


def assert_nothing_came(store: Store) -> None:
    assert not store.root.exists() or not [path for path in store.root.rglob("*") if path.is_file()]


def assert_all_came(store: Store) -> None:
    for title, key in KEYS.items():
        assert store.find(f"{title.split('-')[0]}-prior", key) is not None
    assert not list(store.root.glob(".incoming*"))


def zipped(folder: Path, name: str = "sets") -> str:
    """A zip file with the folder in it, as an archive of a release has."""
    return shutil.make_archive(str(folder.parent / name), "zip", folder.parent, folder.name)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server on this machine of what is in the test's folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("kind", ["folder", "zip file", "address"])
def test_sets_are_taken_over_once(kind: str, sets: Path, store: Store, address: str) -> None:
    source = {"folder": str(sets), "zip file": zipped(sets), "address": f"{address}/sets.zip"}[kind]
    assert take_over(source, store) == dict.fromkeys(KEYS, True)
    assert_all_came(store)
    assert take_over(source, store) == dict.fromkeys(KEYS, False)


def test_one_set_can_be_named_and_a_damaged_one_in_the_cache_is_replaced(sets: Path, store: Store) -> None:
    title, key = next(iter(KEYS.items()))
    place = store.folder("denoiser-prior", key)
    place.mkdir(parents=True)
    assert take_over(str(sets / title), store) == {title: True}
    assert fault(place, key) is None


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda one: (one / "weights.safetensors").write_bytes(b"other" * 13), "has 65 bytes instead of 64"),
        (lambda one: (one / "weights.safetensors").unlink(), "weights.safetensors is missing"),
        (lambda one: (one / MARKER).write_text('{"key": "../a", "files": {}}'), "its key is ../a"),
        (lambda one: (one / MARKER).write_text("{"), "its key is None"),
        (lambda one: (one / PROVENANCE).unlink(), r"is no set of priors \(its step is None\)"),
        (lambda one: (one / PROVENANCE).write_text('{"step": "../../other"}'), "is no set of priors"),
    ],
)
def test_if_one_is_not_whole_none_is_taken_over(harm, message: str, sets: Path, store: Store) -> None:  # type: ignore[no-untyped-def]
    harm(sets / "flow-world-laptop")
    for source in (str(sets), zipped(sets)):
        with pytest.raises(InputError, match=message):
            take_over(source, store)
    assert_nothing_came(store)


def test_a_marker_cannot_name_files_elsewhere(sets: Path, store: Store) -> None:
    one = sets / "flow-world-laptop"
    marker = json.loads((one / MARKER).read_text())
    marker["files"]["../README.md"] = marker["files"][PROVENANCE]
    (one / MARKER).write_text(json.dumps(marker))
    with pytest.raises(InputError, match=r"names \.\./README\.md, which is not in the folder"):
        take_over(str(sets), store)


def test_a_disk_that_fills_up_leaves_none(sets: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    copyfile = shutil.copyfile

    def fills_up(source: Path, target: Path) -> None:
        if "flow" in str(source):
            raise OSError(28, "No space left on device")
        copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", fills_up)
    with pytest.raises(Exception, match="no space left"):
        take_over(str(sets), store)
    assert_nothing_came(store)


def test_what_holds_no_sets_is_named_with_the_remedy(sets: Path, store: Store, tmp_path: Path, address: str) -> None:
    (tmp_path / "text.zip").write_text("no zip file")
    (tmp_path / "empty").mkdir()
    for source, message in {
        str(tmp_path / "none"): "there is no .*none; name the folder",
        str(tmp_path / "empty"): "holds no sets of priors; name the folder",
        str(tmp_path / "text.zip"): r"text.zip cannot be unpacked \(File is not a zip file\)",
        f"{address}/none.zip": r"none.zip cannot be fetched \(HTTP Error 404.*check the address",
        "ftp://host/sets.zip": "is no address that can be fetched; use one that begins with https://",
    }.items():
        with pytest.raises(InputError, match=message):
            take_over(source, store)
    assert_nothing_came(store)


def test_the_command_says_what_came_and_where_sets_are(sets: Path, cache_folder: Path) -> None:
    result = CliRunner().invoke(main, ["data", "priors", "--from", str(sets)])
    assert result.exit_code == 0
    assert result.output.splitlines() == [*(f"{title}: taken over" for title in KEYS), f"cache: {cache_folder}"]
    unsaid = CliRunner().invoke(main, ["data", "priors"])
    assert unsaid.exit_code == 1 and "--from" in unsaid.output and "data/pretrained" in unsaid.output
