"""The bus's unary side: one publish, history, tails, dead letters, how full inboxes are."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client import Pentad
from pentad_client.bus import message_filter, new_message
from pentad_client.errors import InvalidArgument, NotFound, OutOfRange, PermissionDenied, ResourceExhausted
from tests.fixtures.buses import OpenBus, Tenancy, new_tenancy

SECONDS = 10.0


def note(text: str, recipient: str = "reader", **fields: Any) -> pb.Message:
    return new_message("note", text, recipient=recipient, **fields)


async def opened(tenancy: Tenancy, *agents: str) -> Pentad:
    """A client of role client; the agents have inboxes, and are not connected."""
    client = await tenancy.client()
    for agent in agents:
        await (await client.bus.connect(agent)).close()
    return await tenancy.client("client")


async def test_publish_answers_when_it_is_stored(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """The message waits in the inbox; the same id again says duplicate."""
    await open_bus(bus_max_queue_messages=1)
    person = await opened(tenancy, "reader")
    message = note("one")
    first = await person.bus.publish(message)
    again = await person.bus.publish(message)
    assert (first.message_id, first.duplicate) == (message.id, False)
    assert (again.message_id, again.duplicate) == (message.id, True)
    with pytest.raises(ResourceExhausted) as full:
        await person.bus.publish(note("two"))
    assert (full.value.reason, full.value.retry_after) == ("QUEUE_FULL", 1.0)
    with pytest.raises(NotFound) as unknown:
        await person.bus.publish(note("x", "nobody"))
    assert (unknown.value.reason, unknown.value.metadata) == ("RECIPIENT_UNKNOWN", {"recipient": "nobody"})
    [delivery] = [await anext(await (await tenancy.client()).bus.connect("reader"))]
    assert delivery.message.sender.startswith("client.")


async def test_history_has_every_durable_message(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Newest first, by pages, filtered; best-effort ones are not kept."""
    await open_bus()
    person = await opened(tenancy, "reader", "critic")
    start = datetime.now(UTC)
    for number in range(5):
        await person.bus.publish(note(str(number), run_id="r1" if number % 2 else "r2"))
    await person.bus.publish(note("lossy", durable=False))
    await person.bus.publish(note("5", "critic", correlation_id="c"))
    first = await person.bus.list_messages(page_size=4)
    rest = await person.bus.list_messages(page_size=4, page_token=first.next_page_token)
    texts = [item.message.payload.data.decode() for page in (first, rest) for item in page.messages]
    assert texts == ["5", "4", "3", "2", "1", "0"]
    assert not rest.next_page_token

    async def count(**wanted: Any) -> int:
        return len((await person.bus.list_messages(message_filter(**wanted))).messages)

    assert await count(run_id="r1") == 2
    assert await count(agent="critic") == 1
    assert await count(correlation_id="c", type="note") == 1
    assert await count(type="other") == 0
    assert await count(start=start) == 6
    assert await count(end=start) == 0
    with pytest.raises(InvalidArgument) as caught:
        await person.bus.list_messages(page_token="nonsense")
    assert caught.value.reason == "CURSOR_INVALID"
    with pytest.raises(PermissionDenied):
        await (await tenancy.client()).bus.list_messages()


async def test_a_tail_sees_every_message_once(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """From the start, from now, and after a cursor, while messages are being stored."""
    await open_bus()
    person = await opened(tenancy, "reader")
    writer = await (await tenancy.client()).bus.connect("writer")
    await asyncio.gather(*(writer.publish(note(f"a{n}")) for n in range(700)))

    async def collect(count: int, **options: Any) -> list[pb.MessageRecord]:
        records = []
        async with asyncio.timeout(SECONDS):
            async for record in person.bus.tail(message_filter(type="note"), **options):
                records.append(record)
                if len(records) == count:
                    break
        return records

    whole = asyncio.create_task(collect(1400, from_start=True))
    later = asyncio.create_task(collect(700))
    await asyncio.sleep(0.2)
    await asyncio.gather(*(writer.publish(note(f"b{n}")) for n in range(700)))
    seen = [record.message.payload.data.decode() for record in await whole]
    assert seen == [f"a{n}" for n in range(700)] + [f"b{n}" for n in range(700)]
    assert [record.message.payload.data.decode() for record in await later] == seen[700:]
    resumed = await collect(500, after=(await whole)[899].cursor)
    assert [record.message.payload.data.decode() for record in resumed] == seen[900:]


async def settled(bus: Any) -> None:
    """Waits until the acks that were sent have come."""
    async with asyncio.timeout(SECONDS):
        while any(session.open for session in bus.broker.directory.sessions()):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.005)


async def test_a_cursor_that_is_too_old_says_so(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """OUT_OF_RANGE with the oldest cursor that can be had, from where nothing is missing."""
    bus = await open_bus(bus_history_max_messages=5)
    person = await opened(tenancy, "reader")
    reader = await (await tenancy.client()).bus.connect("reader")
    for number in range(20):
        await person.bus.publish(note(str(number)))
        await (await anext(reader)).ack()
    oldest = (await person.bus.list_messages(page_size=20)).messages[-1].cursor
    await reader.drain()
    await settled(bus)
    assert await bus.sweep() == 15
    with pytest.raises(OutOfRange) as caught:
        await anext(person.bus.tail(after=oldest))
    assert caught.value.reason == "CURSOR_EXPIRED"
    first = await anext(person.bus.tail(after=caught.value.metadata["oldest_cursor"]))
    assert first.message.payload.data == b"15"


async def test_what_still_waits_is_never_swept(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """However small the history, a message stays until it is settled."""
    bus = await open_bus(bus_history_max_messages=1)
    person = await opened(tenancy, "reader")
    for number in range(5):
        await person.bus.publish(note(str(number)))
    assert await bus.sweep() == 0
    reader = await (await tenancy.client()).bus.connect("reader")
    for _ in range(5):
        await (await anext(reader)).ack()
    await reader.drain()
    await settled(bus)
    assert await bus.sweep() == 4


async def test_what_waits_in_one_tenant_holds_back_no_other(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """The other's history is swept as far as it should be; a cursor into what is gone says so there alone."""
    bus = await open_bus(bus_history_max_messages=4)
    rival = new_tenancy(tenancy.database)
    rival.address = tenancy.address
    waiting, person = await opened(rival, "reader"), await opened(tenancy, "reader")
    for number in range(2):
        await waiting.bus.publish(note(f"waiting {number}"))
    theirs = (await waiting.bus.list_messages()).messages[-1].cursor
    reader = await (await tenancy.client()).bus.connect("reader")
    for number in range(10):
        await person.bus.publish(note(str(number)))
        await (await anext(reader)).ack()
    await reader.drain()
    listed = (await person.bus.list_messages()).messages
    async with asyncio.timeout(SECONDS):
        while any(stats.in_flight for stats in await person.bus.queue_stats()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await bus.sweep(), await bus.sweep()) == (6, 0)
    left = (await person.bus.list_messages()).messages
    assert [record.message.id for record in left] == [record.message.id for record in listed[:4]]
    assert len((await waiting.bus.list_messages()).messages) == 2
    assert (await anext(waiting.bus.tail(after=theirs))).message.payload.data == b"waiting 1"
    assert (await anext(person.bus.tail(after=listed[3].cursor))).message.id == listed[2].message.id
    with pytest.raises(OutOfRange) as caught:
        await anext(person.bus.tail(after=listed[5].cursor))
    first = await anext(person.bus.tail(after=caught.value.metadata["oldest_cursor"]))
    assert first.message.id == listed[3].message.id
    other = await (await rival.client()).bus.connect("reader")
    for _ in range(2):
        await (await anext(other)).ack()
    await other.drain()
    async with asyncio.timeout(SECONDS):
        while any(stats.in_flight for stats in await waiting.bus.queue_stats()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await bus.sweep() == 2
    await rival.close()


async def test_dead_letters_are_listed_and_redriven(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """With the reason and what was said last; put back, they come as if for the first time."""
    await open_bus(bus_max_attempts=2)
    person = await opened(tenancy, "reader")
    reader = await (await tenancy.client()).bus.connect("reader")
    for text in ("one", "two"):
        await person.bus.publish(note(text))
    await (await anext(reader)).nack(delay=0, reason="cannot")
    await (await anext(reader)).nack(reason="never", terminal=True)
    await (await anext(reader)).nack(delay=0, reason="still cannot")
    async with asyncio.timeout(SECONDS):
        found = await person.bus.list_dead_letters("reader")
        while len(found.dead_letters) < 2:
            found = await person.bus.list_dead_letters("reader")
    letters = {letter.message.payload.data: letter for letter in found.dead_letters}
    assert (letters[b"one"].reason, letters[b"one"].detail) == ("MAX_ATTEMPTS", "still cannot")
    assert (letters[b"two"].reason, letters[b"two"].attempts) == ("REJECTED", 1)
    assert (await person.bus.queue_stats("reader"))[0].dead_letters == 2
    assert await person.bus.redrive([letters[b"two"].dead_letter_id, "unknown"]) == 1
    again = await anext(reader)
    assert (again.message.payload.data, again.attempt) == (b"two", 1)
    assert await person.bus.redrive(recipient="reader") == 1
    assert (await anext(reader)).message.id == letters[b"one"].message.id
    assert not (await person.bus.list_dead_letters()).dead_letters
    with pytest.raises(InvalidArgument):
        await person.bus.redrive()


async def test_dead_letters_are_put_back_once_whoever_asks(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Of callers at the same time, only one gets each of them."""
    await open_bus()
    person = await opened(tenancy, "reader")
    reader = await (await tenancy.client()).bus.connect("reader", credit=50)
    for number in range(20):
        await person.bus.publish(note(str(number)))
        await (await anext(reader)).nack(terminal=True)
    calls = [person.bus.redrive(all=True), person.bus.redrive(recipient="reader"), person.bus.purge(all=True)]
    assert sum(await asyncio.gather(*calls)) == 20
    assert not (await person.bus.list_dead_letters()).dead_letters


async def test_pages_of_large_messages_fit_into_a_frame(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """A page has fewer messages than were asked for rather than more bytes than the transport takes."""
    await open_bus()
    person = await opened(tenancy, "reader")
    reader = await (await tenancy.client()).bus.connect("reader")
    sent = [note("x" * 900_000) for _ in range(6)]
    for message in sent:
        await person.bus.publish(message)
        await (await anext(reader)).nack(terminal=True)
    first = await person.bus.list_messages()
    rest = await person.bus.list_messages(page_token=first.next_page_token)
    listed = [record.message.id for record in (*first.messages, *rest.messages)]
    assert listed == [message.id for message in reversed(sent)]
    dead = await person.bus.list_dead_letters()
    more = await person.bus.list_dead_letters(page_token=dead.next_page_token)
    assert len(dead.dead_letters) + len(more.dead_letters) == len(sent)


async def test_queue_stats_say_how_full_inboxes_are(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Waiting, in flight, delayed, bytes, age and consumers, of an agent and its instances."""
    await open_bus()
    person = await opened(tenancy, "reader", "other")
    for _ in range(3):
        await person.bus.publish(note("x"))
    await person.bus.publish(note("later", delay=60))
    reader = await (await tenancy.client()).bus.connect("reader", instance="one", credit=2)
    await anext(reader)
    [shared, own] = await person.bus.queue_stats("reader")
    assert (shared.recipient, own.recipient) == ("reader", "reader/one")
    assert (shared.queued, shared.in_flight, shared.delayed, shared.consumers) == (1, 2, 1, 1)
    assert shared.bytes > 0
    assert shared.oldest_age.ToNanoseconds() > 0
    assert [stats.recipient for stats in await person.bus.queue_stats()] == ["other", "reader", "reader/one"]


async def test_queue_stats_go_by_pages(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """Each inbox once, by name, however many there are, also those of which only dead letters are left."""
    await open_bus(bus_instance_linger_seconds=0.05)
    person = await opened(tenancy, "gone")
    client = await tenancy.client()
    lost = await client.bus.connect("gone", "instance")
    await person.bus.publish(note("x", "gone/instance"))
    await (await anext(lost)).nack(terminal=True)
    await lost.close()
    tasks = (client.bus.connect(f"agent-{number}" + "x" * 50, "i" * 60) for number in range(550))
    connections = await asyncio.gather(*tasks)
    for connection in connections:
        await connection.publish(note("x", connection.agent))
    names = [*sorted(name for one in connections for name in (one.agent, one.address)), "gone"]
    async with asyncio.timeout(SECONDS):
        while not (await person.bus.list_dead_letters("gone/instance")).dead_letters:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    everything = await person.bus.queue_stats()
    assert [stats.recipient for stats in everything] == [*names, "gone/instance"]
    assert {stats.in_flight for stats in everything} == {0, 1}
    assert sum(stats.consumers for stats in everything) == 2 * len(connections)
    assert everything[-1].dead_letters == 1
    first = await stats_page(client, page_size=400)
    assert [stats.recipient for stats in first.queues] == names[:400]
    second = await stats_page(client, page_size=400, page_token=first.next_page_token)
    assert [stats.recipient for stats in second.queues] == names[400:800]
    of_one = await stats_page(client, page_size=1, agent=connections[3].agent)
    of_one = await stats_page(client, agent=connections[3].agent, page_token=of_one.next_page_token)
    assert ([stats.recipient for stats in of_one.queues], of_one.next_page_token) == (
        [connections[3].address],
        "",
    )
    with pytest.raises(InvalidArgument, match="page token"):
        await stats_page(client, page_token="nonsense")


async def stats_page(client: Pentad, **fields: Any) -> pb.GetQueueStatsResponse:
    found: pb.GetQueueStatsResponse = await client.bus._stub.GetQueueStats(pb.GetQueueStatsRequest(**fields))
    return found
