"""Wakes those who wait for something to happen to a run."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Bells:
    """One bell a run. A ring wakes all who wait at that moment."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def ring(self, run_id: str) -> None:
        """Something happened."""
        for future in self._waiting.pop(run_id, ()):
            if not future.done():
                future.set_result(None)

    def listen(self, run_id: str) -> asyncio.Future[None]:
        """Done at the next ring. Ask before looking, so that nothing is missed in between."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[run_id].add(future)
        return future

    def leave(self, run_id: str, future: asyncio.Future[None]) -> None:
        """Stops listening."""
        waiting = self._waiting.get(run_id)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiting[run_id]
