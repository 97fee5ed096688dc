"""The controls of the explorer: which sources at which pitch, the noise, the prior and the sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from srcsep_core.data.toy import SAMPLE_RATES, SOURCES
from srcsep_core.show.explorer.exploration import NamedPriors
from srcsep_core.show.explorer.scene import ToySource, real_frequency
from srcsep_core.show.explorer.settings import MOST_CHAINS, ExplorerSettings, separators
from srcsep_core.show.styles import source_style

FREQUENCIES_HZ = {"whole_periods": (28.0, 1130.0), "uniform_hz": (28.0, 4186.0), "piano_keys": (28.0, 4186.0)}
PITCHES_HZ = {"sine": (440.0, 590.0), "square": (180.0, 300.0), "saw": (110.0, 150.0), "triangle": (330.0, 200.0)}
AT_FIRST = {"sine": 1, "square": 1, "saw": 0, "triangle": 0}


@dataclass(frozen=True)
class _Class:
    """The controls of one class of sources."""

    name: str
    count: Any
    pitches: tuple[Any, Any]
    real: Any
    amplitude: Any


class Controls:
    """Widgets made with `w`, the module ipywidgets, for the priors that there are; `box` holds them all.

    Every one has its name in its description, which browsers read out: "sine 2 / Hz" is the pitch of a second sine.
    """

    def __init__(self, w: Any, priors: Mapping[str, NamedPriors], levels: int, seed: int) -> None:
        self.w, self.priors = w, priors
        self.variant = w.Dropdown(options=list(priors), description="toy world")
        self.prior = w.Dropdown(description="prior")
        self.sampler = w.Dropdown(options=separators(), description="sampler")
        self.sigma = w.FloatSlider(0.0, min=0, max=0.5, step=0.01, description="mix noise")
        self.levels = w.IntSlider(levels, min=2, max=60, description="levels")
        self.max_chains = w.IntSlider(1, min=1, max=MOST_CHAINS, description="chains")
        self.seed = w.IntText(seed, description="seed")
        self.classes = [self._class(name) for name in SOURCES]
        settings = [self.variant, self.prior, self.sampler, self.sigma, self.levels, self.max_chains, self.seed]
        for control in settings:
            control.add_class("srcsep-setting")
        self.variant.layout.display = "" if len(priors) > 1 else "none"
        sources = w.VBox([self._line(made) for made in self.classes])
        sources.add_class("srcsep-sources")
        self.box = w.VBox([sources, line(w, settings)])
        self.variant.observe(lambda _: self._adapt(), "value")
        self._adapt()

    def settings(self, length: int) -> ExplorerSettings:
        """What the controls say, for a mix of `length` samples; phases are drawn from the seed."""
        generator = torch.Generator().manual_seed(self.seed.value)
        phases = iter(torch.rand(2 * len(self.classes), generator=generator).tolist())
        sources = [
            ToySource(made.name, pitch.value, made.amplitude.value, phase)
            for made in self.classes
            for pitch, phase in zip(made.pitches[: made.count.value], phases, strict=False)
        ]
        return ExplorerSettings(
            tuple(sources),
            self.sigma.value,
            self.prior.value,
            self.sampler.value,
            self.max_chains.value,
            self.seed.value,
            self.variant.value,
            length,
            self.levels.value,
        )

    def _class(self, name: str) -> _Class:
        """Controls of one class: how many, their frequencies, the amplitude."""
        w = self.w
        count = w.Dropdown(options=[0, 1, 2], value=AT_FIRST[name], description=name)
        first, second = (
            w.BoundedFloatText(hertz, min=1, max=10 * hertz, step=1, description=f"{label} / Hz")
            for label, hertz in zip((name, f"{name} 2"), PITCHES_HZ[name], strict=True)
        )
        amplitude = w.FloatSlider(0.9, min=0.1, max=1, step=0.05, description=f"{name} amplitude", readout_format=".2f")
        for control, look in ((count, "count"), (first, "pitch"), (second, "pitch"), (amplitude, "amplitude")):
            control.add_class(f"srcsep-{look}")
        made = _Class(name, count, (first, second), w.HTML(), amplitude)
        for control in (count, first, second):
            control.observe(lambda _: self._describe(made), "value")
        return made

    def _line(self, made: _Class) -> Any:
        colour = f'<span class="srcsep-colour" style="background: {source_style(made.name).colour}"></span>'
        return line(self.w, [self.w.HTML(colour), made.count, *made.pitches, made.real, made.amplitude])

    def _adapt(self) -> None:
        """Offer what the chosen toy world has."""
        variant = self.variant.value
        self.prior.options = list(self.priors[variant])
        self.prior.value = self.prior.options[0]
        low, high = FREQUENCIES_HZ[variant]
        for made in self.classes:
            for pitch in made.pitches:
                pitch.min, pitch.max = low, high
            self._describe(made)

    def _describe(self, made: _Class) -> None:
        """Show as many frequencies as there are sources, as they will be synthesised."""
        for k, pitch in enumerate(made.pitches):
            pitch.layout.display = "" if k < made.count.value else "none"
        made.amplitude.layout.display = "" if made.count.value else "none"
        variant = self.variant.value
        rate = SAMPLE_RATES[variant]
        real = [real_frequency(pitch.value, variant, rate) for pitch in made.pitches[: made.count.value]]
        made.real.value = ", ".join(f"{hertz:.1f} Hz ({rate / hertz:.4g} samples)" for hertz in real)


def line(w: Any, widgets: list[Any]) -> Any:
    """Widgets side by side, on as many lines as they need."""
    box = w.HBox(widgets)
    box.add_class("srcsep-line")
    return box
