"""Ctrl-C and SIGTERM as something to wait for."""

from __future__ import annotations

import asyncio
import os
import signal
from types import TracebackType
from typing import Any

from pentad_cli.failure import Exit


class Interrupt:
    """Within the block, a signal does not end the program, but `came_before`; a second one does, at once."""

    def __init__(self) -> None:
        self._came = asyncio.Event()

    def __enter__(self) -> Interrupt:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    async def came_before(self, task: asyncio.Task[Any]) -> bool:
        """Waits for the task to end, or for a signal; whether it was the signal."""
        waiting = asyncio.create_task(self._came.wait())
        try:
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        return not task.done()

    def _take(self) -> None:
        if self._came.is_set():
            os._exit(Exit.INTERRUPTED)
        self._came.set()
