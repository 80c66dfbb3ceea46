"""The profile of a table: one JSON object with what its columns hold, what stands out of them and how they go
together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, BinaryIO

from pentad_agents.errors import AgentError
from pentad_agents.tables.column import Column
from pentad_agents.tables.reading import Table, open_table
from pentad_agents.tables.sample import RowSample, by_group, correlation, outliers, quantiles, rhythm, rounded

MAX_CORRELATED = 20  # columns: the first ones
MAX_DUPLICATE_ROWS = 200_000
WEAK = 0.3
MIN_EXPLAINED = 0.05


def profile_table(
    file: BinaryIO,
    name: str = "",
    content_type: str = "",
    progress: Callable[[float], None] = lambda fraction: None,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """The profile of the table in a seekable file. `progress` is told the share read; `stopped` may end it
    early.

    Raises AgentError EMPTY_INPUT, BINARY_INPUT, NOT_A_TABLE, INVALID_TABLE or INVALID_JSON.
    """
    size = file.seek(0, 2)
    file.seek(0)
    table = open_table(file, name, content_type)
    columns, sample, duplicates = _read(table, file, size, progress, stopped)
    if not sample.seen:
        heads = f" (only the header: {', '.join(columns)[:200]})" if columns else ""
        raise AgentError("EMPTY_INPUT", f"{name or 'the input'} has no rows{heads}")
    series = {
        column.name: sample.series(column) for column in columns.values() if column.kind in ("number", "date")
    }
    found = {
        "file": name,
        "format": {
            "kind": table.format,
            "delimiter": table.delimiter or None,
            "encoding": table.encoding,
            "header": table.header,
        },
        "rows": sample.seen,
        "columns": [_describe(column, sample, series) for column in columns.values()],
        "duplicate_rows": duplicates,
        "correlations": _correlations(columns, series),
        "groups": _groups(columns, sample, series),
        "sampled_rows": None if sample.complete else len(sample.rows),
        "notes": table.notes,
    }
    _date_examples(found, sample)
    return found


def _date_examples(found: dict[str, Any], sample: RowSample) -> None:
    """Notes the moment of each outlier beside its row, where the table has a column of moments."""
    clock = next((column["name"] for column in found["columns"] if column["type"] == "date"), None)
    if clock is None:
        return
    moments = {number: row.get(clock, "") for number, row in sample.rows}
    holders = [*found["columns"], *[part for group in found["groups"] for part in group["groups"]]]
    for holder in holders:
        for example in holder.get("outliers", {}).get("examples", ()):
            if moments.get(example["row"]):
                example["at"] = moments[example["row"]]


def _read(
    table: Table, file: BinaryIO, size: int, progress: Callable[[float], None], stopped: Callable[[], bool]
) -> tuple[dict[str, Column], RowSample, int | None]:
    columns: dict[str, Column] = {}
    sample, seen, duplicates = RowSample(), set[int](), 0
    for chunk in table.chunks:
        if stopped():
            raise AgentError("CANCELLED", "stopped while reading the table")
        rows = len(next(iter(chunk.values()), ()))
        for name, cells in chunk.items():
            if name not in columns:
                columns[name] = column = Column(name)
                column.rows = column.missing = sample.seen
            columns[name].add(cells)
        if sample.seen <= MAX_DUPLICATE_ROWS:
            marks = list(map(hash, zip(*chunk.values(), strict=True)))
            before = len(seen)
            seen.update(marks)
            duplicates += len(marks) - (len(seen) - before)
        sample.add(chunk, rows)
        progress(min(1.0, file.tell() / size) if size else 1.0)
    return columns, sample, duplicates if sample.seen <= MAX_DUPLICATE_ROWS else None


def _describe(column: Column, sample: RowSample, series: dict[str, list[float | None]]) -> dict[str, Any]:
    found = column.summary()
    values = [value for value in series.get(column.name, ()) if value is not None]
    if column.kind == "number" and values:
        found |= _describe_numbers(column, sorted(values), sample)
        if trend := correlation([float(number) for number, _ in sample.rows], series[column.name]):
            found["trend"] = rounded(trend[0])  # Pearson's r with the number of the row
    if column.kind == "date" and sample.complete and (beat := rhythm(series[column.name])):
        beat["longest_after"] = (
            datetime.fromtimestamp(beat["longest_after"], UTC).replace(tzinfo=None).isoformat()
        )
        found["rhythm"] = beat
    return found


def _describe_numbers(column: Column, ordered: list[float], sample: RowSample) -> dict[str, Any]:
    numbers = column.numbers
    found: dict[str, Any] = {
        "mean": rounded(numbers.mean),
        "deviation": rounded(numbers.deviation),
        "minimum": rounded(numbers.minimum),
        "maximum": rounded(numbers.maximum),
        **{name: rounded(value) for name, value in quantiles(ordered).items()},
        "zeros": numbers.zeros,
        "negatives": numbers.negatives,
    }
    if fences := outliers(ordered):
        below, above, count = fences
        extreme = [pair for pair in [*numbers.lowest, *numbers.highest] if not below <= pair[0] <= above]
        extreme.sort(key=lambda pair: -max(below - pair[0], pair[0] - above))
        share = count / len(ordered)
        if extreme:
            found["outliers"] = {
                "count": max(count, len(extreme)) if sample.complete else None,
                "share": round(share, 5),
                "below": rounded(below),
                "above": rounded(above),
                "examples": [{"value": rounded(value), "row": row} for value, row in extreme[:5]],
            }
    return found


def _correlations(columns: dict[str, Column], series: dict[str, list[float | None]]) -> list[dict[str, Any]]:
    """Pairs of numeric columns that go together, the strongest first."""
    names = [name for name in series if columns[name].kind == "number"][:MAX_CORRELATED]
    found: list[dict[str, Any]] = []
    for first, second in combinations(names, 2):
        both = correlation(series[first], series[second])
        if both and abs(both[0]) >= WEAK:
            found.append({"first": first, "second": second, "r": round(both[0], 3), "pairs": both[1]})
    return sorted(found, key=lambda pair: -abs(pair["r"]))[:10]


def _groups(
    columns: dict[str, Column], sample: RowSample, series: dict[str, list[float | None]]
) -> list[dict[str, Any]]:
    """Numeric columns whose means differ between the values of a column of words, the clearest first."""
    found: list[dict[str, Any]] = []
    rows = [row for row, _ in sample.rows]
    known: list[list[int]] = []
    for label in columns.values():
        if label.kind not in ("text", "boolean") or not label.counter or not 2 <= len(label.counter) <= 20:
            continue
        labels = [row.get(label.name, "").strip() for _, row in sample.rows]
        first_seen: dict[str, int] = {}
        partition = [first_seen.setdefault(value, len(first_seen)) for value in labels]
        if partition in known:  # another name for the same groups
            continue
        known.append(partition)
        for name in (name for name in series if columns[name].kind == "number"):
            split = by_group(labels, rows, series[name])
            if split and split[0] >= MIN_EXPLAINED:
                group = {"by": label.name, "column": name, "explains": round(split[0], 3), "groups": split[1]}
                found.append(group)
    return sorted(found, key=lambda group: -group["explains"])[:10]
