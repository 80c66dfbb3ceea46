"""Timers of runs: one a run, set anew whenever the run moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_LONGEST_SECONDS = 3600.0
_SHORTEST_SECONDS = 0.01


class Alarms:
    """Calls `ring(tenant, run_id)` when a run's time has come."""

    def __init__(self, ring: Callable[[str, str], None]) -> None:
        self._ring = ring
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def set(self, tenant: str, run_id: str, at: float | None) -> None:
        """Rings at this Unix time instead of when it was to; None: not at all."""
        timer = self._timers.pop(run_id, None)
        if timer is not None:
            timer.cancel()
        if at is not None:
            delay = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, at - time.time()))
            loop = asyncio.get_running_loop()
            self._timers[run_id] = loop.call_later(delay, self._fire, tenant, run_id)

    def _fire(self, tenant: str, run_id: str) -> None:
        self._timers.pop(run_id, None)
        self._ring(tenant, run_id)

    def clear(self) -> None:
        """No more rings."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
