"""`python -m benchmarks.bus.plot RESULTS.json PLOT.svg`: the results as a picture; needs matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "pentad"
from matplotlib import pyplot  # noqa: E402 - after its backend is chosen

COLOURS = {
    "pentad": "#1d4ed8",
    "pentad-redis": "#60a5fa",
    "nats-core": "#166534",
    "nats-jetstream": "#4ade80",
    "redis-streams": "#dc2626",
    "autogen": "#a855f7",
    "rabbitmq": "#f59e0b",
}
LOSSY = "-lossy"
PACED = "paced-1k"

Bars = list[tuple[str, str, dict[str, dict[str, Any]]]]
"""Label, system, and rows by metric."""


def main(source: Path, target: Path) -> None:
    """Draws."""
    found = _by_scenario(json.loads(source.read_text())["rows"])
    speeds = [name for name in found if name != PACED]
    panels = len(speeds) + (PACED in found) + 1
    figure, axes = pyplot.subplots(
        (panels + 1) // 2, 2, figsize=(11, 2.7 * ((panels + 1) // 2)), squeeze=False
    )
    spots = iter(axes.flat)
    for name in speeds:
        _speeds(next(spots), name, found[name])
    if PACED in found:
        _latencies(next(spots), found[PACED])
    pairs = [(name.partition("-")[0], bar) for name in speeds if name.endswith("-1-1") for bar in found[name]]
    _cost(next(spots), [(f"{label}, {mode}", system, metrics) for mode, (label, system, metrics) in pairs])
    for spot in spots:
        spot.axis("off")
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


def _by_scenario(rows: list[dict[str, Any]]) -> dict[str, Bars]:
    """The bars of each panel; a scenario's lossy variant is beside it."""
    metrics: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        metrics.setdefault((row["scenario"], row["system"]), {})[row["metric"]] = row
    found: dict[str, Bars] = {}
    for (scenario, system), by_metric in metrics.items():
        variant = scenario.endswith(LOSSY)
        label = f"{system}, lossy" if variant else system
        found.setdefault(scenario.removesuffix(LOSSY), []).append((label, system, by_metric))
    return found


def _speeds(spot: Any, name: str, bars: Bars) -> None:
    bars = sorted(bars, key=lambda bar: bar[2]["msgs_per_second"]["median"])
    for place, (_, system, metrics) in enumerate(bars):
        row = metrics["msgs_per_second"]
        spread = [[row["median"] - row["min"]], [row["max"] - row["median"]]]
        spot.barh(place, row["median"], color=COLOURS.get(system), xerr=spread, ecolor="#666")
        spot.text(row["max"], place, f" {row['median']:,.0f}", va="center", fontsize=8)
    _finish(spot, f"{name}: messages delivered a second", bars)


def _latencies(spot: Any, bars: Bars) -> None:
    bars = sorted(bars, key=lambda bar: -bar[2]["latency_p50"]["median"])
    for place, (_, system, metrics) in enumerate(bars):
        p50, p99 = (metrics[f"latency_{name}"]["median"] for name in ("p50", "p99"))
        spot.barh(place, p99, color=COLOURS.get(system), alpha=0.35)
        spot.barh(place, p50, color=COLOURS.get(system))
        spot.text(p99, place, f" {p50:.2f} / {p99:.2f}", va="center", fontsize=8)
    _finish(spot, "latency at 1,000 messages a second, ms: p50 / p99", bars)
    spot.set_xscale("log")


def _cost(spot: Any, bars: Bars) -> None:
    bars = sorted(bars, key=lambda bar: -sum(_cpu(bar[2])))
    for place, (_, system, metrics) in enumerate(bars):
        broker, clients = _cpu(metrics)
        spot.barh(place, broker, color=COLOURS.get(system))
        spot.barh(place, clients, left=broker, color=COLOURS.get(system), alpha=0.35)
        spot.text(broker + clients, place, f" {broker:.1f} + {clients:.1f}", va="center", fontsize=8)
    _finish(spot, "CPU a message one to one, µs: broker + clients", bars)


def _cpu(metrics: dict[str, dict[str, Any]]) -> tuple[float, float]:
    return metrics["broker_cpu_per_message"]["median"], metrics["client_cpu_per_message"]["median"]


def _finish(spot: Any, title: str, bars: Bars) -> None:
    spot.set_title(title, fontsize=10, loc="left")
    spot.set_yticks(range(len(bars)), [label for label, _, _ in bars], fontsize=8)
    spot.tick_params(axis="x", labelsize=8)
    spot.margins(x=0.22)
    for side in ("top", "right"):
        spot.spines[side].set_visible(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
