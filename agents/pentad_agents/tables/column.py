"""One column of a table: what it holds, counted in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from operator import mul
from typing import Any

from pentad_agents.tables.values import LARGEST, MISSING, TRUE_FALSE, is_day_first, parse_date, parse_number

MAX_DISTINCT = 10_000
TOP_VALUES = 5
EXTREMES = 5
EXAMPLE_CHARACTERS = 80


class Column:
    """Counts a column's cells chunk by chunk. What it holds is judged by its first chunk that is not
    empty."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = 0
        self.missing = 0
        self.kind = "empty"
        self.counter: Counter[str] | None = Counter()
        self.numbers = Numbers()
        self.invalid: Counter[str] = Counter()
        self.invalid_count = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.dates = 0
        self._day_first = False

    def add(self, cells: Sequence[str]) -> None:
        """The next cells, in order of the rows."""
        stripped = list(map(str.strip, cells))
        present = [cell for cell in stripped if cell not in MISSING]
        start, self.rows = self.rows, self.rows + len(cells)
        self.missing += len(cells) - len(present)
        if not present:
            return
        if self.kind == "empty":
            self.kind = self._judge(present[:1000])
        if self.counter is not None:
            self.counter.update(present)
            if len(self.counter) > MAX_DISTINCT:
                self.counter = None
        if self.kind == "number":
            self._add_numbers(stripped, present, start)
        elif self.kind == "date":
            self._add_dates(present)

    def _judge(self, present: Sequence[str]) -> str:
        enough = len(present) * 0.6
        if {cell.lower() for cell in present} <= TRUE_FALSE:
            return "boolean"
        if sum(parse_number(cell) is not None for cell in present) > enough:
            return "number"
        self._day_first = is_day_first(present)
        if sum(parse_date(cell, self._day_first) is not None for cell in present) > enough:
            return "date"
        return "text"

    def _add_numbers(self, cells: list[str], present: list[str], start: int) -> None:
        try:
            values = list(map(float, present))
            fine = sum(map(abs, values)) <= LARGEST
        except ValueError:
            fine = False
        if not fine:
            parsed = [(parse_number(cell), cell) for cell in present]
            self._note_invalid(cell for value, cell in parsed if value is None)
            values = [value for value, _ in parsed if value is not None]
        if values and self.numbers.add(values):
            self.numbers.note_extremes(cells, start)

    def _note_invalid(self, cells: Any) -> None:
        for cell in cells:
            self.invalid_count += 1
            if len(self.invalid) < 100 or cell in self.invalid:
                self.invalid[cell] += 1

    def _add_dates(self, present: list[str]) -> None:
        try:
            moments = [value for value in map(datetime.fromisoformat, present) if not value.tzinfo]
            if len(moments) < len(present):
                raise ValueError
        except ValueError:
            parsed = [(parse_date(cell, self._day_first), cell) for cell in present]
            self._note_invalid(cell for value, cell in parsed if value is None)
            moments = [value for value, _ in parsed if value is not None]
        if moments:
            self.dates += len(moments)
            self.first = min(moments) if self.first is None else min(self.first, min(moments))
            self.last = max(moments) if self.last is None else max(self.last, max(moments))

    def parse(self, cell: str) -> float | None:
        """The cell as a number, dates as seconds; None if it is neither."""
        cell = cell.strip()
        if self.kind == "number":
            return parse_number(cell) if cell not in MISSING else None
        moment = parse_date(cell, self._day_first) if self.kind == "date" else None
        return (moment - datetime(1970, 1, 1)).total_seconds() if moment else None

    def summary(self) -> dict[str, Any]:
        """What was counted, as JSON."""
        counted = self.counter
        found: dict[str, Any] = {
            "name": self.name,
            "type": self._type(),
            "missing": self.missing,
            "missing_share": round(self.missing / self.rows, 4) if self.rows else 0.0,
            "distinct": len(counted) if counted is not None else None,
        }
        if counted is None:
            found["distinct_more_than"] = MAX_DISTINCT
        if self.invalid_count:
            examples = [
                {"value": _short(cell), "count": count} for cell, count in self.invalid.most_common(3)
            ]
            found["invalid"] = {"count": self.invalid_count, "examples": examples}
        if self.first and self.last:
            found["first"], found["last"] = self.first.isoformat(), self.last.isoformat()
        if self.kind in ("text", "boolean") and counted:
            found["top"] = [{"value": _short(v), "count": n} for v, n in counted.most_common(TOP_VALUES)]
            found |= _spellings(counted)
        return found

    def _type(self) -> str:
        if self.kind == "number":
            return "integer" if self.numbers.whole else "number"
        return self.kind


class Numbers:
    """Count, sum, spread and extremes of the numbers seen so far (Chan, Golub and LeVeque's update by
    chunks)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0
        self.minimum = float("inf")
        self.maximum = float("-inf")
        self.zeros = 0
        self.negatives = 0
        self.whole = True
        self.lowest: list[tuple[float, int]] = []
        self.highest: list[tuple[float, int]] = []

    def add(self, values: list[float]) -> bool:
        """The next numbers; whether some of them may belong to the extremes."""
        count, low, high = len(values), min(values), max(values)
        mean = sum(values) / count
        off = [value - mean for value in values]
        delta, total = mean - self.mean, self.count + count
        self._squares += sum(map(mul, off, off)) + delta * delta * self.count * count / total
        self.mean += delta * count / total
        self.count = total
        self.zeros += values.count(0.0)
        if low < 0:
            self.negatives += sum(value < 0 for value in values)
        self.whole = self.whole and all(value.is_integer() for value in values)
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        few = len(self.lowest) < EXTREMES
        return few or low < self.lowest[-1][0] or high > self.highest[-1][0]

    def note_extremes(self, cells: list[str], start: int) -> None:
        """Finds the rows of the extremes among the cells of a chunk whose first row is number `start` (from
        0)."""
        low = self.lowest[-1][0] if len(self.lowest) == EXTREMES else float("inf")
        high = self.highest[-1][0] if len(self.highest) == EXTREMES else float("-inf")
        found = []
        for number, cell in enumerate(cells, start + 1):
            value = parse_number(cell) if cell not in MISSING else None
            if value is not None and (value < low or value > high):
                found.append((value, number))
        found = list(dict.fromkeys([*self.lowest, *self.highest, *found]))
        self.lowest = list(islice(sorted(found), EXTREMES))
        self.highest = sorted(found, key=lambda pair: (-pair[0], pair[1]))[:EXTREMES]

    @property
    def deviation(self) -> float:
        """The sample's standard deviation; 0 with fewer than two numbers."""
        return float((self._squares / (self.count - 1)) ** 0.5) if self.count > 1 else 0.0


def _short(text: str) -> str:
    return text if len(text) <= EXAMPLE_CHARACTERS else text[: EXAMPLE_CHARACTERS - 1] + "…"


def _spellings(counted: Counter[str]) -> dict[str, Any]:
    """Values that differ only in capitals or blanks, most often a slip."""
    groups: dict[str, list[str]] = {}
    if len(counted) > 2000:
        return {}
    for value in counted:
        groups.setdefault(" ".join(value.lower().split()), []).append(value)
    variants = [sorted(group) for group in groups.values() if len(group) > 1]
    return {"spelling_variants": variants[:5]} if variants else {}
