"""The player in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from chromium import Browser, Page
from nbconvert import HTMLExporter

from srcsep_core.show.player import PEAK, player, player_page

RATE = 16_000
LENGTH = 4 * RATE

pytestmark = pytest.mark.slow


class Tab(Page):
    """A page with players, opened from a file."""

    def __init__(self, browser: Browser, path: Path, *, width: int = 1000) -> None:
        super().__init__(browser, path.as_uri(), width=width)
        self.wait("document.readyState === 'complete' && document.querySelectorAll('.srcsep-player').length")
        self.value(
            "Promise.all([...document.querySelectorAll('.srcsep-player')].map((p) => p.srcsep.ready)).then(() => 1)"
        )

    def value(self, expression: str) -> Any:
        """What the JavaScript `expression` gives; `$p` is the first player, `$q` the second."""
        names = "const [$p, $q] = document.querySelectorAll('.srcsep-player');"
        return super().value(f"(async () => {{ {names} return await ({expression}); }})()")

    def click(self, selector: str, across: float = 0.5, which: str = "$p") -> None:
        """A real click on the first element of the player that `selector` finds, `across` its width."""
        x, y = self.value(
            f"(() => {{ const e = {which}.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            f" const b = e.getBoundingClientRect(); return [b.x + {across} * b.width, b.y + b.height / 2]; }})()"
        )
        self.click_at(x, y)

    def requests_outside(self) -> list[str]:
        urls = [event["request"]["url"] for event in self.own_events("Network.requestWillBeSent")]
        assert any(url.startswith("file:") for url in urls), "the page itself is no longer among the requests"
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]

    def rendered(self, length: int = 1000, start: float = 0.5, which: str = "$p") -> np.ndarray:
        """What the player would send to the loudspeaker for `length` samples from `start` (s) on."""
        return np.array(self.value(f"{which}.srcsep.render({start}, {length})"))

    def listen(self) -> None:
        """From now on `heard()` is the highest sample the playing player sends out right now."""
        self.value("""(() => {
            const output = $p.srcsep.output(), node = output.context.createAnalyser();
            output.connect(node);
            window.heard = () => {
                const samples = new Float32Array(node.fftSize);
                node.getFloatTimeDomainData(samples);
                return Math.max(...samples);
            };
        })()""")


def tone(frequency: float, amplitude: float = 1.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(LENGTH) / RATE)


TRUTHS = {"sine": tone(440.0), "square": 0.5 * np.sign(tone(310.3)), "saw": tone(3000.0, 0.2)}
ESTIMATES = {name: 0.8 * TRUTHS[name] + 0.1 * tone(700.0 + 90 * k) for k, name in enumerate(TRUTHS)}
TRACKS = {"mix": sum(TRUTHS.values()) / 3, **ESTIMATES}
LOUDEST = np.abs(TRACKS["mix"]) + sum(np.maximum(np.abs(TRUTHS[n]), np.abs(ESTIMATES[n])) for n in TRUTHS)
GAIN = PEAK / LOUDEST.max()


def part(samples: np.ndarray, start: float = 0.5, length: int = 1000) -> np.ndarray:
    first = round(start * RATE)
    return GAIN * samples[first : first + length]


def control(label: str) -> str:
    return f'button[aria-label="{label}"]'


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "player.html"
    notes = "Each row is one source.\n\nTruth and estimate are at one gain."
    path.write_text(player_page(TRACKS, RATE, "Three sources & <b>", TRUTHS, notes), encoding="utf-8")
    return path


@pytest.fixture
def tab(browser: Browser, page_file: Path) -> Iterator[Tab]:
    opened = Tab(browser, page_file)
    yield opened
    troubles, outside = opened.troubles(), opened.requests_outside()
    opened.close()
    assert not troubles
    assert not outside


def assert_heard(tab: Tab, expected: np.ndarray) -> None:
    np.testing.assert_allclose(tab.rendered(), expected, atol=1e-4)


def test_the_page_shows_controls_and_pictures_for_every_track(tab: Tab) -> None:
    assert tab.value("document.title") == "Three sources & <b>"
    assert tab.value("$p.querySelector('.srcsep-note').hidden")
    assert tab.value("[...$p.querySelectorAll('.srcsep-label')].map((e) => e.textContent)") == list(TRACKS)
    assert tab.value("[...$p.querySelectorAll('button')].every((b) => b.type === 'button' && b.ariaLabel)")
    drawn = """[...$p.querySelectorAll('canvas')].map((c) => {
        const copy = new OffscreenCanvas(c.width, c.height).getContext('2d');
        copy.drawImage(c, 0, 0);
        const pixels = copy.getImageData(0, 0, c.width, c.height).data;
        return [c.width, pixels.filter((value, i) => i % 4 === 3 && value > 100).length];
    })"""
    for wide, dark in tab.value(drawn):
        assert wide > 300
        assert dark > 300
    tab.click(control("Show waveforms in place of spectrograms"))
    for _, dark in tab.value(drawn):
        assert dark > 300


def test_the_mix_is_heard_alone_at_the_start(tab: Tab) -> None:
    assert tab.value("$p.srcsep.playing()") is False
    gains = tab.value("$p.srcsep.gains()")
    assert [name for name, each in gains.items() if any(each.values())] == ["mix"]
    assert gains["mix"].keys() == {"estimate"}
    assert gains["sine"].keys() == {"estimate", "truth"}
    assert_heard(tab, part(TRACKS["mix"]))


def test_play_moves_the_time_pause_holds_it_and_stop_goes_back(tab: Tab) -> None:
    tab.click(control("Loop"))
    tab.click(control("Play"))
    tab.wait("$p.srcsep.playing() && $p.srcsep.time() > 0.2")
    tab.listen()
    tab.wait("heard() > 0.02")
    assert tab.value("$p.querySelector('.srcsep-head').style.left") != "0%"
    tab.click(control("Pause"))
    assert tab.value("$p.srcsep.playing()") is False
    held = tab.value("$p.srcsep.time()")
    assert 0 < held < LENGTH / RATE
    tab.wait("heard() < 1e-3")
    assert tab.value("$p.srcsep.time()") == held
    tab.click(control("Play"))
    tab.wait(f"$p.srcsep.time() !== {held}")
    tab.click(control("Stop and go to the start"))
    assert tab.value("[$p.srcsep.playing(), $p.srcsep.time()]") == [False, 0]


def test_it_stops_at_the_end_unless_it_loops(tab: Tab) -> None:
    tab.value("$p.srcsep.seek(3.7)")
    tab.click(control("Play"))
    tab.wait("!$p.srcsep.playing()")
    assert tab.value("$p.srcsep.time()") == 0
    tab.click(control("Loop"))
    tab.value("$p.srcsep.seek(3.7)")
    tab.click(control("Play"))
    tab.wait("$p.srcsep.time() < 3.7 && $p.srcsep.time() > 0.1")
    assert tab.value("$p.srcsep.playing()") is True
    tab.value("$p.srcsep.seek(3.5)")
    tab.click(control("Loop"))
    tab.wait("!$p.srcsep.playing()")


def test_a_click_on_picture_or_ruler_seeks(tab: Tab) -> None:
    tab.click(".srcsep-picture", across=0.25)
    assert tab.value("$p.srcsep.time()") == pytest.approx(1.0, abs=0.02)
    tab.click(".srcsep-ruler", across=0.75)
    assert tab.value("$p.srcsep.time()") == pytest.approx(3.0, abs=0.02)
    assert tab.value("$p.srcsep.playing()") is False
    tab.click(control("Loop"))
    tab.click(control("Play"))
    tab.wait("$p.srcsep.time() > 3.05")
    tab.click(".srcsep-picture", across=0.25)
    tab.wait("$p.srcsep.time() > 1 && $p.srcsep.time() < 3")
    assert tab.value("$p.srcsep.playing()") is True


def test_solo_silences_every_other_track(tab: Tab) -> None:
    tab.click(control("Solo sine"))
    gains = tab.value("$p.srcsep.gains()")
    assert gains["sine"] == {"estimate": pytest.approx(gains["sine"]["estimate"]), "truth": 0}
    assert gains["sine"]["estimate"] > 0
    assert not any(value for name, each in gains.items() if name != "sine" for value in each.values())
    assert_heard(tab, part(ESTIMATES["sine"]))
    tab.click(control("Solo saw"))
    assert_heard(tab, part(ESTIMATES["saw"]))
    tab.click(control("Hear the mix alone"))
    assert_heard(tab, part(TRACKS["mix"]))


def test_mute_and_all_stems(tab: Tab) -> None:
    tab.click(control("Hear all stems, not the mix"))
    assert tab.value("$p.querySelector('[aria-label=\"Mute mix\"]').ariaPressed") == "true"
    assert_heard(tab, part(sum(ESTIMATES.values())))
    tab.click(control("Mute square"))
    assert_heard(tab, part(ESTIMATES["sine"] + ESTIMATES["saw"]))
    tab.click(control("Mute square"))
    tab.click(control("Mute mix"))
    assert_heard(tab, part(TRACKS["mix"] + sum(ESTIMATES.values())))


def test_nothing_clips_when_all_play_together(tab: Tab) -> None:
    tab.click(control("Solo mix"))
    for truths in (False, True):
        if truths:
            tab.click(control("Hear the truth of every track"))
        assert np.abs(tab.rendered(LENGTH, 0.0)).max() <= PEAK + 1e-4


def test_truth_takes_the_place_of_the_estimate_while_playing(tab: Tab) -> None:
    tab.click(control("Solo square"))
    tab.click(control("Loop"))
    tab.click(control("Play"))
    tab.wait("$p.srcsep.time() > 0.1")
    tab.click(control("Hear the truth of square"))
    assert tab.value("$p.srcsep.playing()") is True
    gains = tab.value("$p.srcsep.gains().square")
    assert gains["estimate"] == 0
    assert gains["truth"] > 0
    assert tab.value("$p.querySelector('[aria-label=\"Hear the truth of square\"]').ariaPressed") == "true"
    assert_heard(tab, part(TRUTHS["square"]))
    tab.click(control("Hear the truth of every track"))
    tab.click(control("Solo sine"))
    assert_heard(tab, part(TRUTHS["sine"]))
    tab.click(control("Hear the estimate of sine"))
    assert_heard(tab, part(ESTIMATES["sine"]))


def test_what_sounds_follows_every_switch_while_playing(browser: Browser, tmp_path: Path) -> None:
    silence = np.zeros(LENGTH)
    path = tmp_path / "live.html"
    path.write_text(player_page({"mix": tone(500), "saw": silence}, RATE, "x", {"mix": silence}), encoding="utf-8")
    tab = Tab(browser, path)
    tab.click(control("Loop"))
    tab.click(control("Play"))
    tab.wait("$p.srcsep.output() !== null")
    tab.listen()
    for silent, loud in (
        ("Mute mix", "Mute mix"),
        ("Solo saw", "Solo mix"),
        ("Hear the truth of mix", "Hear the estimate of mix"),
        ("Mute mix", "Hear the mix alone"),
    ):
        tab.wait("heard() > 0.5")
        tab.click(control(silent))
        tab.wait("heard() < 1e-3")
        tab.click(control(loud))
    tab.wait("heard() > 0.5")
    assert tab.value("$p.srcsep.playing()") is True
    assert not tab.troubles()
    tab.close()


def test_the_keyboard_plays_and_seeks(tab: Tab) -> None:
    tab.value("$p.focus()")
    tab.press("ArrowRight")
    assert tab.value("$p.srcsep.time()") == pytest.approx(LENGTH / RATE / 20)
    tab.press(" ", " ")
    tab.wait("$p.srcsep.playing()")
    tab.press(" ", " ")
    tab.wait("!$p.srcsep.playing()")
    tab.value(f"$p.querySelector('{control('Mute sine')}').focus()")
    tab.press(" ", " ")
    assert tab.value(f"$p.querySelector('{control('Mute sine')}').ariaPressed") == "true"
    assert tab.value("$p.srcsep.playing()") is False


def test_the_tab_key_goes_through_the_controls_and_enter_uses_them(tab: Tab) -> None:
    tab.value("$p.focus()")
    reached = []
    for _ in range(3):
        tab.press("Tab")
        reached.append(tab.value("document.activeElement.ariaLabel"))
    assert reached == ["Play", "Stop and go to the start", "Loop"]
    tab.press("Enter", "\r")
    assert tab.value("document.activeElement.ariaPressed") == "true"


def test_everything_has_a_name_for_screen_readers(tab: Tab) -> None:
    pairs = tab.read_out(".srcsep-player")
    assert all(name for _, name in pairs)
    assert {("group", "audio player"), ("slider", "Position in seconds")} <= set(pairs)
    pictures = [name for role, name in pairs if role in ("image", "img")]
    assert pictures == ["Spectrogram of mix", *(f"Spectrogram of {name} (estimate)" for name in TRUTHS)]
    buttons = [name for role, name in pairs if role == "button"]
    assert len(buttons) == len(set(buttons)) > 15


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_at_any_width_nothing_sticks_out_or_is_broken(browser: Browser, page_file: Path, width: int) -> None:
    tab = Tab(browser, page_file, width=width)
    assert tab.value("document.documentElement.scrollWidth") <= width
    assert max(tab.value("[...$p.querySelectorAll('.srcsep-label, button')].map((e) => e.offsetHeight)")) < 32
    assert min(tab.value("[...$p.querySelectorAll('.srcsep-picture, input')].map((e) => e.offsetWidth)")) > 150
    tab.close()


def exported(tmp_path: Path) -> Path:
    """A notebook with two players as outputs, as nbconvert writes it, without the scripts it takes from the web."""
    outputs = [
        nbformat.v4.new_output("display_data", {"text/html": html.data, "text/plain": "<HTML object>"})
        for html in (player(TRACKS, RATE, "One", TRUTHS), player({"sine": TRACKS["sine"]}, RATE))
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("player()", outputs=outputs)])
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    path = tmp_path / "notebook.html"
    path.write_text(exporter.from_notebook_node(notebook)[0], encoding="utf-8")
    return path


def test_two_players_in_an_exported_notebook_take_turns(browser: Browser, tmp_path: Path) -> None:
    tab = Tab(browser, exported(tmp_path))
    assert tab.value("document.querySelectorAll('.srcsep-player').length") == 2
    for which in ("$p", "$q"):
        tab.click(control("Loop"), which=which)
    tab.click(control("Play"))
    tab.wait("$p.srcsep.time() > 0.1")
    tab.click(control("Play"), which="$q")
    tab.wait("$q.srcsep.time() > 0.1")
    assert tab.value("[$p.srcsep.playing(), $q.srcsep.playing()]") == [False, True]
    held = tab.value("$p.srcsep.time()")
    tab.click(control("Solo sine"))
    assert tab.value("[$p.srcsep.time(), $q.srcsep.playing()]") == [held, True]
    tab.click(control("Play"))
    tab.wait(f"$p.srcsep.time() !== {held}")
    assert tab.value("[$p.srcsep.playing(), $q.srcsep.playing()]") == [True, False]
    assert_heard(tab, part(ESTIMATES["sine"]))
    troubles, outside = tab.troubles(), tab.requests_outside()
    tab.close()
    assert not troubles
    assert not outside


def test_it_is_built_when_the_scripts_are_put_in_again_as_jupyterlab_does(browser: Browser, tmp_path: Path) -> None:
    """JupyterLab fills a detached element, replaces every script by a copy, and then adds it to the page."""
    path = tmp_path / "lab.html"
    text = json.dumps(player(TRACKS, RATE, "Lab", TRUTHS).data).replace("<", "\\u003c")
    path.write_text(
        f"""<!doctype html><meta charset="utf-8"><body><script>
        for (let count = 0; count < 2; count++) {{
            const host = document.createElement("div");
            host.innerHTML = {text};
            for (const script of [...host.querySelectorAll("script")]) {{
                const copy = document.createElement("script");
                for (const each of script.attributes) copy.setAttribute(each.name, each.value);
                copy.textContent = script.textContent;
                script.replaceWith(copy);
            }}
            document.body.append(host);
        }}
        </script></body>""",
        encoding="utf-8",
    )
    tab = Tab(browser, path)
    assert tab.value("[$p, $q].map((p) => p.querySelectorAll('.srcsep-ui').length)") == [1, 1]
    tab.click(control("Loop"), which="$q")
    tab.click(control("Play"), which="$q")
    tab.wait("$q.srcsep.time() > 0.1")
    assert tab.value("$p.srcsep.playing()") is False
    assert not tab.troubles()
    tab.close()


def test_a_player_taken_off_the_page_falls_silent(tab: Tab) -> None:
    tab.click(control("Loop"))
    tab.click(control("Play"))
    tab.wait("$p.srcsep.time() > 0.1")
    tab.value("(() => { window.gone = $p; $p.remove(); })()")
    tab.wait("!window.gone.srcsep.playing()")
