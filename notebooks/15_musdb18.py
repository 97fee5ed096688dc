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
# # Songs: musdb18, one real excerpt, and rendered songs
#
# **Question.** The paper's second data set is musdb18: stems of real songs, in the classes drums, bass, other and
# vocals. What of it can be had on this machine, and how far is what stands in for it from the real thing?
#
# **What we did.** Three worlds with the same four classes. *musdb18*, decoded once from a copy that you bring (`srcsep
# data musdb18 --root PLACE`, or `--download` for its public excerpts of seven seconds). The *excerpt*: six seconds of
# one real song that come with a package, on every machine, for testing alone. *Rendered* songs: recorded notes of real
# instruments (`data/notes`, with their licences), played from scores drawn without end. Every figure says which world
# it shows.

# %% tags=["parameters"]
profile = "laptop"
seed = 0
device = "auto"

# %%
from time import perf_counter

import pandas as pd
import torch
from IPython.display import display

from srcsep_core.audio import resample
from srcsep_core.data.base import world_of
from srcsep_core.data.musdb18 import CUTS, store_of
from srcsep_core.data.stem_classes import SOURCES
from srcsep_core.data.tracks import excerpt, stems_of
from srcsep_core.report.session import listed, start
from srcsep_core.show.music_figures import level_figure
from srcsep_core.show.player import player
from srcsep_core.show.plots import source_grid

run = start("15_musdb18", profile, seed, device)

# %% [markdown]
# ## What is here
#
# The settings of musdb18 differ between paper, thesis and released code, so each is a variant of its own. `frames` is
# how many are cut from a song, evenly from its start to its end (where they lie is not printed).

# %%
variants = pd.DataFrame(
    [
        {
            "variant": name,
            "sample rate / Hz": cut.sample_rate,
            "frame / samples": cut.length,
            "frames": cut.frames,
            "channel": cut.channel,
            "peak at one": cut.normalised,
            "decoded here": store_of(name).complete,
        }
        for name, cut in CUTS.items()
    ]
)
display(variants.set_index("variant"))

# %% [markdown]
# How long would all of it take? The excerpt's five streams are decoded as those of musdb18 are, so its seconds scale to
# 150 songs of four minutes. (This is without ffmpeg. With it, musdb starts two programs a stem, which are seconds a
# song; what a song takes beyond that is less.)

# %%
cut = CUTS["musdb18_paper"]
started = perf_counter()
stems = [
    resample(samples.mean(dim=0, keepdim=True), from_rate=rate, to_rate=cut.sample_rate)
    for _, samples, rate in stems_of(excerpt(), through_musdb=False)
]
took = perf_counter() - started
duration = stems[0].shape[1] / cut.sample_rate
print(
    f"{duration:.1f} s of four stems in {took:.2f} s; "
    f"150 songs of 240 s: about {150 * 240 * took / duration / 60:.0f} minutes on one core"
)

# %% [markdown]
# ## Paper Figure 2: the four source channels
#
# The paper shows a song of musdb18. Here is the excerpt, the one real song that every machine has, and below it six
# seconds of a rendered song.


# %%
def loudness_of(stems: dict[str, torch.Tensor]) -> pd.DataFrame:
    """The root mean square and the peak of each stem (full scale 1)."""
    facts = {name: (float(row.square().mean().sqrt()), float(row.abs().max())) for name, row in stems.items()}
    return pd.DataFrame([{"source": name, "rms": rms, "peak": peak} for name, (rms, peak) in facts.items()])


real, rendered = world_of("excerpt_8k"), world_of("songs_8k")
figure2 = dict(zip(SOURCES, real.whole, strict=True))
loudness = loudness_of(figure2)
run.save_figure(source_grid(figure2, real.sample_rate), "figure2_excerpt", loudness)
print("Excerpt, root mean square (full scale 1):", listed(loudness.set_index("source")["rms"], ".3f"))

# %%
length = real.whole.shape[1]
song = rendered.draw(1, length, torch.Generator().manual_seed(2000 + seed), split="test")[0]
shown = dict(zip(SOURCES, song, strict=True))
loudness = loudness_of(shown)
run.save_figure(source_grid(shown, rendered.sample_rate), "figure2_rendered", loudness)
print("Rendered song, root mean square (full scale 1):", listed(loudness.set_index("source")["rms"], ".3f"))

# %%
player({"mix": song.sum(dim=0), **shown}, rendered.sample_rate, "A rendered song and its stems")

# %% [markdown]
# ## How alike are they?
#
# The level of each class in octave bands: the median over many stretches of one second, with the 5 % and 95 %
# quantiles. For rendered songs the stretches are of many songs; for the excerpt they are of one, so that its band says
# how one song varies and nothing about others.

# %%
STRETCHES = 64
worlds = {"rendered": rendered, "rendered, unseen instruments": world_of("instruments_8k"), "excerpt": real}
levels = []
for name, world in worlds.items():
    signals = world.draw(STRETCHES, world.sample_rate, torch.Generator().manual_seed(3000 + seed), split="test")
    spectra = torch.fft.rfft(signals * torch.hann_window(signals.shape[-1])).abs().square()
    for band in (62.5, 125, 250, 500, 1000, 2000):
        low, high = (round(edge * signals.shape[-1] / world.sample_rate) for edge in (band, 2 * band))
        power = spectra[..., low:high].sum(dim=-1) / signals.shape[-1] ** 2
        decibels = 10 * power.clamp(min=1e-12).log10()
        for k, source in enumerate(SOURCES):
            q05, median, q95 = decibels[:, k].quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()
            row = {"world": name, "source": source, "band": band, "median": median, "q05": q05, "q95": q95}
            levels.append(row)
levels = pd.DataFrame(levels)
run.save_figure(level_figure(levels), "music_levels", levels)
medians = levels.pivot(index=["source", "band"], columns="world", values="median")
far = (medians["rendered"] - medians["excerpt"]).abs().groupby("source", sort=False).median()
print("Median difference between the rendered songs' bands and the excerpt's, dB:", listed(far, ".1f"))

# %% [markdown]
# ## What it means
#
# What is measured on rendered songs is about recorded instruments of these families, played by a simple composer;
# what is measured on the excerpt is about one song. Neither is musdb18, and no figure calls it so. Whoever has musdb18
# decodes it once, and notebooks 03, 10, 11 and 16 show it beside the others.

# %%
print(run.provenance())
