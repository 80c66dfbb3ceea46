"""The rows as a table for people: a line each system in a scenario, a column each metric."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.report import Row

HEADINGS = {
    "msgs_per_second": "msg/s",
    "latency_p50": "p50",
    "latency_p99": "p99",
    "latency_p99_9": "p99.9",
    "broker_cpu_per_message": "broker CPU",
    "client_cpu_per_message": "clients CPU",
    "broker_rss": "broker RSS",
    "publish_msgs_per_second": "publish msg/s",
    "drain_msgs_per_second": "drain msg/s",
    "memory_per_queued_message": "memory/queued",
    "journal_per_queued_message": "disk/queued",
}


def show(rows: Sequence[Row], headings: Mapping[str, str] = HEADINGS) -> None:
    """Prints medians, and the spread of rates."""
    metrics = list(dict.fromkeys(one.metric for one in rows))
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left")
    for heading in ("scenario", "system"):
        table.add_column(heading)
    for metric in metrics:
        unit = next(one.unit for one in rows if one.metric == metric)
        heading = headings.get(metric, metric)
        plain = unit in ("msg/s", "messages") or unit in heading
        table.add_column(heading if plain else f"{heading} {unit}", justify="right")
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for one in rows:
        found.setdefault((one.scenario, one.system), {})[one.metric] = one
    for (scenario, system), by_metric in found.items():
        table.add_row(scenario, system, *(_cell(by_metric.get(metric)) for metric in metrics))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cell(one: Row | None) -> str:
    if one is None:
        return ""
    if one.unit.endswith("/s"):
        spread = f" ({one.min:,.0f}-{one.max:,.0f})" if one.runs > 1 else ""
        return f"{one.median:,.0f}{spread}"
    return f"{one.median:,.4g}"
