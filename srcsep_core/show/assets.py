"""The stylesheets, scripts and templates of this folder, as text."""

from __future__ import annotations

from importlib.resources import files


def asset(name: str) -> str:
    """The text of a file, such as "look.css" or "explorer/explorer.js"."""
    return files("srcsep_core.show").joinpath(name).read_text(encoding="utf-8")
