"""Tables as HTML in the look of the player and the explorer (`look.css`)."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd


def table_html(table: pd.DataFrame, caption: str, decimals: Mapping[str, int]) -> str:
    """The table under its caption: the first column heads the rows, and the columns of `decimals` have as many."""

    def cell(column: str, value: object) -> str:
        return f"{value:.{decimals[column]}f}" if column in decimals else str(value)

    columns = [str(column) for column in table]
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = ""
    for row in table.itertuples(index=False):
        first, *others = (escape(cell(column, value)) for column, value in zip(columns, row, strict=True))
        body += f'<tr><th scope="row">{first}</th>{"".join(f"<td>{text}</td>" for text in others)}</tr>'
    return (
        f'<div class="srcsep-scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
