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
from benchmarks.bus.process import MIB
from benchmarks.bus.scenario import Scenario
from benchmarks.bus.system import SYSTEMS, System

AGENTS = {f"agents-{count}": count for count in (1, 10, 100, 1000)}
PROCESSES = ("processes-1", "processes-2")
QUEUED = {"queued-100k": 100_000, "queued-1m": 1_000_000}
STEPS = (*AGENTS, *PROCESSES, *QUEUED)
QUICK = ("agents-1", "agents-10", "agents-100", *PROCESSES, "queued-100k")
FULL = (*AGENTS, *PROCESSES, "queued-1m")
LONGEST_SECONDS = 600.0

SCALES = {
    "agents-1 … agents-1000": "one sends to N connected agents in turn: throughput; latency at 1,000 msg/s",
    "processes-1, processes-2": "ten to ten over N processes of the bus on one Redis",
    "queued-100k, queued-1m": "N messages wait for an agent that is away; kill -9; the agent takes them",
}

UNITS = {
    "publish_msgs_per_second": "msg/s",
    "memory_per_queued_message": "bytes",
    "journal_per_queued_message": "bytes",
    "recovery": "s",
    "recovered_rss": "MiB",
    "drain_msgs_per_second": "msg/s",
}
"""Of `queued-N`. Memory is the growth of the bus's resident memory while nothing is taken, with what it
remembers of ids; recovery is from the start of the new process until it says that it serves.
"""

Samples = dict[tuple[str, str], dict[str, list[float]]]
Step = tuple[str, System, Callable[[], dict[str, float]]]


def scale(
    names: Sequence[System], steps: Sequence[str], runs: int, quick: bool, progress: Callable[[str], None]
) -> tuple[Samples, list[str]]:
    """The samples of the steps (of STEPS) in the systems that have them, and what failed."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    failures: list[str] = []
    for number in range(runs):
        for scenario, system, step in _steps(names, steps, quick):
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


def _steps(systems: Sequence[System], names: Sequence[str], quick: bool) -> Iterator[Step]:
    seconds = 1.0 if quick else 4.0
    pair = replace(SYSTEMS["pentad-redis"], broker=PentadRedisPair)
    for name in names:
        for system in systems:
            if name in AGENTS:
                yield name, system, partial(_agents, system, AGENTS[name], seconds)
            elif name in QUEUED and system.broker in (PentadBus, PentadRedisBus):
                yield name, system, partial(queue, system, QUEUED[name])
            elif name in PROCESSES and system.broker is PentadRedisBus:
                buses = pair if name == "processes-2" else system
                yield name, buses, partial(measure, buses, TEN_TO_TEN, True, seconds)


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
    recovery, memory = time.monotonic() - began, broker.memory_bytes() / MIB
    with client(system, broker.folder, "consumer") as consumer:
        consumer.tell(replace(job, role="consume").to_json())
        consumer.answer(READY_SECONDS)
        began = time.monotonic_ns()
        consumer.tell("go")
        consumer.tell({"sent": job.most})
        came = consumer.answer(LONGEST_SECONDS)
    return {
        "recovery": recovery,
        "recovered_rss": memory,
        "drain_msgs_per_second": came["distinct"] / max((came["last"] - began) / 1e9, 1e-9),
        "lost": came["expected"] - came["distinct"],
        "duplicated": came["duplicates"],
    }
