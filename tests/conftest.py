"""Shared by the tests: one thread, one seed, a private cache, tiny networks, generators, child processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from srcsep_core.cli import stopping
from srcsep_core.priors.flow_parts import FlowConfig

if TYPE_CHECKING:
    from chromium import Browser

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums come out the same on every machine, and parallel jobs are left alone."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """Networks start from the same weights every time; PyTorch draws them from its global random state."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Every test starts with Python's own Ctrl-C: a command that was stopped leaves the process one that kills it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    stopping._heard.clear()


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the default store uses in place of the project's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SRCSEP_CACHE", str(folder))
    return folder


@pytest.fixture
def tiny_flow() -> FlowConfig:
    """The smallest flow that has everything: two blocks, two flows a block, a split."""
    return FlowConfig(blocks=2, flows=2, layers=2, width=4, split_every=1)


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded source of random numbers."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def perturb() -> Callable[..., None]:
    """A function that moves every parameter off its initial value, so that no layer is the identity."""

    def move(module: nn.Module, scale: float = 0.2) -> None:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in module.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(scale * noise.to(parameter.dtype))

    return move


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Browser]":
    """Chromium. Tests are skipped where there is none; in continuous integration (CI=true) they fail."""
    from chromium import Browser, find_chromium

    program = find_chromium()
    if program is None:
        reason = "no Chromium on this machine; install it (Debian: apt-get install chromium) to test what it shows"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    running = Browser(program, tmp_path_factory.mktemp("browser") / "profile")
    yield running
    running.close()


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts `python -c script arguments...` that sees this checkout and these tests."""
    started: list[subprocess.Popen[str]] = []
    tests = [ROOT / "tests", *(folder for folder in (ROOT / "tests").iterdir() if folder.is_dir())]
    path = os.pathsep.join([str(ROOT), *map(str, tests), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
