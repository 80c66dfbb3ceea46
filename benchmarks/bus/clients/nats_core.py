"""NATS without JetStream: at most once, no acks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import nats

from benchmarks.bus.job import EVERYONE, Job, sink
from benchmarks.bus.tally import Receive


async def prepare(job: Job) -> None:
    """Subjects need no preparation."""


class _Client:
    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._number = number
        self._connection: Any

    async def open(self) -> None:
        """Connects."""
        self._connection = await nats.connect(self._job.address)

    async def close(self) -> None:
        """Disconnects."""
        await self._connection.close()


class Producer(_Client):
    """The client collects what is published, and writes when it has 2 MB or the loop is free."""

    async def send(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Publishes."""
        publish = self._connection.publish
        for target, payload in batch:
            await publish("all" if target == EVERYONE else sink(target), payload)

    async def finish(self) -> None:
        """Waits until the server has read it all."""
        await self._connection.flush(60)


class Consumer(_Client):
    """A subscription with a callback."""

    def __init__(self, job: Job, number: int, receive: Receive) -> None:
        super().__init__(job, number)
        self._receive = receive

    async def open(self) -> None:
        """Connects and subscribes."""
        await super().open()
        subject = "all" if self._job.broadcast else sink(self._number)
        await self._connection.subscribe(
            subject, cb=self._handle, pending_msgs_limit=0, pending_bytes_limit=0
        )
        await self._connection.flush()

    async def _handle(self, message: Any) -> None:
        self._receive(message.data)

    async def run(self) -> None:
        """The client calls back by itself."""
        await asyncio.Event().wait()
