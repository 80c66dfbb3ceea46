"""Which messages outlive their time to live, soonest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from pentad_bus.entry import Entry

_SLACK = 1024


class Expiry:
    """A heap that forgets what was settled in time: at most half of it, and 1,024 more, are leftovers."""

    __slots__ = ("_count", "_heap", "_live")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Entry]] = []
        self._count = 0
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def watch(self, entry: Entry) -> None:
        """Adds an entry whose `expires` is set."""
        self._count += 1
        self._live += 1
        heapq.heappush(self._heap, (entry.expires, self._count, entry))

    def forget(self, entry: Entry) -> None:
        """Takes out an entry that was watched."""
        entry.expires = 0.0
        self._live -= 1
        if len(self._heap) > 2 * self._live + _SLACK:
            self._heap = [item for item in self._heap if item[2].expires]
            heapq.heapify(self._heap)

    def next_due(self) -> float | None:
        """When the next one expires; possibly one that was settled."""
        return self._heap[0][0] if self._heap else None

    def expired(self, now: float) -> Iterator[Entry]:
        """Those whose time is up. They stay watched until they are forgotten, but are not named again."""
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)[2]
            if entry.expires:
                yield entry
