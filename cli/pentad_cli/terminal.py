"""What the terminal can show. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def is_live(stream_is_terminal: bool) -> bool:
    """Whether a picture that changes can be drawn: a terminal, and one that can move its cursor."""
    return stream_is_terminal and os.environ.get("TERM", "") not in ("dumb", "unknown")


def out_is_terminal() -> bool:
    return sys.stdout.isatty()


def err_is_live() -> bool:
    return is_live(sys.stderr.isatty())


def out() -> Console:
    """Standard output with colours; none where NO_COLOR is set or no terminal is there."""
    from rich.console import Console

    return Console(highlight=False)


def err() -> Console:
    """Standard error with colours, as `out`."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A line for people, on standard error."""
    print(text, file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """The text without what would move the cursor or change colours: it comes from anyone."""
    return "".join(c if c.isprintable() else " " for c in text)
