"""The history of a bus on Redis: moved to SQL by a process that may end at any point."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from pentad.bus.v1 import bus_pb2 as pb
from pentad_bus.redis import bus as bus_module
from pentad_bus.redis.bus import RedisBus
from pentad_client import Pentad
from pentad_client.bus import Connection, message_filter, new_message
from pentad_client.errors import Unavailable
from pentad_common.db import Database
from tests.fixtures.buses import BusProcess, Tenancy, new_tenancy, serving

SECONDS = 60.0


@pytest.fixture
async def tenancy(database: Database) -> AsyncIterator[Tenancy]:
    """A tenant in a database on each backend."""
    found = new_tenancy(database)
    yield found
    await found.close()


def numbered(number: int, **fields: Any) -> pb.Message:
    return new_message("work", str(number), recipient="worker", **fields)


async def history(person: Pentad) -> list[int]:
    """All of it, newest first."""
    found: list[int] = []
    token = ""
    while True:
        page = await person.bus.list_messages(page_size=1000, page_token=token)
        found += [int(item.message.payload.data) for item in page.messages]
        token = page.next_page_token
        if not token:
            return found


def log_length(url: str, tenancy: Tenancy) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.xlen(f"pentad:bus:{{{tenancy.tenant_id}}}:log"))


async def test_history_dead_letters_and_replay(database_url: str, redis_url: str, tenancy: Tenancy) -> None:
    """In order, filtered, with dead letters that are redriven and purged, on SQLite and on PostgreSQL."""
    async with serving(database_url, bus_backend="redis", redis_url=redis_url) as (address, _):
        tenancy.address = address
        client, person = await tenancy.client(), await tenancy.client("client")
        worker = await client.bus.connect("worker", credit=10)
        for number in range(20):
            await person.bus.publish(numbered(number, run_id="odd" if number % 2 else "even"))
        assert await history(person) == list(reversed(range(20)))
        odd = await person.bus.list_messages(message_filter(run_id="odd", agent="worker"))
        assert len(odd.messages) == 10
        for _ in range(3):
            await (await anext(worker)).nack(reason="no", terminal=True)
        while len(found := (await person.bus.list_dead_letters()).dead_letters) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert (found[0].detail, found[0].history[0].outcome) == ("no", "REJECTED")
        assert await person.bus.redrive([found[0].dead_letter_id]) == 1
        assert await person.bus.redrive([found[0].dead_letter_id]) == 0
        assert await person.bus.purge(all=True) == 2
        assert (await person.bus.replay("worker", message_filter(run_id="odd"), max_messages=4)).replayed == 4
        assert not (await person.bus.list_dead_letters()).dead_letters
        tail = person.bus.tail(from_start=True)
        assert [int((await anext(tail)).message.payload.data) for _ in range(20)] == list(range(20))
        await tenancy.close()


async def test_an_archiver_may_be_killed_anywhere(
    database_url: str, redis_url: str, tmp_path: Path, tenancy: Tenancy
) -> None:
    """kill -9 of the process that archives, six times while 6,000 messages are published: each stands in the
    history once, and nothing is left in the log.
    """
    options = {"bus_backend": "redis", "redis_url": redis_url, "bus_lease_seconds": "1"}
    bus = BusProcess(database_url, tmp_path / "bus.log", **options)
    bus.start()
    try:
        client = await tenancy.client(address=bus.address)
        await (await client.bus.connect("worker")).close()
        writer = await client.bus.connect("writer")
        confirmed: set[int] = set()
        async with asyncio.timeout(SECONDS):
            sending = asyncio.create_task(publish_all(writer, 6000, confirmed))
            for kill in range(6):
                while len(confirmed) < 900 * (kill + 1):  # noqa: ASYNC110 - it counts
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.03 * kill)
                await asyncio.to_thread(bus.kill)
                await asyncio.to_thread(bus.start)
            await sending
            person = await tenancy.client("client", address=bus.address)
            found = Counter(await history(person))
        assert (len(confirmed), confirmed - set(found)) == (6000, set())
        assert set(found.values()) == {1}
        assert log_length(redis_url, tenancy) == 0
        await tenancy.close()
    finally:
        bus.kill()


async def publish_all(line: Connection, count: int, confirmed: set[int]) -> None:
    """Publishes numbers, and tries again what was refused."""

    async def one(number: int) -> None:
        message = numbered(number)
        while number not in confirmed:
            with suppress(Unavailable):
                await line.publish(message)
                confirmed.add(number)

    for start in range(0, count, 100):
        await asyncio.gather(*(one(number) for number in range(start, start + 100)))


async def test_what_is_cut_was_not_pending(database_url: str, redis_url: str, tenancy: Tenancy) -> None:
    """With the log cut and the history swept, 1,000 messages that wait, are at work or are delayed are all
    still delivered.
    """
    options: dict[str, Any] = {"bus_backend": "redis", "redis_url": redis_url, "bus_history_max_messages": 1}
    async with serving(database_url, **options) as (address, bus):
        tenancy.address = address
        client = await tenancy.client()
        worker, writer = await client.bus.connect("worker", credit=100), await client.bus.connect("writer")
        await asyncio.gather(*(writer.publish(numbered(n, delay=1.5)) for n in range(900, 1000)))
        await asyncio.gather(*(writer.publish(numbered(n)) for n in range(900)))
        open_ = [await anext(worker) for _ in range(100)]
        assert len(await history(await tenancy.client("client"))) == 1000
        assert log_length(redis_url, tenancy) == 0
        assert await bus.sweep() == 0
        seen = [int(delivery.message.payload.data) for delivery in open_]
        for delivery in open_:
            await delivery.ack()
        async with asyncio.timeout(SECONDS):
            while len(seen) < 1000:
                delivery = await anext(worker)
                seen.append(int(delivery.message.payload.data))
                await delivery.ack()
        assert (seen[:900], sorted(seen)) == (list(range(900)), list(range(1000)))
        await tenancy.close()


async def test_another_process_archives_when_the_first_is_gone(
    database_url: str, redis_url: str, tenancy: Tenancy
) -> None:
    """Only one does at a time; both read all of it."""
    options: dict[str, Any] = {"bus_backend": "redis", "redis_url": redis_url}
    async with serving(database_url, **options) as (other, second):
        async with serving(database_url, **options) as (address, first):
            assert isinstance(first, RedisBus)
            assert isinstance(second, RedisBus)
            assert (second._archiver.leading, first._archiver.leading) == (True, False)
            person = await tenancy.client("client", address=address)
            client = await tenancy.client(address=address)
            await (await client.bus.connect("worker")).close()
            for number in range(5):
                await person.bus.publish(numbered(number))
            assert await history(person) == [4, 3, 2, 1, 0]
            await asyncio.to_thread(second.journal.give_up)
            second._archiver.leading = False
            async with asyncio.timeout(SECONDS):
                while not (first._archiver.leading or second._archiver.leading):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await person.bus.publish(numbered(5))
            assert await history(person) == [5, 4, 3, 2, 1, 0]
            await tenancy.close()
        person = await tenancy.client("client", address=other)
        assert await history(person) == [5, 4, 3, 2, 1, 0]
        await tenancy.close()


async def test_a_history_that_is_behind_says_so(
    sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the process that archives is frozen, no page leaves out what was confirmed; then all is there."""
    monkeypatch.setattr(bus_module, "_CATCH_UP", 0.3)
    options = {"bus_backend": "redis", "redis_url": redis_url}
    archiving = BusProcess(sqlite_url, tmp_path / "bus.log", **options)
    database = Database(sqlite_url)
    tenancy = new_tenancy(database)
    try:
        archiving.start()
        async with serving(sqlite_url, **options) as (tenancy.address, _):
            client, person = await tenancy.client(), await tenancy.client("client")
            worker = await client.bus.connect("worker", credit=0)
            await worker.publish(numbered(0))
            assert await history(person) == [0]
            os.kill(archiving.pid, signal.SIGSTOP)
            assert not await worker.publish_many(numbered(number) for number in range(1, 2001))
            with pytest.raises(Unavailable) as caught:
                await person.bus.list_messages(page_size=10)  # tries several times
            assert (caught.value.reason, caught.value.retry_after) == ("HISTORY_BEHIND", 1.0)
            os.kill(archiving.pid, signal.SIGCONT)
            assert await history(person) == list(range(2000, -1, -1))
            await tenancy.close()
    finally:
        archiving.kill()
        database.close()
