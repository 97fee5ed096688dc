"""The store: an artefact is made once, is whole or not there, and is never trusted unseen."""

import errno
import json
import logging
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srcsep_core.errors import StoreError
from srcsep_core.run import artefacts
from srcsep_core.run.artefacts import MARKER, PROVENANCE, content_key, fault, seal
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.store import Store
from srcsep_core.training.config import TrainConfig

KEY = content_key("step", {"a": 1})
OTHER_KEY = content_key("step", {"a": 2})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def write_result(folder: Path, work: Path) -> Mapping[str, Any]:
    (folder / "values.csv").write_text("a,b\n1,2\n")
    (folder / "weights.bin").write_bytes(bytes(100))
    return {"device": "cpu"}


def must_not_run(folder: Path, work: Path) -> None:
    raise AssertionError("made again")


def files_below(folder: Path) -> list[str]:
    """What a reader could take for a result: every file but locks and those of the set-aside artefacts."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] not in ("locks", "rejected"))


# Keys


OTHER_VALUES: dict[str, Any] = {
    "objective": "quarter_log_det",
    "schedule": "multistep",
    "noise": "scaled_clamped",
    "milestones": (0.5,),
    "clip_norm": None,
    "mixed_precision": True,
}


@pytest.mark.parametrize("field", vars(TrainConfig()))
def test_key_depends_on_every_field_of_a_configuration(field: str) -> None:
    config = get_profile("smoke").plan_of("flowavenet").train
    other = OTHER_VALUES[field] if field in OTHER_VALUES else getattr(config, field) + 7
    assert content_key("step", replace(config, **{field: other})) != content_key("step", config)


@pytest.mark.parametrize(
    "other",
    [
        content_key("another step", {"a": 1}),
        content_key("step", {"a": 2}),
        content_key("step", {"b": 1}),
        content_key("step", {"a": 1}, ["parent"]),
        content_key("step", {"a": 1}, step_version=2),
    ],
    ids=["step", "value", "name", "parent", "version"],
)
def test_key_depends_on_step_content_parents_and_version(other: str) -> None:
    assert other != content_key("step", {"a": 1})


def test_key_depends_on_the_order_of_the_parents() -> None:
    assert content_key("step", {}, ["x", "y"]) != content_key("step", {}, ["y", "x"])


def test_key_does_not_depend_on_the_order_of_a_dict() -> None:
    assert content_key("step", {"a": 1, "b": {"c": 2, "d": 3}}) == content_key("step", {"b": {"d": 3, "c": 2}, "a": 1})


def test_configurations_that_compare_equal_have_the_same_key() -> None:
    whole, decimal = TrainConfig(clip_norm=10, clip_value=30), TrainConfig(clip_norm=10.0, clip_value=30.0)
    assert whole == decimal
    assert content_key("step", whole) == content_key("step", decimal)


def test_key_is_the_one_that_artefacts_are_stored_under() -> None:
    """A change here makes everything in users' caches, and what is shipped, useless."""
    assert content_key("step", {"a": 1, "b": [0.5, None]}, ["parent"], step_version=3) == (
        "4e31eef46ee0ea20ef1c271d06eea101b85c9c0abe7a6ab1e42b2fd8b6a07113"
    )


# Finding and making


def test_what_was_made_is_found(store: Store) -> None:
    made = store.get_or_make("step", KEY, write_result)
    found = store.find("step", KEY)
    assert found == made
    assert (made / "values.csv").read_text() == "a,b\n1,2\n"
    assert not made.shipped


def test_nothing_is_found_before_it_is_made(store: Store) -> None:
    assert store.find("step", KEY) is None
    assert not store.root.exists()


def test_second_request_does_not_make_again(store: Store) -> None:
    store.get_or_make("step", KEY, write_result)
    store.get_or_make("step", KEY, must_not_run)


def test_artefacts_of_different_keys_and_steps_are_apart(store: Store) -> None:
    paths = {store.get_or_make(step, key, write_result).path for step in ("one", "two") for key in (KEY, OTHER_KEY)}
    assert len(paths) == 4


def test_default_store_is_where_the_environment_says(cache_folder: Path) -> None:
    assert Store().root == cache_folder


def test_default_store_is_in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SRCSEP_CACHE", raising=False)
    assert Store().root == Path(__file__).resolve().parents[2] / ".cache"


MAKE_WHEN_BOTH_ARE_READY = """
import os, sys, time
from pathlib import Path
from srcsep_core.run.store import Store

folder, me = Path(sys.argv[1]), sys.argv[2]

def make(building, work):
    with (folder / "made").open("a") as stream:
        stream.write(me + "\\n")
    time.sleep(0.3)
    (building / "maker").write_text(me)

(folder / f"ready-{me}").touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.001)
print((Store(folder / "cache").get_or_make("step", sys.argv[3], make) / "maker").read_text())
"""


def test_two_processes_that_ask_at_the_same_time_make_it_once_and_both_get_it(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    processes = [start_python(MAKE_WHEN_BOTH_ARE_READY, tmp_path, name, KEY) for name in ("one", "two")]
    ended = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    (maker,) = (tmp_path / "made").read_text().split()
    assert [output.strip() for output, _ in ended] == [maker, maker]


def test_failed_make_leaves_nothing_behind_but_its_work_folder(store: Store) -> None:
    def fail(folder: Path, work: Path) -> None:
        write_result(folder, work)
        (work / "checkpoint").write_text("half")
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        store.get_or_make("step", KEY, fail)
    assert store.find("step", KEY) is None
    assert files_below(store.root) == [f"unfinished/step/{KEY[:20]}/checkpoint"]


def test_interrupted_make_leaves_nothing_behind_but_its_work_folder(store: Store) -> None:
    def interrupted(folder: Path, work: Path) -> None:
        write_result(folder, work)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get_or_make("step", KEY, interrupted)
    assert files_below(store.root) == []


def test_next_make_finds_the_work_folder_and_the_last_one_removes_it(store: Store) -> None:
    def fail(folder: Path, work: Path) -> None:
        (work / "checkpoint").write_text("half")
        raise RuntimeError("killed")

    def resume(folder: Path, work: Path) -> None:
        (folder / "result").write_text((work / "checkpoint").read_text() + " and half")

    with pytest.raises(RuntimeError):
        store.get_or_make("step", KEY, fail)
    artefact = store.get_or_make("step", KEY, resume)
    assert (artefact / "result").read_text() == "half and half"
    assert not store.work_folder("step", KEY).exists()


def test_making_anew_replaces_what_is_there(store: Store) -> None:
    store.get_or_make("step", KEY, write_result)

    def other_result(folder: Path, work: Path) -> None:
        (folder / "values.csv").write_text("new")

    anew = store.make_anew("step", KEY, other_result)
    assert store.find("step", KEY) == anew
    assert (anew / "values.csv").read_text() == "new"
    assert not (anew / "weights.bin").exists()
    assert {path.name for path in anew.path.parent.iterdir()} == {anew.path.name}


def test_failed_making_anew_keeps_what_is_there(store: Store) -> None:
    artefact = store.get_or_make("step", KEY, write_result)

    def fail(folder: Path, work: Path) -> None:
        (folder / "values.csv").write_text("half")
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError):
        store.make_anew("step", KEY, fail)
    assert store.find("step", KEY) == artefact
    assert (artefact / "values.csv").read_text() == "a,b\n1,2\n"


# Verification


def truncate(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(bytes(60))


def change(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(bytes(99) + b"x")


def remove_file(folder: Path) -> None:
    (folder / "weights.bin").unlink()


def remove_marker(folder: Path) -> None:
    (folder / MARKER).unlink()


def garble_marker(folder: Path) -> None:
    (folder / MARKER).write_text('{"key":')


def empty_marker_entry(folder: Path) -> None:
    (folder / MARKER).write_text(json.dumps({"key": KEY, "files": {"weights.bin": {}}}))


def make_foreign(folder: Path) -> None:
    seal(folder, OTHER_KEY)


DAMAGES = {
    "truncated": (truncate, "weights.bin has 60 bytes instead of 100"),
    "changed": (change, "weights.bin was changed"),
    "missing": (remove_file, "weights.bin is missing"),
    "no marker": (remove_marker, f"{MARKER} is missing"),
    "garbled marker": (garble_marker, f"{MARKER} is not readable"),
    "marker without sizes": (empty_marker_entry, f"{MARKER} is not readable"),
    "foreign": (make_foreign, f"another configuration (key {OTHER_KEY[:20]})"),
}
each_damage = pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES.keys())


@each_damage
def test_broken_artefact_is_named_moved_and_made_anew(
    damage: Callable[[Path], None], reason: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    folder = store.get_or_make("step", KEY, write_result).path
    damage(folder)
    with caplog.at_level(logging.WARNING):
        again = store.get_or_make("step", KEY, write_result)
    (warning,) = caplog.messages
    (rejected,) = (store.root / "rejected").iterdir()
    for part in (str(folder), reason, str(rejected)):
        assert part in warning
    assert again.path == folder
    assert fault(again.path, KEY) is None


@each_damage
def test_broken_artefact_is_not_found_and_left_where_it_is(
    damage: Callable[[Path], None], reason: str, store: Store
) -> None:
    folder = store.get_or_make("step", KEY, write_result).path
    damage(folder)
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    assert store.find("step", KEY) is None
    assert reason in store.look("step", KEY).damaged[folder]
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == before


# Shipped artefacts


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A folder with one shipped artefact in `a-readable-name`."""
    folder = tmp_path / "shipped" / "a-readable-name"
    folder.mkdir(parents=True)
    write_result(folder, folder)
    seal(folder, KEY)
    return folder


def test_shipped_artefact_is_found_by_its_key_whatever_its_name(tmp_path: Path, shipped: Path) -> None:
    found = Store(tmp_path / "cache", shipped.parent).get_or_make("step", KEY, must_not_run)
    assert (found.path, found.shipped) == (shipped, True)


def test_shipped_artefact_of_another_key_is_not_found(tmp_path: Path, shipped: Path) -> None:
    assert Store(tmp_path / "cache", shipped.parent).find("step", OTHER_KEY) is None


def test_shipped_artefact_is_ignored_where_the_store_has_none(tmp_path: Path, shipped: Path) -> None:
    assert Store(tmp_path / "cache").find("step", KEY) is None


def test_cached_artefact_goes_before_the_shipped_one(tmp_path: Path, shipped: Path) -> None:
    Store(tmp_path / "cache").get_or_make("step", KEY, write_result)
    found = Store(tmp_path / "cache", shipped.parent).find("step", KEY)
    assert found is not None and not found.shipped


@pytest.mark.parametrize("damage", [truncate, change, remove_file])
def test_broken_shipped_artefact_is_named_left_alone_and_made_anew_in_the_cache(
    damage: Callable[[Path], None], tmp_path: Path, shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(shipped)
    left = {path.name: path.read_bytes() for path in shipped.iterdir()}
    store = Store(tmp_path / "cache", shipped.parent)
    made = store.get_or_make("step", KEY, write_result)
    assert made.path == store.folder("step", KEY)
    (warning,) = caplog.messages
    assert str(shipped) in warning and "weights.bin" in warning
    assert {path.name: path.read_bytes() for path in shipped.iterdir()} == left


def test_shipped_artefact_takes_the_place_of_a_broken_one_in_the_cache(
    tmp_path: Path, shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "cache", shipped.parent)
    broken = store.make_anew("step", KEY, write_result).path
    truncate(broken)
    assert store.get("step", KEY) == store.get_or_make("step", KEY, must_not_run)
    (warning,) = caplog.messages
    assert str(broken) in warning and "a shipped one is used" in warning
    assert not broken.exists() and len(list((store.root / "rejected").iterdir())) == 1


# Provenance


def test_provenance_tells_when_where_and_with_what_it_was_made(store: Store) -> None:
    facts = store.get_or_make("step", KEY, write_result, title="a title", parents=["x"]).provenance
    assert facts["step"] == "step"
    assert facts["key"] == KEY
    assert facts["title"] == "a title"
    assert facts["parents"] == ["x"]
    assert facts["device"] == "cpu"
    assert facts["packages"].keys() >= {"torch", "numpy", "scipy", "pandas"}
    assert facts.keys() >= {"created", "git_revision", "python", "system"}


def test_provenance_is_sealed_with_the_files(store: Store) -> None:
    artefact = store.get_or_make("step", KEY, write_result)
    marker = json.loads((artefact / MARKER).read_text())
    assert marker["files"].keys() == {"values.csv", "weights.bin", PROVENANCE}


def test_git_revision_is_unknown_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (tmp_path, None):
        monkeypatch.setattr(artefacts, "checkout", lambda place=place: place)
        assert artefacts.git_revision() == "unknown"


# A disk that cannot be used


@pytest.mark.parametrize("below", [".", "folder", "folder/deeper"])
def test_cache_folder_at_or_below_a_file_is_named_with_the_remedy(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = Store(tmp_path / "file" / below)
    with pytest.raises(StoreError, match="SRCSEP_CACHE") as error:
        store.get_or_make("step", KEY, write_result)
    assert str(store.root) in str(error.value)
    assert (tmp_path / "file").read_text() == "not a folder"


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "function", ["pathlib.Path.mkdir", "pathlib.Path.write_text", "os.replace", "srcsep_core.run.store.seal", None]
)
def test_full_disk_is_named_and_leaves_nothing_half_written(
    function: str | None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(folder: Path, work: Path) -> None:
        (folder / "values.csv").write_bytes(b"a,b\n1,2\n")
        if function is None:
            full_disk()

    with monkeypatch.context() as patch, pytest.raises(StoreError, match=r"no space left.*SRCSEP_CACHE") as error:
        if function is not None:
            patch.setattr(function, full_disk)
        store.get_or_make("step", KEY, make)
    assert str(store.root) in str(error.value)
    assert files_below(store.root) == []
    assert store.find("step", KEY) is None
    assert fault(store.get_or_make("step", KEY, write_result).path, KEY) is None


def test_read_only_disk_is_named_with_the_remedy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(StoreError, match=r"cannot be used \(Read-only file system\).*SRCSEP_CACHE"):
        store.get_or_make("step", KEY, write_result)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@pytest.mark.parametrize("root", ["/proc/x", "/proc/x/deeper", "/tmp/" + 300 * "x"])
def test_folder_that_cannot_be_made_is_named_with_the_remedy(root: str) -> None:
    with pytest.raises(StoreError, match="SRCSEP_CACHE") as error:
        Store(Path(root)).get_or_make("step", KEY, must_not_run)
    assert root in str(error.value)
    with pytest.raises(StoreError, match="SRCSEP_CACHE"):
        Store(Path(root)).add([("step", KEY, Path("sets/one"))])


def test_other_errors_of_the_operating_system_keep_their_words(store: Store) -> None:
    def missing(folder: Path, work: Path) -> None:
        (folder / "nothing").read_text()

    with pytest.raises(FileNotFoundError, match="nothing"):
        store.get_or_make("step", KEY, missing)
