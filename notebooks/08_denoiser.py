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
# # The denoiser: denoising, scores, samples
#
# **Question.** The paper's priors lose their hold on the sources where the noise is strong, and separation must start
# there. How good can a learnt prior be across all noise levels, measured against the true density?
#
# **What we did.** One small network (`nn.denoiser`) learns to remove Gaussian noise from all four waveforms, told the
# class and the noise level (EDM; Karras et al. 2022). By Tweedie's formula the denoiser is the score of the noisy
# density: score = (D(x) - x) / sigma^2. It has no likelihood. One network for each toy variant is shipped; here is the
# `whole_periods` one, because its oracle, the exact posterior mean, is quick to compute.

# %% tags=["parameters"]
profile = "laptop"
seed = 0
device = "auto"

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from srcsep_core.benchmark.candidates import prior_choices
from srcsep_core.data.toy import SOURCES, ToyWorld, draw_sources
from srcsep_core.diagnostics.scores import denoising_table, score_table, summarise_scores
from srcsep_core.priors.oracle import OraclePrior
from srcsep_core.report.session import listed, start
from srcsep_core.run.steps import prior_step
from srcsep_core.show.player import player
from srcsep_core.show.score_figures import score_against_oracle_figure
from srcsep_core.show.signal_figures import denoising_figure, waves_figure
from srcsep_core.show.training_figures import denoising_loss_figure

run = start("08_denoiser", profile, seed, device)
data = ToyWorld()
step = prior_step(run.profile, "denoiser")
priors = run.pipeline.priors(step)
window = priors.window
size = sum(parameter.numel() for parameter in priors.denoiser.parameters())
print(f"{size / 1e6:.2f} million parameters, signals of {window} samples ({window / data.sample_rate * 1e3:.0f} ms)")

# %% [markdown]
# ## Training
#
# The loss is that of the network's own output, weighted equally at every noise level: 1 is no better than the mean of
# the data, 0 would be a denoiser without error.

# %%
run.save_figure(denoising_loss_figure(priors.curve), "score_training", priors.curve)
end = priors.curve[priors.curve["step"] > 0.9 * priors.curve["step"].max()]
print("Mean loss of the last tenth:", listed(end.groupby("source", sort=False)["loss"].mean(), ".3f"))

# %% [markdown]
# ## One signal, more and more noise
#
# Top: a square in noise. Below: what the denoiser of each class makes of it. The right prior restores the wave; a
# wrong one makes a wave of its own class out of it, or leaves the noise in. The stronger the noise, the less of the
# shape and the more of the pitch alone is left, and the more alike the four answers become: that is how one source
# comes to hold what belongs to another (see 06).

# %%
levels = (0.1, 0.5, 1.0, 3.0)
generator = torch.Generator().manual_seed(seed)
clean = draw_sources(data, 1, window, generator)[:, 1:2]
noise = torch.randn(clean.shape, generator=generator)
shown = min(300, window)
by_name = {name: priors.prior(name) for name in SOURCES}
on_device = (x.to(run.pipeline.device) for x in (clean, noise))
table = denoising_table(by_name, *on_device, levels, shown)
run.save_figure(denoising_figure(table, data.sample_rate, "clean square"), "score_denoising", table)
error = (table["denoised"] - table["clean"]).pow(2).groupby([table["sigma"], table["prior"]], sort=False).mean()
print("Mean squared error at sigma 0.1:", listed(error[0.1], ".2g"))
print("Mean squared error at sigma 3:", listed(error[3.0], ".2g"))

# %% [markdown]
# ## Against the oracle
#
# Top: the mean squared error of the denoiser beside that of the exact posterior mean, which nothing can beat. Bottom:
# one minus the cosine between the prior's score and the true one. In strong noise that is small for anybody: the dotted
# line knows nothing of the sources, its score is -x / sigma^2. Dashed: a flow told sigma, trained by likelihood over
# the whole range 0.01 to 10. Bands: 95 % bootstrap intervals over signals.

# %%
sigmas = (0.1, 0.3, 1.0, 3.0, 10.0)
flow_of = prior_choices(run.profile)["flow-wide"].load(run.pipeline)
signals = draw_sources(data, run.profile.pages.denoised, window, torch.Generator().manual_seed(seed + 1))
tables = []
for k, name in enumerate(SOURCES):
    own, oracle = signals[:, k : k + 1], OraclePrior(name, data)
    candidates = {"denoiser": priors.prior(name), "flow, all levels": flow_of(name)}
    for label, prior in candidates.items():
        for sigma in sigmas:
            single = score_table(prior, own, sigma, torch.Generator().manual_seed(seed + 2), oracle=oracle)
            tables.append(summarise_scores(single).assign(model=label, source=name, sigma=sigma))
scores = pd.concat(tables, ignore_index=True)
models = {"denoiser": "denoiser", "flow, all levels": "flow-wide"}
figure = score_against_oracle_figure(scores, models, float(signals.square().mean()))
run.save_figure(figure, "score_against_oracle", scores)


# %%
def by_source(quantity: str, model: str) -> pd.DataFrame:
    """The mean of a quantity by source and sigma."""
    rows = scores[(scores["quantity"] == quantity) & (scores["model"] == model)]
    return rows.pivot(index="source", columns="sigma", values="mean").loc[list(SOURCES)]


print("Mean squared error of the denoisers, in units of the least possible (that of the oracle):")
for model in ("denoiser", "flow, all levels"):
    display((by_source("denoising_mse", model) / by_source("oracle_mse", model)).rename_axis(index=model).round(1))

# %% [markdown]
# ## Samples
#
# Signals drawn from each class by reverse diffusion from sigma 10, without any mix: 20 levels, deterministic Heun
# steps.

# %%
generator = torch.Generator(run.pipeline.device).manual_seed(seed)
drawn = {name: priors.prior(name).sample((2, 1, window), generator, steps=20).cpu() for name in SOURCES}
time_ms = np.arange(shown) / data.sample_rate * 1e3
waves = {f"draw {row + 1}": {name: drawn[name][row, 0, :shown] for name in SOURCES} for row in range(2)}
figure = waves_figure(waves, time_ms, size=(11, 3.6), linewidth=1.2)
table = pd.DataFrame({f"{name} {row + 1}": drawn[name][row, 0].numpy() for name in SOURCES for row in range(2)})
run.save_figure(figure, "score_samples", table)
print("Peaks:", listed(table.abs().max()))

# %%
repeats = max(1, data.sample_rate // window)
player({name: np.tile(drawn[name][0, 0].numpy(), repeats) for name in SOURCES}, data.sample_rate, "draws, repeated")

# %% [markdown]
# **What it means.** Up to sigma 3 the learnt denoiser's error is 3 to 30 times the least possible (the table), and in
# stronger noise close to it. That is enough to separate: notebook 06. The flow, trained by likelihood on the same noise
# levels, errs 30 to 1000 times the least possible up to sigma 3, and from there on its score points less well than one
# that knows nothing. It is the smaller network of the two and was trained for fewer steps, so these are two priors
# compared, not two principles. What a sampler needs is a score that points the right way at every noise level, not a
# likelihood.

# %%
print(run.provenance([step]))
