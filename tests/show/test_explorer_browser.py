"""The explorer where it is used: JupyterLab with a kernel, in a real browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from chromium import Browser, Page
from conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lab")]
PATIENCE_S = 120
CELL = """
import threading
from bands import BANDS, slow_bands
from srcsep_core.show.explorer.widget import explorer

priors = {"quick": BANDS, "slow": slow_bands(20, threading.Event())}
explorer({"whole_periods": priors}, length=256, levels=6)
"""


def first(elements: str, text: str) -> str:
    """The first of these elements of the explorer that has exactly this text, as JavaScript."""
    return f"[...document.querySelectorAll('.srcsep-explorer {elements}')].find((e) => e.innerText === '{text}')"


class Lab(Page):
    """A notebook with the explorer, executed."""

    patience_s = PATIENCE_S

    def __init__(self, browser: Browser, address: str) -> None:
        super().__init__(browser, f"{address}/doc/tree/explorer.ipynb?token=test", width=1400)
        self.wait("Boolean(window.jupyterapp && document.querySelector('.jp-NotebookPanel'))")
        self.wait("jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'")
        self.command("notebook:run-all-cells")
        self.wait("document.querySelectorAll('.srcsep-explorer button').length > 1")

    def command(self, name: str) -> None:
        """What the menu entry does; it is not waited for."""
        self.value(f"(jupyterapp.commands.execute({json.dumps(name)}), 1)")

    def button(self, text: str) -> str:
        return first(".widget-button", text)

    def click(self, text: str) -> None:
        x, y = self.value(
            f"(() => {{ const e = {self.button(text)}; e.scrollIntoView({{block: 'center'}});"
            f" const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        )
        self.click_at(x, y)

    def choose(self, description: str, option: str) -> None:
        """By the keyboard: a select goes to the option whose first letters are typed."""
        label = first("label", description)
        self.value(f"{label}.control.focus()")
        self.press(option[0], option[0])
        self.wait(f"{label}.control.selectedOptions[0].text === '{option}'")

    def run(self) -> None:
        """Click until it begins: a layout that moves takes a click elsewhere, and a quick run is over between looks."""
        self.watch("Run")
        deadline = time.monotonic() + PATIENCE_S
        while not self.value("window.begun"):
            assert time.monotonic() < deadline, "Run was clicked, and nothing began"
            self.click("Run")
            self.value("new Promise((done) => setTimeout(done, 2000))")

    def watch(self, text: str) -> None:
        """From now on `window.begun` says whether the button, which can be pressed, has been disabled."""
        button = self.button(text)
        self.wait(f"!{button}.disabled")
        seen = "new MutationObserver(() => { window.begun = true; })"
        self.value(f"(window.begun = false, {seen}.observe({button}, {{attributeFilter: ['disabled']}}), 1)")

    def says(self, start: str) -> None:
        status = "document.querySelector('.srcsep-explorer [role=status]')"
        self.wait(f"{status}?.innerText.startsWith({json.dumps(start)})")


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One for all tests of this file, as it takes long to start; a mix of five sources has been separated in it."""
    pytest.importorskip("jupyterlab")
    root = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(CELL)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), root / "explorer.ipynb")
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "IPYTHONDIR")
    environment = os.environ | {name: str(root / ".own" / name) for name in (*own, "JUPYTERLAB_WORKSPACES_DIR")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "OMP_NUM_THREADS": "1"}
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--ServerApp.token=test"]
    options += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None", f"--ServerApp.root_dir={root}"]
    options += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    log = root / ".log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        opened = Lab(browser, address_of(server, log))
        for description, option in (("prior", "quick"), ("saw", "1"), ("triangle", "2")):
            opened.choose(description, option)
        opened.run()
        opened.says("Residual ")
        opened.wait("document.querySelectorAll('.srcsep-explorer .srcsep-player .srcsep-ui').length === 1")
        yield opened
        opened.close()
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_S)


def address_of(server: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server says that it is."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
        assert server.poll() is None and time.monotonic() < deadline, f"no JupyterLab: {log.read_text()[-2000:]}"
        time.sleep(0.1)
    return found[0]


def test_a_run_is_started_and_read_by_the_keyboard_alone(lab: Lab) -> None:
    lab.watch("Run")
    lab.value(f"{lab.button('Run')}.focus()")
    lab.press("Enter", "\r")
    lab.wait("window.begun")
    lab.says("Residual ")
    handle = "document.querySelector('.srcsep-explorer [role=slider][aria-label=frame]')"
    picture = "document.querySelector('.srcsep-pictures img').alt"
    lab.wait(f"{picture}.includes('step 5,') && {handle}.offsetParent !== null")
    lab.value(f"{handle}.focus()")
    lab.press("ArrowLeft")
    lab.wait(f"{picture}.includes('step 4,')")


def test_every_control_and_picture_has_a_name_for_screen_readers(lab: Lab) -> None:
    pairs = lab.read_out(".srcsep-explorer")
    assert all(name for _, name in pairs), pairs
    assert set(pairs) >= {
        ("combobox", "sine"),
        ("spinbutton", "sine / Hz"),
        ("slider", "sine amplitude"),
        ("combobox", "sampler"),
        ("slider", "levels"),
        ("button", "Run"),
        ("button", "Stop"),
        ("button", "Play or pause the frames"),
        ("slider", "frame"),
        ("table", "Sources and how well they were found"),
        ("button", "Solo sine"),
    }
    pictures = [name for role, name in pairs if role in ("image", "img")]
    assert pictures[0].startswith("Waveforms of sine, square, saw, triangle, triangle 2; step ")
    assert pictures[1] == "Residual and sigma by step"


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_at_any_width_nothing_collapses_or_sticks_out(lab: Lab, width: int) -> None:
    lab.resize(width, 2000)
    root = "document.querySelector('.srcsep-explorer')"
    shown = "filter((e) => e.offsetParent !== null)"
    right = f"{root}.parentElement.getBoundingClientRect().right"
    edged = f"[...{root}.querySelectorAll('input, select, button, label, img, th, canvas')].{shown}"
    outside = f"(e) => e.getBoundingClientRect().right > {right} + 1"
    assert lab.value(f"{edged}.filter({outside}).map((e) => e.outerHTML)") == []
    controls = f"[...{root}.querySelectorAll('input, select, .noUi-target, .srcsep-picture, img')].{shown}"
    assert min(lab.value(f"{controls}.map((e) => e.getBoundingClientRect().width)")) > 50
    lines = f"[...{root}.querySelectorAll('label, .srcsep-label, button')].{shown}"
    assert max(lab.value(f"{lines}.map((e) => e.offsetHeight)")) < 36, "a name is broken over lines"


def test_player_and_explorer_look_alike(lab: Lab) -> None:
    look = "((s) => [s.font, s.color, s.backgroundColor, s.border, s.borderRadius, s.padding, s.boxShadow])"
    other = """document.querySelector('.srcsep-player button[aria-label="Mute mix"]')"""
    one, two = (lab.value(f"{look}(getComputedStyle({node}))") for node in (lab.button("Stop"), other))
    assert one == two


def test_stop_and_kernel_interrupt_end_a_run_that_would_take_hours(lab: Lab) -> None:
    """The prior is quick for one level of the first run, which is kept. The second run has nothing yet."""
    lab.resize(1400)
    lab.choose("prior", "slow")
    lab.run()
    lab.wait("[...document.querySelectorAll('.srcsep-pictures img')].filter((e) => e.offsetParent !== null).length")
    lab.click("Stop")
    lab.says("Stopped in chain 1 after level ")
    lab.run()
    lab.wait("document.querySelector('.srcsep-explorer .progress').offsetParent !== null")
    lab.command("notebook:interrupt-kernel")
    lab.says("Stopped before there was anything to keep.")
    lab.choose("prior", "quick")
    lab.run()
    lab.says("Residual ")
