"""What `pentad up` shows: a picture that changes on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pentad_cli.process_table import HEADINGS, measured, row
from pentad_cli.supervisor import Supervisor
from pentad_cli.table import rich_table
from pentad_cli.terminal import out
from pentad_cli.units import clock

if TYPE_CHECKING:
    from rich.console import RenderableType


class Lines:
    """A line for each thing that happens."""

    def note(self, text: str) -> None:
        """Prints it with the time of day."""
        with contextlib.suppress(OSError):  # nobody reads any more: no reason to stop
            print(f"{clock()} {text}", flush=True)

    def changed(self) -> None:
        """Nothing: a note says so too."""


class Picture:
    """A table of the processes below what was noted."""

    def __init__(self) -> None:
        from rich.live import Live

        self._console = out()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._supervisor: Supervisor | None = None
        self._footer = ""

    @contextlib.contextmanager
    def drawing(self, supervisor: Supervisor) -> Iterator[None]:
        """Draws `supervisor` within the block."""
        self._supervisor = supervisor
        with self._live:
            yield

    def note(self, text: str) -> None:
        """Prints it above the picture, with the time of day."""
        self._console.print(f"[dim]{clock()}[/dim] ", end="")
        self._console.print(text, markup=False)

    def changed(self) -> None:
        """Draws the picture anew; also to be called every second, for times and memory."""
        if self._supervisor is not None and self._live.is_started:
            self._live.update(_picture(self._supervisor.snapshot(), self._footer), refresh=True)

    def footer(self, text: str) -> None:
        """Sets the line below the table."""
        self._footer = text
        self.changed()


def _picture(snapshot: dict[str, Any], footer: str) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    table = rich_table(HEADINGS, (row(measured(process)) for process in snapshot["processes"]))
    return Group("", table, "", Text(footer or f"{snapshot['state']} …", style="dim"))
