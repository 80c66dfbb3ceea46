"""RabbitMQ by aio-pika: persistent messages, publisher confirms, acks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aio_pika

from benchmarks.bus.job import EVERYONE, Job, sink
from benchmarks.bus.tally import Receive

MOST_UNCONFIRMED = 1000
PREFETCH = 1000


async def prepare(job: Job) -> None:
    """Makes the queues, and binds all of them to the exchange of broadcasts."""
    connection = await aio_pika.connect(job.address)
    channel = await connection.channel()
    everyone = await channel.declare_exchange("all", aio_pika.ExchangeType.FANOUT, durable=True)
    for number in range(job.consumers):
        queue = await channel.declare_queue(sink(number), durable=True)
        await queue.bind(everyone)
    await connection.close()


class _Client:
    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._number = number
        self._connection: Any
        self._channel: Any

    async def open(self) -> None:
        """Connects."""
        self._connection = await aio_pika.connect(self._job.address)
        self._channel = await self._connection.channel()

    async def close(self) -> None:
        """Disconnects."""
        await self._connection.close()


class Producer(_Client):
    """Publishes with confirms, many at a time."""

    async def open(self) -> None:
        """Connects."""
        await super().open()
        self._room = asyncio.Semaphore(MOST_UNCONFIRMED)
        self._everyone = await self._channel.get_exchange("all", ensure=False)
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Publishes; waits for room."""
        for target, payload in batch:
            await self._room.acquire()
            task = asyncio.create_task(self._publish(target, payload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _publish(self, target: int, payload: bytes) -> None:
        exchange = self._everyone if target == EVERYONE else self._channel.default_exchange
        message = aio_pika.Message(payload, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        try:
            await exchange.publish(message, "" if target == EVERYONE else sink(target))
        finally:
            self._room.release()

    async def finish(self) -> None:
        """Waits for all confirms."""
        await asyncio.gather(*self._tasks)


class Consumer(_Client):
    """A callback that acks."""

    def __init__(self, job: Job, number: int, receive: Receive) -> None:
        super().__init__(job, number)
        self._receive = receive

    async def open(self) -> None:
        """Connects."""
        await super().open()
        await self._channel.set_qos(prefetch_count=PREFETCH)
        self._queue = await self._channel.get_queue(sink(self._number), ensure=False)

    async def run(self) -> None:
        """Handles what comes."""
        await self._queue.consume(self._handle)
        await asyncio.Event().wait()

    async def _handle(self, message: Any) -> None:
        self._receive(message.body)
        await message.ack()
