"""Time as the broker sees it, so that tests can set it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that people read and that may jump, one that only goes on."""

    def wall(self) -> float:
        """Epoch seconds: for what is stored."""

    def steady(self) -> float:
        """Seconds that never go back: for what ends with the process."""


class SystemClock:
    """The machine's clocks."""

    wall = staticmethod(time.time)
    steady = staticmethod(time.monotonic)
