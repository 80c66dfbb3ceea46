"""The windows that budgets are of: they follow each other without a gap, and all gateways cut them alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_TEXT = re.compile(r"([1-9][0-9]{0,3})(mo|m|h|d|w)")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_FIRST_MONDAY = 4 * 86400
"""1970 began on a Thursday."""


@dataclass(frozen=True, slots=True)
class Window:
    """So many minutes, hours, days, weeks or months (`mo`) in UTC. Days begin at midnight, weeks on Monday,
    months on the 1st; several of them are counted from 1970."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Window:
        """The window in `30m`, `1h`, `1d`, `1w` or `1mo`. Raises ValueError."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError("is no window: a number and one of m, h, d, w and mo, such as 1d")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    def around(self, now: float) -> tuple[float, float]:
        """Begin (included) and end (not) of the window that `now` is in, in seconds of `time.time()`."""
        if self.unit == "mo":
            return self._months(now)
        length = self.count * _SECONDS[self.unit]
        anchor = _FIRST_MONDAY if self.unit == "w" else 0
        begin = (now - anchor) // length * length + anchor
        return begin, begin + length

    def _months(self, now: float) -> tuple[float, float]:
        moment = datetime.fromtimestamp(now, UTC)
        first = ((moment.year - 1970) * 12 + moment.month - 1) // self.count * self.count
        return _month(first), _month(first + self.count)


def _month(number: int) -> float:
    """When the month begins, counted from January 1970."""
    return datetime(1970 + number // 12, number % 12 + 1, 1, tzinfo=UTC).timestamp()
