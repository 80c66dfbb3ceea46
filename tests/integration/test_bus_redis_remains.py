"""Whatever happened to messages in whatever order: each is settled once, and Redis keeps nothing of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
import redis

from pentad_client.bus import Connection, Delivery, new_message
from pentad_client.errors import PentadError
from tests.fixtures.buses import Tenancy, serving

SECONDS = 60.0
MESSAGES = 2000


class Workers:
    """Consumers with little patience: they ack, answer, give back, lose their connection, or say goodbye."""

    def __init__(self, tenancy: Tenancy, addresses: list[str], seed: int) -> None:
        self.settled: Counter[int] = Counter()
        self.chance = random.Random(seed)
        self._tenancy = tenancy
        self._addresses = addresses

    async def run(self, credit: int) -> None:
        """Connects again and again until it is cancelled."""
        while True:
            client = await self._tenancy.client(address=self.chance.choice(self._addresses))
            line = await client.bus.connect("worker", credit=credit)
            for _ in range(self.chance.randrange(20, 400)):
                await self._one(line, await anext(line))
            if self.chance.random() < 0.5:
                await line.close()
            elif line._task is not None:
                line._task.cancel()

    async def _one(self, line: Connection, delivery: Delivery) -> None:
        number, dice = int(delivery.message.payload.data), self.chance.random()
        with suppress(PentadError):
            if dice < 0.15:
                await delivery.nack(delay=self.chance.choice([0, 0, 0.05, 0.3]))
            elif dice < 0.3:
                await delivery.reply("answer", str(number))
                self.settled[number] += 1
            elif dice < 0.95 and await delivery.ack():
                self.settled[number] += 1
        # the rest stays open, and comes again when the connection ends or ack_wait does


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_left_behind(seed: int, sqlite_url: str, redis_url: str, tenancy: Tenancy) -> None:
    """2,000 messages of all priorities, some with a delay or a time to live, six consumers on two buses."""
    options: dict[str, Any] = {
        "bus_backend": "redis",
        "redis_url": redis_url,
        "bus_ack_wait_seconds": 1.0,
        "bus_max_attempts": 1000,
        "bus_instance_linger_seconds": 1.0,
    }
    async with AsyncExitStack() as stack:
        addresses = [(await stack.enter_async_context(serving(sqlite_url, **options)))[0] for _ in range(2)]
        stack.push_async_callback(tenancy.close)
        writer = await (await tenancy.client(address=addresses[0])).bus.connect("writer", credit=500)
        await (await (await tenancy.client(address=addresses[1])).bus.connect("worker")).close()
        workers = Workers(tenancy, addresses, seed)
        tasks = [asyncio.create_task(workers.run(credit)) for credit in (1, 2, 7, 33, 150, 400)]
        answers = asyncio.create_task(_ack_all(writer))
        chance = workers.chance
        for start in range(0, MESSAGES, 100):
            sent = []
            for number in range(start, start + 100):
                fields: dict[str, Any] = {"priority": chance.choice(["low", "normal", "normal", "high"])}
                if chance.random() < 0.1:
                    fields["delay"] = 0.2
                if chance.random() < 0.1:
                    fields["ttl"] = 600
                sent.append(
                    writer.publish_soon(new_message("work", str(number), recipient="worker", **fields))
                )
            await asyncio.gather(*sent)
        person = await tenancy.client("client", address=addresses[0])
        async with asyncio.timeout(SECONDS):
            while len(workers.settled) < MESSAGES or await _held(person):
                assert not [task.exception() for task in tasks if task.done()]
                await asyncio.sleep(0.1)
        for task in [*tasks, answers]:
            task.cancel()
        assert len((await person.bus.list_dead_letters()).dead_letters) == 0
        await asyncio.sleep(1.5)  # instances that are gone, and with them their inboxes
        assert remains(redis_url, tenancy.tenant_id) == {}


async def _ack_all(line: Connection) -> None:
    async for delivery in line:
        await delivery.ack()


async def _held(person: Any) -> int:
    return sum(one.queued + one.in_flight + one.delayed + one.bytes for one in await person.bus.queue_stats())


def remains(url: str, tenant_id: str) -> dict[str, Any]:
    """What Redis still has of messages, by key: chunks, places in line, counts that are not 0."""
    prefix = f"pentad:bus:{{{tenant_id}}}:"
    found: dict[str, Any] = {}
    with redis.Redis.from_url(url, decode_responses=True) as client:
        for key in client.scan_iter(f"{prefix}*"):
            name = key.removeprefix(prefix)
            kind = name.split(":")[0]
            if kind in ("x", "r", "p", "exp", "a"):
                found[name] = client.type(key)
            elif kind == "q" and client.xlen(key):
                found[name] = client.xlen(key)
            elif kind == "i":
                counts = {field: client.hget(key, field) for field in ("n", "b", "f", "dl")}
                if any(int(count or 0) for count in counts.values()):
                    found[name] = counts
        if int(client.get(f"{prefix}use") or 0):
            found["use"] = client.get(f"{prefix}use")
        waiting = [text for text in client.zrange(f"{prefix}due", 0, -1) if not text.startswith("i|")]
        if waiting:
            found["due"] = waiting
    return found
