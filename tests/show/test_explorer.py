"""The explorer: one mix made to order, its separation, the recorded chain, the figures, and the widget around them."""

import builtins
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import pytest
import torch
from bands import BANDS, slow_bands
from matplotlib.figure import Figure

from srcsep_core.errors import InputError
from srcsep_core.samplers import SAMPLERS, LangevinConfig
from srcsep_core.show.explorer import interrupts
from srcsep_core.show.explorer import widget as module
from srcsep_core.show.explorer.exploration import (
    ROUNDING,
    draw_scene,
    explore,
    frames_table,
)
from srcsep_core.show.explorer.figures import noise_levels_figure, spread, trace_of_frames, waves_of_frame
from srcsep_core.show.explorer.recorder import Frame
from srcsep_core.show.explorer.scene import ToySource, real_frequency
from srcsep_core.show.explorer.settings import ExplorerSettings, samplers, separators
from srcsep_core.show.explorer.widget import explorer, listen
from srcsep_core.stopping import Stopped

RATE = 14_700
LENGTH = 256
PATIENCE_S = 60
LOW, HIGH = RATE / 64, RATE / 8


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
        ({"max_chains": 0}, "max_chains is 0; use 1 to"),
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
    assert set(separators()) >= {"gibbs", "langevin", "projection", "mix", "nmf"} and not {"irm", "fastica"} & set(
        separators()
    )


@pytest.mark.parametrize("sampler", samplers())
def test_bands_are_separated_and_every_level_is_a_frame(sampler: str) -> None:
    seen: list[Frame] = []
    result = explore(replace(SETTINGS, sampler=sampler, max_chains=2), PRIORS, seen.append)
    assert min(result.si_sdr) > 10
    torch.testing.assert_close(result.estimates.mean(dim=0, keepdim=True), result.mix, atol=1e-5, rtol=0)
    assert [frame.step for frame in result.frames] == list(range(6))
    assert {frame.restart for frame in result.frames} == {int(result.separation.chosen[0])}
    assert all(a.sigma > b.sigma for a, b in zip(result.frames, result.frames[1:], strict=False))
    assert all(frame.residual >= 0 and frame.sources.shape == (2, LENGTH) for frame in result.frames)
    assert not torch.equal(result.frames[0].sources, result.frames[1].sources)
    assert len(seen) in (6, 12)


def test_a_sampler_that_is_registered_is_explored_with_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLERS, "new", replace(SAMPLERS["langevin"], config=partial(LangevinConfig, steps=7)))
    assert separators()[0] == ExplorerSettings.sampler and "new" in separators()
    assert len(explore(replace(SETTINGS, sampler="new"), PRIORS).frames) == SETTINGS.levels
    assert replace(SETTINGS, sampler="new", max_chains=3).chains_in_turn == 1
    assert replace(SETTINGS, sampler="gibbs-exchange", max_chains=3).chains_in_turn == 3


def test_the_kept_restart_is_the_one_that_is_shown() -> None:
    result = explore(replace(SETTINGS, max_chains=3, mix_sigma=0.05), PRIORS)
    restart = int(result.separation.chosen[0])
    assert {frame.restart for frame in result.frames} == {restart}
    torch.testing.assert_close(result.estimates, result.separation.chains[0, restart])
    assert f"kept chain {restart + 1} of" in result.verdict()


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
    figure = Figure()
    waves_of_frame(result.frames[2], result.sources, result.settings.labels, RATE, "step 2", figure=figure)
    assert [ax.get_ylabel() for ax in figure.axes] == ["sine", "triangle"]
    assert all(len(ax.lines) == 2 for ax in figure.axes)
    indices = spread(len(result.frames), 4)
    assert indices[0] == 0 and indices[-1] == 5 and len(indices) == 4
    assert len(noise_levels_figure(result, indices).axes) == 2 * 4
    table = frames_table(result, indices, 0.005)
    assert len(table) == 2 * 4 * round(0.005 * RATE)
    assert set(table["source"]) == {"sine", "triangle"}


@pytest.mark.parametrize("residuals", [(0.3, 1e-17, 0.0), (0.0,), (float("nan"),), (1e-17, 1e-17), (0.3, 0.03)])
def test_traces_have_sensible_axes_whatever_the_residuals(residuals: tuple[float, ...]) -> None:
    """No tick below rounding, and none with an offset or a factor of its own, as "1e-17" beside an axis."""
    frames = [Frame(0, step, 3.0, torch.zeros(2, LENGTH), value) for step, value in enumerate(residuals)]
    figure = Figure()
    trace_of_frames(frames, 0, figure=figure)
    figure.canvas.draw()
    for ax in figure.axes:
        assert ax.get_ylim()[0] >= ROUNDING and ax.get_ylim()[1] <= 10
        assert not ax.xaxis.get_offset_text().get_text() and not ax.yaxis.get_offset_text().get_text()
        assert all(1 <= len(axis.get_majorticklocs()) <= 12 for axis in (ax.xaxis, ax.yaxis))
    assert all(float(tick).is_integer() for tick in figure.axes[-1].get_xticks())


def test_figures_refuse_what_is_not_there() -> None:
    sources = draw_scene(SETTINGS).sources
    with pytest.raises(InputError, match="no frame -1 among 0"):
        trace_of_frames([], -1, figure=Figure())
    with pytest.raises(InputError, match="1 labels for 2 sources"):
        waves_of_frame(Frame(0, 0, 1.0, sources, 0.0), sources, ("sine",), RATE, "", figure=Figure())


class Asked:
    """A condition that holds from the `first` time on that it is asked."""

    def __init__(self, first: int) -> None:
        self.first, self.times = first, 0

    def __call__(self) -> bool:
        self.times += 1
        return self.times >= self.first


@pytest.mark.parametrize("sampler", samplers())
def test_a_run_that_is_stopped_keeps_its_last_frame(sampler: str) -> None:
    """It stops in the midst of a level: at the third tensor operation after the one that saw the fourth frame."""
    seen: list[Frame] = []
    late = Asked(3)
    settings = replace(SETTINGS, sampler=sampler)
    result = explore(settings, PRIORS, seen.append, lambda: len(seen) == 4 and late())
    assert result.separation is None and len(result.frames) == len(seen) == 4
    assert torch.equal(result.frames[-1].sources, seen[-1].sources)
    torch.testing.assert_close(result.estimates.mean(dim=0, keepdim=True), result.mix, atol=1e-5, rtol=0)
    assert len(result.table()) == len(result.si_sdr) == 2
    assert result.verdict().startswith(f"Stopped in chain 1 after level 4 of 6 (sigma {seen[-1].sigma:.3g}). ")
    assert ("not known" in result.verdict()) == (sampler == "projection")


def test_stopped_in_a_later_chain_it_keeps_the_one_that_explains_the_mix_best() -> None:
    seen: list[Frame] = []
    settings = replace(SETTINGS, sources=(*PAIR, ToySource("saw", LOW * 3)), max_chains=4)
    result = explore(settings, PRIORS, seen.append, lambda: seen[-1:] != [] and seen[-1].restart == 1)
    assert {frame.restart for frame in seen} == {0, 1}
    assert [frame.step for frame in result.frames] == list(range(6)) and result.frames[0].restart == 0


@pytest.mark.parametrize("sampler", [*samplers(), "nmf"])
def test_stopped_before_there_is_a_frame_there_is_no_result(sampler: str) -> None:
    with pytest.raises(Stopped):
        explore(replace(SETTINGS, sampler=sampler, length=512), PRIORS, stopped=Asked(10))


def test_the_player_has_the_mix_and_the_estimates_with_their_truths() -> None:
    page = listen(explore(SETTINGS, PRIORS)).data
    assert "17 ms, 41 times over" in page
    assert all(name in page for name in ("mix", "sine", "triangle"))


def everything(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything(child)


def find(box: Any, kind: type, description: str | None = None, of: Callable[[Any], bool] = lambda _: True) -> Any:
    found = (w for w in everything(box) if isinstance(w, kind) and of(w))
    return next(w for w in found if description is None or getattr(w, "description", None) == description)


def everything_written(box: Any) -> str:
    return " ".join(w.value for w in everything(box) if isinstance(w, ipywidgets.HTML))


def message(box: Any) -> str:
    (text,) = (w.value for w in everything(box) if isinstance(w, ipywidgets.HTML) and 'role="status"' in w.value)
    return text


def finish() -> None:
    """Wait until what was started has ended."""
    for thread in threading.enumerate():
        if thread.name == "explorer":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def run(box: Any) -> None:
    find(box, ipywidgets.Button, "Run").click()
    finish()


@pytest.fixture
def box() -> Any:
    return explorer({"whole_periods": PRIORS}, length=LENGTH, levels=6)


def test_a_click_fills_the_output_and_the_slider_moves_the_chain(box: Any) -> None:
    start, stop = (find(box, ipywidgets.Button, name) for name in ("Run", "Stop"))
    states: list[tuple[bool, bool]] = []
    stop.observe(lambda _: states.append((start.disabled, stop.disabled)), "disabled")
    frame = find(box, ipywidgets.IntSlider, "frame")
    assert "<img" not in everything_written(box) and stop.disabled
    run(box)
    assert states == [(True, False), (False, True)]
    assert message(box).startswith('<p role="status">Residual ')
    (table,) = (w.value for w in everything(box) if isinstance(w, ipywidgets.HTML) and "<table>" in w.value)
    assert '<th scope="col">SI-SDR / dB</th>' in table and '<th scope="row">square</th>' in table
    assert find(box, ipywidgets.IntProgress).layout.display == "none"
    output = find(box, ipywidgets.Output, of=lambda w: w.layout.display != "none").outputs[0]
    assert "square" in output["data"]["text/html"]
    assert (frame.value, frame.max) == (5, 5)
    (image,) = (w for w in everything(box) if isinstance(w, ipywidgets.HTML) and "<img" in w.value)
    last = image.value
    assert last.count("<img") == 2 and 'alt="Waveforms of sine, square; step 5, sigma 0.05,' in last
    frame.value = 0
    assert "step 0, sigma 3" in image.value
    frame.value = 5
    assert image.value == last
    assert plt.get_fignums() == []


def test_an_error_is_one_sentence_and_the_next_run_works(box: Any) -> None:
    find(box, ipywidgets.Dropdown, "square").value = 0
    run(box)
    assert message(box) == '<p role="status"><b>Not run:</b> the mix has 1 source(s); choose 2 to 8.</p>'
    assert not find(box, ipywidgets.Button, "Run").disabled
    find(box, ipywidgets.Dropdown, "triangle").value = 2
    run(box)
    assert "Residual " in message(box) and "triangle 2" in everything_written(box)


@pytest.mark.parametrize("how", ["button", "interrupt"])
def test_stop_ends_a_run_in_the_midst_of_a_draw_and_the_next_one_works(how: str) -> None:
    slow = threading.Event()
    priors = {"slow": slow_bands(0, slow), **PRIORS}
    slow_box = explorer({"whole_periods": priors}, length=LENGTH, levels=6)
    start, stop = (find(slow_box, ipywidgets.Button, name) for name in ("Run", "Stop"))
    start.click()
    assert slow.wait(PATIENCE_S)
    start.click()
    assert [thread.name for thread in threading.enumerate()].count("explorer") == 1, "a second click does nothing"
    stop.click() if how == "button" else interrupts._stop_all()
    finish()
    assert "Stopped before there was anything to keep." in message(slow_box)
    assert (start.disabled, stop.disabled) == (False, True)
    find(slow_box, ipywidgets.Dropdown, "prior").value = "band"
    run(slow_box)
    assert "Residual " in message(slow_box)


def test_stop_keeps_what_the_chain_has(box: Any) -> None:
    stop, bar = find(box, ipywidgets.Button, "Stop"), find(box, ipywidgets.IntProgress)
    bar.observe(lambda change: stop.click() if change["new"] == 3 else None, "value")
    run(box)
    assert "Stopped in chain 1 after level 3 of 6" in message(box)
    assert find(box, ipywidgets.IntSlider, "frame").max == 2
    assert "Sources and how well they were found" in everything_written(box)


def test_two_threads_draw_the_same_pictures_as_one() -> None:
    made = module._Explorer({"whole_periods": PRIORS}, LENGTH, 6, 0)
    made.run()
    finish()
    result = made.result
    assert result is not None

    def draw(index: int) -> str:
        return made._draw(result.frames, result.sources, result.settings, index)

    alone = [draw(index) for index in range(6)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(draw, range(6))) == alone


def test_another_toy_world_has_its_own_priors_and_frequencies() -> None:
    box = explorer({"whole_periods": PRIORS, "uniform_hz": {"other": BANDS}}, length=LENGTH, levels=6)
    world, prior = (find(box, ipywidgets.Dropdown, name) for name in ("toy world", "prior"))
    pitch = find(box, ipywidgets.BoundedFloatText, "sine / Hz")
    assert pitch.max == 1130 and "445.5 Hz (33 samples)" in everything_written(box)
    world.value = "uniform_hz"
    assert prior.options == ("other",)
    assert pitch.max == 4186 and "440.0 Hz" in everything_written(box)
    world.value = "whole_periods"
    assert pitch.max == 1130


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
