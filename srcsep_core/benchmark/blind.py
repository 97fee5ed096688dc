"""Blind separation of digits and of notes, by what saw no source and what stands beside it: `vae_bss.csv`.

A network is trained from several seeds; intervals are over seeds and mixes. Mixes are of the test split, whose pictures
and recordings nothing was trained on; sizes and weights were chosen on another split of the same data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from srcsep_core.audit.published import printed_blind
from srcsep_core.baselines.pictures import BASELINES
from srcsep_core.blind.scores import CEILING_DB, PICTURES, SOUNDS, sound_scores
from srcsep_core.data.base import world_of
from srcsep_core.data.mixes import MixConfig
from srcsep_core.diagnostics.discrimination import interval, resample
from srcsep_core.paths import measured_table
from srcsep_core.priors.denoiser import DENOISER
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import CURVE, VALUES, Step, TrainPriors, prior_step
from srcsep_core.run.steps.blind import GROUPED, MASKED, SEARCHED, UNMASKED, TakeApart
from srcsep_core.run.steps.choices import PriorChoice, SamplerChoice
from srcsep_core.run.steps.separation import SeparateMixes
from srcsep_core.samplers import GibbsConfig
from srcsep_core.samplers.means import MeansConfig

TABLE, SEEDS_TABLE, SWEEP_TABLE, WARMUP_TABLE = "vae_bss", "vae_bss_seeds", "vae_bss_beta", "vae_bss_warmup"
METRICS = (*PICTURES, *SOUNDS, "active")
PRINTED_DATA = {"digits": "MNIST", "mnist": "MNIST", "notes_5k": "MUMS"}
PRINTED_METHOD = {"nmf-kl": "nmf"}
BETAS = (0.0, 3e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2)
WARMUPS = (0.0, 0.5)  # shares of a training
CHOICE_SEED = 100  # what is chosen is chosen by trainings from this seed on, which no other table has
SETTLED = 20  # rows of a loss curve, of 10 steps each
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


def blind_tables(
    pipeline: Pipeline, settings: Sequence[BlindSetting], command: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row a setting and metric, and a row a setting, metric and seed (mean over mixes, and the loss of its training).

    Columns of the first: world, method, supervision, sources, slots, metric, value (mean over seeds and mixes), low and
    high (95 %, percentile bootstrap over seeds and mixes), n_mixes, n_seeds, printed (of the slides, for another data
    set), command. psnr and si_* are in dB; active is the number of slots that are not silent.
    """
    printed = printed_blind().set_index(["data", "sources", "method", "metric"])["value"]
    rows, by_seed = [], []
    for setting in [*settings, *_chosen(pipeline, settings)]:
        tables = [pd.read_csv(pipeline.run(step) / VALUES) for step in setting.steps]
        about = {
            "world": setting.variant,
            "method": setting.method,
            "supervision": setting.supervision,
            "sources": setting.sources,
            "slots": setting.slots,
        }
        for metric in (name for name in METRICS if name in tables[0]):
            capped = [table[metric].fillna(-CEILING_DB).clip(-CEILING_DB, CEILING_DB) for table in tables]
            values = np.stack([own.groupby(table["mix"]).mean() for own, table in zip(capped, tables, strict=True)])
            low, high = _interval(values)
            name = PRINTED_METHOD.get(setting.method, setting.method)
            place = (PRINTED_DATA.get(setting.variant, ""), setting.sources, name, metric)
            usual = setting.sources * (2 if setting.method == "mixit" else 1)
            known = printed.get(place, float("nan")) if setting.slots == usual else float("nan")
            rows.append(
                {
                    **about,
                    "metric": metric,
                    "value": values.mean(),
                    "low": low,
                    "high": high,
                    "n_mixes": values.shape[1],
                    "n_seeds": len(values),
                    "printed": known,
                    "command": command,
                }
            )
            losses = [_loss(pipeline, step) for step in setting.steps]
            by_seed += [
                {**about, "metric": metric, "seed": k, "value": row.mean(), "loss": loss}
                for k, (row, loss) in enumerate(zip(values, losses, strict=True))
            ]
    return pd.DataFrame(rows), pd.DataFrame(by_seed)


def _chosen(pipeline: Pipeline, settings: Sequence[BlindSetting]) -> list[BlindSetting]:
    """The training with the lowest loss of those of VAEM: no truth is needed to choose it."""
    found = []
    for setting in settings:
        if setting.method == "vaem" and setting.slots == setting.sources:
            best = min(setting.steps, key=lambda step: _loss(pipeline, step))
            found.append(replace(setting, method="vaem-chosen", steps=(best,)))
    return found


def _loss(pipeline: Pipeline, step: Step) -> float:
    """The loss at the end of a network's training, the mean over its last part; NaN of what was not trained."""
    if not isinstance(step, TakeApart) or step.trained is None:
        return float("nan")
    return _final_loss(pipeline, step.trained)


def _final_loss(pipeline: Pipeline, step: TrainPriors) -> float:
    return float(pd.read_csv(pipeline.run(step) / CURVE)["loss"].iloc[-SETTLED:].mean())


def sweep_table(pipeline: Pipeline, profile: Profile, variant: str = "digits") -> pd.DataFrame:
    """What the weight of the divergence does: by beta the picture scores of VAEM on the test mixes of two, one seed."""
    rows = []
    for beta in BETAS:
        step = network_step(profile, variant, "vae-bss", beta=beta)
        found = pd.read_csv(pipeline.run(apart(profile, variant, 2, MASKED, step)) / VALUES)
        curve = pd.read_csv(pipeline.run(step) / CURVE).iloc[-SETTLED:].mean(numeric_only=True)
        scores = {name: found[name].mean() for name in METRICS if name in found}
        rows.append(
            {"beta": beta, **scores, "reconstruction": curve["reconstruction"], "divergence": curve["divergence"]}
        )
    return pd.DataFrame(rows)


def warmup_table(pipeline: Pipeline, profile: Profile) -> pd.DataFrame:
    """What the plan's warm-up for notes was chosen by: a row a warm-up and training seed.

    Columns: warmup (the share of the training over which the weight of the divergence rises), seed, si_sdr (dB, VAEM,
    the mean over validation mixes of two), loss, larger and smaller (mean divergence of the slots, nats a mix).
    """
    amounts, world = AMOUNTS[profile.name], world_of("notes_5k").only(("note", "note"))
    rows = []
    for warmup in WARMUPS:
        for seed in range(CHOICE_SEED, CHOICE_SEED + amounts.chosen):
            step = network_step(profile, "notes_5k", "vae-bss", seed=seed, warmup=warmup)
            net = pipeline.priors(step).net  # type: ignore[attr-defined]
            generator = torch.Generator().manual_seed(CHOICE_SEED)
            sources = world.draw(amounts.mixes, net.config.view.length, generator, split="validation")
            mix = sources.mean(dim=1, keepdim=True).to(pipeline.device)
            scores = sound_scores(net.separate(mix).cpu(), sources)["si_sdr"].nan_to_num(nan=-CEILING_DB)
            divergence = net.divergence(mix).mean(dim=0)
            rows.append(
                {
                    "warmup": warmup,
                    "seed": seed,
                    "si_sdr": float(scores.clamp(-CEILING_DB, CEILING_DB).mean()),
                    "loss": _final_loss(pipeline, step),
                    "larger": float(divergence.max()),
                    "smaller": float(divergence.min()),
                }
            )
    return pd.DataFrame(rows)


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Of the mean of values (seeds, mixes), over resamples of both."""
    seeds, mixes = resample(len(values)), resample(values.shape[1], seed=1)
    return interval(np.array([values[rows][:, columns].mean() for rows, columns in zip(seeds, mixes, strict=True)]))


def blind_results(name: str = TABLE) -> pd.DataFrame:
    """One of the tables that were measured: `vae_bss`, that of the single seeds, or that of the sweep."""
    return pd.read_csv(measured_table(name))
