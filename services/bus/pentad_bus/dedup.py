"""The deduplication window: the ids of messages that were taken of late."""

from __future__ import annotations

from collections.abc import Iterable


class DedupWindow:
    """Remembers ids for at least `window` seconds, in two generations: the younger is filled, the older only
    asked.

    A generation also ends when it has `most` ids, which bounds memory and, under such a load, shortens the
    window.
    """

    __slots__ = ("_most", "_old", "_turned", "_window", "_young")

    def __init__(self, window: float, most: int, now: float = 0.0) -> None:
        self._window = window
        self._most = most
        self._turned = now
        self._young: set[str] = set()
        self._old: set[str] = set()

    def add(self, message_id: str) -> None:
        """Remembers an id."""
        if len(self._young) >= self._most:
            self._turn(self._turned)
        self._young.add(message_id)

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._young or message_id in self._old

    def forget(self, message_ids: Iterable[str]) -> None:
        """Takes back ids of messages that were not stored after all."""
        for message_id in message_ids:
            self._young.discard(message_id)
            self._old.discard(message_id)

    def advance(self, now: float) -> None:
        """Lets what is old enough go. Call it now and then."""
        if now - self._turned >= self._window:
            self._turn(now)

    def _turn(self, now: float) -> None:
        self._old, self._young, self._turned = self._young, set(), now

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
