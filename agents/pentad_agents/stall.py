"""Notices an agent that holds up all others: code that blocks the event loop, such as `time.sleep()`."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from pathlib import Path

from pentad_agents.telemetry import get_logger

LONG_SECONDS = 2.0
LOOK_SECONDS = 0.5

log = get_logger(__name__)


class StallWatch:
    """A thread that looks whether the loop still turns, and logs where it stands when it does not."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._loop = asyncio.get_running_loop()
        self._main = threading.get_ident()
        self._turned = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall watch", daemon=True)

    def __enter__(self) -> StallWatch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _turn(self) -> None:
        self._turned = time.monotonic()

    def _watch(self) -> None:
        told = False
        while not self._over.wait(LOOK_SECONDS):
            stalled = time.monotonic() - self._turned
            if stalled < LONG_SECONDS:
                told = False
                self._loop.call_soon_threadsafe(self._turn)
            elif not told:
                told = True
                log.warning(
                    "an agent blocks all others; use asyncio.to_thread() for work that does not await",
                    seconds=round(stalled, 1),
                    where=self._where(),
                )

    def _where(self) -> str:
        """The innermost line of an agent's file that the loop's thread is in."""
        frames = traceback.extract_stack(sys._current_frames().get(self._main))
        mine = [frame for frame in frames if frame.filename.startswith(self._folder)]
        place = (mine or frames)[-1]
        return f"{Path(place.filename).name} line {place.lineno}: {place.line}"
