"""Redis Streams by redis-py: consumer groups, acked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from benchmarks.bus.job import EVERYONE, Job, sink
from benchmarks.bus.tally import Receive

BATCH = 512
BLOCK_MILLISECONDS = 1000


def _stream(target: int) -> str:
    return "all" if target == EVERYONE else sink(target)


async def prepare(job: Job) -> None:
    """Makes the streams and their groups."""
    async with Redis.from_url(job.address) as client:
        for number in range(job.consumers):
            stream = _stream(EVERYONE if job.broadcast else number)
            await client.xgroup_create(stream, sink(number), mkstream=True)


class _Client:
    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._number = number
        self._redis: Any

    async def open(self) -> None:
        """Connects."""
        self._redis = Redis.from_url(self._job.address)
        await self._redis.ping()

    async def close(self) -> None:
        """Disconnects."""
        await self._redis.aclose()


class Producer(_Client):
    """A pipeline of XADD, then its answers."""

    async def send(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Adds; returns when all is confirmed."""
        pipeline = self._redis.pipeline(transaction=False)
        for target, payload in batch:
            pipeline.xadd(_stream(target), {"d": payload})
        await pipeline.execute()

    async def finish(self) -> None:
        """All is confirmed."""


class Consumer(_Client):
    """One round trip acks a batch and reads the next."""

    def __init__(self, job: Job, number: int, receive: Receive) -> None:
        super().__init__(job, number)
        self._receive = receive

    async def run(self) -> None:
        """Reads and acks."""
        receive = self._receive
        name = sink(self._number)
        stream = _stream(EVERYONE if self._job.broadcast else self._number)
        done: list[bytes] = []
        while True:
            pipeline = self._redis.pipeline(transaction=False)
            if done:
                pipeline.xack(stream, name, *done)
            pipeline.xreadgroup(name, name, {stream: ">"}, count=BATCH, block=BLOCK_MILLISECONDS)
            found = (await pipeline.execute())[-1]
            done = []
            for entries in _entries(found):
                for entry_id, fields in entries:
                    receive(fields[b"d"])
                    done.append(entry_id)


def _entries(found: Any) -> Any:
    """The entries of each stream, in the form of either version of the protocol."""
    if isinstance(found, dict):
        return [entries for lists in found.values() for entries in lists]
    return [entries for _, entries in found or []]
