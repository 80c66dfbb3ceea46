"""A fair sample of a table's rows, and what can be said from it: quantiles, outliers, correlations, groups,
gaps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import compress, pairwise
from statistics import mean, median
from typing import Any

from pentad_agents.tables.column import Column
from pentad_agents.tables.reading import Chunk

MAX_ROWS = 20_000
MAX_CELLS = 400_000
SEED = 20260301
FENCE = 3.0  # Tukey's outer fences: quartiles and three times their distance
MIN_GROUP, MAX_GROUPS = 5, 20

Series = Sequence[float | None]


class RowSample:
    """Keeps every row of a small table and a random share of a large one, the same for the same file."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, str]]] = []
        self.seen = 0
        self._share = 1.0
        self._random = random.Random(SEED)

    @property
    def complete(self) -> bool:
        """Whether it holds all rows."""
        return self._share == 1.0

    def add(self, chunk: Chunk, size: int) -> None:
        """The next rows of the table."""
        numbers = range(size)
        if self._share < 1.0:
            numbers = sorted(self._random.sample(numbers, max(1, round(size * self._share))))  # type: ignore[assignment]
        names = list(chunk)
        for number in numbers:
            row = {name: chunk[name][number] for name in names}
            self.rows.append((self.seen + number + 1, row))
        self.seen += size
        limit = min(MAX_ROWS, max(1000, MAX_CELLS // max(1, len(names))))
        while len(self.rows) > limit:
            kept = self._random.sample(range(len(self.rows)), len(self.rows) // 2)
            self.rows = [self.rows[index] for index in sorted(kept)]
            self._share /= 2

    def series(self, column: Column) -> list[float | None]:
        """The column's values as numbers, None where there is none."""
        return [column.parse(row.get(column.name, "")) for _, row in self.rows]


def quantiles(ordered: Sequence[float]) -> dict[str, float]:
    """Quantiles of sorted numbers, interpolated as spreadsheets do."""
    return {name: _at(ordered, share) for name, share in _SHARES.items()}


_SHARES = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}


def _at(ordered: Sequence[float], share: float) -> float:
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def outliers(ordered: Sequence[float]) -> tuple[float, float, int] | None:
    """Tukey's outer fences and how many of the sorted numbers lie outside; None where the quartiles are one
    value."""
    low, high = _at(ordered, 0.25), _at(ordered, 0.75)
    if low == high or len(ordered) < 8:
        return None
    below, above = low - FENCE * (high - low), high + FENCE * (high - low)
    return below, above, sum(value < below or value > above for value in ordered)


def correlation(first: Series, second: Series) -> tuple[float, int] | None:
    """Pearson's r of the pairs that are whole, and how many there are; None below 8 pairs or without
    spread."""
    whole = [a is not None and b is not None for a, b in zip(first, second, strict=True)]
    x = [value for value in compress(first, whole) if value is not None]
    y = [value for value in compress(second, whole) if value is not None]
    if len(x) < 8:
        return None
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    dx, dy = [value - mean_x for value in x], [value - mean_y for value in y]
    spread = (sum(value * value for value in dx) * sum(value * value for value in dy)) ** 0.5
    if spread == 0:
        return None
    r = sum(a * b for a, b in zip(dx, dy, strict=True)) / spread
    return max(-1.0, min(1.0, r)), len(x)


def by_group(
    labels: Sequence[str], rows: Sequence[int], values: Series
) -> tuple[float, list[dict[str, Any]]] | None:
    """How much of the values' spread the labels explain (eta squared, from 0 to 1), and what each group is
    like.

    None unless there are two groups or more, and not too many, with enough values each.
    """
    groups: dict[str, list[tuple[int, float]]] = {}
    for label, row, value in zip(labels, rows, values, strict=True):
        if value is not None and label:
            groups.setdefault(label, []).append((row, value))
    groups = {label: held for label, held in groups.items() if len(held) >= MIN_GROUP}
    everything = [value for held in groups.values() for _, value in held]
    if not 2 <= len(groups) <= MAX_GROUPS:
        return None
    middle = mean(everything)
    total = sum((value - middle) ** 2 for value in everything)
    if total == 0:
        return None
    between = sum(len(held) * (mean(value for _, value in held) - middle) ** 2 for held in groups.values())
    return between / total, [_group(label, held) for label, held in sorted(groups.items())]


def _group(label: str, held: list[tuple[int, float]]) -> dict[str, Any]:
    """One group: its middle, how it moves along the rows, and what is far from the rest of it."""
    values = [value for _, value in held]
    ordered = sorted(values)
    fifth = max(1, len(values) // 5)
    found: dict[str, Any] = {
        "value": label,
        "count": len(held),
        "mean": rounded(mean(values)),
        "median": rounded(_at(ordered, 0.5)),
    }
    if trend := correlation([float(row) for row, _ in held], values):
        found["trend"] = rounded(trend[0])
        found["shift"] = rounded(median(values[-fifth:]) - median(values[:fifth]))
    fences = outliers(ordered)
    if fences and fences[2]:
        below, above, count = fences
        far = [(value, row) for row, value in held if not below <= value <= above]
        far.sort(key=lambda pair: -max(below - pair[0], pair[0] - above))
        examples = [{"value": rounded(value), "row": row} for value, row in far[:3]]
        found["outliers"] = {"count": count, "examples": examples}
    return found


def rounded(value: float) -> float:
    """To six significant digits: what a table of measurements bears."""
    return float(f"{value:.6g}")


def rhythm(moments: Series) -> dict[str, Any] | None:
    """The usual distance of moments in seconds, and the longest gap where it is far above; None if there are
    too few."""
    ordered = sorted({value for value in moments if value is not None})
    if len(ordered) < 8:
        return None
    steps = [(after - before, before) for before, after in pairwise(ordered)]
    usual = median(step for step, _ in steps)
    longest, since = max(steps, key=lambda pair: pair[0])
    gaps = sum(step > 1.5 * usual for step, _ in steps)
    return {"usual_seconds": usual, "longest_seconds": longest, "longest_after": since, "gaps": gaps}
