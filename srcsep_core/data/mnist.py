"""The world of MNIST: handwritten digits of 28 x 28 pixels, from four files that do not come with the package.

| variant | sources                 |
|---------|-------------------------|
| `mnist` | `digit`: any of the ten |

Source: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition". Of its 60 000
pictures for training the last 5 000 are to validate; its 10 000 others are to test.

Taken over, packed files (.gz) are checked against the checksums of the originals. Plain ones are checked by their
structure only: what the originals hold has no checksum here, so pictures of the same number and size, as those of
Fashion-MNIST, are not told apart from them.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from srcsep_core.config import check_choice
from srcsep_core.data.base import Split, distinct, register_world
from srcsep_core.data.digits import COLOURS
from srcsep_core.data.pictures import PictureWorld
from srcsep_core.errors import InputError
from srcsep_core.fetch import fetch
from srcsep_core.paths import default_root

SOURCE = "digit"
SIZE = (28, 28)
COUNTS = {"train": 60_000, "t10k": 10_000}
ENDS = {"train": (0, 55_000), "validation": (55_000, 60_000), "test": (60_000, 70_000)}
FULL = 255
RMS = 0.33
CHECKSUMS = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""The files, and the MD5 of each as it was packed (.gz)."""
ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist/"
UNSIGNED_BYTES = 0x800  # the magic number of an IDX file is this and the number of its dimensions
COMMON = (
    "~/.cache/mnist",
    "~/.mnist",
    "~/data/MNIST/raw",
    "~/data/mnist",
    "data/MNIST/raw",
    "~/.cache/torch/datasets/MNIST/raw",
)
ROOT = "name the folder that holds its four files with --root"
FETCHED = ", or run `srcsep data mnist --download`"
ANEW = "copy it anew, or run `srcsep data mnist --download`"


@dataclass(frozen=True)
class MnistWorld(PictureWorld):
    """Handwritten digits of MNIST: every one of the `sources` is a digit."""

    name: ClassVar[str] = "mnist"
    aligned: ClassVar[bool] = True

    variant: str = "mnist"
    sources: tuple[str, ...] = (SOURCE,)

    def __post_init__(self) -> None:
        check_choice("mnist variant", self.variant, ("mnist",))
        if set(self.sources) != {SOURCE}:
            raise InputError(f"every source of mnist is a {SOURCE}, not {', '.join(self.sources)}; name them so")

    @property
    def size(self) -> tuple[int, int]:
        """28 x 28 pixels."""
        return SIZE

    @property
    def typical_rms(self) -> Mapping[str, float]:
        """The root mean square of a digit's pixels, about."""
        return {SOURCE: RMS}

    @property
    def colours(self) -> Mapping[str, str]:
        """The colour of digits in figures, that of the smaller ones too."""
        return {SOURCE: COLOURS[SOURCE]}

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train") -> Tensor:
        """Pictures (batch, K, 784) of a split with values in [0, 1]; no row has one twice.

        Raises `InputError` where MNIST is not on this machine, or its files are damaged.
        """
        return self.draw_named(batch, length, generator, split=split)[0]

    def draw_named(
        self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train"
    ) -> tuple[Tensor, Tensor]:
        """The same, and which digit each picture is of, (batch, K)."""
        self.check_length(length)
        pictures, digits = pictures_in(_there())
        start, end = ENDS[split]
        chosen = start + distinct(batch, len(self.sources), end - start, generator).cpu()
        return pictures[chosen].to(generator.device) / FULL, digits[chosen].to(generator.device)

    def only(self, sources: Sequence[str]) -> MnistWorld:
        """As many digits at a time."""
        return replace(self, sources=tuple(sources))


def found() -> Path | None:
    """The first folder that holds all four files: the project's own, or one where they are often kept; else None."""
    folders = [_own(), *(Path(place).expanduser().absolute() for place in COMMON)]
    return next((folder for folder in folders if all(_file(folder, name) for name in CHECKSUMS)), None)


@cache
def pictures_in(folder: Path) -> tuple[Tensor, Tensor]:
    """All pictures (70000, 784), bytes, and their digits (70000,), those for training first.

    Raises `InputError` for a file that is missing or damaged. Checksums are not looked at.
    """
    parts = [_values(path, _content(path), name) for name, path in _files(folder).items()]
    images, labels = torch.cat(parts[::2]), torch.cat(parts[1::2])
    return images.flatten(1), labels.long()


def take_over(folder: Path) -> Path:
    """Copy the four files into the cache, all of them or none; returns their folder there.

    Raises `InputError` for a file that is missing or damaged, or packed and not the original.
    """
    contents = {path.name: _checked(path, name) for name, path in _files(folder).items()}
    own = _own()
    try:
        own.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=own.parent, prefix=".mnist.") as scratch:
            new, before = Path(scratch) / "new", Path(scratch) / "before"
            new.mkdir()
            for file, content in contents.items():
                (new / file).write_bytes(content)
            try:
                if own.exists():
                    os.replace(own, before)
                os.replace(new, own)
            except BaseException:
                if before.exists() and not own.exists():
                    os.replace(before, own)
                raise
    except OSError as error:
        raise InputError(f"{own} cannot be written ({error}); mend that, or set SRCSEP_CACHE to a folder") from error
    pictures_in.cache_clear()
    return own


def download() -> Path:
    """Fetch the four files, packed, and take them over; raises `InputError` where that fails."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in CHECKSUMS:
            fetch(f"{ADDRESS}{name}.gz", Path(scratch) / f"{name}.gz", ROOT)
        return take_over(Path(scratch))


def _own() -> Path:
    return default_root() / "mnist"


def _there() -> Path:
    folder = found()
    if folder is None:
        raise InputError(
            "mnist is not on this machine; run `srcsep data mnist --root FOLDER`, where FOLDER holds its four files, "
            "or `srcsep data mnist --download`"
        )
    return folder


def _file(folder: Path, name: str) -> Path | None:
    """The file in a folder, packed if there are both: of that the checksum is known."""
    return next((path for path in (folder / f"{name}.gz", folder / name) if os.path.isfile(path)), None)


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; {ROOT}{FETCHED}")
    there = {name: path for name in CHECKSUMS if (path := _file(folder, name))}
    if lacking := [name for name in CHECKSUMS if name not in there]:
        raise InputError(f"{folder} has no {', '.join(lacking)}, plain or .gz; {ROOT}{FETCHED}")
    return there


def _checked(path: Path, name: str) -> bytes:
    content = _content(path)
    _values(path, content, name)
    checksum = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if path.suffix == ".gz" and checksum != CHECKSUMS[name]:
        raise InputError(f"{path} is not the original: its MD5 is {checksum}, not {CHECKSUMS[name]}; {ANEW}")
    return content


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}); {ANEW}") from error


def _values(path: Path, content: bytes, name: str) -> Tensor:
    """What an IDX file of bytes holds: pictures (n, 28, 28) or digits (n,)."""
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} cannot be unpacked ({error}); {ANEW}") from error
    subset, kind = name.split("-")[:2]
    shape = (COUNTS[subset], *(SIZE if kind == "images" else ()))
    start = 4 * (1 + len(shape))
    if len(content) < start:
        raise InputError(f"{path} is truncated: it has {len(content)} bytes and its header alone {start}; {ANEW}")
    magic, *says = struct.unpack(f">{1 + len(shape)}I", content[:start])
    if magic != (right := UNSIGNED_BYTES + len(shape)):
        raise InputError(f"{path} is no IDX file of {kind}: its magic number is {magic}, not {right}; {ANEW}")
    if tuple(says) != shape:
        sizes = [" x ".join(map(str, one)) for one in (says, shape)]
        raise InputError(f"{path} is not of MNIST: it says it holds {sizes[0]} values, not {sizes[1]}; {ANEW}")
    if (size := len(content) - start) != (due := math.prod(shape)):
        fault = "truncated" if size < due else "too long"
        raise InputError(f"{path} is {fault}: it has {size} bytes of {kind}, not {due}; {ANEW}")
    values = torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).reshape(shape)
    if kind == "labels" and (highest := int(values.max())) > 9:
        raise InputError(f"{path} is not of MNIST: it has the label {highest}, and digits end at 9; {ANEW}")
    return values


register_world(MnistWorld.name, MnistWorld, ("mnist",))
