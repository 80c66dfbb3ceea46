"""Processes that die: what was confirmed is delivered, what was acked is not delivered again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter

import pytest
from sqlalchemy import func, select

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client import Pentad
from pentad_client.bus import Connection, new_message
from pentad_client.errors import PentadError
from pentad_common.db import ALL_TENANTS
from pentad_common.keys import KeyStore
from pentad_common.models import LogSegment
from tests.fixtures.buses import BusProcess, Tenancy

SECONDS = 60.0
MESSAGES = 20_000


def numbered(number: int) -> pb.Message:
    return new_message("work", str(number), recipient="worker")


def number_of(message: pb.Message) -> int:
    return int(message.payload.data)


async def publish_all(connection: Connection, count: int, confirmed: set[int]) -> None:
    """Publishes 0 to `count` and notes what the bus confirmed."""

    async def publish(number: int) -> None:
        await connection.publish(numbered(number))
        confirmed.add(number)

    for start in range(0, count, 500):
        await asyncio.gather(*(publish(number) for number in range(start, min(start + 500, count))))


async def receive(connection: Connection, seen: Counter[int], count: int) -> None:
    """Acks everything, until every number below `count` was seen."""
    async for delivery in connection:
        seen[number_of(delivery.message)] += 1
        await delivery.ack()
        if len(seen) == count:
            return


async def test_kill_9_of_the_bus_loses_nothing(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """With thousands in flight, twice: every confirmed message is delivered, clients come back by
    themselves.
    """
    client = await tenancy.client()
    worker = await client.bus.connect("worker", credit=2000)
    writer = await client.bus.connect("writer")
    confirmed: set[int] = set()
    seen: Counter[int] = Counter()
    async with asyncio.timeout(SECONDS):
        publishing = asyncio.create_task(publish_all(writer, MESSAGES, confirmed))
        receiving = asyncio.create_task(receive(worker, seen, MESSAGES))
        for share in (4, 2):
            while len(confirmed) < MESSAGES // share:  # noqa: ASYNC110 - it counts
                await asyncio.sleep(0.005)
            await asyncio.to_thread(bus_process.kill)
            await asyncio.to_thread(bus_process.start)
        await asyncio.gather(publishing, receiving)
    assert len(confirmed) == MESSAGES
    assert set(seen) == set(range(MESSAGES))
    stored = Counter(number_of(item.message) for item in await history(tenancy))
    assert set(stored.values()) == {1}


@pytest.mark.parametrize("bus_backend", ["memory"], indirect=True)  # the log is the journal's
async def test_kill_9_while_the_log_is_long(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """What was confirmed and not yet in the tables is delivered once, and stands in the history once."""
    client = await tenancy.client()
    await (await client.bus.connect("worker")).close()
    writer = await client.bus.connect("writer")
    confirmed: set[int] = set()
    async with asyncio.timeout(SECONDS):
        await publish_all(writer, MESSAGES, confirmed)
        await asyncio.to_thread(bus_process.kill)
        logged = select(func.coalesce(func.sum(LogSegment.messages), 0))
        assert await tenancy.database.read(lambda session: session.scalar(logged), tenant=ALL_TENANTS)
        await asyncio.to_thread(bus_process.start)
        seen: Counter[int] = Counter()
        await receive(await client.bus.connect("worker", credit=2000), seen, MESSAGES)
    assert set(seen.values()) == {1}
    stored = Counter(number_of(item.message) for item in await history(tenancy))
    assert (len(stored), set(stored.values())) == (MESSAGES, {1})


async def history(tenancy: Tenancy) -> list[pb.MessageRecord]:
    """All messages that were stored."""
    person = await tenancy.client("client")
    records: list[pb.MessageRecord] = []
    token = ""
    while True:
        page = await person.bus.list_messages(page_size=1000, page_token=token)
        records += page.messages
        token = page.next_page_token
        if not token:
            return records


async def test_what_was_acked_before_the_kill_does_not_come_again(
    bus_process: BusProcess, tenancy: Tenancy
) -> None:
    """Acks that were committed survive; open deliveries come again, in order, before what waited
    behind them.
    """
    client = await tenancy.client()
    worker = await client.bus.connect("worker", credit=50)
    writer = await client.bus.connect("writer")
    await asyncio.gather(*(writer.publish(numbered(number)) for number in range(100)))
    for _ in range(30):
        await (await anext(worker)).ack()
    await wait_for_settled(await tenancy.client("client"), 70)
    await asyncio.sleep(0.2)  # an ack is stored within 10 ms
    await asyncio.to_thread(bus_process.kill)
    await asyncio.to_thread(bus_process.start)
    rest = []
    async with asyncio.timeout(SECONDS):
        async for delivery in worker:
            rest.append(number_of(delivery.message))
            await delivery.ack()
            if len(rest) == 70:
                break
    assert rest == list(range(30, 100))


async def wait_for_settled(person: Pentad, left: int) -> None:
    """Waits until the worker's inbox holds only so many."""
    async with asyncio.timeout(SECONDS):
        while True:
            stats = next(item for item in await person.bus.queue_stats() if item.recipient == "worker")
            if stats.queued + stats.in_flight == left:
                return
            await asyncio.sleep(0.02)


async def test_a_repeated_id_is_known_after_a_restart(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """The deduplication window is in the journal."""
    client = await tenancy.client()
    await (await client.bus.connect("worker")).close()
    person = await tenancy.client("client")
    message = numbered(1)
    assert not (await person.bus.publish(message)).duplicate
    await asyncio.to_thread(bus_process.kill)
    await asyncio.to_thread(bus_process.start)
    assert (await person.bus.publish(message)).duplicate


async def test_subscriptions_delays_and_dead_letters_survive(
    bus_process: BusProcess, tenancy: Tenancy
) -> None:
    """An agent's subscription, a delayed message and a dead letter are there after a restart."""
    client = await tenancy.client()
    worker = await client.bus.connect("worker", subscriptions=["jobs.*"])
    person = await tenancy.client("client")
    await person.bus.publish(numbered(1))
    await (await anext(worker)).nack(terminal=True, reason="bad")
    await worker.close()
    await person.bus.publish(new_message("work", "2", recipient="worker", delay=3600))
    await person.bus.list_dead_letters()
    await asyncio.to_thread(bus_process.kill)
    await asyncio.to_thread(bus_process.start)
    await person.bus.publish(new_message("work", "3", topic="jobs.new"))
    assert number_of((await anext(await client.bus.connect("worker"))).message) == 3
    stats = (await person.bus.queue_stats("worker"))[0]
    assert (stats.delayed, stats.dead_letters) == (1, 1)


async def test_sigterm_moves_clients_without_losing_or_repeating(
    bus_process: BusProcess, tenancy: Tenancy
) -> None:
    """Clients finish, say goodbye, and go on at the next bus: nothing acked is repeated, nothing confirmed
    lost.
    """
    client = await tenancy.client()
    worker = await client.bus.connect("worker", credit=200)
    writer = await client.bus.connect("writer")
    confirmed: set[int] = set()
    seen: Counter[int] = Counter()
    async with asyncio.timeout(SECONDS):
        publishing = asyncio.create_task(publish_all(writer, MESSAGES, confirmed))
        receiving = asyncio.create_task(receive(worker, seen, MESSAGES))
        while len(confirmed) < MESSAGES // 3:  # noqa: ASYNC110 - it counts
            await asyncio.sleep(0.005)
        assert await asyncio.to_thread(bus_process.stop) == 0
        await asyncio.to_thread(bus_process.start)
        await asyncio.gather(publishing, receiving)
    assert set(seen.values()) == {1}
    assert len(confirmed) == MESSAGES


async def test_a_revoked_key_ends_the_connection_for_good(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """Trying again would not help: iteration and publishes raise, unless the client was told to
    keep trying.
    """
    store = KeyStore(tenancy.database)
    client = await tenancy.client("agent", "worker")
    worker = await client.bus.connect()
    keys, _ = await store.list(tenancy.tenant_id)
    await store.create(tenancy.tenant_id, name="another", role="admin")
    await store.revoke(tenancy.tenant_id, keys[0].key_id)
    await asyncio.to_thread(bus_process.kill)
    await asyncio.to_thread(bus_process.start)
    try:
        async with asyncio.timeout(SECONDS):
            await anext(worker)
        reason = ""
    except PentadError as error:
        reason = error.reason
    assert reason == "API_KEY_REVOKED"


async def test_a_frozen_consumer_is_replaced(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """A process that stops without closing its connection is found out, and its work goes to another."""
    client = await tenancy.client()
    key = await tenancy.key()
    script = (
        "import asyncio, sys\n"
        "from pentad_client import Pentad, ClientConfig\n"
        "async def main():\n"
        "    async with Pentad(ClientConfig(api_key=sys.argv[1], bus_address=sys.argv[2])) as pentad:\n"
        "        async for delivery in await pentad.bus.connect('worker'):\n"
        "            print('got', flush=True)\n"
        "            await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    arguments = ("-c", script, key, bus_process.address)
    frozen = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        writer = await client.bus.connect("writer")
        while True:
            try:
                await writer.publish(numbered(1))
                break
            except PentadError:
                await asyncio.sleep(0.05)
        assert frozen.stdout is not None
        async with asyncio.timeout(SECONDS):
            assert await frozen.stdout.readline() == b"got\n"
            os.kill(frozen.pid, signal.SIGSTOP)
            delivery = await anext(await client.bus.connect("worker"))
        assert delivery.attempt == 2
    finally:
        frozen.kill()
        await frozen.wait()
