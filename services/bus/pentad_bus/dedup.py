"""The deduplication window: the ids of messages that were taken of late."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class DedupWindow:
    """Remembers ids for at least `window` seconds, in two generations: the younger is filled, the older only
    asked.

    A generation also ends when it has `most` ids, which bounds memory and, under such a load, shortens the
    window.
    """

    __slots__ = ("_most", "_turned", "_window", "old", "young")

    def __init__(self, window: float, most: int, now: float = 0.0) -> None:
        self._window = window
        self._most = most
        self._turned = now
        self.young: set[str] = set()
        """Ask both by hand where it must be quick."""
        self.old: set[str] = set()

    def add(self, message_id: str) -> None:
        """Remembers an id."""
        if len(self.young) >= self._most:
            self._turn(self._turned)
        self.young.add(message_id)

    def all_new(self, message_ids: Collection[str]) -> bool:
        """Whether none is remembered, and none comes twice."""
        return (
            self.young.isdisjoint(message_ids)
            and self.old.isdisjoint(message_ids)
            and len(set(message_ids)) == len(message_ids)
        )

    def update(self, message_ids: Collection[str]) -> None:
        """Remembers ids."""
        if len(self.young) + len(message_ids) > self._most:
            self._turn(self._turned)
        self.young.update(message_ids)

    def __contains__(self, message_id: object) -> bool:
        return message_id in self.young or message_id in self.old

    def forget(self, message_ids: Iterable[str]) -> None:
        """Takes back ids of messages that were not stored after all."""
        for message_id in message_ids:
            self.young.discard(message_id)
            self.old.discard(message_id)

    def advance(self, now: float) -> None:
        """Lets what is old enough go. Call it now and then."""
        if now - self._turned >= self._window:
            self._turn(now)

    def _turn(self, now: float) -> None:
        self.old, self.young, self._turned = self.young, set(), now

    def __len__(self) -> int:
        return len(self.young) + len(self.old)
