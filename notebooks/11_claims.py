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
# # The claims, settled
#
# **Question.** Which of the conclusions of the paper and the thesis stand once the likelihood is a likelihood?
#
# **What we did.** For every claim: what was printed, and what we measure under three protocols. `released`: the
# formulas of the authors' code on priors trained as theirs. `exact`: true likelihoods on priors trained by maximum
# likelihood. `oracle`: the true density, the best that any prior can do. The rules that turn numbers into verdicts
# are in `srcsep_core/claims/ledger.py`; the interval is of the number that decides, 95 % bootstrap over test signals
# (training runs are not resampled: one seed a prior).

# %% tags=["parameters"]
profile = "laptop"
seed = 0
device = "auto"

# %%
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

from srcsep_core.audit.claims import Results, ledger, mean
from srcsep_core.audit.comparison import compare
from srcsep_core.audit.published import authors_discrimination, published_cells
from srcsep_core.audit.tables import cross_likelihood_tables, input_tables, noise_curve_table, papers_own, select
from srcsep_core.benchmark.results import benchmark_table
from srcsep_core.report.session import start

run = start("11_claims", profile, seed, device)
pd.set_option("display.max_colwidth", None)
likelihood, discrimination = cross_likelihood_tables(run.pipeline, run.profile)
constant, random = input_tables(run.pipeline, run.profile)
noise = noise_curve_table(run.pipeline, run.profile)
results = Results(likelihood, discrimination, noise, constant, random)
ours = {"cross_likelihood": likelihood, "noise_curve": noise, "constant_input": constant, "random_input": random}
comparison = compare(published_cells(), {name: papers_own(table) for name, table in ours.items()})
claims = ledger(results, comparison, separation=benchmark_table())
run.save_table(claims, "claims")
display(claims[["claim", "printed", "released", "exact", "oracle", "verdict", "why"]])

# %% [markdown]
# ## The numbers that decide

# %%
display(claims.loc[claims["n"] > 0, ["claim", "number", "value", "low", "high", "n", "verdict"]].round(3))

# %% [markdown]
# ## The central claim in one figure
#
# Noise conditioning against discrimination: mean AUROC and mean accuracy of signals that carry the prior's own noise
# (ours) and of clean signals (published), by protocol. The bars are 95 % intervals.

# %%
plain = select(discrimination, ratio=False, amplitude="released")
setups = {
    "released": ("flowavenet", "released", "released", "fine-tuned, released noise"),
    "exact": ("flowavenet", "exact", "exact", "fine-tuned, thesis noise"),
    "oracle": ("oracle", "oracle", "", ""),
}
levels = run.profile.noise_levels
rows = []
for name, (model, protocol, objective, training) in setups.items():
    for sigma in (0.0, *levels):
        where = {
            "model": model,
            "protocol": protocol,
            "objective": objective,
            "prior_sigma": sigma,
            "data_sigma": sigma,
        }
        part = select(plain, **where, training=training if sigma else ("noise-free" if model != "oracle" else ""))
        part = part[part["length"] == part["length"].min()]
        for value in ("auroc", "accuracy"):
            found = mean(part, value)
            if found.n:
                spread = {"mean": found.value, "low": found.low, "high": found.high, "n": found.n}
                rows.append({"protocol": name, "sigma": sigma, "quantity": value} | spread)
curve = pd.DataFrame(rows)
figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharex=True)
everything = [0.0, *levels]
for ax, value, stored in zip(axes, ("auroc", "accuracy"), ("auroc_mean", "argmax_prior_accuracy"), strict=True):
    for index, name in enumerate(setups):
        part = curve[(curve["protocol"] == name) & (curve["quantity"] == value)]
        x = np.array([everything.index(s) for s in part["sigma"]]) + 0.06 * (index - 1)
        spread = [np.maximum(part["mean"] - part["low"], 0), np.maximum(part["high"] - part["mean"], 0)]
        colour = plt.cm.cividis(index / 2.5)
        ax.errorbar(x, part["mean"], yerr=spread, marker="os^"[index], color=colour, capsize=3, label=name)
    published = [authors_discrimination(prior_sigma=s)[stored].mean() for s in everything]
    ax.plot(range(len(everything)), published, marker="x", linestyle=":", color="black", label="published")
    ax.set_xticks(range(len(everything)), [f"{s:g}" for s in everything])
    ax.axhline({"auroc": 0.5, "accuracy": 0.25}[value], color="0.8", linewidth=0.8, zorder=0)
    ax.set(
        xlabel="noise level sigma of the prior", ylabel=f"mean {'AUROC' if value == 'auroc' else value}", ylim=(0, 1.03)
    )
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
run.save_figure(figure, "claims_noise", curve)

# %% [markdown]
# ## The verdicts at a glance

# %%
order = ["holds", "holds only as released", "does not hold", "undecided at this scale"]
figure, ax = plt.subplots(figsize=(9, 0.5 * len(claims) + 1.0))
for y, (_, row) in enumerate(claims.iterrows()):
    index = order.index(row["verdict"])
    ax.scatter(index, y, marker="osDx"[index], s=70, color=plt.cm.cividis(index / 3.5))
ax.set_yticks(
    range(len(claims)), [textwrap.fill(c.split(" (paper")[0].split(" (thesis")[0], 58) for c in claims["claim"]]
)
ax.set_xticks(range(4), [textwrap.fill(name, 14) for name in order])
ax.set_xlim(-0.5, 3.5)
ax.invert_yaxis()
ax.grid(axis="y", color="0.9")
run.save_figure(figure, "claims_verdicts", claims[["claim", "verdict"]])

# %% [markdown]
# ## What it means
#
# Read the ledger by its last column: a claim that holds only as released is about a formula, not about generative
# priors; one that holds under an exact likelihood but not for the oracle is about how well a prior was learned. Our
# priors are small and trained for minutes with one seed each, so "holds" and "does not hold" are about this scale;
# the command column makes every row anew.

# %%
print(run.provenance())
