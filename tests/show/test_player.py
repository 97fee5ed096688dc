"""The player: one gain for all tracks, self-contained, always the same HTML (in a browser: test_player_browser.py)."""

import base64
import io
import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from srcsep_core.errors import InputError
from srcsep_core.show.player import PEAK, player, player_page, static_note
from srcsep_core.show.styles import source_style

RATE = 14_700
VOID = {"br", "img", "input", "meta", "link", "hr"}


class Page(HTMLParser):
    """Collects the tags with their attributes and the text, and holds that every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
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
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def tone(amplitude: float, frequency: float = 441.0, length: int = 3000) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(length) / RATE)


def content(html: str) -> dict[str, Any]:
    """What the script reads: rate, gain and the tracks with their audio."""
    return json.loads(Page(html).scripts[0])


def decoded(html: str) -> dict[str, list[np.ndarray]]:
    clips: dict[str, list[np.ndarray]] = {}
    for track in content(html)["tracks"]:
        read = [soundfile.read(io.BytesIO(base64.b64decode(audio))) for audio in track["audio"]]
        assert {rate for _, rate in read} == {content(html)["rate"]}
        clips[track["name"]] = [samples for samples, _ in read]
    return clips


def test_one_gain_keeps_the_tracks_in_proportion() -> None:
    tracks = {"sine": tone(0.02), "saw": tone(0.005, 600.0), "mix": tone(0.0125, 500.0), "rest": np.zeros(3000)}
    truths = {"saw": tone(0.01, 650.0)}
    audio = decoded(player(tracks, RATE, references=truths).data)
    assert [len(clips) for clips in audio.values()] == [1, 2, 1, 1]
    gain = PEAK / np.abs(tracks["sine"]).max()
    for name, track in tracks.items():
        np.testing.assert_allclose(audio[name][0], gain * track, atol=1.01 * 0.5 / 32_768)
    np.testing.assert_allclose(audio["saw"][1], gain * truths["saw"], atol=1.01 * 0.5 / 32_768)
    assert np.abs(audio["sine"][0]).max() == pytest.approx(PEAK, abs=1 / 32_768)


def test_loud_tracks_are_turned_down_and_not_clipped() -> None:
    html = player({"mix": torch.from_numpy(tone(40.0))[None]}, RATE).data
    np.testing.assert_allclose(decoded(html)["mix"][0], tone(PEAK) * 40 / np.abs(tone(40.0)).max(), atol=1e-4)
    assert content(html)["gain"] == pytest.approx(1.0)


def test_any_choice_of_tracks_and_truths_adds_up_without_clipping() -> None:
    tracks = {"mix": tone(1.0), "sine": tone(0.7), "saw": tone(0.4, 900.0)}
    truths = {"sine": tone(-0.9, 450.0), "saw": tone(0.3, 910.0)}
    html = player(tracks, RATE, references=truths).data
    loudest = sum(np.abs(clips).max(axis=0) for clips in decoded(html).values()).max()
    assert content(html)["gain"] * loudest == pytest.approx(PEAK, abs=1e-3)


def test_tracks_have_the_colour_of_their_source_and_one_of_them_is_the_mix() -> None:
    tracks = {"remix": tone(1.0), "triangle (estimate)": tone(0.5), "the mix": tone(0.1), "mix again": tone(0.1)}
    html = player(tracks, RATE, title="Four tracks").data
    found = [(track["colour"], track["mix"]) for track in content(html)["tracks"]]
    # No colour: that of the text, which suits light and dark pages.
    assert found == [("", False), (source_style("triangle").colour, False), ("", True), ("", False)]
    root = Page(html).named("div")[0]
    assert (root["role"], root["aria-label"]) == ("group", "Four tracks")
    assert root["data-lm-suppress-shortcuts"] == "true"


def test_nothing_is_loaded_from_outside() -> None:
    html = player({"a": tone(1.0)}, RATE, title="x").data
    page = Page(html)
    assert {tag for tag, _ in page.tags} <= {"div", "style", "p", "script"}
    assert all("src" not in attributes for attributes in page.named("script"))
    for word in ("http", "url(", "import ", "fetch(", "$"):
        assert word not in html


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
        player({"a": tone(1.0)}, RATE, title="x", references={"a": tone(1.0)}),
    ]
    assert len({identity(html), *(identity(other.data) for other in others)}) == 6


def test_names_and_titles_are_shown_as_they_are() -> None:
    title, name = 'A "mix" of <b> & $x', "</script><script>alert('$y')</script><!--"
    html = player({name: tone(1.0)}, RATE, title=title).data
    page = Page(html)
    assert title in page.text
    assert name in page.text
    assert len(page.named("script")) == 2
    assert page.named("b") == []
    assert content(html)["tracks"][0]["name"] == name


def test_without_scripts_only_the_title_and_the_note_are_left() -> None:
    note = static_note(["sine", "mix"])
    assert "sine, mix" in note
    assert "GitHub" in note
    assert "JupyterLab" in note
    page = Page(player({"sine": tone(1.0), "mix": tone(0.5)}, RATE, title="Two").data)
    assert page.text.split("\n") == [line for line in page.text.split("\n") if line in ("", "Two", note)]
    assert page.text.count(note) == 1


def test_a_page_is_a_whole_document_with_title_and_notes() -> None:
    html = player_page({"mix": tone(1.0)}, RATE, "<A> & B", {"mix": tone(0.5)}, "One.\n\n Two <b>\nlines. \n\n")
    assert html.startswith("<!doctype html>")
    page = Page(html)
    assert page.named("meta")[0] == {"charset": "utf-8"}
    assert page.text.count("<A> & B") == 2
    assert "\nOne.\nTwo <b>\nlines.\n" in page.text
    assert page.named("b") == []
    assert html == player_page({"mix": tone(1.0)}, RATE, "<A> & B", {"mix": tone(0.5)}, "One.\n\n Two <b>\nlines. \n\n")


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
        ({"a": tone(1.0)}, 192_000, "192000 Hz", "from 8000 to 96000 Hz"),
        ({"a": tone(1.0)}, 14_700.5, "14700.5 Hz", "whole sample rate"),
    ],
)
def test_bad_tracks_get_one_sentence(tracks: dict[str, np.ndarray], rate: float, value: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        player(tracks, rate)  # type: ignore[arg-type]
    assert value in str(caught.value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("references", "value", "remedy"),
    [
        ({"c": tone(1.0)}, "'c' belongs to no track", "the tracks are a, b"),
        ({"b": tone(1.0)[:-5]}, "'b' has 3000 samples and its reference 2995", "cut both to 2995"),
        ({"b": np.full(3000, np.inf)}, "3000 of 3000 samples of track 'b'", "clean or drop"),
    ],
)
def test_bad_references_get_one_sentence(references: dict[str, np.ndarray], value: str, remedy: str) -> None:
    for make in (player, player_page):
        with pytest.raises(InputError) as caught:
            make({"a": tone(1.0), "b": tone(1.0)}, RATE, "x", references)
        assert value in str(caught.value)
        assert remedy in str(caught.value)
