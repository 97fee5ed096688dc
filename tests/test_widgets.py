"""The player: one gain for all tracks, self-contained, the same HTML every time."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch

from srcsep_core.errors import InputError
from srcsep_core.plots import SOURCE_COLOURS
from srcsep_core.widgets import player, static_note

RATE = 14_700
VOID = {"br", "img", "input", "meta", "link", "hr"}


class Page(HTMLParser):
    """Collects the tags with their attributes and the text, and holds that every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def tone(amplitude: float, frequency: float = 441.0, length: int = 3000) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(length) / RATE)


def decoded(page: Page) -> list[tuple[np.ndarray, int]]:
    sources = [attributes["src"] or "" for attributes in page.named("audio")]
    assert all(source.startswith("data:audio/flac;base64,") for source in sources)
    return [soundfile.read(io.BytesIO(base64.b64decode(source.split(",")[1]))) for source in sources]


def test_one_gain_keeps_the_tracks_in_proportion() -> None:
    tracks = {"sine": tone(0.02), "saw": tone(0.005, 600.0), "mix": tone(0.0125, 500.0), "rest": np.zeros(3000)}
    audio = decoded(Page(player(tracks, RATE).data))
    assert [rate for _, rate in audio] == [RATE] * 4
    gain = 0.9 / np.abs(tracks["sine"]).max()
    for (samples, _), track in zip(audio, tracks.values(), strict=True):
        np.testing.assert_allclose(samples, gain * track, atol=1.01 * 0.5 / 32_768)
    assert np.abs(audio[0][0]).max() == pytest.approx(0.9, abs=1 / 32_768)
    assert np.abs(audio[1][0]).max() / np.abs(audio[0][0]).max() == pytest.approx(0.25, abs=0.001)


def test_loud_tracks_are_turned_down_and_not_clipped() -> None:
    ((samples, _),) = decoded(Page(player({"mix": torch.from_numpy(tone(40.0))[None]}, RATE).data))
    np.testing.assert_allclose(samples, tone(0.9) * 40 / np.abs(tone(40.0)).max(), atol=1e-4)


def test_every_track_has_an_accessible_coloured_label() -> None:
    html = player({"sine": tone(1.0), "triangle (estimate)": tone(0.5)}, RATE, title="Two tracks").data
    page = Page(html)
    assert [attributes["aria-label"] for attributes in page.named("audio")] == ["sine", "triangle (estimate)"]
    assert all("controls" in attributes for attributes in page.named("audio"))
    labels = [attributes for attributes in page.named("span") if attributes["class"] == "srcsep-label"]
    for attributes, source in zip(labels, ("sine", "triangle"), strict=True):
        assert f"background-color: {SOURCE_COLOURS[source]}" in (attributes["style"] or "")
        assert re.search(r"; color: (black|white)$", attributes["style"] or "")
    root = page.named("div")[0]
    assert (root["role"], root["aria-label"]) == ("group", "Two tracks")


def test_playing_one_track_pauses_the_others() -> None:
    for attributes in Page(player({"a": tone(1.0), "b": tone(0.5)}, RATE).data).named("audio"):
        handler = attributes["onplay"] or ""
        assert "querySelectorAll('.srcsep-player audio')" in handler
        assert "if (other !== this) other.pause();" in handler


def test_nothing_is_loaded_from_outside() -> None:
    html = player({"a": tone(1.0)}, RATE, title="x").data
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= {"div", "style", "p", "span", "audio"}
    without_audio = re.sub(r"base64,[^\"]*", "", html)
    assert "http" not in without_audio
    assert "url(" not in without_audio
    assert "$" not in without_audio


def test_the_html_and_its_id_depend_on_the_content_alone() -> None:
    def identity(html: str) -> str:
        (found,) = (a["id"] for a in Page(html).named("div") if "id" in a)
        assert found is not None
        return found

    html = player({"a": tone(1.0)}, RATE, title="x").data
    assert html == player({"a": tone(1.0)}, RATE, title="x").data
    others = [
        player({"a": tone(1.0)}, RATE, title="y"),
        player({"b": tone(1.0)}, RATE, title="x"),
        player({"a": tone(1.0)}, 16_000, title="x"),
        player({"a": tone(1.0, 442.0)}, RATE, title="x"),
    ]
    assert len({identity(html), *(identity(other.data) for other in others)}) == 5


def test_names_and_titles_are_shown_as_they_are() -> None:
    title, name = 'A "mix" of <b> & $x', "<script>alert('$y')</script>"
    page = Page(player({name: tone(1.0)}, RATE, title=title).data)
    assert title in page.text
    assert name in page.text
    assert page.named("script") == page.named("b") == []
    assert page.named("audio")[0]["aria-label"] == name


def test_the_note_names_the_tracks_and_a_way_to_listen() -> None:
    note = static_note(["sine", "mix"])
    assert "sine, mix" in note
    assert "GitHub" in note
    assert "JupyterLab" in note
    page = Page(player({"sine": tone(1.0), "mix": tone(0.5)}, RATE).data)
    assert note in page.text
    assert ".srcsep-player .srcsep-note { display: none; }" in page.text


@pytest.mark.parametrize(
    ("tracks", "rate", "value", "remedy"),
    [
        ({}, RATE, "0 tracks", "pass at least one"),
        ({"a": np.zeros(0)}, RATE, "'a' has 0 samples", "pass a longer signal"),
        ({"a": np.array([0.1, np.nan])}, RATE, "1 of 2 samples of track 'a'", "clean or drop"),
        ({"a": np.zeros(9), "b": np.full(9, 1e-6)}, RATE, "(a, b) are silent (peak 1e-06)", "at least one that sounds"),
        ({"a": tone(1.0), "b": tone(1.0)[:-1]}, RATE, "a 3000, b 2999", "cut them to 2999"),
        ({"a": np.ones((2, 9))}, RATE, "(2, 9)", "pass one channel"),
        ({"a": tone(1.0)}, 0, "0 Hz", "whole sample rate"),
    ],
)
def test_bad_tracks_get_one_sentence(tracks: dict[str, np.ndarray], rate: int, value: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        player(tracks, rate)
    assert value in str(caught.value)
    assert remedy in str(caught.value)
