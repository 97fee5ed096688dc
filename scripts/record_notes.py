"""Play single notes of sampled instruments into `data/notes`: what the songs of the world `rendered` are made of.

    apt-get install fluid-soundfont-gm musescore-general-soundfont sonic-pi-samples   # on Debian
    pip install --no-deps tinysoundfont
    python scripts/record_notes.py --fluid FluidR3_GM.sf2 --musescore MuseScore_General_Full.sf3 --sonic-pi samples/

Every instrument becomes one FLAC file (mono, 16 bit, 16 kHz) of its notes one after another, and `notes.csv` says
where each of them lies. MuseScore General began as a copy of FluidR3 and still holds most of its recordings; of it
only such presets are taken as its list of sample sources names other recordings for. `known` instruments are for
training; the others have no recording in common with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import soundfile
import torch
from torchaudio.functional import resample

OUT = Path(__file__).resolve().parents[1] / "data" / "notes"
RATE, PLAYED_RATE = 16_000, 48_000
VELOCITIES = (64, 112)
RELEASE_S = 0.3
SILENCE = 10 ** (-60 / 20)
PIECES = (36, 37, 38, 42, 45, 46, 47, 49, 50, 51)  # General MIDI: kick, stick, snare, hat, toms, open hat, crash, ride


@dataclass(frozen=True)
class Instrument:
    """A preset of a soundfont: its source in a song, the keys that are played (MIDI), and for how long (s)."""

    name: str
    source: str
    family: str
    bank: int
    preset: int
    keys: tuple[int, ...]
    held_s: float
    known: bool = True


def _drums(name: str, preset: int) -> Instrument:
    return Instrument(name, "drums", "fluid", 128, preset, PIECES, 0.9)


def _bass(name: str, family: str, bank: int, preset: int, *, known: bool = True) -> Instrument:
    return Instrument(name, "bass", family, bank, preset, tuple(range(28, 56, 3)), 1.2, known)


def _vocals(name: str, preset: int, *, known: bool = True) -> Instrument:
    return Instrument(name, "vocals", "fluid", 0, preset, tuple(range(50, 80, 3)), 1.8, known)


def _other(
    name: str, family: str, preset: int, low: int, high: int, *, bank: int = 0, known: bool = True
) -> Instrument:
    return Instrument(name, "other", family, bank, preset, tuple(range(low, high + 1, 4)), 1.5, known)


INSTRUMENTS = (
    _drums("kit_standard", 0),
    _drums("kit_power", 16),
    _drums("kit_jazz", 32),
    _bass("bass_acoustic", "fluid", 0, 32),
    _bass("bass_fingered", "fluid", 0, 33),
    _bass("bass_picked", "fluid", 0, 34),
    _bass("bass_fretless", "fluid", 0, 35),
    _bass("contrabass_bowed", "musescore", 50, 48, known=False),
    _bass("contrabass_plucked", "musescore", 50, 45, known=False),
    _bass("bass_synth", "musescore", 0, 38, known=False),
    _vocals("choir_ah", 52),
    _vocals("choir_oh", 53),
    _vocals("choir_synth", 54),
    _vocals("voice_solo", 85, known=False),
    _other("piano", "fluid", 0, 40, 84),
    _other("electric_piano", "fluid", 4, 40, 84),
    _other("organ", "fluid", 16, 40, 84),
    _other("guitar_nylon", "fluid", 24, 40, 80),
    _other("guitar_clean", "fluid", 27, 40, 80),
    _other("strings", "fluid", 48, 40, 84),
    _other("alto_sax", "fluid", 65, 52, 80),
    _other("clarinet", "fluid", 71, 52, 84),
    _other("flute", "fluid", 73, 60, 88),
    _other("piano_close", "musescore", 0, 40, 84, known=False),
    _other("violins_bowed", "musescore", 48, 56, 84, bank=20, known=False),
    _other("violins_plucked", "musescore", 45, 56, 84, bank=20, known=False),
    _other("trumpet", "musescore", 56, 56, 80, known=False),
)
SAMPLED_KITS = {
    "kit_recorded": {
        36: ("drum_bass_soft", "drum_bass_hard"),
        37: ("drum_snare_soft", "drum_snare_soft"),
        38: ("drum_snare_soft", "drum_snare_hard"),
        42: ("drum_cymbal_closed", "drum_cymbal_closed"),
        45: ("drum_tom_lo_soft", "drum_tom_lo_hard"),
        46: ("drum_cymbal_open", "drum_cymbal_open"),
        47: ("drum_tom_mid_soft", "drum_tom_mid_hard"),
        49: ("drum_splash_soft", "drum_splash_hard"),
        50: ("drum_tom_hi_soft", "drum_tom_hi_hard"),
        51: ("drum_cymbal_soft", "drum_cymbal_hard"),
    },
}
LOOPS = {"loop_breakbeat": 4, "loop_electric": 4, "loop_mehackit1": 4}  # beats


@click.command()
@click.option("--fluid", type=click.Path(exists=True, dir_okay=False), required=True)
@click.option("--musescore", type=click.Path(exists=True, dir_okay=False), required=True)
@click.option("--sonic-pi", "samples", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
def main(fluid: str, musescore: str, samples: Path) -> None:
    """Make the files of `data/notes`."""
    OUT.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for one in INSTRUMENTS:
        font = {"fluid": fluid, "musescore": musescore}[one.family]
        notes = {
            (key, velocity): _played(font, one, key, velocity)
            for key in one.keys
            for velocity in (VELOCITIES if one.source == "drums" else VELOCITIES[1:])
        }
        rows += _kept(one.name, one.source, one.family, one.known, notes)
    for name, files in SAMPLED_KITS.items():
        notes = {
            (key, velocity): _sample(samples / f"{file}.flac", 1.2)
            for key, pair in files.items()
            for velocity, file in zip(VELOCITIES, pair, strict=True)
        }
        rows += _kept(name, "drums", "sonic_pi", False, notes)
    for name, beats in LOOPS.items():
        rows += _kept(
            name, "drums", "sonic_pi", False, {(beats, VELOCITIES[1]): _sample(samples / f"{name}.flac", None)}
        )
    pd.DataFrame(rows).to_csv(OUT / "notes.csv", index=False)
    size = sum(file.stat().st_size for file in OUT.glob("*.flac"))
    click.echo(f"{len(rows)} notes of {len({row['instrument'] for row in rows})} instruments, {size / 1e6:.1f} MB")


@cache
def _player(font: str) -> tuple[Any, int]:
    """The player of a soundfont, and the number it gave the font."""
    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=PLAYED_RATE)
    return synth, synth.sfload(font)


def _played(font: str, one: Instrument, key: int, velocity: int) -> np.ndarray:
    """One note, mono, from its start to where it has died away after its release: (samples,)."""
    synth, number = _player(font)
    synth.sounds_off()
    synth.generate(PLAYED_RATE // 2)
    synth.program_select(0, number, one.bank, one.preset, one.bank == 128)
    synth.noteon(0, key, velocity)
    held = np.frombuffer(synth.generate(int(one.held_s * PLAYED_RATE)), np.float32).copy()
    synth.noteoff(0, key)
    after = np.frombuffer(synth.generate(int(RELEASE_S * PLAYED_RATE)), np.float32).copy()
    return _trimmed(np.concatenate([held, after]).reshape(-1, 2).mean(axis=1), PLAYED_RATE)


def _sample(path: Path, longest_s: float | None) -> np.ndarray:
    """A recording, mono; at most `longest_s` of it, or all of it untrimmed."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = sound.mean(axis=1)
    if longest_s is None:
        return _at_rate(mono, rate)
    return _trimmed(mono[: int(longest_s * rate)], rate)


def _trimmed(sound: np.ndarray, rate: int) -> np.ndarray:
    """At 16 kHz, without what is silent before and after it, the end faded."""
    sound = _at_rate(sound, rate)
    loud = np.flatnonzero(np.abs(sound) > SILENCE * np.abs(sound).max())
    sound = sound[max(loud[0] - 16, 0) : loud[-1] + 1].copy()
    fade = min(len(sound), RATE // 50)
    sound[-fade:] *= np.linspace(1, 0, fade) ** 2
    return sound


def _at_rate(sound: np.ndarray, rate: int) -> np.ndarray:
    wider = resample(torch.from_numpy(sound), rate, RATE, lowpass_filter_width=64)
    return np.asarray(wider)


def _kept(
    name: str, source: str, family: str, known: bool, notes: dict[tuple[int, int], np.ndarray]
) -> list[dict[str, object]]:
    """Write the notes of an instrument, its loudest peak at 0.9; their rows of the table."""
    loudest = max(float(np.abs(note).max()) for note in notes.values())
    rows, start = [], 0
    for (key, velocity), note in notes.items():
        rows.append(
            {
                "instrument": name,
                "source": source,
                "family": family,
                "known": known,
                "key": key,
                "velocity": velocity,
                "start": start,
                "length": len(note),
            }
        )
        start += len(note)
    whole = np.concatenate(list(notes.values())) * (0.9 / loudest)
    soundfile.write(OUT / f"{name}.flac", whole, RATE, subtype="PCM_16")
    return rows


if __name__ == "__main__":
    main()
