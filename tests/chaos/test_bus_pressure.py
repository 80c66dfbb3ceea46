"""Clients that never read, send garbage, open and cancel, or are a thousand; poison and giants."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path
from typing import Any

import grpc
import pytest

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client import Pentad
from pentad_client.bus import Connection, Subscription, new_message
from pentad_client.errors import PentadError
from tests.fixtures.buses import BusProcess, OpenBus, Tenancy

pytestmark = pytest.mark.slow

SECONDS = 60.0
CONNECT = "/pentad.bus.v1.BusService/Connect"


def megabytes(bus: BusProcess) -> float:
    """Resident memory of the bus."""
    pages = int(Path(f"/proc/{bus.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def exchanged(client: Pentad, count: int = 3000) -> int:
    """Sends messages from one agent to another, each acked; how many came. Rates are for benchmarks."""
    reader = await client.bus.connect("reader", credit=1000)
    writer = await client.bus.connect("writer")

    async def read() -> int:
        bodies = set()
        for _ in range(count):
            delivery = await anext(reader)
            bodies.add(delivery.message.payload.data)
            await delivery.ack()
        return len(bodies)

    reading = asyncio.create_task(read())
    sent = [
        writer.publish_soon(new_message("note", str(number), recipient="reader")) for number in range(count)
    ]
    await asyncio.gather(*sent)
    came = await reading
    await asyncio.gather(reader.close(), writer.close())
    return came


async def raw_stream(channel: grpc.aio.Channel, key: str) -> Any:
    """A Connect stream of bytes."""
    call: Any = channel.stream_stream(CONNECT, bytes, bytes)
    return call(metadata=[("authorization", f"Bearer {key}")])


async def test_a_consumer_that_never_reads_costs_nobody_else(
    bus_process: BusProcess, tenancy: Tenancy
) -> None:
    """With 20,000 kilobytes waiting for it the bus grows by less than 50 MB, and others are not held up."""
    client = await tenancy.client()
    hello = pb.Hello(agent="stuck", instance="one", take_inbox=True, credit=pb.Credit(messages=65_000))
    async with (
        asyncio.timeout(SECONDS),
        grpc.aio.insecure_channel(bus_process.address) as channel,
    ):
        stuck = await raw_stream(channel, await tenancy.key())
        await stuck.write(pb.ConnectRequest(hello=hello).SerializeToString())
        assert pb.ConnectResponse.FromString(await stuck.read()).HasField("welcome")
        before = megabytes(bus_process)
        writer = await client.bus.connect("flooder")
        for _ in range(20):
            sent = [
                writer.publish_soon(new_message("note", b"x" * 1000, recipient="stuck")) for _ in range(1000)
            ]
            await asyncio.gather(*sent)
        assert megabytes(bus_process) - before < 50
        assert await exchanged(client) == 3000
        stuck.cancel()


async def test_garbage_and_cancelled_streams(bus_process: BusProcess, tenancy: Tenancy) -> None:
    """2,000 streams of noise and 2,000 that are cancelled leave nothing behind."""
    key, noise = await tenancy.key(), random.Random(1)
    client = await tenancy.client()
    assert await exchanged(client, 500) == 500
    before = megabytes(bus_process)
    hello = pb.ConnectRequest(hello=pb.Hello(agent="noisy", take_inbox=True)).SerializeToString()
    async with asyncio.timeout(SECONDS), grpc.aio.insecure_channel(bus_process.address) as channel:

        async def garbage(number: int) -> None:
            stream = await raw_stream(channel, key)
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                if number % 2:
                    await stream.write(hello)
                for _ in range(3):
                    await stream.write(noise.randbytes(noise.randrange(1, 2000)))
                while await stream.read() is not grpc.aio.EOF:
                    pass

        async def cancelled(number: int) -> None:
            stream = await raw_stream(channel, key)
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
                if number % 2:
                    await stream.write(hello)
                stream.cancel()

        for start in range(0, 2000, 100):
            await asyncio.gather(*(garbage(number) for number in range(start, start + 100)))
            await asyncio.gather(*(cancelled(number) for number in range(start, start + 100)))
        while any(one.consumers for one in await client.bus.queue_stats("noisy")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await exchanged(client, 500) == 500
    assert megabytes(bus_process) - before < 50


async def test_a_thousand_connections_each_with_a_subscription(
    bus_process: BusProcess, tenancy: Tenancy
) -> None:
    """One message to a topic reaches all of them, and each acks it."""
    client = await tenancy.client()
    wanted = [Subscription("news.*")]
    lines: list[Connection] = []
    async with asyncio.timeout(SECONDS):
        for start in range(0, 1000, 100):
            lines += await asyncio.gather(
                *(client.bus.connect(f"agent-{n}", "one", wanted) for n in range(start, start + 100))
            )
        await lines[0].publish(new_message("note", "to all", topic="news.today"))
        deliveries = await asyncio.gather(*(anext(line) for line in lines))
        assert all([await delivery.ack() for delivery in deliveries])
        assert {delivery.subscription for delivery in deliveries} == {"news.*"}
        await asyncio.gather(*(line.drain() for line in lines))
        stats = await client.bus.queue_stats()
        assert sum(one.consumers for one in stats if "/" not in one.recipient) == 1000
        assert sum(one.queued + one.in_flight for one in stats) == 0


async def test_poison_among_10_000_good_ones(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """It is tried as often as it may be and put aside with its history; the others are handled once each."""
    await open_bus(bus_retry_backoff_seconds=0.05, bus_max_attempts=5)
    client = await tenancy.client()
    worker = await client.bus.connect("worker", credit=500)
    writer = await client.bus.connect("writer")
    handled: list[str] = []

    @worker.on("work")
    async def work(delivery: Any) -> None:
        text = delivery.message.payload.data.decode()
        if text == "5000":
            raise ValueError("poison")
        handled.append(text)

    person = await tenancy.client("client")
    async with asyncio.timeout(SECONDS):
        for start in range(0, 10_001, 1000):
            batch = range(start, min(start + 1000, 10_001))
            await asyncio.gather(
                *(writer.publish_soon(new_message("work", str(n), recipient="worker")) for n in batch)
            )
        while not (found := (await person.bus.list_dead_letters()).dead_letters):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await worker.drain()
    assert sorted(handled, key=int) == [str(n) for n in range(10_001) if n != 5000]
    [letter] = found
    assert (letter.reason, letter.detail, letter.attempts) == ("MAX_ATTEMPTS", "ValueError: poison", 5)
    assert [(one.attempt, one.outcome) for one in letter.history] == [(n, "NACKED") for n in range(1, 6)]


async def test_messages_at_the_limit_and_far_beyond(open_bus: OpenBus, tenancy: Tenancy) -> None:
    """At the limit it is delivered; one byte more, or 100 MB, is refused at once, on both ways in."""
    limit = 1024 * 1024
    await open_bus(bus_max_message_bytes=limit)
    client, person = await tenancy.client(), await tenancy.client("client")
    reader, writer = await client.bus.connect("reader"), await client.bus.connect("writer")

    def sized(size: int) -> pb.Message:
        message = new_message("note", b"", recipient="reader")
        while message.ByteSize() != size:
            short = size - message.ByteSize()
            message.payload.data = b"x" * (len(message.payload.data) + short)
        return message

    async with asyncio.timeout(SECONDS):
        await writer.publish(sized(limit))
        assert len((await anext(reader)).message.payload.data) > limit - 200
        for size in (limit + 1, 5 * limit, 100 * limit):
            for publish in (writer.publish, person.bus.publish):
                with pytest.raises(PentadError) as caught:
                    await publish(sized(size))
                assert caught.value.reason in ("MESSAGE_TOO_LARGE", "TRANSPORT_LIMIT"), size
                assert (caught.value.reason == "TRANSPORT_LIMIT") <= (size > 4 * limit)
        await writer.publish(new_message("note", "still here", recipient="reader"))
        assert (await anext(reader)).message.payload.data == b"still here"
