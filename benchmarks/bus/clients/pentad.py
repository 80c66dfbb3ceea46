"""Pentad's own client, as an agent uses it."""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Sequence

from benchmarks.bus.job import EVERYONE, Job, sink
from benchmarks.bus.tally import Receive
from pentad.bus.v1.bus_pb2 import Message
from pentad_client import ClientConfig, Pentad
from pentad_client.bus import Connection, new_message

MOST_UNCONFIRMED = 8192
CREDIT = 8192


async def prepare(job: Job) -> None:
    """An inbox is made by the first connection of its agent."""


class _Client:
    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._number = number
        self._pentad = Pentad(ClientConfig(api_key=job.key, bus_address=job.address))
        self._connection: Connection

    async def close(self) -> None:
        """Ends its connection."""
        await self._connection.close()
        await self._pentad.close()


class Producer(_Client):
    """Publishes without a task a message, and waits for confirmations a batch at a time."""

    _confirmations: deque[list[Future[None]]]

    async def open(self) -> None:
        """Connects."""
        self._confirmations = deque()
        self._under_way = 0
        name = f"source{self._number}"
        self._connection = await self._pentad.bus.connect(name, take_inbox=False, timeout=20)

    async def send(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Publishes; waits while too many are unconfirmed. What may be lost is sent."""
        if not self._job.durable:
            send = self._connection.send
            for target, payload in batch:
                await send(_message(target, payload))
            return
        publish = self._connection.publish_soon
        futures = [publish(_message(target, payload)) for target, payload in batch]
        self._confirmations.append(futures)
        self._under_way += len(futures)
        while self._under_way > MOST_UNCONFIRMED:
            await self._confirm_batch()

    async def _confirm_batch(self) -> None:
        futures = self._confirmations.popleft()
        self._under_way -= len(futures)
        for future in futures:
            await future

    async def finish(self) -> None:
        """Waits for all confirmations."""
        while self._confirmations:
            await self._confirm_batch()
        await self._connection.flush()


def _message(target: int, payload: bytes) -> Message:
    if target == EVERYONE:
        return new_message("bench", payload, broadcast=True)
    return new_message("bench", payload, recipient=sink(target))


class Consumer(_Client):
    """Acks each delivery when it has been handled."""

    def __init__(self, job: Job, number: int, receive: Receive) -> None:
        super().__init__(job, number)
        self._receive = receive

    async def open(self) -> None:
        """Connects."""
        self._connection = await self._pentad.bus.connect(sink(self._number), credit=CREDIT, timeout=20)

    async def run(self) -> None:
        """Handles what comes."""
        receive = self._receive
        async for delivery in self._connection:
            receive(delivery.message.payload.data)
            await delivery.ack()
