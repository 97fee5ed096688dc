"""Where things lie, and that asking costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from srcsep_core import paths


def test_the_project_is_the_checkout() -> None:
    assert paths.project_root() == Path(__file__).resolve().parents[1]
    assert paths.shipped_root().is_dir()


def test_the_environment_moves_cache_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "project_root", lambda: tmp_path)
    for name in ("SRCSEP_CACHE", "SRCSEP_FIGURES"):
        monkeypatch.setenv(name, "")
    assert paths.default_root() == tmp_path / ".cache"
    assert paths.figures_folder("laptop") == tmp_path / "figures"
    assert paths.measured_folder("laptop") == tmp_path / "data" / "measured"
    assert paths.measured_folder("smoke") == tmp_path / "figures" / "smoke"
    monkeypatch.setenv("SRCSEP_CACHE", str(tmp_path / "a"))
    monkeypatch.setenv("SRCSEP_FIGURES", str(tmp_path / "b"))
    assert paths.default_root() == tmp_path / "a"
    assert paths.figures_folder("laptop") == tmp_path / "b"
    assert paths.figures_folder("smoke") == paths.measured_folder("smoke") == tmp_path / "b" / "smoke"
    assert paths.measured_folder("laptop") == tmp_path / "b"


def test_asking_for_a_path_does_not_load_torch(start_python: Callable[..., object]) -> None:
    process = start_python("import sys, srcsep_core.paths; print('torch' in sys.modules)")
    out, err = process.communicate(timeout=60)  # type: ignore[attr-defined]
    assert out.strip() == "False", err
