"""What can be chosen in the explorer: the mix, the prior, and a sampler or a method with its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from srcsep_core.baselines.base import all_methods
from srcsep_core.config import check_choice
from srcsep_core.data.toy import SAMPLE_RATES, SOURCES, ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.samplers import SAMPLERS
from srcsep_core.show.explorer.scene import ToySource

FRAMES = 60  # at most, of a chain
MOST_SOURCES = 2 * len(SOURCES)
MOST_CHAINS = 16
HIDDEN = "projection"  # what its chains leave of the mix is not known before they end
FINER = {"projection": 10}  # noise levels for one of the explorer's
WIDE = {"sigma_max": 3.0, "sigma_min": 0.05}
OWN: Mapping[str, Mapping[str, float]] = {"gibbs": WIDE, "gibbs-exchange": WIDE, "langevin": {"steps": 50}}
NOISE_SHARE = 1.2  # residual over the mix's noise at which a chain need not be restarted


@dataclass(frozen=True)
class ExplorerSettings:
    """Everything that determines an exploration; `sampler` is one of `separators()`.

    `mix_sigma` is the standard deviation of the noise in the mix. `prior` names one of the priors passed to `explore`.
    `levels` noise levels; at each, gibbs has one sweep and two swaps, projection ten steps and langevin fifty. Samplers
    that are new here run as they are configured by default.
    """

    sources: tuple[ToySource, ...]
    mix_sigma: float = 0.0
    prior: str = "denoiser"
    sampler: str = "gibbs"
    max_chains: int = 1
    seed: int = 0
    variant: str = "whole_periods"
    length: int = 1024
    levels: int = 20

    def __post_init__(self) -> None:
        ToyWorld(self.variant)
        if not 2 <= len(self.sources) <= MOST_SOURCES:
            raise InputError(f"the mix has {len(self.sources)} source(s); choose 2 to {MOST_SOURCES}")
        check_choice("sampler", self.sampler, separators())
        if not 0 <= self.mix_sigma < 1:
            raise InputError(f"the noise in the mix has sigma {self.mix_sigma}; use 0 or more, and less than 1")
        bounds = {"max_chains": (1, MOST_CHAINS), "levels": (2, FRAMES), "length": (16, 16_384)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}; use {low} to {high}")
        for source in self.sources:
            if not 0 < source.frequency_hz < self.sample_rate / 2:
                raise InputError(
                    f"the {source.name} has a frequency of {source.frequency_hz:g} Hz; "
                    f"use one between 0 and {self.sample_rate / 2:g} Hz"
                )

    @property
    def has_chains(self) -> bool:
        """Whether it is a sampler, which runs chains under a prior, and no method."""
        return self.sampler in samplers()

    @property
    def chains_in_turn(self) -> int:
        """How many chains run one after the other at most: those of a sampler that accepts one, and ends."""
        return self.max_chains if self.has_chains and hasattr(SAMPLERS[self.sampler].config, "accept") else 1

    @property
    def sample_rate(self) -> int:
        """Samples per second (Hz)."""
        return SAMPLE_RATES[self.variant]

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for every source, such as "sine" and "sine 2"."""
        names = [source.name for source in self.sources]
        counts = [names[: k + 1].count(name) for k, name in enumerate(names)]
        return tuple(name if count == 1 else f"{name} {count}" for name, count in zip(names, counts, strict=True))


def samplers() -> tuple[str, ...]:
    """The samplers to explore, the default first: those that recordings can be separated with."""
    found = [name for name, one in SAMPLERS.items() if one.windows is not None]
    return tuple(sorted(found, key=lambda name: name != ExplorerSettings.sampler))


def separators() -> tuple[str, ...]:
    """What `ExplorerSettings.sampler` may be: samplers, and methods that need neither the truth nor training."""
    return (*samplers(), *(name for name, one in all_methods().items() if not one.needs and not one.model))


def sampler_config(settings: ExplorerSettings, noise: float, loudness: float) -> Any:
    """The sampler's configuration, where it has such settings, for a mix with `noise` in the constraint."""
    usual = SAMPLERS[settings.sampler].config(**OWN.get(settings.sampler, {}))
    levels = FINER.get(settings.sampler, 1) * settings.levels
    chosen: dict[str, float] = {"levels": levels, "max_chains": settings.max_chains}
    if hasattr(usual, "sigma_min") and settings.sampler != HIDDEN:
        chosen["sigma_min"] = min(max(usual.sigma_min, noise), usual.sigma_max / 2)
    if hasattr(usual, "accept"):
        chosen["accept"] = max(0.02, NOISE_SHARE * settings.mix_sigma / max(loudness, 1e-12))
    return replace(usual, **{name: value for name, value in chosen.items() if hasattr(usual, name)})
