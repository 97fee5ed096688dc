"""The ways to install agree: pyproject.toml, requirements.lock and environment.yml name the same versions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]

# name==version, then perhaps a marker; so no URL, host, hash, option, path or comment.
LOCK_LINE = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[a-z0-9.!+]+)(?: ; (?P<marker>[^/\\@:]+))?")
CONDA_PYTHON = "3.11"


def read_pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def direct_dependencies() -> dict[str, SpecifierSet]:
    """Canonical name -> allowed versions, of the core and of every extra."""
    project = read_pyproject()
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    requirements = [Requirement(text) for group in groups for text in group]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def lock_lines() -> list[str]:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()


def locked_versions() -> dict[str, str]:
    """Canonical name -> version, as the lock has them (a test below holds that each name comes once)."""
    matches = [match for line in lock_lines() if (match := LOCK_LINE.fullmatch(line))]
    return {match["name"]: match["version"] for match in matches}


def conda_dependencies() -> tuple[list[str], list[str]]:
    """The entries of environment.yml: conda's own, and pip's."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = [entry for entry in entries if isinstance(entry, str)]
    pip = [line for entry in entries if isinstance(entry, dict) for line in entry["pip"]]
    return conda, pip


def conda_pins() -> dict[str, str]:
    pins: dict[str, str] = {}
    for line in conda_dependencies()[1]:
        if line == "-e .":
            continue
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"environment.yml: {line} is no exact pin"
        pins[canonicalize_name(requirement.name)] = specifier.version
    return pins


def test_every_lock_line_is_a_name_a_version_and_perhaps_a_marker() -> None:
    odd = [line for line in lock_lines() if not LOCK_LINE.fullmatch(line)]
    assert not odd, f"requirements.lock holds more than pinned names: {odd}"


def test_lock_markers_can_be_read() -> None:
    for line in lock_lines():
        match = LOCK_LINE.fullmatch(line)
        if match and match["marker"]:
            Marker(match["marker"])  # raises InvalidMarker where it is malformed


def test_lock_has_one_version_of_each_package() -> None:
    names = [line.split("==")[0] for line in lock_lines()]
    assert len(names) > len(direct_dependencies()), "requirements.lock has no transitive dependencies"
    assert not {name for name in names if names.count(name) > 1}


@pytest.mark.parametrize("name", sorted(direct_dependencies()))
def test_direct_dependency_is_locked_and_in_the_conda_environment(name: str) -> None:
    locked = locked_versions()
    assert name in locked, f"{name} of pyproject.toml is not in requirements.lock: run `make lock`"
    allowed = direct_dependencies()[name]
    assert Version(locked[name]) in allowed, f"{name}=={locked[name]} is locked, wanted is {allowed}"
    pins = conda_pins()
    assert name in pins, f"{name} of pyproject.toml is not in environment.yml: add it by hand"
    assert pins[name] == locked[name], f"environment.yml pins {name}=={pins[name]}, the lock {locked[name]}"


def test_direct_dependencies_are_locked_for_every_platform() -> None:
    restricted = [line for line in lock_lines() if ";" in line and line.split("==")[0] in direct_dependencies()]
    assert not restricted


def test_conda_environment_adds_nothing_but_python_pip_and_this_project() -> None:
    conda, pip = conda_dependencies()
    assert conda == [f"python={CONDA_PYTHON}", "pip"]
    assert pip[-1] == "-e ."
    assert conda_pins().keys() == direct_dependencies().keys()


def test_conda_python_is_supported() -> None:
    assert Version(f"{CONDA_PYTHON}.0") in SpecifierSet(read_pyproject()["requires-python"])


def test_citation_has_the_version_of_the_package() -> None:
    source = (ROOT / "srcsep_core" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', source, flags=re.MULTILINE)
    assert match, "srcsep_core/__init__.py sets no __version__"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == match[1]
