"""The bus's metrics, read from its counters when they are scraped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pentad_bus.bus import Bus
from pentad_bus.redis.bus import RedisBus
from pentad_bus.totals import totals_of

_COUNTERS = {
    "published": "Messages taken",
    "published_bytes": "Bytes of the messages taken",
    "stored_bytes": "Bytes of the messages that went into the history",
    "duplicates": "Publishes of a message that was already stored",
    "delivered": "Deliveries, repeated ones included",
    "redelivered": "Deliveries after the first of a message",
    "acked": "Deliveries acknowledged",
    "nacked": "Deliveries given back",
    "expired_leases": "Deliveries whose ack_wait ran out",
    "stale": "Acks, nacks and progress that came too late",
    "dropped": "Messages dropped: best-effort ones that were lost, and the oldest of full inboxes",
    "commits": "Transactions of the journal",
    "failed_commits": "Transactions of the journal that failed",
}
_GAUGES = {
    "queued": "Messages that wait to be delivered",
    "in_flight": "Deliveries that are not settled; on Redis, with what processes have fetched",
    "delayed": "Messages held back",
    "queued_bytes": "Bytes of all messages held",
    "inboxes": "Inboxes",
    "set_aside": "Messages that the history could not take",
    "connections": "Open Connect streams",
    "fetched": "Messages that this process took from Redis and gave to no connection yet",
}


class BusCollector(Collector):
    """Labels say nothing of tenants, agents or topics: those are without bound."""

    def __init__(self, bus: Bus | RedisBus) -> None:
        self._bus = bus

    def register(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Adds these metrics to those that are scraped."""
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them, as they are now."""
        counters = self._bus.counters
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"pentad_bus_{name}", text, value=getattr(counters, name))
        for name, text, found in (
            ("rejected", "Publishes refused, by reason", counters.rejected),
            ("dead", "Messages given up on, by reason", counters.dead),
        ):
            family = CounterMetricFamily(f"pentad_bus_{name}", text, labels=["reason"])
            for reason, count in list(found.items()):
                family.add_metric([reason], count)
            yield family
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        bus = self._bus
        found: dict[str, int] = {
            "set_aside": bus.journal.set_aside,
            "connections": len(bus.broker.directory.sessions()),
        }
        if isinstance(bus, RedisBus):
            found["fetched"] = sum(len(inbox.ready) for inbox in bus.broker.directory.inboxes())
            totals = bus.totals
        else:
            totals = totals_of(bus.broker.directory.inboxes())
        found |= asdict(totals) if totals is not None else {}
        for name, value in found.items():
            yield GaugeMetricFamily(f"pentad_bus_{name}", _GAUGES[name], value=value)
