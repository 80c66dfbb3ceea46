"""How long `pentad up` takes to be ready, and what its processes have in memory when they do nothing."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.embedded import running, status
from benchmarks.report import Row, row

STARTS = 5
IDLE_SECONDS = 5.0
MIB = 1024 * 1024


def measure() -> list[Row]:
    """Ready times with an empty state directory and with one that was used before; resident memory."""
    first, again = [], []
    memory: dict[str, list[float]] = {}
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory(prefix="pentad-bench-") as folder:
            state = Path(folder)
            first.append(_start(state, None))
            again.append(_start(state, memory))
    rows = [
        row("up --detach, empty state directory", "until it returns", "s", first),
        row("up --detach, used state directory", "until it returns", "s", again),
    ]
    idle = f"{IDLE_SECONDS:.0f} s after the start, nothing to do"
    return rows + [row(idle, f"resident memory, {name}", "MiB", sizes) for name, sizes in memory.items()]


def _start(state: Path, memory: dict[str, list[float]] | None) -> float:
    began = time.perf_counter()
    with running(state):
        took = time.perf_counter() - began
        if memory is not None:
            time.sleep(IDLE_SECONDS)
            for process in status(state)["processes"]:
                memory.setdefault(process["name"], []).append(process["rss_bytes"] / MIB)
    return took
