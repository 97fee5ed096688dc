"""One mix of toy sources made to order, one separation of it, and where its chain went: what the explorer shows.

Besides samplers with priors it takes the methods of `srcsep_core.baselines` that need the mix alone. These run no
chains, and their one frame holds their estimates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from srcsep_core.baselines.base import Given, method_of
from srcsep_core.data.toy import ToyParameters, ToyWorld, synthesise
from srcsep_core.data.toy import mix as mean_of
from srcsep_core.errors import InputError
from srcsep_core.metrics import best_permutation, si_sdr
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.samplers import SAMPLERS
from srcsep_core.samplers.base import Callback, Separation, residual_of, rms
from srcsep_core.show.explorer.recorder import Frame, Recorder
from srcsep_core.show.explorer.scene import Scene, real_frequency
from srcsep_core.show.explorer.settings import HIDDEN, ExplorerSettings, sampler_config
from srcsep_core.stopping import Stopped, StopWhen

NamedPriors = Mapping[str, Mapping[str, DenoisingPrior]]

ROUNDING = 1e-6  # a residual (amplitude) below it is that of single precision


@dataclass(frozen=True)
class ExplorerResult:
    """A separation beside the truth, all on the CPU but `separation`.

    mix (1, T); sources and estimates (K, T); si_sdr (dB), one a source; frames of the chain that was kept. Sources of
    one class are put in the order with the highest SI-SDR. The estimates add up to the mix, unless it has noise: then
    they are the kept chain as it ended. `separation` is None for a run that was stopped: its estimates are the last
    frame.
    """

    settings: ExplorerSettings
    mix: Tensor
    sources: Tensor
    estimates: Tensor
    si_sdr: tuple[float, ...]
    frames: tuple[Frame, ...]
    separation: Separation | None

    def table(self) -> pd.DataFrame:
        """One row a source: frequency (Hz) as synthesised, amplitude and SI-SDR (dB)."""
        rate, variant = self.settings.sample_rate, self.settings.variant
        rows = [
            {
                "source": label,
                "frequency / Hz": real_frequency(source.frequency_hz, variant, rate),
                "amplitude": source.amplitude,
                "SI-SDR / dB": value,
            }
            for label, source, value in zip(self.settings.labels, self.settings.sources, self.si_sdr, strict=True)
        ]
        return pd.DataFrame(rows)

    def verdict(self) -> str:
        """The residual in a sentence, and how far the run came."""
        last, separation = self.frames[-1], self.separation
        if separation is None:
            at = f"Stopped in chain {last.restart + 1} after level {last.step + 1} of {self.settings.levels}"
            return f"{at} (sigma {last.sigma:.3g}). {self._unexplained(last.residual)}."
        if not self.settings.has_chains:
            return f"{self._unexplained(last.residual)}; no chains."
        tried = int(separation.doubts[0].isfinite().sum())
        kept = f"kept chain {int(separation.chosen[0]) + 1} of {tried}"
        return f"{self._unexplained(float(separation.residual[0]))}; {kept}."

    def _unexplained(self, residual: float) -> str:
        if math.isnan(residual):
            return "Its residual is not known yet"
        if residual < ROUNDING:
            return "Residual 0, to rounding"
        share = residual / max(float(rms(self.mix)[0]), 1e-12)
        return f"Residual {residual:.3g}, {share:.1%} of the mix in root mean square"


def draw_scene(settings: ExplorerSettings) -> Scene:
    """Synthesise the sources and mix them; only the noise, if any, depends on the seed."""
    waves = []
    for source in settings.sources:
        frequency = real_frequency(source.frequency_hz, settings.variant, settings.sample_rate)
        values = [torch.tensor([[v]], dtype=torch.float64) for v in (frequency, source.amplitude, source.phase)]
        config = ToyWorld(settings.variant, (source.name,))
        waves.append(synthesise(config, ToyParameters(*values), settings.length)[0, 0])
    sources = torch.stack(waves)
    generator = torch.Generator().manual_seed(settings.seed)
    noise = torch.randn(1, settings.length, generator=generator)
    return Scene(mean_of(sources[None])[0] + settings.mix_sigma * noise, sources)


def explore(
    settings: ExplorerSettings,
    priors: NamedPriors,
    callback: Callable[[Frame], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> ExplorerResult:
    """Make the mix, separate it with the prior and sampler of `settings`, and compare with the truth.

    `priors`: name to source to prior, all of the toy world `settings.variant`. The callback gets a frame after every
    noise level, of the first chain where several run side by side. Once `stopped()`, the run ends, and the result is
    the last frame of the chain with the lowest residual. Raises `InputError` for priors that are missing, and for what
    the sampler refuses; `Stopped` for a run that ends before there is a frame.
    """
    scene = draw_scene(settings)
    if not settings.has_chains:
        with StopWhen(stopped):
            return _explore_method(settings, scene)
    chosen = _chosen_priors(settings, priors)
    hidden = settings.sampler == HIDDEN
    recorder = Recorder(scene.mix, len(settings.sources), hidden=hidden, callback=callback)
    try:
        with StopWhen(stopped):
            separation = _separate(settings, scene.mix, chosen, recorder)
    except Stopped:
        if not recorder.frames:
            raise
        return _explored_so_far(settings, scene, recorder)
    restart = int(separation.chosen[0])
    kept = separation.chains[0, restart] if settings.mix_sigma else separation.sources[0]
    trace = separation.trace
    residuals = trace.loc[trace["restart"] == restart, "residual"]
    frames = [
        replace(frame, residual=float(residual))
        for frame, residual in zip(recorder.chain(restart), residuals, strict=True)
    ]
    return _compared(settings, scene, kept.float().cpu(), frames, separation)


def _explored_so_far(settings: ExplorerSettings, scene: Scene, recorder: Recorder) -> ExplorerResult:
    frames = recorder.chain(recorder.closest())
    kept = frames[-1].sources
    if not settings.mix_sigma:
        kept = kept + residual_of(recorder.total, kept)
    return _compared(settings, scene, kept, frames, None)


def _compared(
    settings: ExplorerSettings, scene: Scene, kept: Tensor, frames: Sequence[Frame], separation: Separation | None
) -> ExplorerResult:
    """The result with estimates `kept` (K, T), sources of one class in the order that suits the truth best."""
    names = [source.name for source in settings.sources]
    estimates, order = best_permutation(estimate=kept, reference=scene.sources, groups=names)
    estimates = estimates.float()
    scores = tuple(si_sdr(estimate=estimates, reference=scene.sources).tolist())
    ordered = tuple(replace(frame, sources=frame.sources[order]) for frame in frames)
    return ExplorerResult(settings, scene.mix, scene.sources, estimates, scores, ordered, separation)


def _explore_method(settings: ExplorerSettings, scene: Scene) -> ExplorerResult:
    """The result of a method, which needs no priors: one frame, at step 0."""
    names = [source.name for source in settings.sources]
    generator = torch.Generator().manual_seed(settings.seed + 1)
    method = method_of(settings.sampler).make(Given(ToyWorld(settings.variant), settings.length))
    separation = method.separate(scene.mix[None], names, generator)
    estimates = separation.sources[0].float()
    frame = Frame(0, 0, 0.0, estimates, float(rms(scene.mix[0] - estimates.mean(dim=0))))
    return _compared(settings, scene, estimates, [frame], separation)


def frames_table(result: ExplorerResult, indices: list[int], duration_s: float) -> pd.DataFrame:
    """The waveforms of some frames and of the truth, in rows of source, step, sigma and time (ms)."""
    shown = min(result.settings.length, max(2, round(duration_s * result.settings.sample_rate)))
    time_ms = np.arange(shown) / result.settings.sample_rate * 1e3
    parts = [
        pd.DataFrame(
            {
                "source": label,
                "step": result.frames[index].step,
                "sigma": result.frames[index].sigma,
                "time_ms": time_ms,
                "truth": result.sources[k, :shown].numpy(),
                "chain": result.frames[index].sources[k, :shown].numpy(),
            }
        )
        for index in indices
        for k, label in enumerate(result.settings.labels)
    ]
    return pd.concat(parts, ignore_index=True)


def _chosen_priors(settings: ExplorerSettings, priors: NamedPriors) -> list[DenoisingPrior]:
    if settings.prior not in priors:
        raise InputError(f"no prior called {settings.prior!r}; there are {', '.join(priors) or 'none'}")
    found = priors[settings.prior]
    missing = [source.name for source in settings.sources if source.name not in found]
    if missing:
        raise InputError(f"the prior {settings.prior!r} has no {missing[0]}; choose among {', '.join(found)}")
    return [found[source.name] for source in settings.sources]


def _separate(settings: ExplorerSettings, mix: Tensor, priors: list[DenoisingPrior], callback: Callback) -> Separation:
    """Run the sampler. The noise in the mix is N times as strong in the constraint, where the annealing then ends."""
    weights = [next(prior.parameters()) for prior in priors if isinstance(prior, nn.Module)]
    mix = mix[None].to(weights[0]) if weights else mix[None]
    generator = torch.Generator(mix.device).manual_seed(settings.seed + 1)
    config = sampler_config(settings, len(priors) * settings.mix_sigma, float(rms(mix[0])[0]))
    return SAMPLERS[settings.sampler](mix, priors, config=config, generator=generator, callback=callback)
