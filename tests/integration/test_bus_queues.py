"""What time, priority and bounds do to what waits: the same on every backend."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client import Pentad
from pentad_client.bus import Connection, Delivery, QueuePolicy, new_message
from pentad_client.errors import FailedPrecondition, NotFound, ResourceExhausted
from tests.fixtures.buses import OpenBus, Tenancy

SECONDS = 20.0
PRIORITIES = ("low", "normal", "high", "critical")


def note(text: str, recipient: str = "reader", **fields: Any) -> pb.Message:
    return new_message("note", text, recipient=recipient, **fields)


def texts(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.payload.data.decode() for delivery in deliveries]


async def take(connection: Connection, count: int) -> list[Delivery]:
    async with asyncio.timeout(SECONDS):
        return [await anext(connection) for _ in range(count)]


async def opened(tenancy: Tenancy, *agents: str, queue: QueuePolicy | None = None) -> Pentad:
    """A client of role client; the agents have inboxes, and are not connected."""
    client = await tenancy.client()
    for agent in agents:
        await (await client.bus.connect(agent, queue=queue)).close()
    return await tenancy.client("client")


async def letters(person: Pentad, count: int) -> list[pb.DeadLetter]:
    """The dead letters, once there are so many."""
    async with asyncio.timeout(SECONDS):
        while len(found := (await person.bus.list_dead_letters()).dead_letters) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return list(found)


async def stats_of(person: Pentad, name: str = "reader") -> pb.QueueStats:
    return next(one for one in await person.bus.queue_stats() if one.recipient == name)


async def test_a_delayed_message_comes_when_it_is_due(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Not before, and behind those that were sent later with less delay; until then it counts as delayed."""
    await open_bus()
    person = await opened(tenancy, "reader")
    began = time.monotonic()
    await person.bus.publish(note("last", delay=1.2))
    await person.bus.publish(note("second", delay=0.6))
    await person.bus.publish(note("first"))
    assert ((await stats_of(person)).queued, (await stats_of(person)).delayed) == (1, 2)
    reader = await (await tenancy.client()).bus.connect("reader")
    assert texts(await take(reader, 2)) == ["first", "second"]
    assert time.monotonic() - began >= 0.6
    assert texts(await take(reader, 1)) == ["last"]
    assert time.monotonic() - began >= 1.2
    assert ((await stats_of(person)).in_flight, (await stats_of(person)).delayed) == (3, 0)


async def test_what_outlives_its_ttl_is_a_dead_letter(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Whether it waits, is delayed or was given back; best effort is just gone, and work goes on."""
    await open_bus()
    person = await opened(tenancy, "reader")
    reader = await (await tenancy.client()).bus.connect("reader", credit=2)
    await person.bus.publish(note("worked on", ttl=0.8))
    await person.bus.publish(note("given back", ttl=0.8))
    mine, back = await take(reader, 2)
    reader.set_credit(1)
    await back.nack(delay=30)
    await person.bus.publish(note("waits", ttl=0.8))
    await person.bus.publish(note("delayed", ttl=0.8, delay=30))
    await person.bus.publish(note("lossy", ttl=0.8, durable=False))
    await person.bus.publish(note("stays"))
    found = await letters(person, 3)
    assert sorted(letter.message.payload.data for letter in found) == [b"delayed", b"given back", b"waits"]
    assert {letter.reason for letter in found} == {"EXPIRED"}
    assert await mine.ack()
    reader.set_credit(10)
    assert texts(await take(reader, 1)) == ["stays"]
    stats = await stats_of(person)
    assert (stats.queued, stats.delayed, stats.in_flight, stats.dropped) == (0, 0, 1, 1)


async def test_no_priority_starves(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """With 400 of each level waiting, the higher go first, and of the first 320 some are of every level."""
    await open_bus()
    client = await tenancy.client()
    reader, writer = await client.bus.connect("reader", credit=0), await client.bus.connect("writer")
    for priority in PRIORITIES:
        await asyncio.gather(
            *(writer.publish(note(f"{priority} {n}", priority=priority)) for n in range(400))
        )
    reader.set_credit(64)
    seen: list[tuple[str, int]] = []
    async with asyncio.timeout(SECONDS):
        for _ in range(1600):
            delivery = await anext(reader)
            priority, number = delivery.message.payload.data.decode().split()
            seen.append((priority, int(number)))
            await delivery.ack()
    counts = {priority: sum(one[0] == priority for one in seen[:320]) for priority in PRIORITIES}
    assert counts["critical"] > 200
    assert min(counts.values()) >= 5, counts
    for priority in PRIORITIES:
        assert [number for level, number in seen if level == priority] == list(range(400))


async def test_best_effort_is_delivered_at_most_once(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Given back or lost with its connection it is gone, and counted; it is in no history."""
    await open_bus()
    person = await opened(tenancy, "reader")
    reader = await (await tenancy.client()).bus.connect("reader")
    await person.bus.publish(note("back", durable=False))
    await person.bus.publish(note("acked", durable=False))
    back, acked = await take(reader, 2)
    await back.nack(delay=0)
    assert await acked.ack()
    await person.bus.publish(note("durable"))
    assert texts(await take(reader, 1)) == ["durable"]
    stats = await stats_of(person)
    assert (stats.queued, stats.in_flight, stats.dropped, stats.dead_letters) == (0, 1, 1, 0)
    assert texts_of(await person.bus.list_messages()) == ["durable"]


def texts_of(page: pb.ListMessagesResponse) -> list[str]:
    return [item.message.payload.data.decode() for item in page.messages]


async def test_a_full_inbox_refuses(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """By messages and by bytes, one by one also within a batch; a topic's copy goes to the dead letters."""
    await open_bus(bus_max_queue_messages=10, bus_max_queue_bytes=5000)
    client = await tenancy.client()
    reader = await client.bus.connect("reader", credit=0, subscriptions=["news"])
    writer, person = await client.bus.connect("writer"), await tenancy.client("client")
    results = await asyncio.gather(*(writer.publish(note(str(n))) for n in range(25)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, ResourceExhausted)]
    assert [isinstance(result, ResourceExhausted) for result in results] == [False] * 10 + [True] * 15
    assert {(error.reason, error.retry_after) for error in refused} == {("QUEUE_FULL", 1.0)}
    await writer.publish(new_message("note", "copy", topic="news"))
    [letter] = await letters(person, 1)
    assert (letter.reason, letter.message.payload.data) == ("QUEUE_OVERFLOW", b"copy")
    reader.set_credit(100)
    for delivery in await take(reader, 10):
        await delivery.ack()
    await reader.drain()
    reader.set_credit(100)
    await asyncio.sleep(0.1)  # an ack is stored within 10 ms
    for large in ("x" * 2000, "y" * 2000):
        await writer.publish(note(large))
    with pytest.raises(ResourceExhausted):
        await writer.publish(note("z" * 2000))
    await writer.publish(note("small"))
    assert len(texts(await take(reader, 3))) == 3


async def test_the_oldest_of_the_lowest_priority_makes_room(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """It is counted, and a dead letter unless it was best effort; what is at work stays."""
    await open_bus()
    policy = QueuePolicy(max_messages=4, overflow="drop-oldest")
    client, person = await tenancy.client(), await tenancy.client("client")
    reader = await client.bus.connect("reader", credit=1, queue=policy)
    writer = await client.bus.connect("writer")
    await writer.publish(note("work"))
    [work] = await take(reader, 1)
    await writer.publish(note("lossy", durable=False, priority="low"))
    await asyncio.gather(*(writer.publish(note(str(n))) for n in range(50)))
    await writer.publish(note("high", priority="high"))
    stats = await stats_of(person)
    assert (stats.queued, stats.in_flight, stats.dropped) == (3, 1, 49)
    assert len(await letters(person, 48)) == 48
    assert {letter.reason for letter in await letters(person, 48)} == {"QUEUE_OVERFLOW"}
    assert await work.ack()
    reader.set_credit(10)
    assert texts(await take(reader, 3)) == ["high", "48", "49"]


async def test_a_tenant_has_so_many_bytes(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """In all its inboxes together, each copy counted; what is acked makes room."""
    await open_bus(bus_tenant_queued_bytes=10_000)
    client, person = await tenancy.client(), await opened(tenancy, "one", "two")
    for number in range(4):
        await person.bus.publish(note("x" * 2000, "one" if number % 2 else "two"))
    with pytest.raises(ResourceExhausted) as caught:
        await person.bus.publish(new_message("note", "y" * 1000, broadcast=True))
    assert caught.value.reason == "STORAGE_QUOTA_EXCEEDED"
    one = await client.bus.connect("one")
    for delivery in await take(one, 2):
        await delivery.ack()
    await asyncio.sleep(0.1)  # an ack is stored within 10 ms
    await person.bus.publish(new_message("note", "y" * 1000, broadcast=True))


async def test_a_loop_ends_at_the_hop_limit(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Two agents that answer each other are stopped, and the task that they pass on stays open."""
    await open_bus(bus_max_hops=5)
    client = await tenancy.client()
    one, two = await client.bus.connect("one"), await client.bus.connect("two")
    await one.publish(new_message("ping", "x", recipient="two", reply_to="one"))
    hops, here, there = 0, two, one
    with pytest.raises(FailedPrecondition) as caught:
        while True:
            [task] = await take(here, 1)
            answer = new_message("pong", "x", recipient=there.agent, reply_to=here.agent)
            await here.publish(answer, settles=task)
            hops, here, there = hops + 1, there, here
    assert (caught.value.reason, hops) == ("HOP_LIMIT_EXCEEDED", 5)
    assert await task.ack()


async def test_an_id_is_known_for_the_window(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Within it the same message is confirmed and not stored again, on every way in; after it, it is new."""
    await open_bus(bus_dedup_window_seconds=0.5)
    client, person = await tenancy.client(), await opened(tenancy, "reader")
    writer = await client.bus.connect("writer")
    message = note("once")
    results = await asyncio.gather(*(writer.publish(message) for _ in range(5)))
    assert len(results) == 5
    assert (await person.bus.publish(message)).duplicate
    assert (await stats_of(person)).queued == 1
    await asyncio.sleep(1.6)
    await person.bus.publish(note("turns the window"))
    await asyncio.sleep(0.6)
    assert not (await person.bus.publish(message)).duplicate


async def test_a_repeated_answer_is_confirmed(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Whose delivery is settled since the first time: it is known, so it is not refused."""
    await open_bus()
    client = await tenancy.client()
    worker, asking = await client.bus.connect("worker"), await client.bus.connect("asking")
    await asking.publish(note("task", "worker"))
    [task] = await take(worker, 1)
    answer = new_message("answer", "yes", recipient="asking")
    await worker.publish(answer, settles=task)
    await worker.publish(answer, settles=task)
    assert texts(await take(asking, 1)) == ["yes"]


async def test_an_instance_that_does_not_come_back(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Its inbox waits for a while; then what is in it is a dead letter, and the name is unknown."""
    await open_bus(bus_instance_linger_seconds=0.7)
    client, person = await tenancy.client(), await tenancy.client("client")
    lost = await client.bus.connect("worker", instance="one")
    assert lost._task is not None
    lost._task.cancel()
    await asyncio.sleep(0.2)
    await person.bus.publish(note("mine", "worker/one"))
    [letter] = await letters(person, 1)
    assert (letter.recipient, letter.reason) == ("worker/one", "EXPIRED")
    with pytest.raises(NotFound):
        await person.bus.publish(note("mine", "worker/one"))


async def test_what_nobody_takes_ends_with_the_history(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """A message that waited for as long as messages are kept is given up."""
    bus = await open_bus(bus_history_days=1e-5)
    person = await opened(tenancy, "reader")
    await asyncio.gather(*(person.bus.publish(note(str(n))) for n in range(5)))
    await asyncio.sleep(1.0)
    await person.bus.publish(note("new"))
    await bus.sweep()
    assert len(await letters(person, 5)) == 5
    assert texts(await take(await (await tenancy.client()).bus.connect("reader"), 1)) == ["new"]
