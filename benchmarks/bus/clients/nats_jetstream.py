"""NATS with JetStream: stored in files, confirmed, acked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import nats
from nats.errors import TimeoutError as NothingCame
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig

from benchmarks.bus.job import EVERYONE, Job, sink
from benchmarks.bus.tally import Receive

STREAM = "bench"
BATCH = 500
MOST_UNACKED = 20_000


async def prepare(job: Job) -> None:
    """Makes the stream."""
    connection = await nats.connect(job.address)
    config = StreamConfig(name=STREAM, subjects=[f"{STREAM}.>"], storage=StorageType.FILE)
    await connection.jetstream().add_stream(config)
    await connection.close()


class _Client:
    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._number = number
        self._connection: Any
        self._jetstream: Any

    async def open(self) -> None:
        """Connects."""
        self._connection = await nats.connect(self._job.address)
        self._jetstream = self._connection.jetstream()

    async def close(self) -> None:
        """Disconnects."""
        await self._connection.close()


class Producer(_Client):
    """Asynchronous publishes; the client bounds how many are unacknowledged."""

    async def send(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Publishes; waits for room."""
        publish = self._jetstream.publish_async
        for target, payload in batch:
            await publish(f"{STREAM}.{'all' if target == EVERYONE else sink(target)}", payload)

    async def finish(self) -> None:
        """Waits for all acknowledgements."""
        await self._jetstream.publish_async_completed()


class Consumer(_Client):
    """A durable pull consumer."""

    def __init__(self, job: Job, number: int, receive: Receive) -> None:
        super().__init__(job, number)
        self._receive = receive

    async def open(self) -> None:
        """Connects and makes its consumer."""
        await super().open()
        subject = f"{STREAM}.{'all' if self._job.broadcast else sink(self._number)}"
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=MOST_UNACKED)
        self._subscription = await self._jetstream.pull_subscribe(
            subject,
            durable=sink(self._number),
            stream=STREAM,
            config=config,
            pending_msgs_limit=0,
            pending_bytes_limit=0,
        )

    async def run(self) -> None:
        """Fetches and acks."""
        receive = self._receive
        while True:
            with suppress(NothingCame):
                for message in await self._subscription.fetch(BATCH, timeout=1):
                    receive(message.data)
                    await message.ack()
