"""The processes of an embedded Pentad as a table: for `pentad status` and the picture of `pentad up`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pentad_cli.memory import descendants, resident
from pentad_cli.units import ago, size

HEADINGS = ("process", "state", "pid", "uptime", "restarts", "memory", "address")


def measured(process: Mapping[str, Any]) -> dict[str, Any]:
    """A process of `up.json` with its memory: its own, and that of what it started, like the local model."""
    pid = process.get("pid")
    children = descendants(pid) if pid else []
    return {
        **process,
        "rss_bytes": resident(pid) if pid else None,
        "children_rss_bytes": sum(resident(child) or 0 for child in children),
    }


def row(process: Mapping[str, Any]) -> list[str]:
    """A measured process under HEADINGS."""
    started = process.get("started")
    up = datetime.fromisoformat(started) if started and process.get("pid") else None
    memory = size(process.get("rss_bytes"))
    if process.get("children_rss_bytes"):
        memory += f" + {size(process['children_rss_bytes'])}"
    return [
        process["name"],
        process["state"],
        str(process.get("pid") or "-"),
        ago(up) or "-",
        str(process["restarts"]),
        memory or "-",
        process.get("address") or "-",
    ]
