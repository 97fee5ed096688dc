"""Blind separation of digits and of notes, by what saw no source and what stands beside it: what is measured.

The tables of it are `blind_tables`. A network is trained from several seeds. Mixes are of the test split, whose
pictures and recordings nothing was trained on; sizes and weights were chosen on another split of the same data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from srcsep_core.baselines.pictures import BASELINES
from srcsep_core.data.base import world_of
from srcsep_core.data.mixes import MixConfig
from srcsep_core.priors.denoiser import DENOISER
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import Step, TrainPriors, prior_step
from srcsep_core.run.steps.blind import GROUPED, MASKED, SEARCHED, UNMASKED, TakeApart
from srcsep_core.run.steps.choices import PriorChoice, SamplerChoice
from srcsep_core.run.steps.separation import SeparateMixes
from srcsep_core.samplers import GibbsConfig
from srcsep_core.samplers.means import MeansConfig

CHAINS: Mapping[str, Any] = {"gibbs": GibbsConfig(max_chains=4), "means": MeansConfig()}


@dataclass(frozen=True)
class Network:
    """What is trained, and how its estimates are made: the kind, the way (`steps.blind.WAYS`), what it has seen.

    alone: it is trained on single sources.
    """

    kind: str
    way: str
    supervision: str
    alone: bool = False


NETWORKS = {
    "ae": Network("ae-bss", UNMASKED, "nothing"),
    "aem": Network("ae-bss", MASKED, "nothing"),
    "vae": Network("vae-bss", UNMASKED, "nothing"),
    "vaem": Network("vae-bss", MASKED, "nothing"),
    "vaem-grouped": Network("vae-bss", GROUPED, "nothing, true groups"),
    "mixit": Network("mixit", MASKED, "nothing"),
    "mixit-grouped": Network("mixit", GROUPED, "nothing, true groups"),
    "glo": Network("vae-bss", SEARCHED, "single sources", alone=True),
    "nes": Network("nes", MASKED, "one of two sources"),
    "pit": Network("pit", MASKED, "mixes"),
}
PICTURED = ("ae", "aem", "vae", "vaem", "mixit", "mixit-grouped", "glo", "pit")
NOTES = ("vae", "vaem", "mixit", "mixit-grouped", "pit")


@dataclass(frozen=True)
class Amounts:
    """Training seeds of each network, test mixes, of these how many a sampler separates, and seeds for a choice."""

    seeds: int = 5
    mixes: int = 200
    sampled: int = 24
    chosen: int = 5


AMOUNTS = {"smoke": Amounts(2, 6, 2, 1), "laptop": Amounts(), "full": Amounts(5, 1000, 200)}


@dataclass(frozen=True)
class BlindSetting:
    """One row and metric set: a method, what it has seen, its slots, and the steps that measure it, one a seed."""

    variant: str
    method: str
    supervision: str
    sources: int
    slots: int
    steps: tuple[Step, ...]


def blind_settings(profile: Profile, *, mnist: bool = False) -> list[BlindSetting]:
    """Every setting of a profile: both printed tables, what else stands beside them, and more slots than sources.

    `mnist`: its pictures too, as the digits'.
    """
    found = []
    for variant in ("digits", "mnist") if mnist else ("digits",):
        found += _picture_settings(profile, variant)
    found += _untrained(profile, "digits_halves", 2, ("x/K",))
    found += [trained_setting(profile, "digits_halves", name, 2) for name in ("vaem", "nes", "pit")]
    found += _untrained(profile, "notes_5k", 2)
    found += [trained_setting(profile, "notes_5k", name, 2) for name in NOTES]
    found += [_first(profile, trained_setting(profile, "notes_5k", name, 2)) for name in ("vaem", "pit")]
    found += [_sampled(profile, "notes_5k", name) for name in CHAINS]
    found += _untrained(profile, "notes_5k", 3)
    found += [trained_setting(profile, "notes_5k", name, 3) for name in ("vae", "vaem")]
    return found


def _picture_settings(profile: Profile, variant: str) -> list[BlindSetting]:
    found = []
    for count in (2, 3):
        found += _untrained(profile, variant, count)
        found += [trained_setting(profile, variant, name, count) for name in PICTURED]
    found += _untrained(profile, variant, 4, ("x/K",))
    found.append(trained_setting(profile, variant, "vaem", 4))
    for name in ("vaem", "vaem-grouped"):
        found += [trained_setting(profile, variant, name, 2, slots=slots) for slots in (3, 4)]
    return found


def network_step(
    profile: Profile,
    variant: str,
    kind: str,
    count: int = 2,
    *,
    slots: int = 0,
    seed: int = 0,
    beta: float | None = None,
    warmup: float | None = None,
) -> TrainPriors:
    """The step that trains a network with slots for mixes of `count` sources, from a seed.

    `slots`: more of them than the plan has. `beta`: another weight of the divergence than the plan's. Of more sources
    than the plan has it is as much smaller as each is in the mix, their mean. `warmup`: the share of the steps over
    which it rises, in place of the plan's.
    """
    first = prior_step(profile, kind, variant=variant)
    usual = first.network
    own = slots or count * usual.slots // usual.sources
    weight = usual.beta * min(1.0, usual.sources / count) if beta is None else beta
    network = replace(usual, sources=count, slots=own, beta=weight)
    if warmup is not None:
        network = replace(network, warmup=round(warmup * first.train.steps))
    mixes = first.train.batch_size // usual.sources
    words = [
        f"{count}in{own}" if (count, own) != (usual.sources, usual.slots) else "",
        f"seed{seed}" if seed else "",
        "" if beta is None else f"beta{beta:g}",
        "" if warmup is None else f"warmup{warmup:g}",
    ]
    train = replace(first.train, batch_size=mixes * count, seed=seed)
    return replace(first, label="-".join(filter(None, [first.label, *words])), network=network, train=train)


def trained_setting(profile: Profile, variant: str, method: str, count: int, *, slots: int = 0) -> BlindSetting:
    """A network's setting, with a step a seed."""
    network = NETWORKS[method]
    step = partial(network_step, profile, variant, network.kind, 1 if network.alone else count)
    steps = [step(slots=slots, seed=seed) for seed in range(AMOUNTS[profile.name].seeds)]
    measured = tuple(apart(profile, variant, count, network.way, step) for step in steps)
    found = count if network.alone else steps[0].network.slots
    return BlindSetting(variant, method, network.supervision, count, found, measured)


def apart(profile: Profile, variant: str, count: int, way: str, trained: TrainPriors | None = None) -> TakeApart:
    """The step that takes the test mixes of `count` sources apart."""
    view = prior_step(profile, "vae-bss", variant=variant).network.view
    return TakeApart(world_of(variant), mixes_of(profile, variant, count), view, way, trained)


def mixes_of(profile: Profile, variant: str, count: int) -> MixConfig:
    """The test mixes of `count` sources; those of fewer mixes are the first of them."""
    world, plan = world_of(variant), prior_step(profile, "vae-bss", variant=variant)
    names = world.sources if len(world.sources) == count else world.sources[:1] * count
    return MixConfig(names, AMOUNTS[profile.name].mixes, plan.network.view.length)


def _untrained(
    profile: Profile, variant: str, count: int, names: Sequence[str] = tuple(BASELINES)
) -> list[BlindSetting]:
    return [
        BlindSetting(variant, name, BASELINES[name][0], count, count, (apart(profile, variant, count, name),))
        for name in names
    ]


def _first(profile: Profile, setting: BlindSetting) -> BlindSetting:
    """The same on the mixes alone that chains separate."""
    amount = AMOUNTS[profile.name].sampled
    steps = (step for step in setting.steps if isinstance(step, TakeApart))
    few = tuple(replace(step, mixes=replace(step.mixes, mixes=amount)) for step in steps)
    return replace(setting, method=f"{setting.method}-first", steps=few)


def _sampled(profile: Profile, variant: str, sampler: str) -> BlindSetting:
    """Chains under the denoiser of single sources, on the first of the same mixes."""
    step = prior_step(profile, DENOISER.name, variant=variant)
    choice = SamplerChoice(PriorChoice(DENOISER.name, step.data, (step,)), sampler, CHAINS[sampler], batch=8)
    mixes = replace(mixes_of(profile, variant, 2), mixes=AMOUNTS[profile.name].sampled)
    separate = SeparateMixes(step.data, mixes, choice)
    return BlindSetting(variant, f"{DENOISER.name}-{sampler}", "single sources", 2, 2, (separate,))
