"""The explorer: choose sources, noise, prior and sampler, run, watch the chain move, listen. For notebooks."""

from __future__ import annotations

import html
import io
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from srcsep_core.config import check_choice
from srcsep_core.data.toy import SAMPLE_RATES, SOURCES, VARIANTS
from srcsep_core.errors import InputError
from srcsep_core.show.explorer.exploration import (
    MOST_RESTARTS,
    ExplorerResult,
    ExplorerSettings,
    Frame,
    NamedPriors,
    draw_scene,
    explore,
    separators,
)
from srcsep_core.show.explorer.figures import chain_figure
from srcsep_core.show.explorer.scene import ToySource, real_frequency
from srcsep_core.show.player import player

if TYPE_CHECKING:
    from IPython.display import HTML

FREQUENCIES_HZ = {"whole_periods": (28.0, 1130.0), "uniform_hz": (28.0, 4186.0), "piano_keys": (28.0, 4186.0)}
PITCHES_HZ = {"sine": (440.0, 590.0), "square": (180.0, 300.0), "saw": (110.0, 150.0), "triangle": (330.0, 200.0)}
AT_FIRST = {"sine": 1, "square": 1, "saw": 0, "triangle": 0}
LIVE_EVERY = 3  # noise levels
LISTEN_S = 0.7


def explorer(priors: Mapping[str, NamedPriors], *, length: int, levels: int = 20, seed: int = 0) -> Any:
    """The explorer as an `ipywidgets.VBox`.

    `priors`: variant of the toy world to name to source to prior, such as {"whole_periods": {"denoiser": {...}}}; the
    first of each is chosen at the start. `length`: of the mix in samples, which must suit all of them. Errors of a run
    are shown in its output. Raises `InputError` for no priors or an unknown variant, and where ipywidgets is missing.
    """
    if not priors or not all(priors.values()):
        raise InputError("there are 0 priors to choose from; pass for example {'whole_periods': {'denoiser': {...}}}")
    for variant in priors:
        check_choice("toy variant", variant, VARIANTS)
    return _Explorer(priors, length, levels, seed).box


def listen(result: ExplorerResult) -> HTML:
    """The player of a result: the mix, and every estimate with its truth, repeated so that they can be heard."""
    rate, labels = result.settings.sample_rate, result.settings.labels
    repeats = max(1, math.ceil(LISTEN_S * rate / result.settings.length))
    estimates = {label: result.estimates[k].repeat(repeats) for k, label in enumerate(labels)}
    truths = {label: result.sources[k].repeat(repeats) for k, label in enumerate(labels)}
    title = f"{1e3 * result.settings.length / rate:.0f} ms, {repeats} times over: the clicks are the seams"
    return player({"mix": result.mix[0].repeat(repeats), **estimates}, rate, title=title, references=truths)


@dataclass(frozen=True)
class _Class:
    """The controls of one class of sources."""

    name: str
    count: Any
    frequencies: tuple[Any, Any]
    real: Any
    amplitude: Any


class _Explorer:
    """Builds the controls, runs, and fills the output.

    A kernel may call it from two threads at once: JupyterLab 4.4 and later send some messages of widgets to a subshell.
    """

    def __init__(self, priors: Mapping[str, NamedPriors], length: int, levels: int, seed: int) -> None:
        self.w = w = _ipywidgets()
        self.priors, self.length = priors, length
        self.result: ExplorerResult | None = None
        self.pictures: dict[int, bytes] = {}
        self.running, self.drawing = threading.Lock(), threading.RLock()
        self.variant = w.Dropdown(options=list(priors), description="toy world", layout={"width": "22em"})
        self.prior = w.Dropdown(description="prior", layout={"width": "22em"})
        self.sampler = w.Dropdown(options=separators(), description="sampler", layout={"width": "22em"})
        self.sigma = w.FloatSlider(0.0, min=0, max=0.5, step=0.01, description="mix noise", layout={"width": "22em"})
        self.levels = w.IntSlider(levels, min=2, max=60, description="levels", layout={"width": "22em"})
        self.restarts = w.IntSlider(1, min=1, max=MOST_RESTARTS, description="restarts", layout={"width": "22em"})
        self.seed = w.IntText(seed, description="seed", layout={"width": "22em"})
        self.classes = [self._class(name) for name in SOURCES]
        self.button = w.Button(description="Run", button_style="primary", icon="play")
        self.message, self.table = w.HTML(), w.HTML()
        self.progress = w.IntProgress(0, min=0, max=1, description="chain", layout={"width": "22em"})
        self.image = w.Image(format="png", layout=w.Layout(max_width="100%"))
        self.frame = w.IntSlider(0, min=0, max=0, description="frame", layout={"width": "22em"})
        self.play = w.Play(min=0, max=0, interval=500)
        w.jslink((self.play, "value"), (self.frame, "value"))
        self.movie = w.HBox([self.play, self.frame])
        self.sound = w.Output()
        self.box = w.VBox([*self._controls(), self.button, self.message, *self._outputs()])
        self.variant.observe(lambda _: self._adapt(), "value")
        self.frame.observe(lambda _: self._show(), "value")
        self.button.on_click(lambda _: self.run())
        self._adapt()
        self._reveal(False)

    def _class(self, name: str) -> _Class:
        """Controls of one class: how many, their frequencies, the amplitude."""
        w = self.w
        count = w.ToggleButtons(options=[0, 1, 2], value=AT_FIRST[name], style={"button_width": "2.4em"})
        low, high = FREQUENCIES_HZ["whole_periods"]
        first, second = (
            w.FloatLogSlider(
                hertz,
                min=math.log10(low),
                max=math.log10(high),
                step=0.002,
                readout=False,
                description="Hz",
                layout=w.Layout(width="16em"),
                style={"description_width": "2em"},
            )
            for hertz in PITCHES_HZ[name]
        )
        amplitude = w.FloatSlider(
            0.9, min=0.1, max=1, step=0.05, description="amplitude", readout_format=".2f", layout=w.Layout(width="18em")
        )
        made = _Class(name, count, (first, second), w.HTML(), amplitude)
        for control in (count, first, second):
            control.observe(lambda _: self._describe(made), "value")
        return made

    def _controls(self) -> list[Any]:
        w = self.w
        rows = [
            w.HBox(
                [w.HTML(f"<b>{c.name}</b>", layout=w.Layout(width="5em")), c.count, *c.frequencies, c.real, c.amplitude]
            )
            for c in self.classes
        ]
        self.variant.layout.display = "" if len(self.priors) > 1 else "none"
        left, right = [self.variant, self.prior, self.sampler, self.sigma], [self.levels, self.restarts, self.seed]
        return [*rows, w.HBox([w.VBox(left), w.VBox(right)])]

    def _outputs(self) -> list[Any]:
        return [self.progress, self.movie, self.image, self.table, self.sound]

    def _adapt(self) -> None:
        """Offer what the chosen toy world has."""
        variant = self.variant.value
        self.prior.options = list(self.priors[variant])
        self.prior.value = self.prior.options[0]
        low, high = (math.log10(hertz) for hertz in FREQUENCIES_HZ[variant])
        for made in self.classes:
            for slider in made.frequencies:
                slider.min, slider.max = low, high
            self._describe(made)

    def _describe(self, made: _Class) -> None:
        """Show as many frequencies as there are sources, as they will be synthesised."""
        for k, slider in enumerate(made.frequencies):
            slider.layout.display = "" if k < made.count.value else "none"
        made.amplitude.layout.display = "" if made.count.value else "none"
        variant = self.variant.value
        rate = SAMPLE_RATES[variant]
        real = [real_frequency(slider.value, variant, rate) for slider in made.frequencies[: made.count.value]]
        made.real.value = ", ".join(f"{hertz:.1f} Hz ({rate / hertz:.4g} samples)" for hertz in real)

    def settings(self) -> ExplorerSettings:
        """What the controls say; phases are drawn from the seed."""
        generator = torch.Generator().manual_seed(self.seed.value)
        phases = iter(torch.rand(2 * len(self.classes), generator=generator).tolist())
        sources = [
            ToySource(made.name, slider.value, made.amplitude.value, phase)
            for made in self.classes
            for slider, phase in zip(made.frequencies[: made.count.value], phases, strict=False)
        ]
        return ExplorerSettings(
            tuple(sources),
            self.sigma.value,
            self.prior.value,
            self.sampler.value,
            self.restarts.value,
            self.seed.value,
            self.variant.value,
            self.length,
            self.levels.value,
        )

    def run(self) -> None:
        """Separate, with the button disabled; an error becomes a sentence, and one of ours is also raised."""
        if not self.running.acquire(blocking=False):
            return
        self.button.disabled = True
        with self.drawing:
            self.result = None
        self.message.value, self.table.value, self.sound.outputs = "running", "", ()
        self._reveal(False)
        try:
            settings = self.settings()
            result = explore(settings, self.priors[settings.variant], self._watcher(settings))
            self._finish(result)
            self.message.value = html.escape(result.verdict())
        except InputError as error:
            self.message.value = f"<b>Not run:</b> {html.escape(str(error))}."
        except Exception as error:
            self.message.value = f"<b>Stopped:</b> {html.escape(f'{type(error).__name__}: {error}')}."
            raise
        finally:
            self.progress.layout.display = "none"
            self.button.disabled = False
            self.running.release()

    def _watcher(self, settings: ExplorerSettings) -> Callable[[Frame], None]:
        """A callback that advances the progress bar and now and then draws the chain."""
        references, frames = draw_scene(settings).sources, list[Frame]()
        chains = settings.restarts if settings.sampler == "gibbs" else 1
        self.progress.value, self.progress.max = 0, chains * settings.levels
        self.progress.layout.display = ""

        def watch(frame: Frame) -> None:
            if frame.step == 0:
                frames.clear()
            frames.append(frame)
            self.progress.value += 1
            self.progress.description = f"chain {frame.restart + 1}"
            if frame.step % LIVE_EVERY == 0:
                self.image.value = self._draw(frames, references, settings, -1)
                self.image.layout.display = ""

        return watch

    def _finish(self, result: ExplorerResult) -> None:
        """Fill the output with the last frame, the table and the player."""
        last = len(result.frames) - 1
        with self.drawing:
            self.result, self.pictures = result, {}
            self.frame.max = self.play.max = last
            self.frame.value = last
            self._show()
        self.table.value = result.table().round(2).to_html(index=False)
        self.sound.outputs = (
            {"output_type": "display_data", "data": {"text/html": listen(result).data}, "metadata": {}},
        )
        self._reveal(True)

    def _show(self) -> None:
        """Draw the frame that the slider points at."""
        with self.drawing:
            index, result = self.frame.value, self.result
            if result is None:
                return
            if index not in self.pictures:
                self.pictures[index] = self._draw(result.frames, result.sources, result.settings, index)
            self.image.value = self.pictures[index]

    def _draw(self, frames: Sequence[Frame], sources: Tensor, settings: ExplorerSettings, shown: int) -> bytes:
        """A frame as PNG."""
        buffer = io.BytesIO()
        with self.drawing:
            figure = Figure(layout="constrained")
            chain_figure(frames, sources, settings.labels, settings.sample_rate, shown=shown, figure=figure)
            figure.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()

    def _reveal(self, done: bool) -> None:
        for widget in self._outputs():
            widget.layout.display = "" if done else "none"


def _ipywidgets() -> Any:
    try:
        import ipywidgets
    except ImportError as error:
        raise InputError(
            "the explorer needs ipywidgets, which is not installed; install it with pip install 'srcsep[lab]'"
        ) from error
    return ipywidgets
