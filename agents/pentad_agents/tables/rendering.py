"""A profile as Markdown, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MAX_COLUMNS = 40


def profile_markdown(profile: Mapping[str, Any]) -> str:
    """What is in the table: its shape, its columns, and notes on how it was read."""
    form = profile["format"]
    described = form["kind"] + (f" ({form['delimiter']})" if form["delimiter"] else "")
    lines = [
        f"## Profile of {profile['file'] or 'the table'}",
        "",
        f"{profile['rows']:,} rows, {len(profile['columns'])} columns; {described}, {form['encoding']}"
        f"{'' if form['header'] else ', without a header'}.",
        "",
        "| column | type | missing | distinct | range or most frequent | median | mean ± deviation |",
        "|---|---|---|---|---|---|---|",
        *[_row(column) for column in profile["columns"][:MAX_COLUMNS]],
    ]
    if len(profile["columns"]) > MAX_COLUMNS:
        lines.append(f"\nOnly the first {MAX_COLUMNS} columns are shown.")
    notes = list(profile["notes"])
    if profile["sampled_rows"]:
        notes.append(
            f"quantiles, groups, correlations: from a random sample of {profile['sampled_rows']:,} rows; "
            "counts, means, deviations and extremes from all rows"
        )
    return "\n".join([*lines, *[f"\n- {note}" for note in notes]]) + "\n"


def figure(value: float) -> str:
    """A number as people write it: no trailing zeros, at most four significant digits after the point."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e15 else f"{value:,.4g}"


def many(count: int, noun: str) -> str:
    """A count and its noun: `1 row`, `2,100 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def span(seconds: float) -> str:
    """A stretch of time in its largest fitting unit."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds / length
            return f"{count:.3g} {unit}{'' if round(count, 2) == 1 else 's'}"
    return f"{seconds:.3g} seconds"


def _row(column: Mapping[str, Any]) -> str:
    distinct = column["distinct"]
    shown = f"{distinct:,}" if distinct is not None else f"> {column['distinct_more_than']:,}"
    missing = f"{column['missing']:,} ({column['missing_share']:.1%})" if column["missing"] else "0"
    middle = spread = ""
    if "mean" in column:
        middle = figure(column["median"])
        spread = f"{figure(column['mean'])} ± {figure(column['deviation'])}"
    cells = [column["name"], column["type"], missing, shown, _content(column), middle, spread]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _content(column: Mapping[str, Any]) -> str:
    if "minimum" in column:
        return f"{figure(column['minimum'])} … {figure(column['maximum'])}"
    if "first" in column:
        return f"{column['first']} … {column['last']}"
    return ", ".join(f"{entry['value']} ({entry['count']:,})" for entry in column.get("top", ())[:3])
