"""How much an inbox holds, and how much a tenant may send."""

from __future__ import annotations

from typing import Literal, NamedTuple

Overflow = Literal["", "reject", "drop_oldest"]


class Policy(NamedTuple):
    """What an inbox's agent asked for. 0 and "" mean: as the bus is set. `max_bytes`: of encoded messages."""

    max_messages: int = 0
    max_bytes: int = 0
    overflow: Overflow = ""


class Usage:
    """Bytes that all inboxes of a tenant hold, a copy counted for each inbox that it is in."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class Rate:
    """A token bucket: `rate` messages a second, and at most one second's worth (or one message) at once."""

    __slots__ = ("_burst", "_rate", "_refilled", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._burst = self._tokens = max(1.0, rate)
        self._refilled = now

    def take(self, now: float) -> float:
        """Takes one message's token: 0, or the seconds until there will be one. `now`: steady seconds."""
        self._tokens = min(self._burst, self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate
