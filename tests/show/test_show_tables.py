"""Tables as HTML: what heads a row or a column says so, and numbers have their decimals."""

from html.parser import HTMLParser

import pandas as pd

from srcsep_core.show.tables import table_html


class Cells(HTMLParser):
    """Collects (tag, scope, text) of every cell, and the caption."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str | None, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("th", "td", "caption"):
            self.found.append((tag, dict(attrs).get("scope"), ""))

    def handle_data(self, data: str) -> None:
        self.found[-1] = (*self.found[-1][:2], data)


def test_cells_are_headed_and_numbers_rounded() -> None:
    table = pd.DataFrame({"source": ["sine", "<b>"], "SI-SDR / dB": [12.345, -float("inf")], "n": [3, 4]})
    assert Cells(table_html(table, "How & what", {"SI-SDR / dB": 1})).found == [
        ("caption", None, "How & what"),
        *(("th", "col", name) for name in table),
        ("th", "row", "sine"),
        ("td", None, "12.3"),
        ("td", None, "3"),
        ("th", "row", "<b>"),
        ("td", None, "-inf"),
        ("td", None, "4"),
    ]
