"""Progress that agents report, thinned out: the newest word of an attempt, now and then, ever more seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

FIRST_SECONDS = 0.1
"""A step that is done sooner needs no word in between."""
INTERVAL_SECONDS = 0.3
DOUBLES_AFTER = 50
MOST_ATTEMPTS = 10_000

Report = TypeVar("Report")


@dataclass(slots=True)
class _Pending(Generic[Report]):
    timer: asyncio.TimerHandle | None = None
    newest: Report | None = None
    passed: int = 0


class ProgressFilter(Generic[Report]):
    """Hands on at most one report an interval and attempt; the interval doubles with every 50 handed on."""

    def __init__(self, hand_on: Callable[[Report], None]) -> None:
        self._hand_on = hand_on
        self._attempts: dict[str, _Pending[Report]] = {}

    def report(self, attempt: str, report: Report) -> None:
        """Takes a report; it is handed on later, unless a newer one replaces it."""
        if attempt not in self._attempts and len(self._attempts) >= MOST_ATTEMPTS:
            self.end(next(iter(self._attempts)))
        pending = self._attempts.setdefault(attempt, _Pending())
        pending.newest = report
        if pending.timer is None:
            doubled = 2.0 ** (pending.passed // DOUBLES_AFTER)
            wait = INTERVAL_SECONDS * doubled if pending.passed else FIRST_SECONDS
            pending.timer = asyncio.get_running_loop().call_later(wait, self._pass, attempt)

    def _pass(self, attempt: str) -> None:
        pending = self._attempts.get(attempt)
        if pending is None or pending.newest is None:
            return
        report, pending.newest, pending.timer = pending.newest, None, None
        pending.passed += 1
        self._hand_on(report)

    def end(self, attempt: str) -> None:
        """The attempt is over: what is not handed on yet is dropped."""
        pending = self._attempts.pop(attempt, None)
        if pending is not None and pending.timer is not None:
            pending.timer.cancel()
