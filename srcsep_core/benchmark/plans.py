"""How much of the benchmark each profile runs, and how its samplers are set."""

from __future__ import annotations

from dataclasses import dataclass, replace

from srcsep_core.benchmark.candidates import main_model
from srcsep_core.run.profiles import Profile
from srcsep_core.samplers import GibbsConfig, LangevinConfig, PnFSamplerConfig, ProjectionConfig


@dataclass(frozen=True)
class BenchmarkPlan:
    """How much is run: `mixes` for the main prior, which is quick, `slow_mixes` for others, `length` in samples.

    `slow_gibbs` is for other priors on two sources, `slow_gibbs_many` on more; `long_langevin` is a control.
    `variants`: those of a world, the first for everything, all of them for what is known and for methods.
    """

    mixes: int
    slow_mixes: int
    gibbs: GibbsConfig
    slow_gibbs: GibbsConfig
    slow_gibbs_many: GibbsConfig
    selection: GibbsConfig
    langevin: LangevinConfig
    long_langevin: LangevinConfig
    projection: ProjectionConfig
    pnf: PnFSamplerConfig
    length: int = 1024
    variants: tuple[str, ...] = ("whole_periods", "uniform_hz")

    def sets(self, config: type) -> bool:
        """Whether it says how samplers with this class of configuration are run; others are, with their defaults."""
        return any(issubclass(config, type(value)) for value in vars(self).values())

    def with_mixes(self, mixes: int | None, slow_mixes: int | None) -> BenchmarkPlan:
        """The plan with other numbers of mixes."""
        return replace(self, mixes=mixes or self.mixes, slow_mixes=slow_mixes or self.slow_mixes)


_LAPTOP = BenchmarkPlan(
    mixes=4,
    slow_mixes=2,
    gibbs=GibbsConfig(swaps=1),
    slow_gibbs=GibbsConfig(levels=12, max_chains=2, swaps=1),
    slow_gibbs_many=GibbsConfig(levels=8, max_chains=1, swaps=1),
    selection=GibbsConfig(levels=12, max_chains=1, swaps=1),
    langevin=LangevinConfig(levels=5, steps=40),
    long_langevin=LangevinConfig(),
    projection=ProjectionConfig(),
    pnf=PnFSamplerConfig(updates=64),
)
PLANS = {
    "smoke": BenchmarkPlan(
        mixes=2,
        slow_mixes=2,
        gibbs=GibbsConfig(levels=3, draw_steps=2, swaps=1, max_chains=2),
        slow_gibbs=GibbsConfig(levels=2, draw_steps=1, swaps=1, max_chains=1),
        slow_gibbs_many=GibbsConfig(levels=2, draw_steps=1, swaps=1, max_chains=1),
        selection=GibbsConfig(levels=2, draw_steps=1, swaps=1, max_chains=1),
        langevin=LangevinConfig(levels=2, steps=2),
        long_langevin=LangevinConfig(levels=2, steps=3),
        projection=ProjectionConfig(levels=4),
        pnf=PnFSamplerConfig(levels=2, updates=2),
    ),
    "laptop": _LAPTOP,
    "full": replace(
        _LAPTOP,
        mixes=1000,
        slow_mixes=200,
        slow_gibbs=_LAPTOP.gibbs,
        slow_gibbs_many=_LAPTOP.gibbs,
        langevin=LangevinConfig(levels=10, steps=100),
        pnf=PnFSamplerConfig(),
    ),
}


def plan_of(profile: Profile) -> BenchmarkPlan:
    """The plan of a profile, on mixes as long as the windows of its main prior."""
    return replace(PLANS[profile.name], length=profile.plan_of(main_model(profile)).window)
