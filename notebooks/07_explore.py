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
# # Explore: watch a sampler separate a mix
#
# **Question.** What does a sampler do between the mix and its estimates, and what makes it fail?
#
# **What we did.** We made a mix of a sine, a square, a saw and a triangle, and gave it to split-Gibbs sampling with the
# denoiser: one for all sources, told which source it is to find. We kept the state of the chain after every
# noise level. First comes one run to read. Then comes a panel in which you choose the sources, the noise, the prior and
# the sampler yourself; it needs a running kernel (JupyterLab, not GitHub).

# %% tags=["parameters"]
profile = "laptop"
seed = 0
device = "auto"

# %%
import pandas as pd
from IPython.display import display

from srcsep_core.data.toy import SOURCES, ToyWorld
from srcsep_core.metrics import si_sdr
from srcsep_core.priors.oracle import OraclePrior
from srcsep_core.report.session import listed, start
from srcsep_core.run.steps import prior_step
from srcsep_core.show.explorer.exploration import explore, frames_table
from srcsep_core.show.explorer.figures import noise_levels_figure, spread
from srcsep_core.show.explorer.scene import ToySource
from srcsep_core.show.explorer.settings import ExplorerSettings
from srcsep_core.show.explorer.widget import explorer, listen
from srcsep_core.show.listening_grid import listening_grid

run = start("07_explore", profile, seed, device)
toy = ToyWorld()
step = prior_step(run.profile, "denoiser")
trained = run.pipeline.priors(step)
priors = {
    "denoiser": {name: trained.prior(name) for name in SOURCES},
    "oracle": {name: OraclePrior(name, toy) for name in SOURCES},
}

# %% [markdown]
# ## One run
#
# The frequencies below are those that the toy world has: in the released code a period is a whole number of samples.
# SI-SDR says how close an estimate is to its source, whatever its loudness: 0 dB is as much error as signal, and every
# 10 dB more is a tenth of the error's energy. The residual says how much of the mix the estimates leave unexplained.
# A chain that leaves too much is restarted.

# %%
four = (ToySource("sine", 440.0), ToySource("square", 180.0), ToySource("saw", 310.0), ToySource("triangle", 95.0))
settings = ExplorerSettings(four, max_chains=4, seed=run.seed, variant=toy.variant, length=trained.window)
result = explore(settings, priors)
display(result.table().round(2))
print(result.verdict())

# %% [markdown]
# ## The chain at four noise levels
#
# Each row is a source, and each column a moment: the first noise level (sigma, a standard deviation), two between, and
# the last. Grey and broad is the truth, coloured is the chain. At the first level the sources need to add up only to
# within noise that is louder than they are. Then sigma falls, and prior and mix have to be obeyed ever more closely.

# %%
indices = spread(len(result.frames), 4)
figure = noise_levels_figure(result, indices)
run.save_figure(figure, "explorer_chain", frames_table(result, indices, 0.02))

# %% [markdown]
# The same in numbers: SI-SDR of what the chain holds, in dB, and the residual in units of amplitude. After the last
# level every source becomes its posterior mean given the others, and the verdict above has the residual after that.

# %%
rows = []
for frame in result.frames:
    values = si_sdr(estimate=frame.sources, reference=result.sources).tolist()
    by_source = dict(zip(settings.labels, values, strict=True))
    rows.append({"step": frame.step, "sigma": frame.sigma, "residual": frame.residual, **by_source})
levels = pd.DataFrame(rows)
run.save_table(levels, "explorer_levels")
display(levels.iloc[indices].round(3))
print(f"The residual fell from {levels['residual'].iloc[0]:.3f} to {levels['residual'].iloc[-1]:.3f}.")

# %%
change = levels[list(settings.labels)].mean(axis=1).diff()
turn = int(change.idxmax())
print(
    f"The largest gain in SI-SDR over one level, {change[turn]:.1f} dB on average, came at step {turn}, "
    f"sigma {levels['sigma'][turn]:.2f}."
)

# %% [markdown]
# ## Listen
#
# The mix, and each estimate beside its truth. The clip is only as long as the prior's window, so it is repeated; the
# clicks are the seams, in truth and estimate alike.

# %%
estimates = dict(zip(settings.labels, result.estimates, strict=True))
truths = dict(zip(settings.labels, result.sources, strict=True))
figure = listening_grid(estimates, truths, result.mix[0], toy.sample_rate)
waves = {"mix": result.mix[0], **{f"{k} (truth)": v for k, v in truths.items()}}
waves |= {f"{k} (estimate)": v for k, v in estimates.items()}
run.save_figure(figure, "explorer_result", pd.DataFrame({name: wave.numpy() for name, wave in waves.items()}))
quality = si_sdr(estimate=result.estimates, reference=result.sources).tolist()
print("SI-SDR:", listed(dict(zip(settings.labels, quality, strict=True)), ".1f", " dB"))

# %%
display(listen(result))

# %% [markdown]
# ## Your turn
#
# Choose how many of each source, set their pitches, press Run, and watch. Stop, or Kernel > Interrupt, ends a run at
# once and keeps what the chain has. Afterwards the slider (or the play button) goes through the chain. Things to try;
# with the denoiser most take less than a minute:
#
# - **Two of a kind.** Two sines, far apart and then close together. The prior cannot say which is which; can the mix?
# - **An octave.** A sine at exactly twice the pitch of a saw is one of the saw's own harmonics.
# - **Other seeds, and 1 against 8 chains.** How often does a single chain fail, and does the residual tell?
# - **Other samplers.** Langevin has no swaps, and the projection's estimates add up to the mix whatever happens.
# - **Noise in the mix.** From which level on is a source lost? Is it the same for a sine and for a square?
# - **The oracle.** The exact density of the toy sources: what fails with it is the fault of the sampler or of the mix,
#   not of the prior. It takes a second a draw, so lower the levels to five first.

# %%
display(explorer({toy.variant: priors}, length=trained.window, seed=run.seed))

# %% [markdown]
# On GitHub the panel is a line of text or missing. Open the notebook in JupyterLab and run it.
#
# ## What it means
#
# - A sampler does not carve the mix up. It guesses one source at a time, given its last guess at the others, with less
#   and less freedom. The step with the largest gain, printed above, is where this run came closer to the truth fastest.
# - A small residual says that the estimates explain the mix. It does not say that each is right: two sources may have
#   swapped what they hold, or one may hold a part of the other. That is why truth and estimate are compared here.
# - Prior and sampler fail differently. Run the same mix and the same sampler with another prior, and the same prior
#   with another sampler, before you blame either.
#
# Neither the paper nor the thesis prints a number for a single mix; their tables are in `10_published_vs_ours`.

# %%
print(run.provenance([step]))
