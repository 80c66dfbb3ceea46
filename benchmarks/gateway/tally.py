"""What callers saw: how long each call took, and how much came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.gateway.upstream import TOKEN


class Tally:
    """Counts calls. Times are seconds."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self._first: list[float] = []
        self._characters = 0

    def whole(self, took: float, length: int) -> None:
        """An answer of so many characters. Raises RuntimeError if there are none."""
        if not length:
            raise RuntimeError("an answer was empty")
        self._took.append(took)
        self._characters += length

    def streamed(self, took: float, length: int, first: float | None) -> None:
        """A streamed answer, whose first piece came after `first`."""
        self.whole(took, length)
        if first is not None:
            self._first.append(first)

    def report(self, elapsed: float, cpu: float) -> dict[str, Any]:
        """For the benchmark: rates over `elapsed`, percentiles in milliseconds, `cpu` in all."""
        report = {
            "calls": len(self._took),
            "elapsed": elapsed,
            "cpu": cpu,
            "latency_p50": 1000 * at(self._took, 0.5),
            "latency_p99": 1000 * at(self._took, 0.99),
        }
        if self._first:
            report |= {
                "first_token_p50": 1000 * at(self._first, 0.5),
                "first_token_p99": 1000 * at(self._first, 0.99),
                "tokens": self._characters / len(TOKEN),
            }
        return report


def at(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
