"""The explorer: one mix made to order, its separation, the recorded chain, the figures, and the widget around them."""

import builtins
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor

from srcsep_core.data.toy import SOURCES
from srcsep_core.errors import InputError
from srcsep_core.show.explorer import widget as module
from srcsep_core.show.explorer.exploration import (
    SAMPLERS,
    ExplorerSettings,
    Frame,
    draw_scene,
    explore,
    frames_table,
    separators,
)
from srcsep_core.show.explorer.figures import chain_figure, noise_levels_figure, spread
from srcsep_core.show.explorer.scene import ToySource, real_frequency
from srcsep_core.show.explorer.widget import explorer, listen

RATE = 14_700
LENGTH = 256
LOW, HIGH = RATE / 64, RATE / 8


class BandPrior:
    """A Gaussian whose energy lies in a band of Fourier coefficients, of variance 1 each sample at most."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        variance = torch.full((x.shape[2] // 2 + 1,), 1e-6)
        variance[self.low : self.high] = 1.0
        keep = variance / (variance + sigma**2)
        return torch.fft.irfft(torch.fft.rfft(x) * keep, x.shape[2])


BANDS = {
    "sine": BandPrior(0, 16),
    "square": BandPrior(16, 129),
    "saw": BandPrior(0, 16),
    "triangle": BandPrior(16, 129),
}
PRIORS = {"band": BANDS}
PAIR = (ToySource("sine", LOW), ToySource("triangle", HIGH))
SETTINGS = ExplorerSettings(PAIR, prior="band", length=LENGTH, levels=6)


@pytest.fixture(autouse=True)
def no_figures_left() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sources": PAIR[:1]}, r"has 1 source\(s\); choose 2 to 8"),
        ({"sampler": "metropolis"}, "unknown sampler 'metropolis'"),
        ({"variant": "real"}, "unknown toy variant 'real'"),
        ({"mix_sigma": -0.1}, "sigma -0.1"),
        ({"restarts": 0}, "restarts is 0; use 1 to"),
        ({"levels": 61}, "levels is 61; use 2 to 60"),
        ({"sources": (*PAIR, ToySource("saw", 9000.0))}, "frequency of 9000 Hz"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(SETTINGS, **changes)


@pytest.mark.parametrize(("values", "words"), [(("flute", 440.0), "'flute'"), (("sine", 440.0, 0.0), "amplitude 0.0")])
def test_bad_sources_are_refused(values: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ToySource(*values)


def test_missing_priors_are_named() -> None:
    with pytest.raises(InputError, match="no prior called 'flow'; there are band"):
        explore(replace(SETTINGS, prior="flow"), PRIORS)
    with pytest.raises(InputError, match="the prior 'band' has no triangle"):
        explore(SETTINGS, {"band": {"sine": BANDS["sine"]}})


@pytest.mark.parametrize(
    ("variant", "asked", "real"),
    [("whole_periods", 1000.0, RATE / 15), ("uniform_hz", 1000.0, 1000.0), ("piano_keys", 435.0, 440.0)],
)
def test_frequencies_are_those_of_the_toy_world(variant: str, asked: float, real: float) -> None:
    assert real_frequency(asked, variant, RATE) == pytest.approx(real)


def test_the_scene_repeats_with_its_period_and_mixes_by_the_mean() -> None:
    scene = draw_scene(SETTINGS)
    assert torch.equal(scene.sources[0, :-64], scene.sources[0, 64:])
    torch.testing.assert_close(scene.mix[0], scene.sources.mean(dim=0))
    assert scene.sources.abs().max() == pytest.approx(0.9)
    noisy = draw_scene(replace(SETTINGS, mix_sigma=0.3))
    assert (noisy.mix - scene.mix).std() == pytest.approx(0.3, rel=0.15)


@pytest.mark.parametrize("method", ["mix", "nmf"])
def test_methods_are_explored_without_priors_and_chains(method: str) -> None:
    result = explore(replace(SETTINGS, sampler=method, length=512), {})
    (frame,) = result.frames
    assert torch.equal(frame.sources, result.estimates) and frame.residual < 1e-6
    assert (min(result.si_sdr) > 2) == (method == "nmf"), "equally loud sources stand at about 0 dB in their mix"
    assert result.verdict().endswith("no chains.")
    assert chain_figure(result.frames, result.sources, result.settings.labels, RATE).axes
    assert set(separators()) >= {*SAMPLERS, "mix", "nmf"} and not {"irm", "fastica"} & set(separators())


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_bands_are_separated_and_every_level_is_a_frame(sampler: str) -> None:
    seen: list[Frame] = []
    result = explore(replace(SETTINGS, sampler=sampler, restarts=2), PRIORS, seen.append)
    assert min(result.si_sdr) > 10
    torch.testing.assert_close(result.estimates.mean(dim=0, keepdim=True), result.mix, atol=1e-5, rtol=0)
    assert [frame.step for frame in result.frames] == list(range(6))
    assert {frame.restart for frame in result.frames} == {int(result.separation.chosen[0])}
    assert all(a.sigma > b.sigma for a, b in zip(result.frames, result.frames[1:], strict=False))
    assert all(frame.residual >= 0 and frame.sources.shape == (2, LENGTH) for frame in result.frames)
    assert not torch.equal(result.frames[0].sources, result.frames[1].sources)
    assert len(seen) in (6, 12)


def test_the_kept_restart_is_the_one_that_is_shown() -> None:
    result = explore(replace(SETTINGS, restarts=3, mix_sigma=0.05), PRIORS)
    restart = int(result.separation.chosen[0])
    assert {frame.restart for frame in result.frames} == {restart}
    torch.testing.assert_close(result.estimates, result.separation.restarts[0, restart])
    assert f"kept restart {restart + 1} of" in result.verdict()


def test_the_same_settings_give_the_same_result() -> None:
    first, second = (explore(SETTINGS, PRIORS) for _ in range(2))
    assert torch.equal(first.estimates, second.estimates)
    assert not torch.equal(first.estimates, explore(replace(SETTINGS, seed=1), PRIORS).estimates)


def test_two_sources_of_one_class_are_told_apart_and_put_in_order() -> None:
    pair = (ToySource("sine", LOW), ToySource("sine", LOW * 2))
    result = explore(replace(SETTINGS, sources=pair), PRIORS)
    assert result.settings.labels == ("sine", "sine 2")
    assert list(result.table()["source"]) == ["sine", "sine 2"]


def test_figures_have_one_axes_a_source() -> None:
    result = explore(SETTINGS, PRIORS)
    figure = chain_figure(result.frames, result.sources, result.settings.labels, RATE, shown=2)
    *waves, residual, sigma = figure.axes
    assert [ax.get_ylabel() for ax in waves] == ["sine\namplitude", "triangle\namplitude"]
    assert all(len(ax.lines) == 2 for ax in waves)
    assert [ax.get_title(loc="left") for ax in (residual, sigma)] == ["residual / amplitude", "sigma / amplitude"]
    indices = spread(len(result.frames), 4)
    assert indices[0] == 0 and indices[-1] == 5 and len(indices) == 4
    assert len(noise_levels_figure(result, indices).axes) == 2 * 4
    table = frames_table(result, indices, 0.005)
    assert len(table) == 2 * 4 * round(0.005 * RATE)
    assert set(table["source"]) == {"sine", "triangle"}


def test_a_chain_whose_residual_is_not_known_yet_is_drawn() -> None:
    frames = [Frame(0, 0, 1.0, torch.zeros(2, LENGTH), float("nan"))]
    figure = chain_figure(frames, draw_scene(SETTINGS).sources, SETTINGS.labels, RATE)
    figure.canvas.draw()


def test_figures_refuse_what_is_not_there() -> None:
    sources = draw_scene(SETTINGS).sources
    with pytest.raises(InputError, match="no frame -1 among 0"):
        chain_figure([], sources, SETTINGS.labels, RATE)
    with pytest.raises(InputError, match="1 labels for 2 sources"):
        chain_figure([], sources, ("sine",), RATE)


def test_the_player_has_the_mix_and_the_estimates_with_their_truths() -> None:
    page = listen(explore(SETTINGS, PRIORS)).data
    assert "17 ms, 41 times over" in page
    assert all(name in page for name in ("mix", "sine", "triangle"))


def everything(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything(child)


def find(box: Any, kind: type, description: str | None = None) -> Any:
    found = (w for w in everything(box) if isinstance(w, kind))
    return next(w for w in found if description is None or getattr(w, "description", None) == description)


def message(box: Any) -> str:
    return next(w.value for w in box.children if isinstance(w, ipywidgets.HTML))


@pytest.fixture
def box() -> Any:
    return explorer({"whole_periods": PRIORS}, length=LENGTH, levels=6)


def test_a_click_fills_the_output_and_the_slider_moves_the_chain(box: Any) -> None:
    button, image = find(box, ipywidgets.Button), find(box, ipywidgets.Image)
    states: list[bool] = []
    button.observe(lambda change: states.append(change["new"]), "disabled")
    frame = find(box, ipywidgets.IntSlider, "frame")
    assert bytes(image.value) == b"" and image.layout.display == "none"
    button.click()
    assert states == [True, False]
    assert message(box).startswith("Residual ")
    assert bytes(image.value).startswith(b"\x89PNG") and image.layout.display == ""
    tables = [w.value for w in box.children if isinstance(w, ipywidgets.HTML)]
    assert "SI-SDR / dB" in tables[1] and "square" in tables[1]
    assert all(find(box, ipywidgets.Widget, name).layout.display != "none" for name in ("sampler", "restarts", "frame"))
    assert find(box, ipywidgets.IntProgress).layout.display == "none"
    (output,) = find(box, ipywidgets.Output).outputs
    assert "square" in output["data"]["text/html"]
    assert (frame.value, frame.max) == (5, 5)
    last = bytes(image.value)
    frame.value = 0
    assert bytes(image.value).startswith(b"\x89PNG") and bytes(image.value) != last
    frame.value = 5
    assert bytes(image.value) == last
    assert plt.get_fignums() == []


def test_an_error_is_one_sentence_and_the_next_run_works(box: Any) -> None:
    counts = [w for w in everything(box) if isinstance(w, ipywidgets.ToggleButtons)]
    button = find(box, ipywidgets.Button)
    counts[SOURCES.index("square")].value = 0
    button.click()
    assert message(box) == "<b>Not run:</b> the mix has 1 source(s); choose 2 to 8."
    assert not button.disabled
    counts[SOURCES.index("triangle")].value = 2
    button.click()
    assert message(box).startswith("Residual ")
    assert "triangle 2" in find(box, ipywidgets.Output).outputs[0]["data"]["text/html"]


def test_a_click_during_a_run_does_nothing(box: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    button = find(box, ipywidgets.Button)
    calls: list[bool] = []

    def clicking(*_: Any) -> Any:
        calls.append(button.disabled)
        button.click()
        raise InputError("stopped; go on")

    monkeypatch.setattr(module, "explore", clicking)
    button.click()
    assert calls == [True]
    assert message(box) == "<b>Not run:</b> stopped; go on."


def test_two_threads_draw_the_same_pictures_as_one() -> None:
    made = module._Explorer({"whole_periods": PRIORS}, LENGTH, 6, 0)
    made.run()
    result = made.result
    assert result is not None

    def draw(index: int) -> bytes:
        return made._draw(result.frames, result.sources, result.settings, index)

    alone = [draw(index) for index in range(6)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw, range(6))) == alone


def test_another_toy_world_has_its_own_priors_and_frequencies() -> None:
    box = explorer({"whole_periods": PRIORS, "uniform_hz": {"other": BANDS}}, length=LENGTH, levels=6)
    world, prior = (find(box, ipywidgets.Dropdown, name) for name in ("toy world", "prior"))
    slider = find(box, ipywidgets.FloatLogSlider)
    assert 10**slider.max == pytest.approx(1130)
    texts = [w.value for w in everything(box) if isinstance(w, ipywidgets.HTML)]
    assert any("445.5 Hz (33 samples)" in text for text in texts)
    world.value = "uniform_hz"
    assert prior.options == ("other",)
    assert 10**slider.max == pytest.approx(4186)
    texts = [w.value for w in everything(box) if isinstance(w, ipywidgets.HTML)]
    assert any("440.0 Hz" in text for text in texts)
    world.value = "whole_periods"
    assert 10**slider.max == pytest.approx(1130)


def test_what_cannot_be_explored_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="0 priors"):
        explorer({}, length=LENGTH)
    with pytest.raises(InputError, match="unknown toy variant 'real'"):
        explorer({"real": PRIORS}, length=LENGTH)
    with pytest.raises(InputError, match="unknown toy variant 'released'; it is now called whole_periods"):
        explorer({"released": PRIORS}, length=LENGTH)
    real_import = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "ipywidgets":
            raise ImportError(name)
        return real_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'srcsep\[lab\]'"):
        explorer({"whole_periods": PRIORS}, length=LENGTH)
