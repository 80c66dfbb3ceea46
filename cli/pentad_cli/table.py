"""Lists: a table on a terminal, tab-separated with a line of headings in a pipe, JSON on request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pentad_cli.terminal import out, out_is_terminal, plain, say

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {
    "ready": "green",
    "active": "green",
    "completed": "green",
    "running": "cyan",
    "busy": "cyan",
    "starting": "cyan",
    "waiting": "yellow",
    "paused": "yellow",
    "suspect": "yellow",
    "draining": "yellow",
    "failed": "red",
    "down": "red",
    "not answering": "red",
    "cancelled": "magenta",
}
"""Of words that say how something stands."""


def show_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Prints the rows; where there are none, says `empty` on standard error."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        say(empty)
    elif out_is_terminal():
        out().print(rich_table(headings, cells))
    else:
        for line in [[heading.upper() for heading in headings], *cells]:
            print("\t".join(line))


def show_json(document: Any) -> None:
    """Prints one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def show_json_line(document: Any) -> None:
    """Prints one JSON document on one line, at once: for streams."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def rich_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table without frames; words that say how something stands have their colours."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    return table


def _cell(value: Any) -> str:
    return "" if value is None else plain(str(value))
