"""Redis, or one of two bus processes on it, dies; Redis has no memory or no disk left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client.bus import Connection, Delivery, new_message
from pentad_client.errors import PentadError, Unavailable
from tests.chaos.test_bus_disk import fill, health, small_disk
from tests.fixtures.buses import BusProcess, Tenancy
from tests.fixtures.valkey import RedisProcess
from tests.integration.test_bus_redis_remains import remains

pytestmark = pytest.mark.slow

SECONDS = 120.0
MESSAGES = 10_000

__all__ = ["small_disk"]


@pytest.fixture
def pair(
    sqlite_url: str, redis_process: RedisProcess, tmp_path: Path, tenancy: Tenancy
) -> Iterator[list[BusProcess]]:
    """Two bus processes on one Redis that syncs every write."""
    options = {"bus_backend": "redis", "redis_url": redis_process.url, "bus_lease_seconds": "2"}
    options["bus_ack_wait_seconds"] = "4"
    processes = [BusProcess(sqlite_url, tmp_path / f"bus{n}.log", **options) for n in range(2)]
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            process.kill()


class Tally:
    """What was confirmed to whom, and what came again after that."""

    def __init__(self) -> None:
        self.confirmed: set[int] = set()
        self.delivered: Counter[int] = Counter()
        self.settled: set[int] = set()
        """Answered, and the answer confirmed: the ack is stored."""
        self.repeated: list[int] = []
        """Delivered after that."""

    async def send(self, line: Connection, count: int) -> None:
        """Publishes numbers to `worker`, and tries again what was refused."""

        async def one(number: int) -> None:
            message = new_message("work", str(number), recipient="worker")
            while number not in self.confirmed:
                try:
                    await line.publish(message)
                    self.confirmed.add(number)
                except Unavailable as error:
                    await asyncio.sleep(error.retry_after or 0.2)

        for start in range(0, count, 250):
            await asyncio.gather(*(one(number) for number in range(start, start + 250)))

    async def work(self, line: Connection) -> None:
        """Answers everything, until it is cancelled."""
        async with asyncio.TaskGroup() as answers:
            async for delivery in line:
                number = int(delivery.message.payload.data)
                self.delivered[number] += 1
                if number in self.settled:
                    self.repeated.append(number)
                answers.create_task(self._answer(delivery, number))

    async def _answer(self, delivery: Delivery, number: int) -> None:
        try:
            await delivery.reply("answer", str(number))
            self.settled.add(number)
        except PentadError:
            return  # it comes again


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - it counts
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("victim", ["bus", "redis"])
async def test_kill_9_loses_nothing_and_repeats_nothing_settled(
    victim: str, pair: list[BusProcess], redis_process: RedisProcess, tenancy: Tenancy
) -> None:
    """10,000 confirmed, 0 lost, 0 delivered again of those whose answer was confirmed; every answer comes."""
    doomed, other = [await tenancy.client(address=process.address) for process in pair]
    tally, answers = Tally(), set[int]()
    writer = await other.bus.connect("writer", credit=2000)
    workers = [await client.bus.connect("worker", credit=300) for client in (doomed, other)]

    async def collect() -> None:
        async for answer in writer:
            answers.add(int(answer.message.payload.data))
            await answer.ack()

    tasks = [asyncio.create_task(tally.work(worker)) for worker in workers]
    tasks.append(asyncio.create_task(collect()))
    async with asyncio.timeout(SECONDS):
        sending = asyncio.create_task(tally.send(writer, MESSAGES))
        for count in (2000, 6000):
            await until(lambda count=count: len(tally.settled) >= count)
            if victim == "redis":
                await asyncio.to_thread(redis_process.kill)
                await asyncio.to_thread(redis_process.start)
            else:
                await asyncio.to_thread(pair[0].kill)
                await asyncio.to_thread(pair[0].start)
        await sending
        await until(lambda: len(answers) >= MESSAGES)
        person = await tenancy.client("client", address=pair[1].address)
        while any(one.bytes or one.in_flight for one in await person.bus.queue_stats()):  # noqa: ASYNC110
            await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    assert (len(tally.confirmed), tally.confirmed - set(tally.delivered)) == (MESSAGES, set())
    assert tally.repeated == []
    assert answers == set(range(MESSAGES))
    assert remains(redis_process.url, tenancy.tenant_id) == {}
    await tenancy.close()


async def test_redis_without_memory_confirms_nothing(
    sqlite_url: str, redis_process: RedisProcess, tmp_path: Path, tenancy: Tenancy
) -> None:
    """Publishes are refused with a hint and health says so, while what is there is worked on; that or more
    memory makes it go on by itself, with all that was confirmed.
    """
    bus = BusProcess(sqlite_url, tmp_path / "bus.log", bus_backend="redis", redis_url=redis_process.url)
    bus.start()
    try:
        client = await tenancy.client(address=bus.address)
        worker, writer = await client.bus.connect("worker", credit=0), await client.bus.connect("writer")
        confirmed = await _confirmed(writer, range(500))
        assert len(confirmed) == 500
        with redis.Redis.from_url(redis_process.url) as server:
            server.config_set("maxmemory-policy", "noeviction")
            server.config_set("maxmemory", int(server.info("memory")["used_memory"]) + 100_000)
            refused = await _refusals(writer, range(500, 3000), confirmed)
            assert refused == {("REDIS_OUT_OF_MEMORY", 1.0)}
            server.config_set("maxmemory", "1mb")  # less than it takes by itself
            await _refusals(writer, range(2900, 3000), confirmed)
            async with asyncio.timeout(SECONDS):
                await health(bus, serving=False)
            sure = len(confirmed)
            assert await _refusals(writer, range(3000, 3010), confirmed) == {("REDIS_OUT_OF_MEMORY", 1.0)}
            assert len(confirmed) == sure
            worker.set_credit(50)
            seen = await _take(worker, 100)
            server.config_set("maxmemory", 0)
        async with asyncio.timeout(SECONDS):
            await health(bus, serving=True)
        confirmed |= await _confirmed(writer, range(4000, 4100))
        worker.set_credit(1000)
        seen += await _take(worker, len(confirmed) - 100)
        assert (len(seen), set(seen)) == (len(confirmed), confirmed)
        await tenancy.close()
    finally:
        bus.kill()


async def test_redis_with_a_full_disk_confirms_nothing(
    sqlite_url: str, tmp_path: Path, small_disk: Path | None, tenancy: Tenancy
) -> None:
    """It refuses to write: no publish is confirmed, health says NOT_SERVING; with room all goes on."""
    server = RedisProcess((small_disk or tmp_path) / "redis", "--appendfsync", "everysec")
    server.start()
    bus = BusProcess(sqlite_url, tmp_path / "bus.log", bus_backend="redis", redis_url=server.url)
    bus.start()
    try:
        client = await tenancy.client(address=bus.address)
        worker, writer = await client.bus.connect("worker", credit=0), await client.bus.connect("writer")
        confirmed = await _confirmed(writer, range(200))
        make_room = fill(server, small_disk)
        async with asyncio.timeout(SECONDS):
            number = 1000
            while not (refused := await _refusals(writer, range(number, number + 50), confirmed)):
                number += 50
            assert {reason for reason, _ in refused} == {"REDIS_UNAVAILABLE"}
            await health(bus, serving=False)
            make_room()
            await health(bus, serving=True)
            confirmed |= await _confirmed(writer, range(100_000, 100_100))
            worker.set_credit(1000)
            seen = set(await _take(worker, len(confirmed)))
        assert confirmed <= seen
        await tenancy.close()
    finally:
        bus.kill()
        server.kill()


def _numbered(number: int) -> pb.Message:
    return new_message("work", f"{number:0400}", recipient="worker")


async def _confirmed(line: Connection, numbers: range) -> set[int]:
    await asyncio.gather(*(line.publish(_numbered(number)) for number in numbers))
    return set(numbers)


async def _refusals(line: Connection, numbers: range, confirmed: set[int]) -> set[tuple[str, Any]]:
    """Why some were refused; those that were not are `confirmed`."""

    async def one(number: int) -> tuple[str, Any] | None:
        try:
            await line.publish(_numbered(number))
        except Unavailable as error:
            return error.reason, error.retry_after
        confirmed.add(number)
        return None

    found: set[tuple[str, Any]] = set()
    for start in range(numbers.start, numbers.stop, 100):
        part = range(start, min(start + 100, numbers.stop))
        found |= {result for result in await asyncio.gather(*map(one, part)) if result}
    return found


async def _take(line: Connection, count: int) -> list[int]:
    found: list[int] = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            delivery = await anext(line)
            found.append(int(delivery.message.payload.data))
            await delivery.ack()
    return found
