"""The benchmark of music: mixes of stems of songs, separated as recordings are, and by what stands beside the priors.

Mixes are four seconds of one song and longer than a window: the sampler separates them in windows that are joined, as
`srcsep separate` does. Splits: `songs` (unseen songs of known instruments), `instruments` (unseen songs of unseen ones)
and `excerpt` (one real song, all there is of it: its intervals are over places in that song). `minutes` are as `songs`,
a minute of each, and of all four classes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from srcsep_core.baselines.base import Supervision, method_of
from srcsep_core.benchmark.field import subsets
from srcsep_core.benchmark.results import pooled_values, summarise_separation
from srcsep_core.benchmark.settings import method_choices
from srcsep_core.config import check_choice, resolved
from srcsep_core.data.base import World, world_of
from srcsep_core.data.mixes import MixConfig
from srcsep_core.priors.denoiser import DENOISER
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import VALUES, prior_step
from srcsep_core.run.steps.base import Context, Step
from srcsep_core.run.steps.choices import Bind, SeparatorChoice, load_priors
from srcsep_core.run.steps.separation import SeparateMixes
from srcsep_core.run.steps.training import TrainPriors
from srcsep_core.samplers.base import Callback, Separation, without_chains
from srcsep_core.separate.job import separate_audio
from srcsep_core.separate.searching import SearchConfig
from srcsep_core.separate.separators import SourcePriors, priors_from
from srcsep_core.separate.settings import SeparateConfig

MINUTES = "minutes"
SPLITS = {"songs": "songs_8k", "instruments": "instruments_8k", "excerpt": "excerpt_8k", MINUTES: "songs_8k"}
DURATION_S, MINUTE_S = 4.096, 61.44
MOST_DB = 60.0  # that ratios to interference and artefacts are clipped to, either way
POOLED = "any 2"
ALL = "all"
TABLE = "separation_music"


@dataclass(frozen=True)
class Counts:
    """How many mixes: of each pair, of each set of three, and of all four classes; of these so many `minutes` long."""

    pair: int = 18
    three: int = 6
    four: int = 24
    minutes: int = 6

    def of(self, sources: Sequence[str]) -> int:
        """Those of a set of classes."""
        return {2: self.pair, 3: self.three}.get(len(sources), self.four)


EXCERPT_MIXES = 4  # of six seconds there are no more that differ much
PLANS = {"smoke": Counts(1, 1, 1, 1), "laptop": Counts(), "full": Counts(100, 100, 300, 50)}


@dataclass(frozen=True)
class RecordingChoice(SeparatorChoice):
    """Recordings separated with priors of songs, as `separate_audio` does; `precision` and `search` are its own."""

    step = "recording"
    trained: TrainPriors
    sampler: str = "means"
    search: SearchConfig = field(default_factory=SearchConfig)
    precision: str = "rounded"
    seed: int = 0

    @property
    def labels(self) -> tuple[str, str]:
        return self.trained.model, self.sampler

    @property
    def supervision(self) -> Supervision:
        return "single sources"

    @property
    def parents(self) -> tuple[Step, ...]:
        return (self.trained,)

    @property
    def config(self) -> dict[str, Any]:
        search = resolved(replace(self.search, workers=0))
        return {"sampler": self.sampler, "search": search, "precision": self.precision, "seed": self.seed}

    def batch_of(self, mixes: MixConfig) -> int:
        return 1

    def seed_of(self, mixes: MixConfig) -> int:
        return self.seed

    def load(self, context: Context, data: World, mixes: MixConfig) -> Bind:
        config = SeparateConfig(
            sampler=self.sampler,
            prior=self.trained.model,
            variant=self.trained.data.variant,
            profile=self.trained.label,
            device=context.device.type,
            precision=self.precision,
            search=self.search,
            allow_clipped=True,
        )
        found = load_priors(self.trained, context.run(self.trained), context.device)
        priors = priors_from(config.request, found, self.trained.key, context.device)
        separator = RecordingSeparator(config, priors)
        return lambda truth: separator


@dataclass(frozen=True)
class RecordingSeparator:
    """`separate_audio` as a separator of mixes (B, 1, T) at the priors' rate."""

    config: SeparateConfig
    priors: SourcePriors

    def separate(
        self, mix: Tensor, sources: Sequence[str], generator: torch.Generator, callback: Callback | None = None
    ) -> Separation:
        """The stems, which sum to the mixes' sums; raises `InputError` as `separate_audio` does."""
        found = []
        for row in mix:
            seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
            scale = 0.9 / float(row.abs().max())
            result = separate_audio(
                scale * row, self.priors.sample_rate, sources, replace(self.config, seed=seed), priors=self.priors
            )
            found.append(result.stems[:, 0] / scale * len(sources))
        return without_chains(torch.stack(found).to(mix))


@dataclass(frozen=True)
class SongSetting:
    """Rows of the table: the split, the classes, and the step that measures them."""

    split: str
    step: SeparateMixes

    @property
    def separator(self) -> str:
        """What separates: the sampler, or the method."""
        prior, sampler = self.step.choice.labels
        return prior if sampler == "none" else sampler


def song_settings(
    profile: Profile, splits: Sequence[str] = tuple(SPLITS), counts: Counts | None = None
) -> list[SongSetting]:
    """Every setting of the splits: the denoiser with the sampler, and every method that a single mix will do for.

    Raises `InputError` for a split that there is not.
    """
    counts = counts or PLANS[profile.name]
    for split in splits:
        check_choice("split", split, SPLITS)
    trained = prior_step(profile, DENOISER.name, variant=SPLITS["songs"])
    choices: list[SeparatorChoice] = [RecordingChoice(trained)]
    for choice in method_choices(profile, trained.data, trained.data):
        if not method_of(choice.method).needs or choice.supervision == "truth":
            choices.append(choice)
    found = []
    for split in splits:
        world = world_of(SPLITS[split])
        for mixes in _mixes(split, world, counts):
            found += [SongSetting(split, SeparateMixes(world, mixes, choice)) for choice in choices]
    return found


def _mixes(split: str, world: World, counts: Counts) -> list[MixConfig]:
    """The sets of mixes of a split."""
    if split == MINUTES:
        return [MixConfig(world.sources, counts.minutes, round(MINUTE_S * world.sample_rate))]
    length = 1024 * round(DURATION_S * world.sample_rate / 1024)
    most = EXCERPT_MIXES if split == "excerpt" else max(counts.pair, counts.three, counts.four)
    return [MixConfig(names, min(counts.of(names), most), length) for names in subsets(world.sources, (2, 3, 4))]


def song_table(pipeline: Pipeline, settings: Sequence[SongSetting], *, profile: str, command: str) -> pd.DataFrame:
    """One row a source of every setting and one of all of them; then those of all pairs together (`any 2`).

    SI-SDRi (dB) with its interval over mixes (`summarise_separation`), mean SI-SIR and SI-SAR (dB, within +-60), and
    the seconds that a second of the mix took. `command` and the split make the rows.
    """
    values = [(setting, *_values(pipeline, setting)) for setting in settings]
    rows = []
    for setting, table, seconds in values:
        for source in (*setting.step.mixes.sources, ALL):
            own = table if source == ALL else table[table["source"] == source]
            rows.append(_row(setting, "+".join(setting.step.mixes.sources), source, own, seconds, profile, command))
    pools: dict[tuple[str, str], list[tuple[SongSetting, pd.DataFrame, float]]] = {}
    for one in values:
        if len(one[0].step.mixes.sources) == 2:
            pools.setdefault((one[0].split, one[0].separator), []).append(one)
    for pool in pools.values():
        together = pooled_values([table for _, table, _ in pool])
        seconds = float(np.mean([each for _, _, each in pool]))
        rows.append(_row(pool[0][0], POOLED, ALL, together, seconds, profile, command))
    return pd.DataFrame(rows)


def _values(pipeline: Pipeline, setting: SongSetting) -> tuple[pd.DataFrame, float]:
    artefact = pipeline.run(setting.step)
    return pd.read_csv(artefact / VALUES), float(artefact.provenance.get("seconds_per_mix", float("nan")))


def _row(
    setting: SongSetting, sources: str, source: str, values: pd.DataFrame, seconds: float, profile: str, command: str
) -> dict[str, Any]:
    step = setting.step
    duration = step.mixes.length / step.data.sample_rate
    measured = summarise_separation(values)
    return {
        "profile": profile,
        "world": step.data.name,
        "split": setting.split,
        "separator": setting.separator,
        "supervision": step.choice.supervision,
        "sources": sources,
        "source": source,
        "n_mixes": values["mix"].nunique(),
        "duration_s": duration,
        **{name: measured[name] for name in ("si_sdri_mean", "low", "high")},
        "si_sir": float(values["si_sir"].clip(-MOST_DB, MOST_DB).mean()),
        "si_sar": float(values["si_sar"].clip(-MOST_DB, MOST_DB).mean()),
        "seconds_per_second": seconds / duration,
        "command": f"{command} {setting.split}",
    }


def with_other_splits(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The rows, and before them those of other splits in an earlier table at `path`."""
    if not path.exists():
        return rows
    earlier = pd.read_csv(path)
    return pd.concat([earlier[~earlier["split"].isin(rows["split"])], rows], ignore_index=True)
