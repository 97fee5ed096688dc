# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Cross-likelihood: can the toy flow priors tell the sources apart?
#
# **Question.** Paper Figure 3 shows the log-likelihood of every source under every prior. For the toy flow it
# "behaves as anticipated": in-class signals likely, all others not. Does this hold for a likelihood that is one?
#
# **What we did.** A test set of fresh signals (amplitude 1.0, as in the released evaluation) under four priors,
# trained with the objective `likelihood` and with `quarter_log_det`. Each is read under two protocols: `log_prob`
# (log p_Z + log |det|) and `log_pz` (log p_Z alone, which is what the authors' code averages). Values are
# nats/sample.

# %% tags=["parameters"]
profile = "laptop"
seed = 0
device = "auto"

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from srcsep_core.audit.matrices import diagonal_margin, matrix, panel_table
from srcsep_core.audit.published import authors
from srcsep_core.audit.songs import asked_variants
from srcsep_core.audit.tables import cross_likelihood_tables, noise_free, select
from srcsep_core.data.base import world_of
from srcsep_core.data.toy import SOURCES, ToyWorld, draw_parameters, evaluation_config
from srcsep_core.diagnostics import protocol_values
from srcsep_core.priors.flowavenet import FLOWAVENET
from srcsep_core.report.session import start
from srcsep_core.run.steps import cross_likelihood_step, prior_step
from srcsep_core.show.discrimination_figures import pitch_figure, settings_figure
from srcsep_core.show.plots import cross_likelihood_figure

run = start("03_cross_likelihood", profile, seed, device)

# %% [markdown]
# The next cell fills `cross_likelihood.csv` and `discrimination.csv` for every set of priors of this project; this
# notebook looks at the noise-free flows, [04](04_wavenet_prior.ipynb) at the WaveNets,
# [05](05_noise_conditioning.ipynb) at the priors with a noise level and [16](16_music_priors.ipynb) at those of songs.

# %%
songs = asked_variants(run.pipeline, run.profile)
likelihood, discrimination = cross_likelihood_tables(run.pipeline, run.profile, world_of().variant, *songs)
run.save_table(likelihood, "cross_likelihood")
run.save_table(discrimination, "discrimination")
likelihood, discrimination = (table[table["world"] == "toy"] for table in (likelihood, discrimination))
ratios = discrimination[discrimination["ratio"]].assign(ratio=False)
tables = (likelihood, discrimination, ratios)
length = run.profile.evaluation.length
likelihood, discrimination, ratios = (noise_free(table, "flowavenet", length) for table in tables)
OBJECTIVES = FLOWAVENET.objectives
steps = {o: cross_likelihood_step(run.profile, prior_step(run.profile, "flowavenet", objective=o)) for o in OBJECTIVES}
values = {
    (protocol, objective): protocol_values(run.pipeline.values(step), protocol)
    for objective, step in steps.items()
    for protocol in ("log_pz", "log_prob")
}
print(f"{likelihood['n'].iloc[0]} test signals a source, {length} samples each")

# %% [markdown]
# ## The matrix, printed and ours
#
# Medians, rows data, columns priors. (Paper Figure 3 has priors as rows and shows means, clipped at -1000; means of
# these values are set by a few signals, so medians come first and the means are in the table below.)


# %%
def ours(protocol, objective):
    """The rows of one protocol and objective."""
    return likelihood[(likelihood["protocol"] == protocol) & (likelihood["objective"] == objective)]


stored = authors("cross_likelihood")
panels = {
    "published (log p_Z, trained as released)": matrix(stored),
    "ours: log_pz of quarter_log_det (as released)": matrix(ours("log_pz", "quarter_log_det")),
    "ours: log_prob of quarter_log_det": matrix(ours("log_prob", "quarter_log_det")),
    "ours: log_prob of likelihood (exact)": matrix(ours("log_prob", "likelihood")),
}
figure = cross_likelihood_figure(panels)
run.save_figure(figure, "figure3_toy_flow", panel_table(panels))
margins = {title: diagonal_margin(panel) for title, panel in panels.items()}
print("How far each source's own prior is ahead of the next one, for the closest source (nats/sample):")
print("; ".join(f"{title}: {margin:.2f}" for title, margin in margins.items()))

# %%
clipped = {
    (protocol, objective): matrix(
        single.assign(value=single["value"].clip(lower=-1000))
        .groupby(["source", "prior"], sort=False)["value"]
        .mean()
        .reset_index(),
        "value",
    )
    for (protocol, objective), single in values.items()
}
print("mean clipped at -1000, log_pz of quarter_log_det (what paper Figure 3 would show for our priors):")
display(clipped["log_pz", "quarter_log_det"].round(1))
print("mean, log_prob of likelihood:")
display(matrix(ours("log_prob", "likelihood"), "mean").round(1))

# %% [markdown]
# ## AUROC of every pair, accuracy of every source
#
# AUROC: the chance that a signal of the prior's own source is likelier under that prior than a signal of the other
# source (0.5: no discrimination). Accuracy: the share of a source's signals whose own prior is the likeliest of the
# four. Bars are 95 % bootstrap intervals over signals.


# %%
def discrimination_of(protocol, objective):
    """The discrimination rows of one protocol and objective."""
    chosen = (discrimination["protocol"] == protocol) & (discrimination["objective"] == objective)
    return discrimination[chosen]


settings = [(protocol, objective) for objective in OBJECTIVES[::-1] for protocol in ("log_pz", "log_prob")]
run.save_figure(
    settings_figure(discrimination, authors("discrimination"), settings), "discrimination_toy_flow", discrimination
)
worst = discrimination.groupby(["protocol", "objective"])["auroc"].min()
print("AUROC of the worst pair:", ", ".join(f"{p} of {o} {worst[p, o]:.3f}" for p, o in settings))

# %%
for protocol, objective in [("log_prob", "likelihood"), ("log_pz", "quarter_log_det")]:
    part = discrimination_of(protocol, objective)
    print(f"AUROC, {protocol} of {objective} (rows data, columns priors)")
    display(matrix(part, "auroc").round(4))
    for name, row in part[part["source"] == part["prior"]].set_index("source").iterrows():
        low, high = row["accuracy_low"], row["accuracy_high"]
        print(f"accuracy of {name}: {row['accuracy']:.3f} [{low:.3f}, {high:.3f}]")

# %% [markdown]
# ## What pitch does to the AUROC
#
# A low note is easier to predict than a high one under every prior, so a low sine can be likelier under the triangle
# prior than a high triangle is. This is a matter of pitch, not of shape. In the ratio log p(prior) - log p(source)
# it cancels, and the ratio is what decides between two explanations of the same signal.
#
# Below, the one pair that is not fully told apart. At every pitch a prior's own signals are the likelier ones; only
# across pitches do the two sources come near each other.

# %%
part = ratios[(ratios["protocol"] == "log_prob") & (ratios["objective"] == "likelihood")]
print("AUROC of the log-likelihood ratio, log_prob of likelihood (rows data, columns priors)")
display(matrix(part, "auroc").round(4))

# %%
size, generator = run.profile.evaluation.signals, torch.Generator().manual_seed(run.profile.evaluation.seed)
frequency = draw_parameters(evaluation_config(ToyWorld()), size, generator).frequency
period = {name: 14_700 / frequency[:, k].numpy() for k, name in enumerate(SOURCES)}
single = values["log_prob", "likelihood"]
pitch = []
for prior in ("sine", "triangle"):
    for name in ("sine", "triangle"):
        rows = select(single, prior=prior, source=name).sort_values("signal")
        pitch.append(rows.assign(period=period[name])[["source", "prior", "signal", "period", "value"]])
pitch = pd.concat(pitch, ignore_index=True)
run.save_figure(pitch_figure(pitch), "likelihood_against_pitch", pitch)
own, other = (pitch.loc[(pitch["source"] == pitch["prior"]) == same, "value"] for same in (True, False))
print(f"Own signals reach down to {own.min():.2f} nats/sample, the other source's up to {other.max():.2f}.")

# %% [markdown]
# ## Published beside ours, by cell
#
# Sign and rank within the row are what can be compared: our priors are smaller and trained for minutes, so the size
# of a negative value says little.

# %%
comparison = (
    stored[["source", "prior", "median"]]
    .rename(columns={"median": "published"})
    .merge(ours("log_pz", "quarter_log_det")[["source", "prior", "median"]].rename(columns={"median": "ours_released"}))
    .merge(ours("log_prob", "likelihood")[["source", "prior", "median"]].rename(columns={"median": "ours_exact"}))
)
for column in ("published", "ours_released", "ours_exact"):
    comparison[f"rank_{column}"] = comparison.groupby("source")[column].rank(ascending=False).astype(int)
run.save_table(comparison, "figure3_comparison")
display(comparison.round(2))
for column in ("ours_released", "ours_exact"):
    sign = (np.sign(comparison["published"]) == np.sign(comparison[column])).mean()
    rank = (comparison["rank_published"] == comparison[f"rank_{column}"]).mean()
    print(f"{column}: same sign in {sign:.0%} of cells, same rank within the row in {rank:.0%}")

# %% [markdown]
# ## What it means
#
# - The claim stands: toy flow priors are discriminative without noise, under the authors' metric and under an exact
#   likelihood. Every source's own prior is the likeliest for all or nearly all of its signals.
# - Leaving out log |det| changes the diagonal by several nats/sample and the rest of the matrix hardly: far from
#   the data log p_Z is so low that the determinant does not matter.
# - The weak pair is sine and triangle, in the published results as in ours.
# - Our priors are small, trained for minutes, one seed. An AUROC or accuracy of 1 with an interval of no width says
#   that no error was seen among the signals tested, not that none is possible.

# %%
print(run.provenance([*steps.values(), *(step.subject.trained for step in steps.values())]))
