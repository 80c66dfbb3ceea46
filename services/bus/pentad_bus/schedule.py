"""What is to be done later, in order of time."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Schedule:
    """Actions by the time they are due, in seconds of one clock. An action that no longer applies does
    nothing.
    """

    __slots__ = ("_count", "_heap", "on_earlier")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action]] = []
        self._count = 0
        self.on_earlier: Callable[[float], None] = lambda due: None
        """Called when something is due before all else that is."""

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, due: float, action: Action) -> None:
        """Does `action` when `run` is next called at or after `due`."""
        self._count += 1
        earlier = not self._heap or due < self._heap[0][0]
        heapq.heappush(self._heap, (due, self._count, action))
        if earlier:
            self.on_earlier(due)

    def next_due(self) -> float | None:
        """When the first action is due."""
        return self._heap[0][0] if self._heap else None

    def run(self, now: float) -> None:
        """Does all that is due."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()
