"""The player in a real browser: headless Chromium, driven over its DevTools pipe.

Skipped on a machine without Chromium; in continuous integration (CI=true) its absence is a failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter

from srcsep_core.show.player import PEAK, player, player_page

RATE = 16_000
LENGTH = 4 * RATE
PATIENCE_S = 30
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1000,800",
    "--remote-debugging-pipe",
)

fcntl = pytest.importorskip("fcntl", reason="the browser is driven over pipes as POSIX has them")
pytestmark = pytest.mark.slow


class Browser:
    """Chromium and its DevTools protocol: JSON messages that end in a zero byte, on the descriptors 3 and 4."""

    def __init__(self, program: str, profile: Path) -> None:
        command_end, self.commands = os.pipe()
        self.replies, reply_end = os.pipe()
        # Out of the way of 3 and 4, which they become in the child.
        inherited = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (command_end, reply_end)]
        redirect = 'exec "$0" "$@" 3<&{} 4>&{}'.format(*inherited)
        command = ["bash", "-c", redirect, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.log = profile.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, pass_fds=inherited, stdout=log, stderr=log)
        for end in (command_end, reply_end, *inherited):
            os.close(end)
        self.last = 0
        self.received = b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            reply = self.receive(deadline, method)
            if reply.get("id") == self.last:
                assert "error" not in reply, f"{method}: {reply['error']}"
                return reply["result"]
            self.events.append(reply)

    def receive(self, deadline: float, method: str) -> dict[str, Any]:
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.replies], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self.replies, 1 << 16) if ready else b""
            assert chunk, f"Chromium gave no answer to {method}: {self.log.read_text(errors='replace')[-2000:]}"
            self.received += chunk
        message, self.received = self.received.split(b"\0", 1)
        return json.loads(message)

    def close(self) -> None:
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        try:
            self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.commands)
        os.close(self.replies)


class Tab:
    """One page, opened from a file."""

    def __init__(self, browser: Browser, path: Path, dark: bool = False) -> None:
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete' && document.querySelectorAll('.srcsep-player').length")
        self.value(
            "Promise.all([...document.querySelectorAll('.srcsep-player')].map((p) => p.srcsep.ready)).then(() => 1)"
        )

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def value(self, expression: str) -> Any:
        """What the JavaScript `expression` gives; `$p` is the first player, `$q` the second."""
        names = "const [$p, $q] = document.querySelectorAll('.srcsep-player');"
        result = self.call(
            "Runtime.evaluate",
            expression=f"(async () => {{ {names} return await ({expression}); }})()",
            awaitPromise=True,
            returnByValue=True,
            userGesture=False,
        )
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not self.value(condition):
            assert time.monotonic() < deadline, f"it never came to {condition}"
            time.sleep(0.05)

    def click(self, selector: str, across: float = 0.5, which: str = "$p") -> None:
        """A real click on the first element of the player that `selector` finds, `across` its width."""
        x, y = self.value(
            f"(() => {{ const e = {which}.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            f" const b = e.getBoundingClientRect(); return [b.x + {across} * b.width, b.y + b.height / 2]; }})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, text: str = "") -> None:
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key or "Space", text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key or "Space")

    def own_events(self, *methods: str) -> list[dict[str, Any]]:
        self.value("1")
        events = [event for event in self.browser.events if event.get("sessionId") == self.session]
        return [event["params"] for event in events if event["method"] in methods]

    def troubles(self) -> list[str]:
        """Console errors, failed loads and exceptions."""
        console = [e for e in self.own_events("Runtime.consoleAPICalled") if e["type"] in ("error", "assert")]
        logged = [e for e in self.own_events("Log.entryAdded") if e["entry"]["level"] == "error"]
        return [str(e) for e in [*console, *logged, *self.own_events("Runtime.exceptionThrown")]]

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

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None) if os.name == "posix" else None


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        reason = "no Chromium on this machine; install it (Debian: apt-get install chromium) to test the player"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    running = Browser(program, tmp_path_factory.mktemp("browser") / "profile")
    yield running
    running.close()


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
