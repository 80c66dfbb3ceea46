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

    def begun(self, after: float) -> None:
        """The first piece of a streamed answer is there."""
        self._first.append(after)

    def came(self, characters: int) -> None:
        """A piece of an answer, or all of it. Raises RuntimeError if it is empty."""
        if not characters:
            raise RuntimeError("an answer was empty")
        self._characters += characters

    def ended(self, took: float) -> None:
        """An answer is complete."""
        self._took.append(took)

    def report(self, elapsed: float, cpu: float) -> dict[str, Any]:
        """For the benchmark: percentiles in milliseconds; `cpu` in all. Raises RuntimeError if there was
        nothing."""
        if not self._characters:
            raise RuntimeError("nothing was answered in time")
        report = {
            "calls": len(self._took),
            "elapsed": elapsed,
            "cpu": cpu,
            "tokens": self._characters / len(TOKEN),
        }
        if self._took:
            report |= {
                "latency_p50": 1000 * at(self._took, 0.5),
                "latency_p99": 1000 * at(self._took, 0.99),
            }
        if self._first:
            report |= {
                "first_token_p50": 1000 * at(self._first, 0.5),
                "first_token_p99": 1000 * at(self._first, 0.99),
            }
        return report


def at(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
