"""The world of musdb18 (Rafii et al. 2017): frames of real songs, decoded once from a copy on this machine.

| variant            | sample rate | frames a song         | what is done before                                 |
|--------------------|-------------|-----------------------|-----------------------------------------------------|
| `musdb18_paper`    | 16 000 Hz   | 150 of 1 s            | the mean of both channels                           |
| `musdb18_thesis`   | 14 700 Hz   | 150 of 16 384 samples | the mean of both channels                           |
| `musdb18_released` | 14 700 Hz   | 150 of 16 384 samples | left channel, each stem without its mean, peak at 1 |
| `musdb18_8k`       | 8 000 Hz    | 150 of 8 192 samples  | the mean of both channels                           |

`paper`: Frank & Ilse 2020, section 3.2 ("150 fixed 1 second frames"); `thesis`: Frank 2020, no pre-processing;
`released`: the authors' code. Where in a song the frames lie is not printed: ours lie evenly from its start to its end.
`8k`: what the priors of rendered songs at 8 kHz are asked about. The splits are musdb18's, validation musdb's own
fourteen songs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from srcsep_core.audio import resample
from srcsep_core.config import resolved
from srcsep_core.data.base import Split, register_world
from srcsep_core.data.frames import Cut, FrameStore, Song, make_frames
from srcsep_core.data.stem_classes import StemWorld
from srcsep_core.data.tracks import Track, stems_of, tracks_in
from srcsep_core.errors import InputError
from srcsep_core.paths import default_root

CUTS = {
    "musdb18_paper": Cut(16_000, 16_000),
    "musdb18_thesis": Cut(14_700, 16_384),
    "musdb18_released": Cut(14_700, 16_384, channel="left", normalised=True),
    "musdb18_8k": Cut(8_000, 8_192),
}
ASKED_OF = {"musdb18_8k": "songs_8k"}
SILENT_PEAK = 1e-4
UNEQUAL_S = 1.0
"""Stems whose lengths differ by more do not belong to one song."""
TYPICAL_RMS = {"drums": 0.085, "bass": 0.095, "other": 0.07, "vocals": 0.065}


@dataclass(frozen=True)
class Musdb18World(StemWorld):
    """Frames of musdb18: `variant` is one of `CUTS`."""

    name: ClassVar[str] = "musdb18"
    rates: ClassVar[Mapping[str, int]] = {variant: cut.sample_rate for variant, cut in CUTS.items()}

    variant: str = "musdb18_paper"

    @property
    def trained_on(self) -> str:
        """The variant itself, or rendered songs at the same rate."""
        return ASKED_OF.get(self.variant, self.variant)

    @property
    def typical_rms(self) -> Mapping[str, float]:
        """About that of the excerpt's stems; those whose peak is at one are louder."""
        louder = 1.3 if CUTS[self.variant].normalised else 1.0
        return {source: louder * TYPICAL_RMS[source] for source in self.sources}

    def draw(self, batch: int, length: int, generator: torch.Generator, *, split: Split = "train") -> Tensor:
        """Stretches of frames (batch, K, length), all stems of a row of one place in one song; some may be silent.

        Raises `InputError` where musdb18 was not decoded yet.
        """
        return self.own(stored(self.variant).draw(batch, length, generator, split=split))

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Its fields, and the fingerprint of the decoded songs; raises `InputError` where there are none."""
        return {**resolved(self), "frames": stored(self.variant).fingerprint}


def store_of(variant: str) -> FrameStore:
    """Where the frames of a variant are kept, complete or not."""
    return FrameStore(default_root() / "frames" / variant)


def stored(variant: str) -> FrameStore:
    """The frames of a variant; raises `InputError` where they are not complete."""
    store = store_of(variant)
    if not store.complete:
        raise InputError(
            f"musdb18 is not decoded as {variant} in {store.folder}; run `srcsep data musdb18 --root PLACE` for this "
            "variant, where PLACE is the folder that holds its train and test"
        )
    return store


def decode(root: Path, variant: str, *, done: Callable[[str], None] = lambda name: None) -> FrameStore:
    """Decode the songs under a root into the frames of a variant, one stem in memory at a time.

    What is there already is kept. Raises `InputError` where the root is not musdb18 or none of its songs can be read.
    """
    cut = CUTS[variant]
    songs = [
        Song(
            name=track.name,
            split=track.subset,
            facts={"bytes": track.size, "wav": track.wav},
            stems=lambda track=track: stems_at(track, cut),  # type: ignore[misc]
        )
        for track in tracks_in(root)
    ]
    return make_frames(store_of(variant).folder, cut, songs, done=done)


def stems_at(track: Track, cut: Cut) -> tuple[list[Tensor], str]:
    """The stems of a song, (T,) each, of the channel and at the rate of a cut; and what is odd about them."""
    stems, odd = [], []
    for source, samples, rate in stems_of(track):
        one = samples[:1] if cut.channel == "left" else samples.mean(dim=0, keepdim=True)
        stem = one if rate == cut.sample_rate else resample(one, from_rate=rate, to_rate=cut.sample_rate)
        stems.append(stem[0])
        if len(samples) == 1:
            odd.append(f"{source} is mono")
        if float(samples.abs().max()) < SILENT_PEAK:
            odd.append(f"{source} is silent")
    lengths = [len(stem) / cut.sample_rate for stem in stems]
    if max(lengths) - min(lengths) > UNEQUAL_S:
        raise InputError(
            f"{track.name}: its stems last {min(lengths):.1f} to {max(lengths):.1f} s and are not of one song; "
            "copy it anew"
        )
    if len(set(map(len, stems))) > 1:
        odd.append(f"stems of {min(lengths):.3f} to {max(lengths):.3f} s, cut to the shortest")
    return stems, "; ".join(odd)


register_world(Musdb18World.name, Musdb18World, tuple(CUTS))
