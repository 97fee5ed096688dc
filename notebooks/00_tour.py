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
# # A tour in two minutes
#
# Frank & Ilse (2020) wanted to separate a mix with one generative prior per source. A prior says how likely a
# signal is as that source: log p(s). If every source's prior finds its own signals likelier than the others',
# it could steer a sampler that splits a mix. The paper reports that deep priors of audio do not work for this.
#
# This notebook: hear the four toy sources and a mix, load one prior, compute one likelihood, separate the mix.

# %% tags=["parameters"]
profile = "laptop"
seed = 0
device = "auto"

# %%
import pandas as pd
import torch
from IPython.display import display

from srcsep_core.data.toy import SOURCES, ToyWorld, draw_sources, mix
from srcsep_core.metrics import si_sdr
from srcsep_core.report.session import listed, start
from srcsep_core.run.steps import prior_step
from srcsep_core.separate import SeparateConfig, separate_audio
from srcsep_core.show.player import player
from srcsep_core.show.plots import source_grid

run = start("00_tour", profile, seed, device)

# %% [markdown]
# ## Four sources and their mix
#
# Sine, square, saw and triangle at random pitches, as the authors' code makes them (14 700 Hz, whole-sample
# periods). The mix is their mean.

# %%
toy = ToyWorld()
generator = torch.Generator().manual_seed(run.seed)
sources = draw_sources(toy, 1, 2 * toy.sample_rate, generator)
signals = {name: sources[0, k].numpy() for k, name in enumerate(toy.sources)}
signals["mix"] = mix(sources)[0, 0].numpy()

display(player(signals, toy.sample_rate, title="Four toy sources and their mix"))

# %%
figure = source_grid(signals, toy.sample_rate, duration_s=0.02)
run.save_figure(figure, "tour_sources", pd.DataFrame(signals)[: int(0.02 * toy.sample_rate)])
peaks = {name: abs(wave).max() for name, wave in signals.items()}
print("Peaks:", listed(peaks))

# %% [markdown]
# ## One prior, one likelihood
#
# Each source has a normalizing flow (FloWaveNet) trained on that source alone. The exact log-likelihood is
# log p_Z(z) + log |det|, in nats. Below, the four signals you just heard under the four priors, divided by the
# number of samples. The largest number of each row should stand on the diagonal.

# %%
step = prior_step(run.profile, "flowavenet")
priors = run.pipeline.priors(step)
length = run.profile.evaluation.length
batch = sources[0, :, None, :length].to(run.pipeline.device)

with torch.no_grad():
    table = pd.DataFrame(
        {name: priors.prior(name).log_prob(batch).cpu().numpy() / length for name in SOURCES},
        index=pd.Index(SOURCES, name="data"),
    )
table.columns.name = "prior, nats/sample"
display(table.round(2))

# %%
likeliest = table.idxmax(axis=1)
print("likeliest prior:", ", ".join(f"{data} -> {prior}" for data, prior in likeliest.items()))
run.save_table(table.reset_index().melt("data", var_name="prior", value_name="nats_per_sample"), "tour_likelihood")

# %% [markdown]
# ## The mix, separated
#
# The paper's sampler fails, with these priors and with better ones. Another one works: here on a quarter of a second of
# the mix above, with the small denoiser that is shipped. `06_separation` says why, and how often.

# %%
short = sources[0, :, : toy.sample_rate // 4]
chosen = {"profile": run.profile.name, "device": run.pipeline.device.type, "precision": "full"}
config = SeparateConfig(variant=toy.variant, gain=1.0, train=run.pipeline.train, **chosen)
found = separate_audio(mix(short[None])[0], toy.sample_rate, SOURCES, config)
truth = dict(zip(SOURCES, short / len(SOURCES), strict=True))
stems = dict(zip(SOURCES, found.stems[:, 0], strict=True))
quality = si_sdr(estimate=found.stems[:, 0], reference=short)
separated = pd.DataFrame({"source": SOURCES, "si_sdr_db": quality.numpy()})
display(separated.round(1))
run.save_table(separated, "tour_separation")
print("Verdict, without the truth:", found.verdict.line)

# %%
player({"mix": found.mix[0], **stems}, toy.sample_rate, "Estimates against the truth", references=truth)

# %% [markdown]
# ## What next
#
# `01_toy_data` shows what the three descriptions of this data set really produce, `02_flow_prior` opens the
# prior, and `03_cross_likelihood` repeats the table above on a whole test set and sets the published numbers
# beside it. `06_separation` to `08_denoiser` are about separation; in `07_explore` you make your own mix.

# %%
print(run.provenance([step]))
