"""A player for notebooks and pages: all tracks in step and at one gain, in one piece of HTML without outside files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from string import Template
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from srcsep_core.audio import SILENCE_PEAK, Signal, encode_audio, stack_tracks
from srcsep_core.errors import InputError
from srcsep_core.show.assets import asset
from srcsep_core.show.styles import MIX, OTHER, source_style

if TYPE_CHECKING:
    from IPython.display import HTML

PEAK = 0.9
# What Web Audio promises in every browser.
RATES_HZ = (8_000, 96_000)

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body { max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  background: Canvas; color: CanvasText; }
</style>
</head>
<body>
<h1>$title</h1>
$notes
$player
</body>
</html>
""")


def player(
    tracks: Mapping[str, Signal],
    sample_rate: int,
    title: str = "",
    references: Mapping[str, Signal] | None = None,
) -> HTML:
    """A player with one row for each of `tracks`: name to samples, (T,) or (1, T), all of one length.

    All tracks run in step under one set of controls. Each has mute, solo, and, where `references` holds the
    truth of that name, a switch between estimate and truth. The first track with "mix" in its name, or else the
    first one, is heard alone at the start.

    One gain for all takes the highest peak to 0.9, so they stay as loud relative to each other as they are; a
    second one, also common to all, lets any of them sound together without clipping. The audio is inline 16-bit
    FLAC: a second at 16 kHz is up to 43 kB of HTML for each signal. Starting one player pauses every other one on
    the page. The same arguments give the same HTML. Where a page strips scripts, `static_note` is shown instead.
    Raises `InputError` for no tracks, bad or unequal tracks or references (see `stack_tracks`), a reference of no
    track, a rate that browsers do not play, and if all are silent.
    """
    from IPython.display import HTML

    return HTML(_player(tracks, sample_rate, title, references))


def player_page(
    tracks: Mapping[str, Signal],
    sample_rate: int,
    title: str,
    references: Mapping[str, Signal] | None = None,
    notes: str = "",
) -> str:
    """A whole HTML document around the player, to be written to a file and opened without a network.

    `notes` is plain text, in paragraphs divided by blank lines. The other arguments and errors are those of
    `player`.
    """
    paragraphs = [f"<p>{escape(part.strip())}</p>" for part in re.split(r"\n\s*\n", notes) if part.strip()]
    return _PAGE.substitute(
        title=escape(title or "audio player"),
        notes="\n".join(paragraphs),
        player=_player(tracks, sample_rate, "", references),
    )


def static_note(tracks: Iterable[str]) -> str:
    """What readers see in place of the player where scripts are stripped, as on GitHub."""
    return (
        f"Audio ({', '.join(tracks)}) is not shown here: GitHub and untrusted notebooks strip it. "
        "Open the notebook in JupyterLab and trust it, or view it on nbviewer.org, to listen."
    )


def _player(tracks: Mapping[str, Signal], sample_rate: int, title: str, references: Mapping[str, Signal] | None) -> str:
    clips = _stack_clips(tracks, references or {})
    low, high = RATES_HZ
    if not low <= sample_rate <= high:
        raise InputError(
            f"browsers do not all play {sample_rate} Hz; resample to a whole sample rate from {low} to {high} Hz"
        )
    loudest = torch.stack([clip.abs().amax(dim=0) for clip in clips.values()])
    peak = float(loudest.max())
    if peak < SILENCE_PEAK:
        raise InputError(
            f"all tracks ({', '.join(tracks)}) are silent (peak {peak:.1g}); pass at least one that sounds"
        )
    mixes = [name for name in tracks if "mix" in re.findall(r"[a-z]+", name.lower())]
    data = {
        "rate": int(sample_rate),
        "length": loudest.shape[1],
        # The sum is the loudest that any choice of tracks, each as estimate or truth, can be.
        "gain": peak / float(loudest.sum(dim=0).max()),
        "tracks": [
            {
                "name": name,
                "colour": _colour(name),
                "mix": name in mixes[:1],
                "audio": [_encode(row * (PEAK / peak), sample_rate) for row in clip],
            }
            for name, clip in clips.items()
        ],
    }
    # "<" would end the script element early in a name such as "</script>".
    text = json.dumps(data).replace("<", "\\u003c")
    return Template(asset("player.html")).substitute(
        key=hashlib.sha256(f"{title}\n{text}".encode()).hexdigest()[:16],
        name=escape(title or "audio player"),
        title=f'<p class="srcsep-title">{escape(title)}</p>' if title else "",
        note=escape(static_note(tracks)),
        data=text,
        look=asset("look.css"),
        script=asset("player.js"),
    )


def _stack_clips(tracks: Mapping[str, Signal], references: Mapping[str, Signal]) -> dict[str, Tensor]:
    """Track name to (1, T), or to (2, T) where it has a reference: estimate, truth. All of one length."""
    estimates = dict(zip(tracks, stack_tracks(tracks), strict=True))
    unknown = [name for name in references if name not in estimates]
    if unknown:
        raise InputError(f"the reference {unknown[0]!r} belongs to no track; the tracks are {', '.join(tracks)}")
    truths = dict(zip(references, stack_tracks(references), strict=True)) if references else {}
    clips = {}
    for name, estimate in estimates.items():
        truth = truths.get(name)
        if truth is not None and len(truth) != len(estimate):
            raise InputError(
                f"track {name!r} has {len(estimate)} samples and its reference {len(truth)}; "
                f"cut both to {min(len(estimate), len(truth))}"
            )
        clips[name] = estimate[None] if truth is None else torch.stack([estimate, truth])
    return clips


def _encode(samples: Tensor, sample_rate: int) -> str:
    return base64.b64encode(encode_audio(samples[None], sample_rate)).decode("ascii")


def _colour(name: str) -> str:
    """The colour of the source, or "" for the colour of the page's text, which suits light and dark pages."""
    style = source_style(name)
    return "" if style in (MIX, OTHER) else style.colour
