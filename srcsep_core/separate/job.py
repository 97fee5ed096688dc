"""Your own mix: a recording of any length, rate and level, separated by a sampler with priors, or another method.

The priors know windows of one length, at one rate, with sources at amplitude 0.8 to 1, mixed as their mean. So a
recording is resampled to their rate and brought to their level by one gain, separated in overlapping windows
(`searching`), joined (`windows`), and the stems are brought back. What the estimates leave of the mix is then shared
equally among the stems, so that their sum is the recording. What lies above half of the priors' rate they never heard:
unless it is next to nothing, it is a stem of its own and goes into no source (`band`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import pad

from srcsep_core import __version__
from srcsep_core.audio import read_audio, resample
from srcsep_core.baselines.base import Separator
from srcsep_core.config import resolved
from srcsep_core.data.base import world_of
from srcsep_core.errors import InputError
from srcsep_core.run.pipeline import Pipeline, resolve_device
from srcsep_core.samplers.base import rms
from srcsep_core.samplers.selection import all_subsets
from srcsep_core.separate.auto import AUTO, pick_sources
from srcsep_core.separate.band import back, split_band
from srcsep_core.separate.crew import Clock, Crew
from srcsep_core.separate.recording import prepare, relative_db
from srcsep_core.separate.searching import UNSTEADY_CHAINS, Search, expected_gain
from srcsep_core.separate.separated import Separated
from srcsep_core.separate.separators import (
    SAMPLER,
    SourcePriors,
    Windows,
    method_separator,
    sampler_separator,
    source_priors,
)
from srcsep_core.separate.settings import SeparateConfig
from srcsep_core.separate.stems import ABOVE_BAND, DETAILS, PLAYER, RECORD, check_folder, stem_files
from srcsep_core.separate.trust import verdict
from srcsep_core.separate.windows import class_orders

log = logging.getLogger(__name__)


def separate_file(
    path: str | Path,
    sources: Sequence[str],
    config: SeparateConfig | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    priors: SourcePriors | None = None,
    clock: Clock | None = None,
    progress: bool = False,
) -> Separated:
    """Separate an audio file into `sources`, one class for each, and write the stems into the folder `out`, if given.

    The folder is checked before the work starts. `clock`: see `separate_audio`. Raises `InputError` as `read_audio`,
    `separate_audio` and `Separated.write` do.
    """
    config, sources = config or SeparateConfig(), tuple(sources)
    check_settings(sources, config, priors)
    if out is not None:
        stems = [] if sources == (AUTO,) else stem_files(sources)
        check_folder(Path(out), [*stems, ABOVE_BAND, PLAYER, DETAILS, RECORD], overwrite=overwrite)
    audio = read_audio(path)
    result = separate_audio(
        audio.samples,
        audio.sample_rate,
        sources,
        config,
        priors=priors,
        clock=clock,
        progress=progress,
        name=Path(path).name,
    )
    facts = {**result.report["input"], "subtype": audio.subtype, "sha256": audio.sha256}
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
    clock: Clock | None = None,
    progress: bool = False,
    name: str = "samples",
) -> Separated:
    """Separate samples (C, T) at `sample_rate` (Hz) into `sources`, one class for each; `auto` alone: the likeliest.

    `priors` are used instead of those that the configuration names, and `name` is for the report. `clock` ends the
    search instead of the configuration's budget; once it is stopped, the best found so far is the result. Raises
    `InputError` for unknown names, for priors that are not trained, for a signal that is silent, shorter than a window,
    not finite, or clipped, and where the clock was stopped before anything was found.
    """
    config, sources = config or SeparateConfig(), tuple(sources)
    check_settings(sources, config, priors)
    started, device = time.monotonic(), resolve_device(config.device)
    asked, world = config.request, world_of(config.variant)
    heard_as: Windows = asked.windows if priors is None or not asked.sampled else priors
    rate = heard_as.sample_rate
    recording = prepare(
        samples,
        sample_rate,
        stereo=config.stereo,
        remove_dc=config.remove_dc,
        flat_tops=config.allow_clipped or set(sources) <= world.flat_topped,
        window=heard_as.least,
        rate=rate,
    )
    mix = recording.mix
    heard = mix if rate == sample_rate else resample(mix, from_rate=sample_rate, to_rate=rate)
    length = heard.shape[1]
    heard = pad(heard, (0, max(0, (heard_as.window or 0) - length)))
    key, pipeline = {}, Pipeline(device=device, progress=progress, train=config.train)
    if asked.sampled:
        heard_as = priors = priors or source_priors(asked, pipeline)
        key = {"prior_key": priors.key}
        separator: Separator = sampler_separator(asked, priors)
    else:
        separator = method_separator(asked, heard_as.window or heard.shape[1], pipeline)
    chains = config.search.max_chains if heard_as.steady else min(config.search.max_chains, UNSTEADY_CHAINS)
    tuned = replace(config.search, max_chains=config.max_chains or chains)
    clock = clock or Clock(tuned.budget_s)
    crew = Crew(device, config.seed, clock, tuned.batch, tuned.workers, progress)
    judges = priors if asked.sampled else _judges(config, pipeline)
    estimate = config.levels == "auto" and heard_as.steady
    search = Search(separator, heard_as, sources, tuned, crew, judges, estimate=estimate)
    tried, notes = pd.DataFrame(), list(recording.notes)
    if sources == (AUTO,):
        trying = replace(search, crew=replace(crew, clock=clock.share(3)))
        sets = all_subsets(_known(config, priors))
        tried = pick_sources(heard[recording.sounding], trying, sets, world.name, config.gain)
        if len(tried) < len(sets):
            notes.append(
                f"a third of the budget was over when {len(tried)} of {len(sets)} sets of sources had been tried"
            )
            log.warning(notes[-1])
        sources = tuple(str(tried["sources"].iloc[0]).split("+"))
        search = replace(search, sources=sources)
    found = []
    for remaining, c in zip(range(len(recording.sounding), 0, -1), recording.sounding, strict=True):
        own, gain = replace(search, crew=replace(search.crew, clock=clock.share(remaining))), config.gain
        if gain is None and length < heard.shape[1]:  # the silence is not to count
            gain = expected_gain(heard_as, sources, float(rms(heard[c, :length])))
        found.append(own.run(heard[c], gain))
    if clock.stopped and not any(one.chains_run for one in found):
        raise InputError("the search was stopped before any window had a chain; give it more time")
    estimates = torch.stack([one.signals / (one.gain * len(sources)) for one in found], dim=1)  # (K, C, T)
    stems = heard.new_zeros(len(sources), *heard.shape)
    stems[:, recording.sounding] = _align_channels(estimates, sources)
    stems, heard = stems[..., :length], heard[:, :length]
    left = heard - stems.sum(dim=0)
    whole, above, above_db = split_band(mix, heard, rate=rate, sample_rate=sample_rate)
    if above is not None:
        notes.append(f"what lies above {rate / 2:g} Hz, {above_db:.1f} dB of the mix, is untouched: a stem of its own")
        log.info(notes[-1])
    stems = back(stems, rate=rate, sample_rate=sample_rate, length=mix.shape[1])
    stems = stems + (whole - stems.sum(dim=0)) / len(sources)
    evidence = tuple(one.evidence for one in found)
    how = {"sampler": asked.sampler, **key} if asked.sampled else {}
    judged = verdict(evidence, sources, {"world": world.name, **how})
    late = sum(int(one.report["windows_late"]) for one in found)
    if late or any(one.report["cut_short"] for one in found):
        notes.append(clock.note(late))
        log.warning(notes[-1])
    report = {
        "srcsep_version": __version__,
        "trust": judged.facts,
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
            "search": resolved(tuned),
            "device": device.type,
        },
        "notes": notes,
        "sources_tried": tried.round(4).to_dict("records"),
        "seed": config.seed,
        "resampled": rate != sample_rate,
        "priors_rate": rate,
        "stereo": recording.stereo,
        "dc_offset": list(recording.offsets),
        "dc_removed": config.remove_dc,
        "gain": [one.gain for one in found],
        "residual_db": relative_db(left, heard),
        "level_db": [round(relative_db(stem, mix), 2) for stem in stems],
        "above_band_db": None if above is None else round(above_db, 2),
        "channels": [{"channel": c + 1, **one.report} for c, one in zip(recording.sounding, found, strict=True)],
        "seconds": round(time.monotonic() - started, 2),
    }
    return Separated(stems, above, mix, sources, sample_rate, report, evidence, judged)


def _known(config: SeparateConfig, priors: SourcePriors | None) -> tuple[str, ...]:
    """The classes that there are priors for."""
    return world_of(config.variant).sources if priors is None else tuple(priors.by_source)


def _judges(config: SeparateConfig, pipeline: Pipeline) -> SourcePriors | None:
    """What judges stems that no sampler made: the denoiser of the world, where it is trained."""
    asked = replace(config, method=SAMPLER, prior="denoiser").request
    try:
        return source_priors(asked, replace(pipeline, train=False))
    except InputError:  # untrained, or none in the profile
        return None


def check_settings(sources: tuple[str, ...], config: SeparateConfig, priors: SourcePriors | None) -> None:
    """Raise `InputError` for names and numbers that are wrong, before anything is read or computed."""
    known = _known(config, priors)
    if AUTO in sources and len(sources) > 1:
        raise InputError(f"the sources are {', '.join(sources)}; give {AUTO} alone, or name every source")
    if sources == (AUTO,):
        if config.method != SAMPLER:
            raise InputError(f"the method {config.method} cannot find the sources; name them, or use method {SAMPLER}")
        sources = tuple(known)
    config.request.check(sources, known)
    class_orders(sources)
    resolve_device(config.device)


def _align_channels(stems: Tensor, sources: tuple[str, ...]) -> Tensor:
    """Stems (K, C, T) with sources of one class in the same order in every channel, by likeness to the one before."""
    orders, channels = class_orders(sources), list(stems.unbind(dim=1))
    unit = [one / one.norm(dim=1, keepdim=True).clamp_min(1e-12) for one in channels]
    for before, here in pairwise(range(len(channels))):
        likeness = torch.stack([(unit[before] * unit[here][order]).sum().abs() for order in orders])
        best = orders[int(likeness.argmax())]
        channels[here], unit[here] = channels[here][best], unit[here][best]
    return torch.stack(channels, dim=1)
