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
# # The toy data
#
# **Question.** What are the toy signals on which every claim of the paper rests, and do its three descriptions
# (paper, thesis, released code) agree?
#
# **What we did.** We implemented all three. This notebook shows one period of each waveform (paper Figure 1,
# thesis Figure 10), the laws of frequency and amplitude, spectra, and the short-time Fourier transform with its
# phase (thesis Figure 2).

# %% tags=["parameters"]
profile = "laptop"
seed = 0
device = "auto"

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from srcsep_core.audio import stft_magnitude_phase
from srcsep_core.data.toy import (
    SOURCES,
    VARIANTS,
    ToyWorld,
    draw_parameters,
    draw_sources,
    draw_test_set,
    mix,
    waveform,
)
from srcsep_core.report.session import listed, start
from srcsep_core.show.player import player
from srcsep_core.show.signal_figures import (
    frequency_law_figure,
    spectra_figure,
    stft_figure,
    stft_table,
    waves_figure,
)

run = start("01_toy_data", profile, seed, device)

# %% [markdown]
# ## One period of each (paper Figure 1, thesis Figure 10)

# %%
cycles = torch.linspace(0, 1, 513, dtype=torch.float64)[:-1]
period = pd.DataFrame({"period": cycles.numpy(), **{name: waveform(name, cycles).numpy() for name in SOURCES}})
waves = {"": {name: period[name] for name in SOURCES}}
figure = waves_figure(waves, period["period"], size=(10, 2.3), x="time / period", ylim=(-1.15, 1.15))
run.save_figure(figure, "toy_period", period)
print("Mean square over a period:", listed(period[list(SOURCES)].pow(2).mean()))

# %% [markdown]
# The square takes two values only and never 0, which is why a zero signal is unlikely under the square prior
# and under no other.

# %% [markdown]
# ## Three variants side by side
#
# | | `whole_periods` (released code) | `uniform_hz` (paper) | `piano_keys` (thesis) |
# |---|---|---|---|
# | sample rate | 14 700 Hz | 16 000 Hz | 14 700 Hz |
# | frequency | log-uniform, period cut to whole samples | uniform, 27..4186 Hz | one of 88 piano keys |
# | amplitude | U[0.8, 1] to train, 1.0 to test | U[0.8, 1] | U[0.8, 1] |
# | phase | whole samples | U[0, 2 pi) | U[0, 2 pi) |

# %%
draws = {v: draw_parameters(ToyWorld(v), 5000, torch.Generator().manual_seed(run.seed)) for v in VARIANTS}
columns = {variant: {"frequency_hz": d.frequency[:, 0], "amplitude": d.amplitude[:, 0]} for variant, d in draws.items()}
laws = pd.concat([pd.DataFrame(drawn).assign(variant=variant) for variant, drawn in columns.items()])
figure = frequency_law_figure(laws, {variant: ToyWorld(variant).sample_rate for variant in VARIANTS})
summary = laws.groupby("variant", sort=False).quantile([0.0, 0.25, 0.5, 0.75, 1.0]).reset_index(names=["variant", "q"])
run.save_figure(figure, "toy_frequency_law", summary)
display(summary.pivot(index="q", columns="variant", values="frequency_hz").round(1))
medians = laws.groupby("variant", sort=False)["frequency_hz"].median()
print("Median frequency:", listed(medians, ".0f", " Hz"))

# %% [markdown]
# They are three different data sets. Half of the `uniform_hz` signals lie above 2.1 kHz, with seven samples a period
# or fewer; the median of the `whole_periods` ones is near 170 Hz, with some eighty. A prior trained on one has not seen
# the other, so every figure of this project names its variant. The default is `whole_periods`, because the stored
# results of the authors were made with it.

# %%
waves, times = {}, {}
for variant in VARIANTS:
    config = ToyWorld(variant)
    example = draw_test_set(config, 1, int(0.01 * config.sample_rate), run.seed)
    times[variant] = np.arange(example.shape[2]) / config.sample_rate * 1e3
    waves[variant] = {name: example[0, k].numpy() for k, name in enumerate(SOURCES)}
shown = [pd.DataFrame({"variant": v, "time_ms": times[v], **waves[v]}) for v in VARIANTS]
figure = waves_figure(waves, times, size=(10, 5), linewidth=1)
run.save_figure(figure, "toy_variants", pd.concat(shown, ignore_index=True))
print("Amplitude of the squares:", listed({v: abs(waves[v]["square"]).max() for v in VARIANTS}))

# %% [markdown]
# ## Spectra
#
# One test signal of each source, `whole_periods`, one second, Hann window. Sine: one line. Square and triangle: odd
# harmonics that fall like 1/n and 1/n². Saw: all harmonics, 1/n. What lies above half the sample rate folds back:
# the waveforms are sampled without a band limit, as in the released code. The line at 0 Hz is the offset that a
# whole number of samples a period leaves, for example one sample more on the high half of an odd square.

# %%
config = ToyWorld()
signal = draw_test_set(config, 1, config.sample_rate, run.seed)[0].numpy()
frequency = np.fft.rfftfreq(signal.shape[1], 1 / config.sample_rate)
window = np.hanning(signal.shape[1])
spectrum = 20 * np.log10(np.abs(np.fft.rfft(signal * window)) / (window.sum() / 2) + 1e-6)
levels = dict(zip(SOURCES, spectrum, strict=True))
table = pd.DataFrame({"frequency_hz": frequency, **{f"{name}_db": level for name, level in levels.items()}})
run.save_figure(spectra_figure(frequency, levels), "toy_spectra", table.round(1))
print("Loudest line:", listed({name: frequency[level.argmax()] for name, level in levels.items()}, ".0f", " Hz"))

# %% [markdown]
# ## STFT magnitude and phase (thesis Figure 2)
#
# The magnitude names the waveform at a glance; the phase shows stripes and tiles that turn with pitch and hop, and says
# little of the shape. A model of the magnitude throws the phase away, which is the thesis' argument for modelling the
# waveform itself. Window 256 samples, hop 64.

# %%
part = torch.from_numpy(signal[:, : config.sample_rate // 8])
stfts = {
    name: stft_magnitude_phase(wave, config.sample_rate, window=256, hop=64)
    for name, wave in zip(SOURCES, part, strict=True)
}
run.save_figure(stft_figure(stfts), "toy_stft", stft_table(stfts))
loud = {name: (stft.magnitude_db > stft.magnitude_db.max() - 40).float().mean() for name, stft in stfts.items()}
print("Bins within 40 dB of the loudest:", listed(loud, ".0%"))

# %% [markdown]
# ## Listen
#
# The same four sources as three variants make them, and their mixes, two seconds each.

# %%
for variant in VARIANTS:
    config = ToyWorld(variant)
    heard = draw_sources(config, 1, 2 * config.sample_rate, torch.Generator().manual_seed(run.seed + 1))
    tracks = {name: heard[0, k].numpy() for k, name in enumerate(SOURCES)}
    tracks["mix"] = mix(heard)[0, 0].numpy()
    display(player(tracks, config.sample_rate, title=f"Variant {variant}"))

# %% [markdown]
# ## Published and ours
#
# The figures of the paper and the thesis that show data print no numbers to compare. What can be checked is the
# text: the table above lists where the three descriptions contradict each other. The thesis sentence "uniformly
# picked from the frequency bounds of the 88 keys" admits two readings; we draw one of the 88 keys.

# %%
print(run.provenance())
