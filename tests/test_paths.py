"""Where things lie, and that asking costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from srcsep_core import paths
from srcsep_core.audit.published import published_folder
from srcsep_core.errors import InputError
from srcsep_core.report.notebooks import notebook_sources
from srcsep_core.report.readme import update_readme


def test_the_project_is_the_checkout() -> None:
    assert paths.project_root() == Path(__file__).resolve().parents[1]
    assert paths.shipped_root().is_dir()


def test_the_environment_moves_cache_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "checkout", lambda: tmp_path)
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


def test_outside_a_checkout_nothing_lies_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is the user's, the priors are the package's; what only a checkout has is one sentence."""
    for name in ("SRCSEP_CACHE", "SRCSEP_FIGURES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "srcsep_core")
    monkeypatch.chdir(tmp_path)
    assert paths.checkout() is None
    assert paths.default_root() == platformdirs.user_cache_path("srcsep", appauthor=False)
    assert tmp_path not in paths.default_root().parents
    assert paths.shipped_root() == tmp_path / "site-packages" / "srcsep_core" / "pretrained"
    for needed in (paths.project_root, notebook_sources, published_folder, update_readme):
        with pytest.raises(InputError, match=r"needs a checkout of the project, and .*site-packages.* is not in one"):
            needed()
    for profile in ("laptop", "smoke"):
        with pytest.raises(InputError, match="set SRCSEP_FIGURES to a folder"):
            paths.measured_folder(profile)
    monkeypatch.setenv("SRCSEP_CACHE", str(tmp_path / "a"))
    assert paths.default_root() == tmp_path / "a"


def test_asking_for_a_path_does_not_load_torch(start_python: Callable[..., object]) -> None:
    process = start_python("import sys, srcsep_core.paths; print('torch' in sys.modules)")
    out, err = process.communicate(timeout=60)  # type: ignore[attr-defined]
    assert out.strip() == "False", err
