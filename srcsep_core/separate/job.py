"""Your own mix: a recording of any length, rate and level, separated by a sampler with priors, or another method.

The priors know windows of one length, at one rate, with sources at amplitude 0.8 to 1, mixed as their mean. So a
recording is resampled to their rate and brought to their level by one gain, separated in overlapping windows
(`searching`), joined (`windows`), and the stems are brought back. What the estimates leave of the mix is then shared
equally among the stems, so that their sum is the recording; that includes what lies above half of the priors' rate.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srcsep_core import __version__
from srcsep_core.audio import mono, read_audio, resample, write_audio
from srcsep_core.baselines.base import Separator
from srcsep_core.config import resolved
from srcsep_core.data.base import world_of
from srcsep_core.errors import InputError
from srcsep_core.run.pipeline import Pipeline, resolve_device
from srcsep_core.run.profiles import get_profile
from srcsep_core.run.store import file_digest, write_json
from srcsep_core.separate.recording import STEREO, prepare
from srcsep_core.separate.searching import Search, SearchConfig
from srcsep_core.separate.separators import (
    SAMPLER,
    Request,
    SourcePriors,
    Windows,
    method_separator,
    sampler_separator,
    source_priors,
)
from srcsep_core.separate.stems import PLAYER, RECORD, check_folder, stem_files, stem_names, write_folder
from srcsep_core.separate.windows import class_orders
from srcsep_core.show.player import RATES_HZ, player_page

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeparateConfig:
    """How a recording is separated: by the `method` of that name, `sampler` or one of `srcsep_core.baselines`.

    `sampler`, `prior` and `restarts` are for the method `sampler`.
    `gain` takes it to the mean of sources of amplitude about 0.9 (None: found by trying). `stereo`: separate the `mean`
    of the channels, or `each` on its own. `restarts`: of the sampler in a window (None: its own number).
    `allow_clipped` accepts flat tops at full scale. `train` lets priors be trained that are not there.
    `search`: windows and how they are joined.
    """

    method: str = SAMPLER
    sampler: str = "gibbs"
    prior: str = "denoiser"
    variant: str = "uniform_hz"
    profile: str = "laptop"
    device: str = "auto"
    seed: int = 0
    restarts: int | None = None
    gain: float | None = None
    stereo: str = "mean"
    remove_dc: bool = False
    allow_clipped: bool = False
    train: bool = False
    search: SearchConfig = field(default_factory=SearchConfig)

    @property
    def request(self) -> Request:
        """What separates; raises `InputError` for an unknown profile."""
        profile = get_profile(self.profile)
        return Request(self.method, self.sampler, self.prior, self.restarts, profile, self.variant)

    def __post_init__(self) -> None:
        if self.stereo not in STEREO:
            raise InputError(f"unknown way {self.stereo!r} with several channels; use one of {', '.join(STEREO)}")
        if self.gain is not None and not 0 < self.gain < math.inf:
            raise InputError(f"the gain is {self.gain:g}; use a positive number, or gain=None to have it found")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"the seed is {self.seed}; use 0 or more")


@dataclass(frozen=True)
class Separated:
    """The stems of a recording.

    stems (K, C, T), in the recording's scale, rate (`sample_rate`, Hz) and length: their sum is `mix` (C, T). `sources`
    are their classes. `report` is what is written as `separation.json`.
    """

    stems: Tensor
    mix: Tensor
    sources: tuple[str, ...]
    sample_rate: int
    report: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        """The stems' names: their class, numbered where it comes more than once."""
        return stem_names(self.sources)

    def write(self, out: str | Path, *, overwrite: bool = False) -> Path:
        """Write 16-bit stems, a player and the report into the folder `out`, all or nothing; returns it.

        If a stem exceeds [-1, 1] all are scaled by one gain, `written_gain` in the report. Raises `InputError` if
        `out` is not empty or cannot be written to; `overwrite` replaces the files of an earlier separation.
        """
        gain = 1 / max(1.0, float(self.stems.abs().max()))
        if gain < 1:
            log.info("the stems are written at a gain of %.4f, for a stem peaks at %.3f", gain, 1 / gain)
        files = stem_files(self.sources)
        names = [*files, PLAYER, RECORD]

        def fill(folder: Path) -> None:
            for name, stem in zip(files, self.stems, strict=True):
                write_audio(folder / name, (gain * stem).clamp(-1, 1), self.sample_rate)
            (folder / PLAYER).write_text(self._page(), encoding="utf-8")
            write_json(folder / RECORD, {**self.report, "written_gain": gain, "files": names})

        return write_folder(Path(out), names, fill, overwrite=overwrite)

    def _page(self) -> str:
        signals = torch.cat([mono(self.mix), self.stems.mean(dim=1)])
        low, high = RATES_HZ
        rate = min(max(self.sample_rate, low), high)
        if rate != self.sample_rate:
            signals = resample(signals, from_rate=self.sample_rate, to_rate=rate)
        name = self.report["input"]["name"]
        settings = self.report["settings"]
        how = f"sampler {settings['sampler']}" if "sampler" in settings else f"method {settings['method']}"
        notes = (
            f"Separated by srcsep {__version__} with the {how}. Before the rest "
            f"was shared among the stems, it stood at {self.report['residual_db']:.1f} dB of the mix."
        )
        return player_page(dict(zip(["mix", *self.names], signals, strict=True)), rate, f"Stems of {name}", None, notes)


def separate_file(
    path: str | Path,
    sources: Sequence[str],
    config: SeparateConfig | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    priors: SourcePriors | None = None,
    progress: bool = False,
) -> Separated:
    """Separate an audio file into `sources`, one class for each, and write the stems into the folder `out`, if given.

    The folder is checked before the work starts. Raises `InputError` as `read_audio`, `separate_audio` and
    `Separated.write` do.
    """
    config, sources = config or SeparateConfig(), tuple(sources)
    _check_settings(sources, config, priors)
    if out is not None:
        check_folder(Path(out), [*stem_files(sources), PLAYER, RECORD], overwrite=overwrite)
    audio = read_audio(path)
    result = separate_audio(
        audio.samples, audio.sample_rate, sources, config, priors=priors, progress=progress, name=Path(path).name
    )
    facts = {**result.report["input"], "sha256": file_digest(Path(path))}
    result = replace(result, report={**result.report, "input": facts})
    if out is not None:
        result.write(out, overwrite=overwrite)
    return result


def separate_audio(
    samples: Tensor,
    sample_rate: int,
    sources: Sequence[str],
    config: SeparateConfig | None = None,
    *,
    priors: SourcePriors | None = None,
    progress: bool = False,
    name: str = "samples",
) -> Separated:
    """Separate samples (C, T) at `sample_rate` (Hz) into `sources`, one class for each.

    `priors` are used instead of those that the configuration names, and `name` is for the report. Raises `InputError`
    for unknown names, for priors that are not trained, and for a signal that is silent, shorter than a window, not
    finite, or clipped.
    """
    config, sources = config or SeparateConfig(), tuple(sources)
    _check_settings(sources, config, priors)
    started, device = time.monotonic(), resolve_device(config.device)
    asked, world = config.request, world_of(config.variant)
    heard_as: Windows = asked.windows if priors is None or not asked.sampled else priors
    rate = heard_as.sample_rate
    mix, offsets = prepare(
        samples,
        sample_rate,
        stereo=config.stereo,
        remove_dc=config.remove_dc,
        flat_tops=config.allow_clipped or set(sources) <= world.flat_topped,
        window=heard_as.window or 1,
        rate=rate,
    )
    heard = mix if rate == sample_rate else resample(mix, from_rate=sample_rate, to_rate=rate)
    key, pipeline = {}, Pipeline(device=device, progress=progress, train=config.train)
    if asked.sampled:
        heard_as = priors = priors or source_priors(asked, pipeline)
        key = {"prior_key": priors.key}
        separator: Separator = sampler_separator(asked, priors)
    else:
        separator = method_separator(asked, heard_as.window or heard.shape[1], pipeline)
    generator = torch.Generator(device=device).manual_seed(config.seed)
    search = Search(separator, heard_as, sources, config.search, generator, progress)
    found = [search.run(row, config.gain) for row in heard]
    stems = torch.stack([one.signals / (one.gain * len(sources)) for one in found], dim=1)  # (K, C, T)
    stems = _align_channels(stems, sources)
    left = heard - stems.sum(dim=0)
    stems = _back(stems, rate, sample_rate, mix.shape[1])
    stems = stems + (mix - stems.sum(dim=0)) / len(sources)
    report = {
        "srcsep_version": __version__,
        "input": {
            "name": name,
            "sample_rate": sample_rate,
            "channels": samples.shape[0],
            "duration_s": samples.shape[1] / sample_rate,
        },
        "settings": {
            "sources": list(sources),
            **asked.facts,
            **key,
            "profile": config.profile,
            "variant": config.variant,
            "stereo": config.stereo,
            "window": heard_as.window or heard.shape[1],
            "search": resolved(config.search),
            "device": device.type,
        },
        "seed": config.seed,
        "resampled": rate != sample_rate,
        "priors_rate": rate,
        "dc_offset": offsets,
        "dc_removed": config.remove_dc,
        "gain": [one.gain for one in found],
        "residual_db": relative_db(left, heard),
        "channels": [one.report for one in found],
        "seconds": round(time.monotonic() - started, 2),
    }
    return Separated(stems, mix, sources, sample_rate, report)


def relative_db(x: Tensor, whole: Tensor) -> float:
    """The energy of `x` relative to that of `whole`, in dB; at least -200."""
    ratio = float(x.double().square().sum()) / max(float(whole.double().square().sum()), 1e-300)
    return 10 * math.log10(max(ratio, 1e-20))


def _check_settings(sources: tuple[str, ...], config: SeparateConfig, priors: SourcePriors | None) -> None:
    """Raise `InputError` for names and numbers that are wrong, before anything is read or computed."""
    known = world_of(config.variant).sources if priors is None else tuple(priors.by_source)
    config.request.check(sources, known)
    class_orders(sources)
    resolve_device(config.device)


def _back(stems: Tensor, rate: int, sample_rate: int, length: int) -> Tensor:
    """Stems (K, C, T) at the priors' rate at the recording's rate and `length`."""
    if rate == sample_rate:
        return stems
    rows = resample(stems.flatten(0, 1), from_rate=rate, to_rate=sample_rate)[:, :length]
    rows = torch.nn.functional.pad(rows, (0, length - rows.shape[1]))
    return rows.view(*stems.shape[:2], length)


def _align_channels(stems: Tensor, sources: tuple[str, ...]) -> Tensor:
    """Stems (K, C, T) with sources of one class in the same order in every channel, by likeness to the one before."""
    orders, channels = class_orders(sources), list(stems.unbind(dim=1))
    unit = [one / one.norm(dim=1, keepdim=True).clamp_min(1e-12) for one in channels]
    for before, here in pairwise(range(len(channels))):
        likeness = torch.stack([(unit[before] * unit[here][order]).sum().abs() for order in orders])
        best = orders[int(likeness.argmax())]
        channels[here], unit[here] = channels[here][best], unit[here][best]
    return torch.stack(channels, dim=1)
