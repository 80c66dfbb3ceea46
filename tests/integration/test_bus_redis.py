"""Several bus processes on one Redis: shared agents, processes and a Redis that die, a cluster."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from pentad.bus.v1 import bus_pb2 as pb
from pentad_bus.bus import Bus
from pentad_bus.metrics import BusCollector
from pentad_bus.redis.bus import RedisBus
from pentad_client.bus import Connection, Delivery, new_message
from pentad_client.errors import Aborted, PentadError, Unavailable
from tests.fixtures.buses import BusProcess, Tenancy, new_tenancy, serving
from tests.fixtures.valkey import RedisProcess

SECONDS = 90.0

OpenPair = Callable[[str], Any]


def numbered(number: int) -> pb.Message:
    return new_message("work", str(number), recipient="worker")


def number_of(message: pb.Message) -> int:
    return int(message.payload.data)


async def take(connection: Connection, count: int) -> list[Delivery]:
    async with asyncio.timeout(SECONDS):
        return [await anext(connection) for _ in range(count)]


async def publish_all(connection: Connection, numbers: range, confirmed: set[int]) -> None:
    """Publishes the numbers, and tries again what was refused because something was away."""

    async def publish(number: int) -> None:
        while number not in confirmed:
            try:
                await connection.publish(numbered(number))
                confirmed.add(number)
            except Unavailable as error:
                await asyncio.sleep(error.retry_after or 0.2)

    for start in range(numbers.start, numbers.stop, 250):
        await asyncio.gather(*(publish(number) for number in range(start, min(start + 250, numbers.stop))))


async def work(connection: Connection, seen: Counter[int]) -> None:
    """Acks everything until it is cancelled."""
    async for delivery in connection:
        seen[number_of(delivery.message)] += 1
        await delivery.ack()


async def until_all(seen: Counter[int], count: int) -> None:
    async with asyncio.timeout(SECONDS):
        while len(seen) < count:  # noqa: ASYNC110 - it counts
            await asyncio.sleep(0.02)


async def until_serving(process: BusProcess, wanted: bool) -> None:
    async with asyncio.timeout(SECONDS):
        while await asyncio.to_thread(process.is_serving) != wanted:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.1)


@pytest.fixture
async def open_pair(sqlite_url: str, tenancy: Tenancy) -> AsyncIterator[OpenPair]:
    """`await open_pair(redis_url)`: the addresses of two buses on the same Redis and database."""
    async with AsyncExitStack() as stack:
        addresses: list[str] = []

        async def start(redis_url: str) -> list[str]:
            for _ in range(2):
                options = {"bus_backend": "redis", "redis_url": redis_url}
                address, _bus = await stack.enter_async_context(serving(sqlite_url, **options))
                addresses.append(address)
            stack.push_async_callback(tenancy.close)
            return addresses

        yield start


async def test_agents_meet_across_processes(open_pair: OpenPair, redis_url: str, tenancy: Tenancy) -> None:
    """Direct, topic, broadcast and reply go from one process to the other; what one knows the other does."""
    one, two = await open_pair(redis_url)
    here, there = await tenancy.client(address=one), await tenancy.client(address=two)
    writer = await here.bus.connect("writer")
    reader = await there.bus.connect("reader", subscriptions=["orders.*"])
    await writer.publish(new_message("note", "direct", recipient="reader"))
    await writer.publish(new_message("note", "topic", topic="orders.new"))
    await writer.publish(new_message("note", "all", broadcast=True))
    found = await take(reader, 3)
    assert [item.message.payload.data for item in found] == [b"direct", b"topic", b"all"]
    question = asyncio.create_task(writer.request(new_message("ask", "?", recipient="reader")))
    [task] = await take(reader, 1)
    await task.reply("answer", "!")
    assert (await question).payload.data == b"!"
    for item in found:
        await item.ack()
    await reader.drain()
    person = await tenancy.client("client", address=one)
    stats = {item.recipient: item for item in await person.bus.queue_stats("reader")}
    assert (stats["reader"].queued, stats["reader"].in_flight, stats["reader"].consumers) == (0, 0, 1)
    texts = [item.message.payload.data for item in (await person.bus.list_messages()).messages]
    assert texts == [b"!", b"?", b"all", b"topic", b"direct"]


async def test_metrics_are_of_all_processes_together(
    sqlite_url: str, redis_url: str, tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process says what all inboxes of all tenants hold; of each, what it has fetched."""
    monkeypatch.setattr("pentad_bus.redis.bus._COUNT_EVERY", 0.05)
    options = {"bus_backend": "redis", "redis_url": redis_url}
    async with (
        serving(sqlite_url, **options) as (one, first),
        serving(sqlite_url, **options) as (two, second),
    ):
        here, there = await tenancy.client(address=one), await tenancy.client(address=two)
        worker = await there.bus.connect("worker", credit=3)
        writer = await here.bus.connect("writer")
        await publish_all(writer, range(10), set())
        await writer.publish(new_message("work", "late", recipient="worker", delay=60))
        await take(worker, 3)
        wanted = {"queued": 7.0, "in_flight": 3.0, "delayed": 1.0, "inboxes": 4.0}
        async with asyncio.timeout(SECONDS):
            while (found := gauges(first)) | wanted != found:  # noqa: ASYNC110 - it is read
                await asyncio.sleep(0.05)
        assert found["queued_bytes"] > 11 * 20
        assert set(gauges(second)) == {"connections", "set_aside", "fetched"}
        await tenancy.close()


def gauges(bus: Bus | RedisBus) -> dict[str, float]:
    return {
        metric.name.removeprefix("pentad_bus_"): metric.samples[0].value
        for metric in BusCollector(bus).collect()
        if metric.type == "gauge"
    }


async def test_instances_on_two_processes_share_an_inbox(
    open_pair: OpenPair, redis_url: str, tenancy: Tenancy
) -> None:
    """Each message once, whoever takes it, and both take some."""
    one, two = await open_pair(redis_url)
    here, there = await tenancy.client(address=one), await tenancy.client(address=two)
    workers = [await client.bus.connect("worker", credit=20) for client in (here, there)]
    writer = await here.bus.connect("writer")
    shares: list[Counter[int]] = [Counter(), Counter()]
    tasks = [asyncio.create_task(work(*pair)) for pair in zip(workers, shares, strict=True)]
    await publish_all(writer, range(3000), set())
    async with asyncio.timeout(SECONDS):
        while sum(map(len, shares)) < 3000:  # noqa: ASYNC110 - it counts
            await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    assert set((shares[0] + shares[1]).values()) == {1}
    assert min(map(len, shares)) > 100


async def test_an_instance_moves_to_another_process(
    open_pair: OpenPair, redis_url: str, tenancy: Tenancy
) -> None:
    """The connection on the first process ends with a reason; the second gets what was open to it."""
    one, two = await open_pair(redis_url)
    here, there = await tenancy.client(address=one), await tenancy.client(address=two)
    first = await here.bus.connect("worker", instance="same")
    await first.publish(numbered(1))
    [mine] = await take(first, 1)
    second = await there.bus.connect("worker", instance="same")
    [again] = await take(second, 1)
    assert (number_of(again.message), again.attempt) == (1, 2)
    with pytest.raises(Aborted) as caught:
        await take(first, 1)
    assert caught.value.reason == "INSTANCE_TAKEN_OVER"
    assert not await mine.ack()


async def test_an_agent_that_moves_goes_on_where_its_acks_ended(
    sqlite_url: str, redis_url: str, tmp_path: Path, tenancy: Tenancy
) -> None:
    """From a bus that drains, and from one that was killed, to the other: in order, nothing acked again."""
    options = {"bus_backend": "redis", "redis_url": redis_url, "bus_lease_seconds": "3"}
    pair = [BusProcess(sqlite_url, tmp_path / f"bus{n}.log", **options) for n in range(2)]
    try:
        for process in pair:
            process.start()
        here, there = [await tenancy.client(address=process.address) for process in pair]
        writer = await there.bus.connect("writer")
        worker = await here.bus.connect("worker", credit=20)
        await publish_all(writer, range(300), set())
        seen = [number_of(delivery.message) for delivery in await taken_and_acked(worker, 100)]
        await take(worker, 10)
        await asyncio.sleep(0.2)  # an ack is stored within 10 ms
        assert await asyncio.to_thread(pair[0].stop) == 0
        assert worker._task is not None
        worker._task.cancel()  # it would come back there
        moved = await there.bus.connect("worker", credit=20)
        seen += [number_of(delivery.message) for delivery in await taken_and_acked(moved, 100)]
        await take(moved, 10)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(pair[0].start)
        await asyncio.to_thread(pair[1].kill)
        again = await (await tenancy.client(address=pair[0].address)).bus.connect("worker", credit=20)
        seen += [number_of(delivery.message) for delivery in await taken_and_acked(again, 100)]
        assert seen == list(range(300))
        await tenancy.close()
    finally:
        for process in pair:
            process.kill()


async def taken_and_acked(connection: Connection, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            delivery = await anext(connection)
            await delivery.ack()
            found.append(delivery)
    return found


async def test_kill_9_of_one_of_two_bus_processes_loses_nothing(
    sqlite_url: str, redis_url: str, tmp_path: Path, tenancy: Tenancy
) -> None:
    """What the dead one had under way goes to the other; 5,000 confirmed, none lost."""
    options = {"bus_backend": "redis", "redis_url": redis_url, "bus_lease_seconds": "1"}
    pair = [BusProcess(sqlite_url, tmp_path / f"bus{n}.log", **options) for n in range(2)]
    try:
        for process in pair:
            process.start()
        doomed, other = [await tenancy.client(address=process.address) for process in pair]
        seen: Counter[int] = Counter()
        confirmed: set[int] = set()
        workers = [await client.bus.connect("worker", credit=300) for client in (doomed, other)]
        writer = await other.bus.connect("writer")
        tasks = [asyncio.create_task(work(worker, seen)) for worker in workers]
        publishing = asyncio.create_task(publish_all(writer, range(5000), confirmed))
        while len(confirmed) < 2000:  # noqa: ASYNC110 - it counts
            await asyncio.sleep(0.01)
        pair[0].kill()
        await publishing
        await until_all(seen, 5000)
        for task in tasks:
            task.cancel()
        assert confirmed - set(seen) == set()
        await tenancy.close()
    finally:
        for process in pair:
            process.kill()


async def until_held(person: Any, count: int) -> None:
    """Until so much of the worker's is in the hands of bus processes."""
    held = -1
    async with asyncio.timeout(SECONDS):
        while held != count:
            await asyncio.sleep(0.05)
            [held] = [one.in_flight for one in await person.bus.queue_stats() if one.recipient == "worker"]


@pytest.mark.parametrize("killed", [True, False])
async def test_what_no_agent_was_given_has_lost_no_attempt(
    killed: bool, sqlite_url: str, redis_url: str, tmp_path: Path, tenancy: Tenancy
) -> None:
    """Three bus processes end with 200 messages fetched, of which agents saw one each time. Of two attempts
    what nobody saw has both; a dead letter was seen twice.
    """
    options = {"bus_backend": "redis", "redis_url": redis_url, "bus_max_attempts": "2"}
    other = BusProcess(sqlite_url, tmp_path / "other.log", **options)
    ending = BusProcess(sqlite_url, tmp_path / "ending.log", **options, drain_seconds="0.2")
    seen: Counter[int] = Counter()
    try:
        other.start()
        away = await tenancy.client(address=other.address)
        person = await tenancy.client("client", address=other.address)
        await (await away.bus.connect("worker")).close()
        await publish_all(await away.bus.connect("writer"), range(200), set())
        for held in (200, 200, 199):  # then one was seen twice
            await asyncio.to_thread(ending.start)
            client = await tenancy.client(address=ending.address)
            line = await client.bus.connect("worker", credit=1000, credit_bytes=1)
            seen.update([number_of(delivery.message) for delivery in await take(line, 1)])
            await until_held(person, held)
            await asyncio.sleep(0.1)  # what was given to an agent is told within 10 ms
            await asyncio.to_thread(ending.kill if killed else ending.stop)
            assert line._task is not None
            line._task.cancel()  # it would come back
        last = await away.bus.connect("worker", credit=1000)
        left = {number_of(one.message): one.attempt for one in await take(last, 200 - (seen[0] == 2))}
        letters = (await person.bus.list_dead_letters()).dead_letters
        assert [number_of(letter.message) for letter in letters] == [n for n in seen if seen[n] == 2] == [0]
        assert left == {number: 1 + seen[number] for number in range(1, 200)}
        await tenancy.close()
    finally:
        other.kill()
        ending.kill()


async def test_a_frozen_bus_process_is_fenced(
    sqlite_url: str, redis_url: str, tmp_path: Path, tenancy: Tenancy
) -> None:
    """Stopped for longer than its lease, it loses what it had; its late acks count for nothing."""
    options = {"bus_backend": "redis", "redis_url": redis_url, "bus_lease_seconds": "1"}
    pair = [BusProcess(sqlite_url, tmp_path / f"bus{n}.log", **options) for n in range(2)]
    try:
        for process in pair:
            process.start()
        frozen, other = [await tenancy.client(address=process.address) for process in pair]
        slow = await frozen.bus.connect("worker", instance="slow")
        await slow.publish(numbered(1))
        [late] = await take(slow, 1)
        quick = await other.bus.connect("worker", instance="quick")
        await asyncio.sleep(0.1)  # what was given to an agent is told within 10 ms
        os.kill(pair[0].pid, signal.SIGSTOP)
        [again] = await take(quick, 1)
        assert again.attempt == 2
        await late.ack()
        os.kill(pair[0].pid, signal.SIGCONT)
        await asyncio.sleep(1.5)  # the time in which a wrong ack would do harm
        person = await tenancy.client("client", address=pair[1].address)
        assert (await person.bus.queue_stats("worker"))[0].in_flight == 1
        assert await again.ack()
        await quick.drain()
        assert (await person.bus.queue_stats("worker"))[0].in_flight == 0
        await tenancy.close()
    finally:
        for process in pair:
            process.kill()


async def test_kill_9_of_redis_loses_nothing(
    sqlite_url: str, redis_process: RedisProcess, tenancy: Tenancy
) -> None:
    """With appendfsync always, twice in the middle of 4,000 publishes: every confirmed one is delivered."""
    options = {"bus_backend": "redis", "redis_url": redis_process.url}
    async with serving(sqlite_url, **options) as (address, _):
        client = await tenancy.client(address=address)
        worker, writer = await client.bus.connect("worker", credit=200), await client.bus.connect("writer")
        seen: Counter[int] = Counter()
        confirmed: set[int] = set()
        working = asyncio.create_task(work(worker, seen))
        publishing = asyncio.create_task(publish_all(writer, range(4000), confirmed))
        for count in (1000, 2500):
            while len(confirmed) < count:  # noqa: ASYNC110 - it counts
                await asyncio.sleep(0.005)
            await asyncio.to_thread(redis_process.kill)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(redis_process.start)
        async with asyncio.timeout(SECONDS):
            await publishing
        await until_all(seen, 4000)
        working.cancel()
        assert confirmed - set(seen) == set()
        await tenancy.close()


async def test_redis_away_and_back(
    sqlite_url: str, redis_process: RedisProcess, tmp_path: Path, tenancy: Tenancy
) -> None:
    """Publishes fail at once with a retry hint, health says so, open work stays open; then all goes on."""
    process = BusProcess(sqlite_url, tmp_path / "bus.log", bus_backend="redis", redis_url=redis_process.url)
    process.start()
    try:
        client = await tenancy.client(address=process.address)
        worker, writer = await client.bus.connect("worker"), await client.bus.connect("writer")
        await writer.publish(numbered(1))
        [one] = await take(worker, 1)
        await asyncio.to_thread(redis_process.stop)
        with pytest.raises(PentadError) as caught:
            await writer.publish(numbered(2))
        assert isinstance(caught.value, Unavailable)
        assert (caught.value.reason, caught.value.retry_after) == ("REDIS_UNAVAILABLE", 0.5)
        await until_serving(process, False)
        assert await one.ack()
        await asyncio.to_thread(redis_process.start)
        await until_serving(process, True)
        await publish_all(writer, range(3, 4), set())
        [three] = await take(worker, 1)
        assert (number_of(three.message), three.attempt) == (3, 1)
        await three.ack()
        await worker.drain()
        person = await tenancy.client("client", address=process.address)
        [shared] = [item for item in await person.bus.queue_stats("worker") if item.recipient == "worker"]
        assert (shared.queued, shared.in_flight, shared.bytes) == (0, 0, 0)
        await tenancy.close()
    finally:
        process.kill()


async def test_a_cluster_of_three_nodes(redis_cluster: str, open_pair: OpenPair, tenancy: Tenancy) -> None:
    """Tenants in the slots of different nodes, two bus processes: each tenant's 500 messages arrive once."""
    addresses = await open_pair(redis_cluster)
    tenancies = [new_tenancy(tenancy.database) for _ in range(6)]
    try:

        async def exchange(one: Tenancy) -> Counter[int]:
            here, there = [await one.client(address=address) for address in addresses]
            worker, writer = await here.bus.connect("worker", credit=100), await there.bus.connect("writer")
            seen: Counter[int] = Counter()
            working = asyncio.create_task(work(worker, seen))
            await publish_all(writer, range(500), set())
            await until_all(seen, 500)
            working.cancel()
            return seen

        for seen in await asyncio.gather(*map(exchange, tenancies)):
            assert set(seen.values()) == {1}
        person = await tenancies[0].client("client", address=addresses[1])
        assert len((await person.bus.list_messages(page_size=1000)).messages) == 500
    finally:
        for one in tenancies:
            await one.close()


@pytest.mark.parametrize(
    ("url", "says"), [("redis://127.0.0.1:1", "does not answer"), ("nonsense", "no URL of a Redis")]
)
def test_a_wrong_url_is_one_line(sqlite_url: str, url: str, says: str) -> None:
    """What to check, and no traceback."""
    settings = {"DATABASE_URL": sqlite_url, "BUS_BACKEND": "redis", "REDIS_URL": url, "PORT": "0"}
    environment = os.environ | {f"PENTAD_{name}": value for name, value in settings.items()}
    found = subprocess.run(
        [sys.executable, "-m", "pentad_bus"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert found.returncode != 0
    assert "PENTAD_REDIS_URL" in found.stderr
    assert says in found.stderr
    assert "Traceback" not in found.stderr
