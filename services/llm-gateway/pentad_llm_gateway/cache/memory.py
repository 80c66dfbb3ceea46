"""Answers kept in this process: the ones used last, up to a bound in bytes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_OVERHEAD = 250
"""Bytes that an entry takes beside its key and value."""


class MemoryCache:
    """See Cache. `most_bytes()`: the bound in force."""

    def __init__(self, most_bytes: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self.bytes = 0
        """Of all entries."""

    async def get(self, key: bytes) -> bytes | None:
        """See Cache."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """See Cache."""
        if key in self._entries:
            self._remove(key)
        most = self._most_bytes()
        if _size(key, value) > most:
            return
        self._entries[key] = (self._clock() + ttl, value)
        self.bytes += _size(key, value)
        while self.bytes > most:
            self._remove(next(iter(self._entries)))

    def _remove(self, key: bytes) -> None:
        _, value = self._entries.pop(key)
        self.bytes -= _size(key, value)


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + _OVERHEAD
