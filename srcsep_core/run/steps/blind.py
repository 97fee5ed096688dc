"""The step that takes mixes apart without knowing which source is which: by a network with slots, or untrained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from srcsep_core.baselines.pictures import BASELINES
from srcsep_core.blind.latent_search import SearchConfig, search
from srcsep_core.blind.scores import active_slots, grouped, picture_scores, sound_scores
from srcsep_core.blind.views import Pixels, View
from srcsep_core.config import check_choice, resolved
from srcsep_core.data.base import World
from srcsep_core.data.mixes import MixConfig, Mixes, draw_mixes
from srcsep_core.errors import InputError
from srcsep_core.run.steps.base import VALUES, Context, Step
from srcsep_core.run.steps.training import TrainPriors, load_priors

UNMASKED, MASKED, SEARCHED, GROUPED = "as they are", "masked", "searched", "grouped"
WAYS = (MASKED, UNMASKED, SEARCHED, GROUPED, *BASELINES)
BATCH = 100


@dataclass(frozen=True)
class TakeApart(Step):
    """Measures of mixes by mix and source: mix, k, the scores of the view's sort, active (slots of the mix).

    way: one of `WAYS`. A network with slots (`trained`) gives its pictures masked, as they are, searched for in its
    decoder, or masked and then put together as the truth asks (`blind.scores.grouped`); the others need none.
    """

    data: World
    mixes: MixConfig
    view: View
    way: str
    trained: TrainPriors | None = None

    name = "blind"
    version = 2

    def __post_init__(self) -> None:
        check_choice("way of separation", self.way, WAYS)
        if self.trained is None and self.way not in BASELINES:
            raise InputError(f"{self.way!r} is a way of a network; name the step that trains it")
        if self.trained is not None and self.way in BASELINES:
            raise InputError(f"{self.way!r} needs no network; name none")

    @property
    def title(self) -> str:
        method = f"{self.trained.model}-{self.trained.label}" if self.trained else "untrained"
        way = self.way.replace(" ", "_").replace("/", "_over_")
        return f"{self.name}-{method}-{way}-{self.data.variant}-{len(self.mixes.sources)}-{self.key[:8]}"

    @property
    def parents(self) -> tuple[Step, ...]:
        return () if self.trained is None else (self.trained,)

    @property
    def config(self) -> dict[str, Any]:
        facts = {"data": self.data.fingerprint, "mixes": resolved(self.mixes), "way": self.way}
        searched = {"search": resolved(SearchConfig())} if self.way == SEARCHED else {}
        return {**facts, **searched, "view": resolved(self.view)}

    def make(self, context: Context, folder: Path, work: Path) -> dict[str, Any]:
        drawn = draw_mixes(self.data, self.mixes)
        estimates = self.estimates(drawn, context)
        table = by_source({**self.scores(estimates, drawn.sources), "active": active_slots(estimates)})
        table.to_csv(folder / VALUES, index=False, float_format="%.6g")
        return {"device": context.device.type, "threads": torch.get_num_threads()}

    def estimates(self, drawn: Mixes, context: Context) -> Tensor:
        """The estimates (B, M, T) of the mixes, on the CPU."""
        generator = torch.Generator(context.device).manual_seed(self.mixes.seed)
        net = None
        if self.trained is not None:
            net = load_priors(self.trained, context.run(self.trained), context.device).net  # type: ignore[attr-defined]
        parts = []
        for mix, sources in zip(drawn.mix.split(BATCH), drawn.sources.split(BATCH), strict=True):
            mix, sources = mix.to(context.device), sources.to(context.device)
            if net is None:
                found = BASELINES[self.way][1](mix, sources, self.view, generator)
            elif self.way == SEARCHED:
                found = search(net, mix, sources.shape[1], generator)
            else:
                found = net.separate(mix, masked=self.way != UNMASKED) * sources.shape[1] / net.config.sources
            if self.way == GROUPED:
                found = grouped(found, sources)
            parts.append(found.cpu())
        return torch.cat(parts)

    def scores(self, estimates: Tensor, sources: Tensor) -> Mapping[str, Tensor]:
        """The scores, (B, K) each."""
        if isinstance(self.view, Pixels):
            return picture_scores(estimates, sources, self.view.size)
        return sound_scores(estimates, sources)


def by_source(values: Mapping[str, Tensor]) -> pd.DataFrame:
    """A row a mix and source, from values (B, K), or (B,) for all sources of a mix."""
    batch, count = next(iter(values.values())).shape
    columns = {
        name: (value if value.ndim == 2 else value[:, None].expand(-1, count)).flatten().numpy()
        for name, value in values.items()
    }
    mix, k = torch.arange(batch).repeat_interleave(count).numpy(), torch.arange(count).repeat(batch).numpy()
    return pd.DataFrame({"mix": mix, "k": k, **columns})
