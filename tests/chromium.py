"""Headless Chromium, driven over its DevTools pipe: for the tests of what is shown in a browser."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

fcntl = pytest.importorskip("fcntl", reason="the browser is driven over pipes as POSIX has them")

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
# Roles of what is used or read out, which has to have a name.
NAMED = ("button", "slider", "combobox", "spinbutton", "textbox", "image", "img", "table", "group", "progressbar")


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


class Page:
    """One page of the browser, `width` CSS pixels wide."""

    patience_s = PATIENCE_S

    def __init__(self, browser: Browser, url: str, *, width: int = 1000, height: int = 800) -> None:
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setDeviceMetricsOverride", **self.metrics(width, height))
        self.call("Page.navigate", url=url)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    @staticmethod
    def metrics(width: int, height: int) -> dict[str, Any]:
        return {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}

    def resize(self, width: int, height: int = 800) -> None:
        self.call("Emulation.setDeviceMetricsOverride", **self.metrics(width, height))
        self.wait(f"innerWidth === {width} && new Promise((done) => setTimeout(() => done(true), 300))")

    def value(self, expression: str) -> Any:
        """What the JavaScript `expression` gives."""
        result = self.call(
            "Runtime.evaluate",
            expression=f"(async () => {{ return await ({expression}); }})()",
            awaitPromise=True,
            returnByValue=True,
            userGesture=False,
        )
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        deadline = time.monotonic() + self.patience_s
        while not self.value(condition):
            assert time.monotonic() < deadline, f"it never came to {condition}"
            time.sleep(0.05)

    def click_at(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, text: str = "") -> None:
        code = {" ": "Space"}.get(key, key)
        virtual = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}.get(key, 0)
        typed = {"key": key, "code": code, "windowsVirtualKeyCode": virtual}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **typed)

    def read_out(self, selector: str) -> list[tuple[str, str]]:
        """Role and name of everything within the element that has to have a name, as screen readers get them."""
        self.call("Accessibility.enable")
        root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        found = self.call("Accessibility.queryAXTree", nodeId=node)["nodes"]
        pairs = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in found if not n["ignored"]]
        return [(role, name) for role, name in pairs if role in NAMED]

    def own_events(self, *methods: str) -> list[dict[str, Any]]:
        self.value("1")
        events = [event for event in self.browser.events if event.get("sessionId") == self.session]
        return [event["params"] for event in events if event["method"] in methods]

    def troubles(self) -> list[str]:
        """Console errors, failed loads and exceptions."""
        console = [e for e in self.own_events("Runtime.consoleAPICalled") if e["type"] in ("error", "assert")]
        logged = [e for e in self.own_events("Log.entryAdded") if e["entry"]["level"] == "error"]
        return [str(e) for e in [*console, *logged, *self.own_events("Runtime.exceptionThrown")]]

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None) if os.name == "posix" else None
