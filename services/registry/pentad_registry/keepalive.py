"""One KeepAlive stream: answers to heartbeats, and orders out of turn, in one sequence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass

from pentad_common.call import CallContext
from pentad_common.errors import OutOfRange
from pentad_registry.model import Lease
from pentad_registry.registry import Heartbeat, Registry
from pentad_registry.store import LiveStore
from pentad_registry.watch import Watches


@dataclass(frozen=True, slots=True)
class Answer:
    """What the registry says of an instance. `lease` None: it is not known, and must register again."""

    agent: str
    instance: str
    lease: Lease | None


class KeepAlive:
    """A caller's stream. It may speak for any number of instances; those it spoke for get orders."""

    def __init__(self, registry: Registry, watches: Watches, live: LiveStore, call: CallContext) -> None:
        self._registry = registry
        self._watches = watches
        self._live = live
        self._call = call
        self._mine: set[tuple[str, str, int]] = set()
        self._ordered: set[tuple[str, str, int]] = set()
        self._out: asyncio.Queue[Answer | Exception | None] = asyncio.Queue(maxsize=1024)

    async def answers(self, beats: AsyncIterator[Heartbeat]) -> AsyncIterator[Answer]:
        """Answers to the heartbeats, and orders, until the heartbeats end. Raises as `Registry.heartbeat`."""
        tasks = [asyncio.create_task(self._kept(work)) for work in (self._read(beats), self._pass_orders())]
        try:
            while (item := await self._out.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _kept(self, work: Coroutine[None, None, None]) -> None:
        """Runs `work`; what it raises ends the stream."""
        try:
            await work
        except Exception as error:
            await self._out.put(error)

    async def _read(self, beats: AsyncIterator[Heartbeat]) -> None:
        async for beat in beats:
            lease = await self._registry.heartbeat(self._call, beat)
            if lease is not None:
                self._mine.add((beat.agent, beat.instance, beat.epoch))
            else:
                self._mine.discard((beat.agent, beat.instance, beat.epoch))
            await self._out.put(Answer(beat.agent, beat.instance, lease))
        await self._out.put(None)

    async def _pass_orders(self) -> None:
        """Drain orders at once; the answers to later heartbeats repeat them."""
        tenant = self._call.tenant_id
        while True:
            position = await self._live.position(tenant)
            try:
                async for lease in self._watches.drain_orders(tenant, position):
                    await self._order(lease)
            except OutOfRange:  # slower than the log is long
                continue

    async def _order(self, lease: Lease) -> None:
        place = (lease.agent, lease.instance, lease.epoch)
        if place in self._mine and place not in self._ordered:
            self._ordered.add(place)
            await self._out.put(Answer(lease.agent, lease.instance, lease))
