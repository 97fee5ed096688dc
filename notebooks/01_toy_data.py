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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from srcsep_core.audio import stft_magnitude_phase
from srcsep_core.data.toy import (
    PUBLISHED_VARIANTS,
    SOURCES,
    ToyWorld,
    draw_parameters,
    draw_sources,
    draw_test_set,
    mix,
    waveform,
)
from srcsep_core.report.session import start
from srcsep_core.show.player import player
from srcsep_core.show.styles import source_style

run = start("01_toy_data", profile, seed, device)

# %% [markdown]
# ## One period of each (paper Figure 1, thesis Figure 10)

# %%
cycles = torch.linspace(0, 1, 513, dtype=torch.float64)[:-1]
period = pd.DataFrame({"period": cycles.numpy(), **{name: waveform(name, cycles).numpy() for name in SOURCES}})
figure, axes = plt.subplots(1, 4, figsize=(10, 2.3), sharey=True)
for ax, name in zip(axes, SOURCES, strict=True):
    ax.plot(period["period"], period[name], color=source_style(name).colour)
    ax.set(title=name, xlabel="time / period", ylim=(-1.15, 1.15))
axes[0].set_ylabel("amplitude")
run.save_figure(figure, "toy_period", period)

# %% [markdown]
# The square takes two values only and never 0, which is why a zero signal is unlikely under the square prior
# and under no other.

# %% [markdown]
# ## Three variants side by side
#
# | | paper | thesis | released code |
# |---|---|---|---|
# | sample rate | 16 000 Hz | 14 700 Hz | 14 700 Hz |
# | frequency | uniform, 27..4186 Hz | one of 88 piano keys | log-uniform, period cut to whole samples |
# | amplitude | U[0.8, 1] | U[0.8, 1] | U[0.8, 1] to train, 1.0 to test |
# | phase | U[0, 2 pi) | U[0, 2 pi) | whole samples |

# %%
draws = []
for variant in PUBLISHED_VARIANTS:
    parameters = draw_parameters(ToyWorld(variant), 5000, torch.Generator().manual_seed(run.seed))
    draws.append(
        pd.DataFrame(
            {
                "variant": variant,
                "frequency_hz": parameters.frequency[:, 0].numpy(),
                "amplitude": parameters.amplitude[:, 0].numpy(),
            }
        )
    )
laws = pd.concat(draws, ignore_index=True)
edges = np.geomspace(25, 4400, 45)
figure, axes = plt.subplots(1, 3, figsize=(10, 2.6), sharey=True)
for ax, variant in zip(axes, PUBLISHED_VARIANTS, strict=True):
    ax.hist(laws.loc[laws["variant"] == variant, "frequency_hz"], bins=edges, color="0.45")
    ax.set(title=f"{variant} ({ToyWorld(variant).sample_rate} Hz)", xlabel="frequency / Hz", xscale="log")
axes[0].set_ylabel("draws of 5000")
summary = laws.groupby("variant", sort=False).quantile([0.0, 0.25, 0.5, 0.75, 1.0]).reset_index(names=["variant", "q"])
run.save_figure(figure, "toy_frequency_law", summary)
display(summary.pivot(index="q", columns="variant", values="frequency_hz").round(1))

# %% [markdown]
# They are three different data sets. Half of the `paper` signals lie above 2.1 kHz, with seven samples a period
# or fewer; the median of the `released` ones is near 170 Hz, with some eighty. A prior trained on one has not seen
# the other, so every figure of this project names its variant. The default is `released`, because the stored
# results of the authors were made with it.

# %%
figure, axes = plt.subplots(3, 4, figsize=(10, 5), sharex=True, sharey=True)
shown = []
for row, variant in zip(axes, PUBLISHED_VARIANTS, strict=True):
    config = ToyWorld(variant)
    example = draw_test_set(config, 1, int(0.01 * config.sample_rate), run.seed)
    time_ms = np.arange(example.shape[2]) / config.sample_rate * 1e3
    waves = {name: example[0, k].numpy() for k, name in enumerate(SOURCES)}
    shown.append(pd.DataFrame({"variant": variant, "time_ms": time_ms, **waves}))
    for k, (ax, name) in enumerate(zip(row, SOURCES, strict=True)):
        ax.plot(time_ms, example[0, k], color=source_style(name).colour, linewidth=1)
        if variant == PUBLISHED_VARIANTS[0]:
            ax.set_title(name)
    row[0].set_ylabel(f"{variant}\namplitude")
for ax in axes[-1]:
    ax.set_xlabel("time / ms")
run.save_figure(figure, "toy_variants", pd.concat(shown, ignore_index=True))

# %% [markdown]
# ## Spectra
#
# One test signal of each source, `released`, one second, Hann window. Sine: one line. Square and triangle: odd
# harmonics that fall like 1/n and 1/n². Saw: all harmonics, 1/n. What lies above half the sample rate folds back:
# the waveforms are sampled without a band limit, as in the released code. The line at 0 Hz is the offset that a
# whole number of samples a period leaves, for example one sample more on the high half of an odd square.

# %%
config = ToyWorld()
signal = draw_test_set(config, 1, config.sample_rate, run.seed)[0].numpy()
frequency = np.fft.rfftfreq(signal.shape[1], 1 / config.sample_rate)
window = np.hanning(signal.shape[1])
spectrum = 20 * np.log10(np.abs(np.fft.rfft(signal * window)) / (window.sum() / 2) + 1e-6)
figure, axes = plt.subplots(2, 2, figsize=(10, 4.4), sharex=True, sharey=True)
for k, (ax, name) in enumerate(zip(axes.flat, SOURCES, strict=True)):
    ax.plot(frequency / 1e3, spectrum[k], color=source_style(name).colour, linewidth=0.7)
    ax.set(title=name, ylim=(-100, 5))
for ax in axes[-1]:
    ax.set_xlabel("frequency / kHz")
for ax in axes[:, 0]:
    ax.set_ylabel("level / dB")
levels = {f"{name}_db": spectrum[k] for k, name in enumerate(SOURCES)}
run.save_figure(figure, "toy_spectra", pd.DataFrame({"frequency_hz": frequency, **levels}).round(1))

# %% [markdown]
# ## STFT magnitude and phase (thesis Figure 2)
#
# The magnitude names the waveform at a glance; the phase shows stripes and tiles that turn with pitch and hop, and says
# little of the shape. A model of the magnitude throws the phase away, which is the thesis' argument for modelling the
# waveform itself. Window 256 samples, hop 64.

# %%
figure, axes = plt.subplots(2, 4, figsize=(10, 4.4), sharex=True, sharey=True)
cells = []
for k, name in enumerate(SOURCES):
    part = torch.from_numpy(signal[k, : config.sample_rate // 8])
    stft = stft_magnitude_phase(part, config.sample_rate, window=256, hop=64)
    frequencies, times = np.meshgrid(stft.frequencies_hz, stft.times_s, indexing="ij")
    columns = {
        "source": name,
        "frequency_hz": frequencies.ravel().round(1),
        "time_s": times.ravel().round(4),
        "magnitude_db": stft.magnitude_db.numpy().ravel().round(1),
        "phase_rad": stft.phase_rad.numpy().ravel().round(2),
    }
    cells.append(pd.DataFrame(columns))
    extent = {"shading": "nearest", "rasterized": True}
    top = axes[0, k].pcolormesh(
        stft.times_s, stft.frequencies_hz / 1e3, stft.magnitude_db, vmin=-80, vmax=0, cmap="magma", **extent
    )
    bottom = axes[1, k].pcolormesh(
        stft.times_s, stft.frequencies_hz / 1e3, stft.phase_rad, vmin=-np.pi, vmax=np.pi, cmap="twilight", **extent
    )
    axes[0, k].set_title(name)
    axes[1, k].set_xlabel("time / s")
for ax in axes[:, 0]:
    ax.set_ylabel("frequency / kHz")
figure.colorbar(top, ax=axes[0], label="magnitude / dB")
figure.colorbar(bottom, ax=axes[1], label="phase / rad")
run.save_figure(figure, "toy_stft", pd.concat(cells, ignore_index=True))

# %% [markdown]
# ## Listen
#
# The same four sources as three variants make them, and their mixes, two seconds each.

# %%
for variant in PUBLISHED_VARIANTS:
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
