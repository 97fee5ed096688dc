"""The tables of blind separation (`blind`): `vae_bss.csv`, the single seeds, and what was chosen by what.

Intervals are over training seeds and mixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from srcsep_core.audit.published import printed_blind
from srcsep_core.benchmark.blind import AMOUNTS, BlindSetting, apart, network_step
from srcsep_core.blind.scores import CEILING_DB, PICTURES, SOUNDS, sound_scores
from srcsep_core.data.base import world_of
from srcsep_core.diagnostics.discrimination import interval, resample
from srcsep_core.paths import measured_table
from srcsep_core.run.pipeline import Pipeline
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps import CURVE, VALUES, Step, TrainPriors
from srcsep_core.run.steps.blind import MASKED, TakeApart

TABLE, SEEDS_TABLE, SWEEP_TABLE, WARMUP_TABLE = "vae_bss", "vae_bss_seeds", "vae_bss_beta", "vae_bss_warmup"
METRICS = (*PICTURES, *SOUNDS, "active")
PRINTED_DATA = {"digits": "MNIST", "mnist": "MNIST", "notes_5k": "MUMS"}
PRINTED_METHOD = {"nmf-kl": "nmf"}
BETAS = (0.0, 3e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2)
WARMUPS = (0.0, 0.5)  # shares of a training
CHOICE_SEED = 100  # what is chosen is chosen by trainings from this seed on, which no other table has
SETTLED = 20  # rows of a loss curve, of 10 steps each


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
