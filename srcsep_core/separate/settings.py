"""How a recording is separated, as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from srcsep_core.config import check_choice
from srcsep_core.data.base import world_of
from srcsep_core.errors import InputError
from srcsep_core.run.profiles import get_profile
from srcsep_core.separate.auto import AUTO
from srcsep_core.separate.recording import STEREO
from srcsep_core.separate.searching import SearchConfig
from srcsep_core.separate.separators import LEVELS, PRECISIONS, SAMPLER, Request


@dataclass(frozen=True)
class SeparateConfig:
    """How a recording is separated: by the `method` of that name, `sampler` or one of `srcsep_core.baselines`.

    `sampler` (`auto`: gibbs, or means for music), `prior` and `max_chains` (chains in a window, at most; None: the
    search's own number) are for the method `sampler`. `precision`: `full` is float32; `rounded` lets the denoiser
    compute in bfloat16, as `auto` does where it is faster. `gain` takes it to the mean of sources of amplitude
    about 0.9 (None: found by trying). `levels`: of the sources, `equal`, `estimated`, or `auto`: estimated where
    equal ones leave doubt. `stereo`: separate the `mean` of the channels, `each` on its own, or `auto`: each unless
    they are alike. `allow_clipped` accepts flat tops at full scale. `train` lets priors be trained that are not
    there. `search`: windows and how they are joined.
    """

    method: str = SAMPLER
    sampler: str = AUTO
    prior: str = "denoiser"
    variant: str = "uniform_hz"
    profile: str = "laptop"
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    max_chains: int | None = None
    gain: float | None = None
    levels: str = "auto"
    stereo: str = "auto"
    remove_dc: bool = False
    allow_clipped: bool = False
    train: bool = False
    search: SearchConfig = field(default_factory=SearchConfig)

    @property
    def request(self) -> Request:
        """What separates; raises `InputError` for an unknown profile or variant."""
        profile = get_profile(self.profile)
        usual = "gibbs" if world_of(self.variant).steady else "means"
        names = self.method, usual if self.sampler == AUTO else self.sampler, self.prior, self.max_chains
        return Request(*names, profile, self.variant, self.precision, self.levels)

    def __post_init__(self) -> None:
        if self.stereo not in STEREO:
            raise InputError(f"unknown way {self.stereo!r} with several channels; use one of {', '.join(STEREO)}")
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("kind of levels", self.levels, LEVELS)
        if self.gain is not None and not 0 < self.gain < math.inf:
            raise InputError(f"the gain is {self.gain:g}; use a positive number, or gain=None to have it found")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"the seed is {self.seed}; use 0 or more")
