"""One measurement: one system in one scenario, once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.bus.broker import Broker
from benchmarks.bus.job import Job
from benchmarks.bus.process import MIB, Talker
from benchmarks.bus.profile import Profile
from benchmarks.bus.scenario import Scenario
from benchmarks.bus.system import System

READY_SECONDS = 60.0
LONGEST_SECONDS = 180.0
"""That a measurement takes, whatever goes wrong."""

UNITS = {
    "msgs_per_second": "msg/s",
    "latency_p50": "ms",
    "latency_p99": "ms",
    "latency_p99_9": "ms",
    "broker_cpu_per_message": "µs",
    "client_cpu_per_message": "µs",
    "broker_rss": "MiB",
    "lost": "messages",
    "duplicated": "messages",
}
"""The metrics and their units. A message is one delivered copy."""


def measure(
    system: System, scenario: Scenario, durable: bool, seconds: float, profile: Profile | None = None
) -> dict[str, float]:
    """Starts everything, measures, ends everything. Raises RuntimeError if something goes wrong."""
    with tempfile.TemporaryDirectory(prefix="pentad-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with running(system.broker(folder)) as broker:
            job = _job(system, scenario, broker, durable, seconds)
            return load(system, job, broker, profile)


@contextmanager
def running(broker: Broker) -> Iterator[Broker]:
    """Starts a broker, and stops it."""
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def _job(system: System, scenario: Scenario, broker: Broker, durable: bool, seconds: float) -> Job:
    copies = scenario.consumers if scenario.broadcast else 1
    rate = scenario.rate or system.most
    return Job(
        system=system.name,
        role="produce",
        address=broker.address,
        durable=durable,
        broadcast=scenario.broadcast,
        connections=scenario.producers,
        producers=scenario.producers,
        consumers=scenario.consumers,
        rate=scenario.rate,
        seconds=seconds,
        most=max(1, int(rate * seconds) // scenario.producers // copies),
        key=broker.key,
    )


def load(system: System, job: Job, broker: Broker, profile: Profile | None = None) -> dict[str, float]:
    """Puts one process of producers and one of consumers to work; what they and the broker say of it."""
    with (
        client(system, broker.folder, "producer") as producer,
        client(system, broker.folder, "consumer") as consumer,
    ):
        producer.tell(job.to_json())
        consuming = replace(job, role="consume", connections=job.consumers, address=broker.consumer_address)
        consumer.tell(consuming.to_json())
        consumer.answer(READY_SECONDS)
        producer.answer(READY_SECONDS)
        before = broker.cpu_seconds()
        consumer.tell("go")
        producer.tell("go")
        if profile is not None:
            pids = {"broker": broker.processes[-1], "producer": producer, "consumer": consumer}
            profile.record({name: process.pid for name, process in pids.items()}, job.seconds)
        sent = producer.answer(job.seconds + LONGEST_SECONDS)
        consumer.tell({"sent": sent["sent"]})
        came = consumer.answer(LONGEST_SECONDS)
        used = broker.cpu_seconds() - before
        if profile is not None:
            profile.stop()
        producer.tell("done")
        return _metrics(sent, came, used, broker)


def _metrics(sent: dict[str, Any], came: dict[str, Any], cpu: float, broker: Broker) -> dict[str, float]:
    distinct = came["distinct"]
    if not distinct:
        raise RuntimeError(f"of {sent['sent']} messages none came")
    return {
        "msgs_per_second": distinct / ((came["last"] - sent["began"]) / 1e9),
        **{f"latency_{name}": late for name, late in came["latency"].items()},
        "broker_cpu_per_message": 1e6 * cpu / distinct,
        "client_cpu_per_message": 1e6 * (sent["cpu"] + came["cpu"]) / distinct,
        "broker_rss": broker.memory_bytes(peak=True) / MIB,
        "lost": came["expected"] - distinct,
        "duplicated": came["duplicates"],
    }


@contextmanager
def client(system: System, folder: Path, name: str) -> Iterator[Talker]:
    """A client process, idle."""
    process = Talker([system.python, "-m", "benchmarks.bus.load"], folder / f"{name}.log")
    try:
        yield process
    finally:
        process.stop()
