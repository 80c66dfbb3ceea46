"""Tells those who watch a run of its events as they are committed, so that they need not ask the database."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pentad.orchestrator.v1 import orchestrator_pb2

MOST_EVENTS = 256
"""Events kept for a watcher that is slow; what is dropped beyond, it finds in the database."""


class Listener:
    """One watcher's ear."""

    def __init__(self) -> None:
        self._events: deque[orchestrator_pb2.RunEvent] = deque(maxlen=MOST_EVENTS)
        self._news = asyncio.Event()

    def tell(self, events: Sequence[orchestrator_pb2.RunEvent]) -> None:
        """Events were committed."""
        self._events.extend(events)
        self._news.set()

    async def wait(self, seconds: float) -> None:
        """Returns when there is something to take, or after this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def after(self, sequence: int) -> list[orchestrator_pb2.RunEvent]:
        """Takes the events that follow a sequence without a gap; none if there is one."""
        events = list(self._events)
        self._events.clear()
        self._news.clear()
        fresh = [event for event in events if event.sequence > sequence]
        return fresh if fresh and fresh[0].sequence == sequence + 1 else []


class Listeners:
    """All who watch runs in this process."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}

    @contextmanager
    def listen(self, run_id: str) -> Iterator[Listener]:
        """A listener to the run, while the block lasts. Begin before looking: then nothing is missed."""
        listener = Listener()
        self._listeners.setdefault(run_id, set()).add(listener)
        try:
            yield listener
        finally:
            others = self._listeners[run_id]
            others.discard(listener)
            if not others:
                del self._listeners[run_id]

    def tell(self, run_id: str, events: Sequence[orchestrator_pb2.RunEvent]) -> None:
        """Events of the run were committed."""
        for listener in self._listeners.get(run_id, ()):
            listener.tell(events)
