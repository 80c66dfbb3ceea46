"""Lists of the bus that are longer, or larger, than an answer can be: on each database, with queues in memory
and in Redis.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from pentad.bus.v1 import bus_pb2 as pb
from pentad_bus.bus import Bus
from pentad_bus.redis.bus import RedisBus
from pentad_client.bus import new_message
from pentad_common.db import Database
from tests.fixtures.buses import Tenancy, new_tenancy, serving

MIB = 1024 * 1024


@pytest.fixture
async def tenancy(database: Database) -> AsyncIterator[Tenancy]:
    """A tenant in a database on each backend."""
    found = new_tenancy(database)
    yield found
    await found.close()


@pytest.fixture
async def bus(
    database_url: str, bus_backend: dict[str, str], tenancy: Tenancy
) -> AsyncIterator[Bus | RedisBus]:
    """A bus that `tenancy` talks to."""
    async with serving(database_url, **bus_backend) as (address, made):
        tenancy.address = address
        yield made
        await tenancy.close()


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Python's memory does not grow by more than `size` bytes, not even for a moment."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] - before < size
    finally:
        tracemalloc.stop()


async def test_a_page_has_so_many_bytes(bus: Bus | RedisBus, tenancy: Tenancy) -> None:
    """Of the largest messages a page has three at most, in the answer and in memory, whatever was asked for.
    The token leads on to all. A tail, a replay and the dead letters read no more at a time.
    """
    client, person = await tenancy.client(), await tenancy.client("client")
    reader = await client.bus.connect("reader", credit=30)
    sent = [
        new_message("note", b"x" * (MIB - 1024), recipient="reader", headers={"n": str(n)}) for n in range(30)
    ]
    for message in sent:
        await person.bus.publish(message)
        await (await anext(reader)).nack(reason="no", terminal=True)
    assert len((await person.bus.list_messages(page_size=1)).messages) == 1  # the archive in SQL has all
    await bus.read(bus.journal.history_size)  # as in memory: no archive is at work beside
    listed: list[pb.MessageRecord] = []
    token = ""
    while token or not listed:
        with at_most(20 * MIB):
            page = await person.bus.list_messages(page_size=1000, page_token=token)
        assert 1 <= len(page.messages) <= 3
        listed, token = [*listed, *page.messages], page.next_page_token
    assert [record.message.id for record in listed] == [message.id for message in reversed(sent)]
    with at_most(20 * MIB):
        assert len((await person.bus.list_dead_letters(page_size=1000)).dead_letters) <= 3
    tail = person.bus.tail(from_start=True)
    for message in sent[:10]:
        assert (await anext(tail)).message.id == message.id
    await reader.close()
    assert (await person.bus.replay("reader")).replayed == 30
