"""What is measured: Pentad and its peers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bus.broker import PEERS, Broker
from benchmarks.bus.peers import AutoGen, NatsCore, NatsJetStream, RabbitMq, Valkey
from benchmarks.bus.pentad_bus import PentadBus, PentadRedisBus
from benchmarks.bus.scenario import Scenario


@dataclass(frozen=True, slots=True)
class System:
    """A broker with its clients."""

    name: str
    broker: Callable[[Path], Broker]
    most: int
    """Messages a second that no measurement goes above: what is sent beyond what is delivered only waits."""
    durable: bool = False
    lossy: bool = False
    python: str = str(PEERS / "python")
    slow: bool = False
    """It takes seconds to start."""
    missing: Callable[[], str] = lambda: ""
    """Why it cannot be measured here; empty if it can."""

    def mode(self, scenario: Scenario) -> bool | None:
        """Whether it is measured as durable in a scenario; None: it is not measured in it."""
        if scenario.durable is None:
            return self.durable
        if scenario.variant and not (self.durable and self.lossy):
            return None
        able = self.durable if scenario.durable else self.lossy
        return scenario.durable if able else None


def _no_redis_backend() -> str:
    return "" if PentadRedisBus.url_setting() else "this version of the bus has no Redis backend"


SYSTEMS = {
    system.name: system
    for system in (
        System("pentad", PentadBus, 250_000, durable=True, lossy=True, python=sys.executable),
        System(
            "pentad-redis",
            PentadRedisBus,
            200_000,
            durable=True,
            lossy=True,
            python=sys.executable,
            missing=_no_redis_backend,
        ),
        System("nats-core", NatsCore, 400_000, lossy=True),
        System("nats-jetstream", NatsJetStream, 60_000, durable=True),
        System("redis-streams", Valkey, 150_000, durable=True),
        System("autogen", AutoGen, 8_000, lossy=True),
        System("rabbitmq", RabbitMq, 15_000, durable=True, slow=True, missing=RabbitMq.missing),
    )
}
