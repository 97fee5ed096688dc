"""The four classes of stems that songs are made of, as musdb18 has them (Rafii et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from srcsep_core.errors import InputError

SOURCES = ("drums", "bass", "other", "vocals")
COLOURS = {"drums": "#4D2A0E", "bass": "#00796B", "other": "#8E7CC3", "vocals": "#E8B4B8"}


def check_stems(world: str, sources: Sequence[str]) -> None:
    """Raise `InputError` unless the sources of a world are some of the classes, each once."""
    if not sources or set(sources) - set(SOURCES) or len(set(sources)) < len(sources):
        raise InputError(
            f"the {world} sources {', '.join(sources) or 'none given'} are not some of {', '.join(SOURCES)}, "
            "each once; name them so"
        )
