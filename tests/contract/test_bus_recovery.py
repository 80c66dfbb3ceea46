"""A bus that ends and starts again goes on where it was, whatever its journal is kept in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pentad_client.bus import new_message
from pentad_common.db import Database
from tests.fixtures.buses import Tenancy, new_tenancy, serving


@pytest.fixture
async def tenancy(database: Database) -> AsyncIterator[Tenancy]:
    """A tenant in a database on each backend."""
    found = new_tenancy(database)
    yield found
    await found.close()


async def test_a_bus_goes_on_where_it_was(database_url: str, tenancy: Tenancy) -> None:
    """Of what was published, acked, answered, delayed and given up, exactly what is left is there again."""
    async with serving(database_url) as (address, _):
        tenancy.address = address
        client = await tenancy.client()
        worker = await client.bus.connect("worker", subscriptions=["jobs.>"])
        writer = await client.bus.connect("writer")
        texts = ["acked", "answered", "dead", "open", "waiting"]
        await asyncio.gather(
            *(writer.publish(new_message("work", text, recipient="worker")) for text in texts)
        )
        await writer.publish(new_message("work", "topic", topic="jobs.new.eu"))
        await writer.publish(new_message("work", "delayed", recipient="worker", delay=3600))
        await (await anext(worker)).ack()
        await (await anext(worker)).reply("answer", "yes")
        await (await anext(worker)).nack(reason="no", terminal=True)
        assert (await anext(worker)).message.payload.data == b"open"
        await tenancy.close()
    async with serving(database_url) as (address, bus):
        tenancy.address = address
        client, person = await tenancy.client(), await tenancy.client("client")
        worker = await client.bus.connect("worker", credit=10)
        left = [await anext(worker) for _ in range(3)]
        assert [delivery.message.payload.data for delivery in left] == [b"open", b"waiting", b"topic"]
        answer = await anext(await client.bus.connect("writer"))
        assert answer.message.payload.data == b"yes"
        [letter] = (await person.bus.list_dead_letters()).dead_letters
        assert (letter.message.payload.data, letter.reason, letter.detail) == (b"dead", "REJECTED", "no")
        stats = (await person.bus.queue_stats("worker"))[0]
        assert (stats.queued, stats.in_flight, stats.delayed) == (0, 3, 1)
        assert len((await person.bus.list_messages()).messages) == 8
        assert bus.broker.stored_seq == 8
