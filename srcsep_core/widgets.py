"""A player for notebooks: all tracks at one shared gain, in one piece of HTML without outside files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from srcsep_core.audio import SILENCE_PEAK, Signal, encode_audio, stack_tracks
from srcsep_core.errors import InputError
from srcsep_core.plots import readable_on, source_colour

if TYPE_CHECKING:
    from IPython.display import HTML

PEAK = 0.9

_TRACK = Template(
    '<div class="srcsep-track">'
    '<span class="srcsep-label" style="background-color: $colour; color: $text">$name</span>'
    '<audio controls preload="metadata" aria-label="$name" src="data:audio/flac;base64,$audio" '
    "onplay=\"document.querySelectorAll('.srcsep-player audio')"
    '.forEach((other) => { if (other !== this) other.pause(); })"></audio>'
    "</div>"
)


def player(tracks: Mapping[str, Signal], sample_rate: int, title: str = "") -> HTML:
    """A player with one row for each of `tracks`: name to samples, (T,) or (1, T), all of one length.

    One gain for all tracks takes the highest peak to 0.9, so they stay as loud relative to each other as they
    are. The audio is inline 16-bit FLAC. Starting one track pauses every other one on the page. The same
    arguments give the same HTML. Where a page strips audio, `static_note` is shown instead.
    Raises `InputError` for no tracks, bad or unequal tracks (see `stack_tracks`), and if all are silent.
    """
    from IPython.display import HTML

    samples = stack_tracks(tracks)
    peak = float(samples.abs().max())
    if peak < SILENCE_PEAK:
        raise InputError(
            f"all tracks ({', '.join(tracks)}) are silent (peak {peak:.1g}); pass at least one that sounds"
        )
    samples = samples * (PEAK / peak)
    rows = "\n".join(
        _track(name, encode_audio(row[None], sample_rate)) for name, row in zip(tracks, samples, strict=True)
    )
    template = Template(files("srcsep_core").joinpath("player.html").read_text(encoding="utf-8"))
    html = template.substitute(
        key=hashlib.sha256(f"{title}\n{rows}".encode()).hexdigest()[:16],
        name=escape(title or "audio player"),
        title=f'<p class="srcsep-title">{escape(title)}</p>' if title else "",
        tracks=rows,
        note=escape(static_note(tracks)),
    )
    return HTML(html)


def static_note(tracks: Iterable[str]) -> str:
    """What readers see in place of the player where audio is stripped, as on GitHub."""
    return (
        f"Audio ({', '.join(tracks)}) is not shown here: GitHub and untrusted notebooks strip it. "
        "Open the notebook in JupyterLab and trust it, or view it on nbviewer.org, to listen."
    )


def _track(name: str, audio: bytes) -> str:
    colour = source_colour(name)
    return _TRACK.substitute(
        name=escape(name),
        colour=colour,
        text=readable_on(colour),
        audio=base64.b64encode(audio).decode("ascii"),
    )
