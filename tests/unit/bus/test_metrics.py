"""The bus's metrics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import CollectorRegistry, generate_latest

from pentad_bus.metrics import BusCollector
from tests.unit.bus.world import World, to


def test_metrics_say_what_happened_and_how_it_stands() -> None:
    """Counters and gauges, by reason where there is one; no tenant, agent or topic in any label."""
    world = World()
    a, b = world.connect("secret-agent", tenant="secret-tenant"), world.connect("b", tenant="secret-tenant")
    world.publish(a, to("b"), to("b"), to("nobody"))
    b.ack([b.take()[0][0]])
    journal = SimpleNamespace(set_aside=3)
    bus: Any = SimpleNamespace(counters=world.broker.counters, broker=world.broker, journal=journal)
    registry = CollectorRegistry()
    BusCollector(cast(Any, bus)).register(registry)
    text = generate_latest(registry).decode()
    for line in (
        "pentad_bus_published_total 2.0",
        "pentad_bus_delivered_total 2.0",
        "pentad_bus_acked_total 1.0",
        "pentad_bus_in_flight 1.0",
        "pentad_bus_set_aside 3.0",
        'pentad_bus_rejected_total{reason="RECIPIENT_UNKNOWN"} 1.0',
    ):
        assert line in text
    assert "secret" not in text
