"""How cost grows: with agents that are connected, with messages that wait, with processes of the bus."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.bus.broker import Broker
from benchmarks.bus.job import Job
from benchmarks.bus.measurement import READY_SECONDS, client, measure, running
from benchmarks.bus.pentad_bus import PentadBus, PentadRedisBus, PentadRedisPair
from benchmarks.bus.scenario import Scenario
from benchmarks.bus.system import SYSTEMS, System

AGENTS = (1, 10, 100, 1000)
QUEUED = 1_000_000
QUICK_AGENTS = (1, 10, 100)
QUICK_QUEUED = 100_000
LONGEST_SECONDS = 600.0

SCALES = {
    "agents-N": "one sends to N connected agents in turn: throughput; latency at 1,000 msg/s",
    "processes-N": "ten to ten over N processes of the bus on one Redis",
    "queued-N": "N messages wait for an agent that is away; kill -9; they are back; the agent takes them",
}

UNITS = {
    "publish_msgs_per_second": "msg/s",
    "memory_per_queued_message": "bytes",
    "journal_per_queued_message": "bytes",
    "recovery": "s",
    "drain_msgs_per_second": "msg/s",
}
"""Of `queued-N`. Memory is the growth of the bus's resident memory while nothing is taken, with what it
remembers of ids; recovery is from the start of the new process until it says that it serves.
"""

Samples = dict[tuple[str, str], dict[str, list[float]]]
Step = tuple[str, System, Callable[[], dict[str, float]]]


def scale(
    names: Sequence[System], runs: int, quick: bool, progress: Callable[[str], None]
) -> tuple[Samples, list[str]]:
    """The samples of all steps, and what failed."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    failures: list[str] = []
    for number in range(runs):
        for scenario, system, step in _steps(names, quick):
            title = f"[run {number + 1}/{runs}] {scenario} {system.name}"
            try:
                found = step()
            except RuntimeError as error:
                failures.append(f"{title}: {error}")
                progress(failures[-1])
                continue
            progress(f"{title}: " + ", ".join(f"{name} {value:,.4g}" for name, value in found.items()))
            for metric, value in found.items():
                samples[scenario, system.name][metric].append(value)
    return samples, failures


def _steps(systems: Sequence[System], quick: bool) -> Iterator[Step]:
    seconds = 1.0 if quick else 4.0
    for count in QUICK_AGENTS if quick else AGENTS:
        for system in systems:
            yield f"agents-{count}", system, partial(_agents, system, count, seconds)
    if any(system.broker is PentadRedisBus for system in systems):
        pair = replace(SYSTEMS["pentad-redis"], broker=PentadRedisPair)
        for count, system in ((1, SYSTEMS["pentad-redis"]), (2, pair)):
            yield f"processes-{count}", system, partial(measure, system, TEN_TO_TEN, True, seconds)
    queued = QUICK_QUEUED if quick else QUEUED
    for system in systems:
        if system.broker in (PentadBus, PentadRedisBus):
            yield f"queued-{queued}", system, partial(queue, system, queued)


TEN_TO_TEN = Scenario("processes", "ten to ten", producers=10, consumers=10)


def _agents(system: System, count: int, seconds: float) -> dict[str, float]:
    fast = Scenario("agents", "one to many in turn", consumers=count)
    found = measure(system, fast, system.durable, seconds)
    paced = measure(system, replace(fast, rate=1000), system.durable, 3 * seconds)
    return found | {name: value for name, value in paced.items() if name.startswith("latency")}


# ------------------------------------------------------------------------------------------ queue


def queue(system: System, count: int) -> dict[str, float]:
    """Queues so many messages, kills the bus, and has them taken after its restart."""
    with (
        tempfile.TemporaryDirectory(prefix="pentad-bench-", ignore_cleanup_errors=True) as name,
        running(system.broker(Path(name))) as broker,
    ):
        job = Job(
            system=system.name,
            role="produce",
            address=broker.address,
            durable=True,
            broadcast=False,
            connections=1,
            producers=1,
            consumers=1,
            rate=0,
            seconds=LONGEST_SECONDS,
            most=count,
            key=broker.key,
        )
        return _fill(system, broker, job) | _recover(system, broker, job)


def _fill(system: System, broker: Broker, job: Job) -> dict[str, float]:
    with client(system, broker.folder, "visitor") as visitor:  # its inbox stays when it has gone
        visitor.tell(replace(job, role="consume").to_json())
        visitor.answer(READY_SECONDS)
    before = broker.memory_bytes()
    with client(system, broker.folder, "producer") as producer:
        producer.tell(job.to_json())
        producer.answer(READY_SECONDS)
        producer.tell("go")
        sent = producer.answer(LONGEST_SECONDS)
    if sent["sent"] != job.most:
        raise RuntimeError(f"only {sent['sent']} messages were queued in {LONGEST_SECONDS:.0f} s")
    return {
        "publish_msgs_per_second": job.most / ((sent["ended"] - sent["began"]) / 1e9),
        "memory_per_queued_message": (broker.memory_bytes() - before) / job.most,
        "journal_per_queued_message": _stored(broker.folder) / job.most,
    }


def _stored(folder: Path) -> int:
    kept = [*folder.glob("state/journal.db*"), *folder.glob("valkey/**/*")]
    return sum(path.stat().st_size for path in kept if path.is_file())


def _recover(system: System, broker: Broker, job: Job) -> dict[str, float]:
    broker.kill()
    began = time.monotonic()
    broker.start()
    recovery = time.monotonic() - began
    with client(system, broker.folder, "consumer") as consumer:
        consumer.tell(replace(job, role="consume").to_json())
        consumer.answer(READY_SECONDS)
        began = time.monotonic_ns()
        consumer.tell("go")
        consumer.tell({"sent": job.most})
        came = consumer.answer(LONGEST_SECONDS)
    return {
        "recovery": recovery,
        "drain_msgs_per_second": came["distinct"] / max((came["last"] - began) / 1e9, 1e-9),
        "lost": came["expected"] - came["distinct"],
        "duplicated": came["duplicates"],
    }
