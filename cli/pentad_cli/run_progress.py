"""Progress of a run on standard error: a picture on a terminal, lines elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_cli.run_view import Attempt, RunView
from pentad_cli.table import COLOURS
from pentad_cli.terminal import err, err_is_live, plain, say
from pentad_cli.units import clock, span

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_REDRAW_SECONDS = 0.1
_MARKS = {"completed": "✔", "failed": "✘", "waiting": "…", "skipped": "-", "cancelled": "■", "pending": " "}


class Progress(Protocol):
    """Takes a run's events and shows them."""

    view: RunView

    def apply(self, event: orchestrator_pb2.RunEvent) -> None:
        """Shows what the event changes."""


class Silent:
    """Shows nothing."""

    def __init__(self, run_id: str) -> None:
        self.view = RunView(run_id)

    def apply(self, event: orchestrator_pb2.RunEvent) -> None:
        """Takes the event."""
        self.view.apply(event)


class Lines(Silent):
    """A line for each event, with its time of day."""

    def apply(self, event: orchestrator_pb2.RunEvent) -> None:
        """Prints it."""
        line = self.view.apply(event)
        if line:
            time = event.time.ToDatetime(tzinfo=UTC) if event.HasField("time") else None
            say(f"{clock(time)} {plain(line)}")


class Picture(Silent):
    """A table of the steps that is drawn anew as they change."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        from rich.live import Live
        from rich.spinner import Spinner

        self._live = Live(console=err(), auto_refresh=False)
        self._spinner = Spinner("dots")

    @contextlib.asynccontextmanager
    async def drawing(self) -> AsyncIterator[None]:
        """Draws within the block; the last picture stays."""
        with self._live:
            redrawing = asyncio.create_task(self._redraw())
            try:
                yield
            finally:
                redrawing.cancel()
                self._draw()

    async def _redraw(self) -> None:
        while True:
            self._draw()
            await asyncio.sleep(_REDRAW_SECONDS)

    def _draw(self) -> None:
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        view = self.view
        heading = Text.assemble(
            ("run ", "dim"),
            view.run_id,
            "  ",
            (view.state, COLOURS.get(view.state, "")),
            f"  {span(view.seconds())}",
        )
        if view.tokens:
            heading.append(f"  {view.tokens} tokens")
        parts: list[RenderableType] = [heading, self._table()]
        if view.over and view.state != "completed" and view.message:
            parts.append(Text(plain(view.message), style="red"))
        return Group(*parts)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for options in (
            {"width": 1},
            {},
            {},
            {"justify": "right"},
            {"justify": "right"},
            {"overflow": "fold"},
        ):
            table.add_column(**options)
        for attempt in self.view.steps.values():
            table.add_row(*self._row(attempt))
        return table

    def _row(self, attempt: Attempt) -> list[RenderableType]:
        from rich.text import Text

        running = attempt.state == "running" and not self.view.over
        mark: RenderableType = self._spinner if running else Text(_MARKS.get(attempt.state, " "))
        state = attempt.state + (f" #{attempt.number}" if attempt.number > 1 else "")
        if running and attempt.fraction is not None:
            state += f" {attempt.fraction:.0%}"
        return [
            mark,
            Text(plain(attempt.title)),
            Text(state, style=COLOURS.get(attempt.state, "")),
            Text(span(attempt.seconds(datetime.now(UTC)))),
            Text(f"{attempt.tokens} tokens" if attempt.tokens else ""),
            Text(plain(attempt.message) if attempt.state != "completed" else "", style="dim"),
        ]


@contextlib.asynccontextmanager
async def showing_progress(run_id: str, quiet: bool = False) -> AsyncIterator[Progress]:
    """Progress of a run, in the way that standard error can show."""
    if quiet or not err_is_live():
        yield Silent(run_id) if quiet else Lines(run_id)
        return
    picture = Picture(run_id)
    async with picture.drawing():
        yield picture
