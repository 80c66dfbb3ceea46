"""Rows of a benchmark: as a file, and as a table on the terminal."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One figure: which `metric` of which `system` in which `scenario`, over how many `runs`."""

    system: str
    scenario: str
    metric: str
    unit: str
    median: float
    min: float
    max: float
    runs: int


def row(scenario: str, metric: str, unit: str, samples: Sequence[float], system: str = "pentad") -> Row:
    """The row of some samples; figures keep four significant digits."""
    return Row(
        system,
        scenario,
        metric,
        unit,
        _rounded(statistics.median(samples)),
        _rounded(min(samples)),
        _rounded(max(samples)),
        len(samples),
    )


def save(name: str, rows: Sequence[Row], **facts: Any) -> Path:
    """Writes `results/<name>.json`; returns its path. `facts`: more about what it was measured on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {"machine": machine() | facts, "rows": [asdict(one) for one in rows]}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def machine() -> dict[str, Any]:
    """What it was measured on, without names of hosts or people."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "grpcio": version("grpcio"),
        "pentad": version("pentad"),
    }


def show(rows: Sequence[Row]) -> None:
    """Prints the rows as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("system", "scenario", "metric", "unit"):
        table.add_column(heading)
    for heading in ("median", "min", "max", "runs"):
        table.add_column(heading, justify="right")
    for one in rows:
        table.add_row(*(str(value) for value in asdict(one).values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )
