"""What a consumer has received: nothing lost, nothing twice, and how late it was."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.bus.job import HEADER, Job

WARM_UP_SECONDS = 0.5

Receive = Callable[[bytes], None]


class Tally:
    """Counts the messages of each producer; for a broadcast, at each consumer."""

    def __init__(self, job: Job) -> None:
        self.distinct = 0
        self.duplicates = 0
        self.last = 0
        """When something came last, by the monotonic clock in nanoseconds."""
        self._lists = job.connections if job.broadcast else 1
        self._seen = [[bytearray(job.most) for _ in range(job.producers)] for _ in range(self._lists)]
        self._warm = int(job.rate * WARM_UP_SECONDS)
        self._paced = bool(job.rate)
        self._late = array("q")

    def receiver(self, connection: int) -> Receive:
        """What the consumer of this number calls with every payload."""
        seen = self._seen[connection % self._lists]
        unpack, clock = HEADER.unpack_from, time.monotonic_ns

        def receive(payload: bytes) -> None:
            producer, number, sent = unpack(payload)
            self.last = now = clock()
            if seen[producer][number]:
                self.duplicates += 1
                return
            seen[producer][number] = 1
            self.distinct += 1
            if self._paced and number >= self._warm:
                self._late.append(now - sent)

        return receive

    def expected(self, sent: int) -> int:
        """How many there must be in the end, of so many sent."""
        return sent * self._lists

    def latency(self) -> dict[str, float]:
        """Percentiles in milliseconds."""
        if not self._late:
            return {}
        late = sorted(self._late)
        return {
            name: _at(late, share) / 1e6 for name, share in (("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999))
        }

    def report(self) -> dict[str, Any]:
        """For the benchmark."""
        return {
            "distinct": self.distinct,
            "duplicates": self.duplicates,
            "last": self.last,
            "latency": self.latency(),
        }


def _at(values: Sequence[int], share: float) -> int:
    return values[min(len(values) - 1, int(len(values) * share))]
