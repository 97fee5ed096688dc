"""Two sliders over a latent map: what the decoder makes of the place, to be seen and, of notes, to be heard."""

from __future__ import annotations

import base64
import io
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from srcsep_core.audio import SILENCE_PEAK, encode_audio, resample
from srcsep_core.blind.latents import LatentMap, decoded
from srcsep_core.blind.slots import SlotNet
from srcsep_core.blind.views import Spectrogram
from srcsep_core.errors import InputError
from srcsep_core.show.blind_figures import draw_picture
from srcsep_core.show.player import PEAK

PLAYED_HZ = 11_000  # browsers do not all play less than 8 kHz
STEPS = 25


def latent_explorer(net: SlotNet, found: LatentMap, *, sample_rate: int = 0) -> Any:
    """The explorer as an `ipywidgets.VBox`: two sliders, the picture at their place, and what is heard there of notes.

    `sample_rate` (Hz) is that of the notes. Raises `InputError` where ipywidgets is missing.
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise InputError("the explorer needs ipywidgets; install it with pip install 'srcsep[lab]'") from error
    low, high = found.points.amin(dim=0).tolist(), found.points.amax(dim=0).tolist()
    sliders = [
        ipywidgets.FloatSlider(
            value=0.0,
            min=min(0.0, low[k]),
            max=max(0.0, high[k]),
            step=(high[k] - low[k]) / STEPS or 1.0,
            description=name,
            continuous_update=not sample_rate,
        )
        for k, name in enumerate(("first", "second"))
    ]
    shown = ipywidgets.HTML()

    def show(_: object = None) -> None:
        shown.value = place_html(net, found, sliders[0].value, sliders[1].value, sample_rate=sample_rate)

    for slider in sliders:
        slider.observe(show, names="value")
    show()
    return ipywidgets.VBox([*sliders, shown])


def place_html(net: SlotNet, found: LatentMap, first: float, second: float, *, sample_rate: int = 0) -> str:
    """What is at a place of the map, as HTML: its picture, and of notes their sound."""
    latent = found.at(first, second)[None].to(next(net.parameters()))
    picture = decoded(net, latent)[0]
    html = _image(picture)
    if sample_rate and isinstance(net.config.view, Spectrogram):
        html += _audio(heard(picture, net.config.view, sample_rate))
    return html


def heard(picture: Tensor, view: Spectrogram, sample_rate: int) -> Tensor:
    """The sound (T,) of a picture (bins, frames) at `PLAYED_HZ`, its phase found by Griffin & Lim (1984)."""
    from torchaudio.transforms import GriffinLim

    magnitude = torch.cat([picture, picture[-1:]]).pow(1 / view.power)
    sound = GriffinLim(n_fft=2 * view.bins, hop_length=view.hop, power=1.0, rand_init=False)(magnitude)
    return resample(sound[None], from_rate=sample_rate, to_rate=PLAYED_HZ)[0]


def _audio(sound: Tensor) -> str:
    """An element of the browser's own, at the same peak for every place: what is put into a widget runs no script."""
    level = PEAK / max(float(sound.abs().max()), SILENCE_PEAK)
    data = base64.b64encode(encode_audio(level * sound[None], PLAYED_HZ)).decode()
    return f'<br><audio controls src="data:audio/flac;base64,{data}"></audio>'


def _image(picture: Tensor) -> str:
    figure = Figure(figsize=(2.2, 2.2))
    ax = figure.subplots()
    draw_picture(ax, picture)
    ax.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=80)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="what the decoder makes of it" src="data:image/png;base64,{data}">'
