"""`python -m pentad_bus`: the bus, until SIGTERM."""

from __future__ import annotations

import gc
import sys

from pentad_bus.backends import make_bus
from pentad_bus.metrics import BusCollector
from pentad_bus.servicer import BusServicer, register
from pentad_bus.settings import BusSettings
from pentad_common.db import Database
from pentad_common.server import Server, run_service
from pentad_common.settings import load_settings


async def main() -> None:
    """Wires the bus to where it keeps messages, and serves it."""
    _tune()
    settings = load_settings(BusSettings)
    database = Database(settings.database_url, settings.database_pool_size)
    bus = make_bus(settings)
    BusCollector(bus).register()
    server = Server(settings, "bus", database)
    server.add(register, BusServicer(bus), hand_checked=["Connect"])
    bus.ledger.on_health = server.report_health
    await bus.start()
    try:
        await server.run(on_drain=lambda: bus.drain(settings.drain_seconds * 0.8))
    finally:
        await bus.close()
        database.close()


def _tune() -> None:
    """For a process that makes hundreds of thousands of small objects a second, none of them in a cycle."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # measured: an eighth of the CPU of a durable message
    sys.setswitchinterval(0.0001)  # how long the event loop waits for another thread that computes


if __name__ == "__main__":
    run_service(main)
