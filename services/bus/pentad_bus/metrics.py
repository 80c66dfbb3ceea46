"""The bus's metrics, read from its counters when they are scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pentad_bus.bus import Bus
from pentad_bus.redis.bus import RedisBus

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
        inboxes = self._bus.broker.directory.inboxes()
        for name, text, value in (
            ("queued", "Messages that wait to be delivered", sum(len(inbox.ready) for inbox in inboxes)),
            ("in_flight", "Deliveries that are not settled", sum(inbox.in_flight for inbox in inboxes)),
            ("delayed", "Messages held back", sum(len(inbox.delayed) for inbox in inboxes)),
            ("queued_bytes", "Bytes of all messages held", sum(inbox.size for inbox in inboxes)),
            ("inboxes", "Inboxes", len(inboxes)),
            ("set_aside", "Messages that the history could not take", self._bus.journal.set_aside),
            ("connections", "Open Connect streams", len(self._bus.broker.directory.sessions())),
        ):
            yield GaugeMetricFamily(f"pentad_bus_{name}", text, value=value)
