"""The world of MNIST: small files of its kind, read exactly, damaged in every way, and taken over all or none."""

import functools
import gzip
import hashlib
import http.server
import os
import re
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from srcsep_core.cli import main
from srcsep_core.data import mnist
from srcsep_core.data.base import world_of
from srcsep_core.data.mnist import CHECKSUMS, MnistWorld, found, pictures_in, take_over
from srcsep_core.errors import InputError

COUNTS = {"train": 20, "t10k": 6}
ENDS = {"train": (0, 15), "validation": (15, 20), "test": (20, 26)}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(values: Tensor) -> bytes:
    """A tensor of bytes as an IDX file."""
    return struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape) + values.numpy().tobytes()


def small() -> dict[str, Tensor]:
    """What the four files hold: pictures that are all different, and digits."""
    generator = torch.Generator().manual_seed(3)
    held = {}
    for name in CHECKSUMS:
        subset, kind = name.split("-")[:2]
        shape = (COUNTS[subset], *((28, 28) if kind == "images" else ()))
        held[name] = torch.randint(256 if kind == "images" else 10, shape, generator=generator, dtype=torch.uint8)
    return held


def write(folder: Path, *, packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in small().items():
        content = idx(values)
        (folder / f"{name}{'.gz' * packed}").write_bytes(gzip.compress(content, mtime=0) if packed else content)
    return folder


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["data", *arguments])
    assert "Traceback" not in result.output
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home and an empty folder to work in, and counts and checksums of the small files."""
    folder = tmp_path / "home"
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr(mnist, "COUNTS", COUNTS)
    monkeypatch.setattr(mnist, "ENDS", ENDS)
    packed = {name: gzip.compress(idx(values), mtime=0) for name, values in small().items()}
    sums = {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in packed.items()}
    monkeypatch.setattr(mnist, "CHECKSUMS", sums)
    yield folder
    pictures_in.cache_clear()


def test_splits_are_those_that_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert mnist.COUNTS == {"train": 60_000, "t10k": 10_000}
    assert mnist.ENDS == {"train": (0, 55_000), "validation": (55_000, 60_000), "test": (60_000, 70_000)}


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_and_digits_are_read_exactly(packed: bool, tmp_path: Path) -> None:
    pictures, digits = pictures_in(write(tmp_path / "here", packed=packed))
    held = list(small().values())
    assert torch.equal(pictures, torch.cat([held[0], held[2]]).flatten(1))
    assert torch.equal(digits, torch.cat([held[1], held[3]]).long())


def test_pictures_are_drawn_with_their_digits_from_disjoint_splits(cache_folder: Path) -> None:
    pictures, digits = pictures_in(write(cache_folder / "mnist"))
    world = MnistWorld(sources=("digit", "digit"))
    seen = []
    for split, (start, end) in ENDS.items():
        drawn, named = world.draw_named(200, 784, torch.Generator().manual_seed(1), split=split)
        assert drawn.shape == (200, 2, 784) and named.shape == (200, 2) and drawn.dtype == torch.float32
        same = (drawn[:, :, None] == pictures / 255).all(dim=3)
        assert bool((same.sum(dim=2) == 1).all())
        chosen = same.int().argmax(dim=2)
        assert torch.equal(digits[chosen], named) and bool((chosen[:, 0] != chosen[:, 1]).all())
        assert set(chosen.flatten().tolist()) == set(range(start, end))
        assert torch.equal(world.draw(200, 784, torch.Generator().manual_seed(1), split=split), drawn)
        seen.append(chosen)
    assert not torch.isin(seen[0], torch.cat(seen[1:])).any() and not torch.isin(seen[1], seen[2]).any()


def test_world_is_known_and_says_what_it_cannot_do() -> None:
    world = world_of("mnist")
    assert isinstance(world, MnistWorld) and world.sources == ("digit",) and (world.height, world.width) == (28, 28)
    assert world.only(["digit"] * 3).sources == ("digit",) * 3 and world.aligned
    assert world.colours == {"digit": world_of("digits").colours["digit"]}
    for wrong in ({"variant": "emnist"}, {"sources": ("digit", "letter")}):
        with pytest.raises(InputError, match=r"emnist|letter"):
            MnistWorld(**wrong)
    with pytest.raises(InputError, match="use 784"):
        world.draw(1, 64, torch.Generator())


def test_where_it_is_not_there_the_first_draw_names_the_commands() -> None:
    world = MnistWorld()
    with pytest.raises(InputError, match=r"srcsep data mnist --root FOLDER.*srcsep data mnist --download"):
        world.draw(1, 784, torch.Generator())


def test_it_is_found_where_it_is_often_kept_and_in_the_cache_first(
    home: Path, tmp_path: Path, cache_folder: Path
) -> None:
    places = [
        home / ".cache/torch/datasets/MNIST/raw",
        tmp_path / "work/data/MNIST/raw",
        home / "data/mnist",
        home / "data/MNIST/raw",
        home / ".mnist",
        home / ".cache/mnist",
        cache_folder / "mnist",
    ]
    assert found() is None
    for k, place in enumerate(places):
        write(place, packed=k % 2 == 0)
        assert found() == place
        assert MnistWorld().draw(2, 784, torch.Generator()).shape == (2, 1, 784)
    next(places[-1].iterdir()).unlink()
    assert found() == places[-2], "a folder that lacks a file is passed over"


def shape(*size: int) -> Tensor:
    return torch.zeros(size, dtype=torch.uint8)


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "empty": (IMAGES, lambda content: b"", "is truncated: it has 0 bytes and its header alone 16"),
    "header": (LABELS, lambda content: content[:7], "is truncated: it has 7 bytes and its header alone 8"),
    "magic": (IMAGES, lambda content: b"\0\0\x0d\x03" + content[4:], "its magic number is 3331, not 2051"),
    "swapped": (LABELS, lambda content: idx(shape(20, 28, 28)), "no IDX file of labels: its magic number is 2051"),
    "count": (IMAGES, lambda content: idx(shape(19, 28, 28)), "it holds 19 x 28 x 28 values, not 20 x 28 x 28"),
    "size": (IMAGES, lambda content: idx(shape(20, 8, 8)), "it holds 20 x 8 x 8 values, not 20 x 28 x 28"),
    "short": (IMAGES, lambda content: content[:-1], "is truncated: it has 15679 bytes of images, not 15680"),
    "long": (LABELS, lambda content: content + b"\0", "is too long: it has 21 bytes of labels, not 20"),
    "label": (LABELS, lambda content: content[:-1] + b"\x0a", "it has the label 10, and digits end at 9"),
}
PACKED: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "not gzip": (IMAGES, lambda content: b"nothing", "cannot be unpacked (Not a gzipped file"),
    "short gzip": (IMAGES, lambda content: content[:-20], "cannot be unpacked (Compressed file ended"),
    "bits": (LABELS, lambda content: content[:10] + b"\xff" + content[11:], "cannot be unpacked (Error -3"),
    "sum": (LABELS, lambda content: content[:-8] + b"\0" * 4 + content[-4:], "cannot be unpacked (CRC check failed"),
    "inside": (
        LABELS,
        lambda content: gzip.compress(gzip.decompress(content)[:-1]),
        "is truncated: it has 19 bytes of labels, not 20",
    ),
}


@pytest.mark.parametrize("damage", [*DAMAGES, *PACKED])
def test_what_is_damaged_is_named_with_the_remedy_and_nothing_is_taken_over(
    damage: str, tmp_path: Path, cache_folder: Path
) -> None:
    packed = damage in PACKED
    name, change, words = (PACKED if packed else DAMAGES)[damage]
    folder = write(tmp_path / "here", packed=packed)
    path = folder / f"{name}{'.gz' * packed}"
    path.write_bytes(change(path.read_bytes()))
    for use in (pictures_in, take_over):
        with pytest.raises(InputError, match=re.escape(words)) as caught:
            use(folder)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
        assert str(caught.value).endswith("; copy it anew, or run `srcsep data mnist --download`")
    assert not cache_folder.exists()


def test_other_pictures_in_a_packed_file_are_refused_when_taken_over(tmp_path: Path, cache_folder: Path) -> None:
    folder = write(tmp_path / "here", packed=True)
    path = folder / f"{IMAGES}.gz"
    path.write_bytes(gzip.compress(idx(shape(20, 28, 28))))
    code, output = run("mnist", "--root", str(folder))
    assert code == 1 and f"{path} is not the original: its MD5 is" in output and "copy it anew" in output
    assert not cache_folder.exists()
    assert pictures_in(folder)[0][0].sum() == 0


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "here")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=f"{IMAGES} cannot be read .*Permission denied.*copy it anew"):
        pictures_in(folder)


@pytest.mark.parametrize("packed", [False, True])
def test_command_takes_over_all_four_files(packed: bool, tmp_path: Path, cache_folder: Path) -> None:
    folder = write(tmp_path / "here", packed=packed)
    line = f"mnist: 15 train, 5 validation, 6 test pictures, in {cache_folder / 'mnist'}"
    assert run("mnist", "--root", str(folder)) == (0, line)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {path.name: path.read_bytes() for path in (cache_folder / "mnist").iterdir()} == files
    assert run("mnist", "--root", str(cache_folder / "mnist")) == (0, line)
    assert [path.name for path in cache_folder.iterdir()] == ["mnist"]
    assert run("status")[1].endswith(line)


def test_command_takes_over_none_where_one_is_missing(tmp_path: Path, cache_folder: Path) -> None:
    folder = write(tmp_path / "here")
    (folder / LABELS).unlink()
    for root, words in ((folder, f"{folder} has no {LABELS}, plain or .gz"), (tmp_path / "gone", "there is no folder")):
        code, output = run("mnist", "--root", str(root))
        assert code == 1 and words in output and "with --root, or run `srcsep data mnist --download`" in output
    assert not cache_folder.exists()


@pytest.mark.parametrize("fails_at", [1, 2])
def test_what_was_there_stays_where_writing_fails(
    fails_at: int, tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(cache_folder / "mnist", packed=True)
    calls = []

    def replace(source: Path, target: Path, to: Callable[..., None] = os.replace) -> None:
        calls.append(target)
        if len(calls) == fails_at:
            raise OSError(28, "No space left on device")
        to(source, target)

    monkeypatch.setattr(os, "replace", replace)
    code, output = run("mnist", "--root", str(write(tmp_path / "here")))
    assert code == 1 and "cannot be written" in output and "No space left" in output and "SRCSEP_CACHE" in output
    assert sorted(path.name for path in before.iterdir()) == sorted(f"{name}.gz" for name in CHECKSUMS)
    assert [path.name for path in cache_folder.iterdir()] == ["mnist"]


@pytest.mark.parametrize("arguments", [(), ("--root", "x", "--download")])
def test_root_or_download_is_needed(arguments: tuple[str, ...]) -> None:
    code, output = run("mnist", *arguments)
    assert code == 1 and "either a root or --download is needed, and not both" in output


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a server on this machine, which stands for the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(mnist, "ADDRESS", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


def test_download_fetches_the_packed_files(address: Path, cache_folder: Path) -> None:
    write(address, packed=True)
    code, output = run("mnist", "--download")
    assert code == 0 and f"15 train, 5 validation, 6 test pictures, in {cache_folder / 'mnist'}" in output
    assert sorted(path.name for path in found().iterdir()) == sorted(f"{name}.gz" for name in CHECKSUMS)


def test_download_takes_over_none_where_one_cannot_be_fetched(address: Path, cache_folder: Path) -> None:
    write(address, packed=True)
    (address / f"{LABELS}.gz").unlink()
    code, output = run("mnist", "--download")
    assert code == 1 and f"{LABELS}.gz cannot be fetched (HTTP Error 404" in output and "--root" in output
    assert not cache_folder.exists()


def test_status_says_what_is_there_and_what_is_wrong_with_it(home: Path) -> None:
    said = "mnist: not there; srcsep data mnist --root FOLDER, or srcsep data mnist --download"
    assert run("status")[1].endswith(said)
    folder = write(home / ".mnist")
    assert run("status")[1].endswith(f"mnist: 15 train, 5 validation, 6 test pictures, in {folder}")
    pictures_in.cache_clear()
    (folder / LABELS).write_bytes(b"")
    code, output = run("status")
    assert code == 0 and f"mnist: {folder / LABELS} is truncated" in output
