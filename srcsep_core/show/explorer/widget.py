"""The explorer: choose sources, noise, prior and sampler, run, watch the chain move, stop, listen. For notebooks."""

from __future__ import annotations

import base64
import html
import io
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from torch import Tensor

from srcsep_core.config import check_choice
from srcsep_core.data.toy import VARIANTS
from srcsep_core.errors import InputError
from srcsep_core.show.assets import asset
from srcsep_core.show.explorer.controls import Controls, line
from srcsep_core.show.explorer.exploration import ExplorerResult, NamedPriors, draw_scene, explore
from srcsep_core.show.explorer.figures import trace_of_frames, waves_of_frame
from srcsep_core.show.explorer.interrupts import stopped_by_interrupts
from srcsep_core.show.explorer.recorder import Frame
from srcsep_core.show.explorer.settings import ExplorerSettings
from srcsep_core.show.player import player
from srcsep_core.show.tables import table_html
from srcsep_core.stopping import Stopped

if TYPE_CHECKING:
    from IPython.display import HTML

LIVE_EVERY = 3  # noise levels
LISTEN_S = 0.7
DOTS_PER_INCH = 110


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


class _Explorer:
    """Builds the widgets, runs in a thread of its own so that Stop is heard, and fills the output.

    A kernel may call it from two more threads at once: JupyterLab 4.4 and later send some messages of widgets to a
    subshell.
    """

    def __init__(self, priors: Mapping[str, NamedPriors], length: int, levels: int, seed: int) -> None:
        w = _ipywidgets()
        self.priors, self.length = priors, length
        self.result: ExplorerResult | None = None
        self.pictures: dict[int, str] = {}
        self.running, self.drawing, self.stopping = threading.Lock(), threading.RLock(), threading.Event()
        self.controls = Controls(w, priors, levels, seed)
        self.start = w.Button(description="Run", tooltip="Run the sampler")
        self.start.add_class("srcsep-play")
        self.stop = w.Button(description="Stop", tooltip="Stop the run, and keep what it has", disabled=True)
        self.message, self.picture, self.table = w.HTML(), w.HTML(), w.HTML()
        self.progress = w.IntProgress(0, min=0, max=1, description="chain")
        self.frame = w.IntSlider(0, min=0, max=0, description="frame")
        self.play = w.Play(min=0, max=0, interval=500)
        w.jslink((self.play, "value"), (self.frame, "value"))
        self.movie = line(w, [self.play, self.frame])
        self.sound, look = w.Output(), w.Output(layout={"display": "none"})
        look.outputs = _shown(
            f"<style>{asset('look.css')}{asset('explorer/explorer.css')}</style>"
            f"<script>{asset('explorer/explorer.js')}</script>"
        )
        buttons = line(w, [self.start, self.stop])
        buttons.add_class("srcsep-buttons")
        self.box = w.VBox([look, self.controls.box, buttons, self.message, *self._outputs()])
        self.box.add_class("srcsep").add_class("srcsep-explorer")
        self.frame.observe(lambda _: self._show(), "value")
        self.start.on_click(lambda _: self.run())
        self.stop.on_click(lambda _: self.stopping.set())
        self._reveal(False)

    def _outputs(self) -> list[Any]:
        return [self.progress, self.movie, self.picture, self.table, self.sound]

    def run(self) -> None:
        """Start to separate in a thread, unless it does already."""
        if not self.running.acquire(blocking=False):
            return
        self.stopping.clear()
        self.start.disabled, self.stop.disabled = True, False
        with self.drawing:
            self.result = None
        self._say("Running.")
        self.table.value, self.sound.outputs = "", ()
        self._reveal(False)
        threading.Thread(target=self._work, name="explorer", daemon=True).start()

    def _work(self) -> None:
        """Separate; an error becomes a sentence, and one of ours is also raised."""
        try:
            with stopped_by_interrupts(self.stopping):
                settings = self.controls.settings(self.length)
                watcher = self._watcher(settings)
                result = explore(settings, self.priors[settings.variant], watcher, self.stopping.is_set)
            self._say(result.verdict())
            self._finish(result)
        except Stopped:
            self._say("Stopped before there was anything to keep.")
            self._reveal(False)
        except InputError as error:
            self._say(f"{error}.", "Not run:")
        except Exception as error:
            self._say(f"{type(error).__name__}: {error}.", "Failed:")
            raise
        finally:
            self.progress.layout.display = "none"
            self.start.disabled, self.stop.disabled = False, True
            self.running.release()

    def _say(self, text: str, heading: str = "") -> None:
        """Show a sentence, which screen readers read out."""
        strong = f"<b>{heading}</b> " if heading else ""
        self.message.value = f'<p role="status">{strong}{html.escape(text)}</p>'

    def _watcher(self, settings: ExplorerSettings) -> Callable[[Frame], None]:
        """A callback that advances the progress bar and now and then draws the chain."""
        references, frames = draw_scene(settings).sources, list[Frame]()
        self.progress.value, self.progress.max = 0, settings.chains_in_turn * settings.levels
        self.progress.layout.display = ""

        def watch(frame: Frame) -> None:
            if frame.step == 0:
                frames.clear()
            frames.append(frame)
            self.progress.value += 1
            self.progress.description = f"chain {frame.restart + 1}"
            if frame.step % LIVE_EVERY == 0:
                self.picture.value = self._draw(frames, references, settings, -1)
                self.picture.layout.display = ""

        return watch

    def _finish(self, result: ExplorerResult) -> None:
        """Fill the output with the last frame, the table and the player."""
        last = len(result.frames) - 1
        with self.drawing:
            self.result, self.pictures = result, {}
            self.frame.max = self.play.max = last
            self.frame.value = last
            self._show()
        decimals = {"frequency / Hz": 1, "amplitude": 2, "SI-SDR / dB": 1}
        self.table.value = table_html(result.table(), "Sources and how well they were found", decimals)
        self.sound.outputs = _shown(listen(result).data)
        self._reveal(True)
        self.movie.layout.display = "" if last else "none"

    def _show(self) -> None:
        """Draw the frame that the slider points at."""
        with self.drawing:
            index, result = self.frame.value, self.result
            if result is None:
                return
            if index not in self.pictures:
                self.pictures[index] = self._draw(result.frames, result.sources, result.settings, index)
            self.picture.value = self.pictures[index]

    def _draw(self, frames: Sequence[Frame], sources: Tensor, settings: ExplorerSettings, shown: int) -> str:
        """A frame, and where there is a chain its way there, as HTML."""
        now, labels, rate = frames[shown], settings.labels, settings.sample_rate
        where = f"step {now.step}, sigma {now.sigma:.3g}, over" if settings.has_chains else "estimates over"
        title = f"{where} the truth (grey)"
        waves = partial(waves_of_frame, now, sources, labels, rate, title)
        with self.drawing:
            images = _image(waves, f"Waveforms of {', '.join(labels)}; {title}")
            if settings.has_chains:
                images += _image(partial(trace_of_frames, frames, shown), "Residual and sigma by step")
        return f'<div class="srcsep-pictures">{images}</div>'

    def _reveal(self, done: bool) -> None:
        for widget in self._outputs():
            widget.layout.display = "" if done else "none"


def _shown(page: str) -> tuple[dict[str, Any], ...]:
    """The outputs of an Output widget that shows a piece of HTML."""
    return ({"output_type": "display_data", "data": {"text/html": page}, "metadata": {}},)


def _image(draw: Callable[..., None], text: str) -> str:
    """What `draw` draws into its argument `figure`, as an `img` element; `text` is read out in its place."""
    figure, buffer = Figure(), io.BytesIO()
    draw(figure=figure)
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    width, height = (round(DOTS_PER_INCH * inches) for inches in figure.get_size_inches())
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<img alt="{html.escape(text)}" width="{width}" height="{height}" decoding="sync" '
        f'src="data:image/png;base64,{data}">'
    )


def _ipywidgets() -> Any:
    try:
        import ipywidgets
    except ImportError as error:
        raise InputError(
            "the explorer needs ipywidgets, which is not installed; install it with pip install 'srcsep[lab]'"
        ) from error
    return ipywidgets
