"""Processes that are killed or frozen while work is under way."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from pentad_client.bus import Connection, new_message
from tests.chaos.peer import lines, peer
from tests.fixtures.buses import BusProcess, Tenancy

pytestmark = pytest.mark.slow

SECONDS = 60.0
IN_FLIGHT = 50_000
READY_SECONDS = 10.0
"""Of the bus's own CPU time, which a busy machine does not stretch."""


async def publish(line: Connection, count: int) -> None:
    """Numbers to `worker`, all confirmed."""
    waiting = []
    for number in range(count):
        waiting.append(line.publish_soon(new_message("work", str(number), recipient="worker")))
        if len(waiting) == 5000:
            await asyncio.gather(*waiting)
            waiting.clear()
    await asyncio.gather(*waiting)


async def numbers(line: Connection, count: int, *, ack: bool = True) -> list[int]:
    """The numbers of the next deliveries."""
    found = []
    async with asyncio.timeout(SECONDS):
        async for delivery in line:
            found.append(int(delivery.message.payload.data))
            if ack:
                await delivery.ack()
            if len(found) == count:
                break
    return found


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def restart(bus: BusProcess) -> float:
    """kill -9, and up again: seconds of CPU until it serves."""
    await asyncio.to_thread(bus.kill)
    await asyncio.to_thread(bus.start)
    return cpu_seconds(bus.pid)


async def test_kill_9_of_the_bus_with_50_000_in_flight(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """All come again after the first kill; after all are acked, none does after the second."""
    client = await tenancy.client()
    worker = await client.bus.connect("worker", credit=65_000)
    writer = await client.bus.connect("writer")
    await publish(writer, IN_FLIGHT)
    assert len(await numbers(worker, IN_FLIGHT, ack=False)) == IN_FLIGHT
    assert await restart(bus_process) < READY_SECONDS
    again = await numbers(worker, IN_FLIGHT)
    assert again == list(range(IN_FLIGHT))
    await worker.drain()
    await asyncio.sleep(0.5)  # an ack is stored within 10 ms
    assert await restart(bus_process) < READY_SECONDS
    stats = (await client.bus.queue_stats("worker"))[0]
    assert (stats.queued, stats.in_flight, stats.delayed, stats.dead_letters) == (0, 0, 0, 0)


async def test_kill_9_of_a_consumer(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """Whatever it had goes to another: of 5,000 messages each is answered once, however many were open."""
    count = 5000
    client = await tenancy.client()
    await (await client.bus.connect("worker")).close()
    writer = await client.bus.connect("writer", credit=1000)
    key = await tenancy.key()
    async with (
        peer("consume", key, bus_process.address) as victim,
        peer("consume", key, bus_process.address) as other,
    ):
        collecting = asyncio.create_task(numbers(writer, count))
        publishing = asyncio.create_task(publish(writer, count))
        before = await lines(victim, 500)
        victim.kill()
        before += await lines(victim)
        answers = await collecting
        await publishing
        assert other.returncode is None
    assert {kind for kind, _ in before} == {"answered"}
    assert Counter(answers) == Counter(range(count))


async def test_kill_9_of_a_producer(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """All that was confirmed to it is delivered, nothing twice."""
    client = await tenancy.client()
    worker = await client.bus.connect("worker", credit=1000)
    async with peer("produce", await tenancy.key(), bus_process.address) as producer:
        told = await lines(producer, 5000)
        producer.kill()
        told += await lines(producer)
    stats = (await client.bus.queue_stats("worker"))[0]
    found: list[int] = []
    async with asyncio.timeout(SECONDS):
        while stats.queued + stats.in_flight or worker._deliveries:
            try:
                async with asyncio.timeout(1):
                    found += await numbers(worker, 1)
            except TimeoutError:
                stats = (await client.bus.queue_stats("worker"))[0]
    assert {int(number) for _, number in told} <= set(found)
    assert max(Counter(found).values()) == 1


async def test_a_frozen_consumer_comes_back_too_late(
    sqlite_url: str, tmp_path: Path, tenancy: Tenancy
) -> None:
    """Stopped past its ack_wait, another does the work; what it says when it goes on is refused."""
    bus = BusProcess(sqlite_url, tmp_path / "bus.log", bus_ack_wait_seconds="1")
    await asyncio.to_thread(bus.start)
    try:
        tenancy.address = bus.address
        client = await tenancy.client()
        await (await client.bus.connect("worker")).close()
        writer = await client.bus.connect("writer")
        async with asyncio.timeout(SECONDS), peer("slow", await tenancy.key(), bus.address) as frozen:
            await publish(writer, 1)
            assert await lines(frozen, 1) == [["got", "0"]]
            os.kill(frozen.pid, signal.SIGSTOP)
            other = await client.bus.connect("worker")
            delivery = await anext(other)
            assert delivery.attempt == 2
            await delivery.reply("answer", "0")
            os.kill(frozen.pid, signal.SIGCONT)
            assert frozen.stdin is not None
            frozen.stdin.write(b"\n")
            [[kind, reason]] = await lines(frozen, 1)
            assert kind == "refused"
            assert reason in ("DELIVERY_EXPIRED", "DELIVERY_UNKNOWN")
            assert await numbers(writer, 1) == [0]
            await frozen.wait()
        stats = await client.bus.queue_stats()
        assert [(one.queued, one.in_flight) for one in stats] == [(0, 0)] * len(stats)
    finally:
        await asyncio.to_thread(bus.kill)
