"""Small trees of songs in both layouts of musdb18, made of noise and tones."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile

from srcsep_core.data.stem_classes import SOURCES

RATE = 44_100


def stems(seed: int, seconds: float, channels: int = 2) -> dict[str, np.ndarray]:
    """A tone with some noise for each source, (samples, channels), of its own pitch and level."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    made = {}
    for k, source in enumerate(SOURCES):
        tone = 0.2 * np.sin(2 * np.pi * (110 * (k + 2) + seed) * time + k)
        both = [tone + 0.02 * generator.standard_normal(len(time)) for _ in range(channels)]
        made[source] = np.stack(both, axis=1).astype(np.float32)
    return made


def write_wav_song(folder: Path, song: dict[str, np.ndarray], rate: int = RATE) -> None:
    """A folder of WAV files with the mixture."""
    folder.mkdir(parents=True)
    shortest = min(map(len, song.values()))
    for name, sound in {**song, "mixture": sum(one[:shortest] for one in song.values())}.items():
        soundfile.write(folder / f"{name}.wav", sound, rate, subtype="PCM_16")


def write_stem_song(path: Path, song: dict[str, np.ndarray], rate: int = RATE) -> None:
    """One file of five streams of AAC: the mixture, then the sources in musdb18's order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tracks = [sum(song.values()), *(song[source] for source in SOURCES)]
    with av.open(str(path), "w", format="mp4") as container:
        layout = "stereo" if tracks[0].shape[1] == 2 else "mono"
        streams = [container.add_stream("aac", rate=rate, layout=layout) for _ in tracks]
        for stream, sound in zip(streams, tracks, strict=True):
            for start in range(0, len(sound), 1024):
                block = np.ascontiguousarray(sound[start : start + 1024].T, np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
