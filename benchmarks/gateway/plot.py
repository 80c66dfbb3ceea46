"""`python -m benchmarks.gateway.plot RESULTS.json PLOT.svg`: the results as a picture; needs matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "pentad"
from matplotlib import pyplot  # noqa: E402 - after its backend is chosen

COLOURS = {"direct": "#9ca3af", "pentad": "#1d4ed8", "pentad-http": "#60a5fa", "litellm": "#f59e0b"}
PANELS = (
    ("unary-1", "added_latency_p50", "added to a call, ms (p50)", "{:.2f}"),
    ("unary-100", "calls_per_second", "calls a second, 100 at once", "{:,.0f}"),
    ("stream-100", "tokens_per_second", "tokens a second, 100 streams at once", "{:,.0f}"),
    ("stream-100", "first_token_p50", "first token with 100 streams at once, ms (p50)", "{:,.0f}"),
    ("cache-10", "hits_per_second", "answers a second from the cache, 10 calls at once", "{:,.0f}"),
    ("unary-10", "gateway_cpu_per_call", "the gateway's CPU a call, ms", "{:.2f}"),
)
"""Scenario, metric, title, and how its figures are written."""


def main(source: Path, target: Path) -> None:
    """Draws."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in json.loads(source.read_text())["rows"]:
        found.setdefault((row["scenario"], row["metric"]), []).append(row)
    panels = [
        (title, form, found[name, metric]) for name, metric, title, form in PANELS if (name, metric) in found
    ]
    lines = max(1, (len(panels) + 1) // 2)
    figure, axes = pyplot.subplots(lines, 2, figsize=(11, 2.1 * lines), squeeze=False)
    for spot, (title, form, rows) in zip(axes.flat, panels, strict=False):
        _bars(spot, title, form, rows)
    for spot in list(axes.flat)[len(panels) :]:
        spot.axis("off")
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


def _bars(spot: Any, title: str, form: str, rows: list[dict[str, Any]]) -> None:
    rows = sorted(rows, key=lambda row: list(COLOURS).index(row["system"]), reverse=True)
    for place, row in enumerate(rows):
        spread = [[row["median"] - row["min"]], [row["max"] - row["median"]]]
        spot.barh(place, row["median"], color=COLOURS[row["system"]], xerr=spread, ecolor="#666")
        spot.text(max(0, row["max"]), place, " " + form.format(row["median"]), va="center", fontsize=8)
    spot.set_title(title, fontsize=10, loc="left")
    spot.set_yticks(range(len(rows)), [row["system"] for row in rows], fontsize=8)
    spot.tick_params(axis="x", labelsize=8)
    spot.margins(x=0.22)
    for side in ("top", "right"):
        spot.spines[side].set_visible(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
