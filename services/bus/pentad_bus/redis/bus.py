"""The bus as it runs on Redis: links, wake-ups, the archive, and what happens by the clock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from redis.asyncio.cluster import RedisCluster

from pentad_bus.counters import Counters
from pentad_bus.draining import Draining
from pentad_bus.group_commit import resolve
from pentad_bus.limits import Limits
from pentad_bus.message_types import MessageTypes
from pentad_bus.publisher import Origin
from pentad_bus.redis.archive import Archive
from pentad_bus.redis.archiver import Archiver
from pentad_bus.redis.broker import RedisBroker
from pentad_bus.redis.drafts import Draft, Frame
from pentad_bus.redis.link import Link, LinkOptions
from pentad_bus.redis.script import (
    OUTAGES,
    TENANTS,
    TIMEOUT,
    Answer,
    Client,
    call,
    tenant_prefix,
    unavailable,
)
from pentad_bus.redis.server import open_server
from pentad_bus.redis.tasks import stop
from pentad_bus.redis.wakeups import Wakeups
from pentad_bus.retention import Retention, Sweeper
from pentad_bus.store.journal import Needed
from pentad_bus.totals import Totals
from pentad_common.errors import PentadError
from pentad_common.ids import new_id
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

_TICK = 0.25
_HEARTBEAT = 1.0
_PING = 0.5
_COUNT_EVERY = 5.0
"""Seconds between two counts of what all inboxes hold."""
_TAIL_POLL = 0.1
_HURRY = 0.05
"""Seconds after which a process that does not archive asks again for it to be done soon."""
_CATCH_UP = 5.0
"""Seconds that a reader waits at most until the archive has what was there when it asked."""
_COME_BACK = 2
"""Seconds after a start of Redis in which all who live have connected again."""
_LOOK_BACK = 0.001
"""Seconds by which the history's times and those in Redis may differ."""

Result = TypeVar("Result")


class _Ledger:
    """What `Line` and the sweeper ask of a ledger."""

    def __init__(self, links: dict[str, Link]) -> None:
        self._links = links
        self.on_health: Callable[[bool], None] = lambda healthy: None
        """Told when Redis goes away or is full, and when it is back."""
        self.archiver: Archiver

    async def flushed(self) -> None:
        """Waits until all that was handed in so far is stored. Raises Unavailable."""
        await asyncio.gather(*(link.flushed() for link in self._links.values() if link.busy))

    def hurry(self) -> None:
        """Links do by themselves."""

    async def call(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Runs a writing method of the archive."""
        found: Result = await self.archiver.call(function, *arguments)
        return found


class RedisBus(Draining):
    """One of several bus processes. Start it within an event loop, and close it there."""

    def __init__(
        self,
        url: str,
        archive: Archive,
        limits: Limits,
        keep: Retention,
        sweep_every: float,
        types: MessageTypes | None = None,
        *,
        lease: float = 5.0,
    ) -> None:
        self.url = url
        self.journal = archive
        self.limits = limits
        self.counters = Counters()
        self.process = f"{os.uname().nodename}-{os.getpid()}-{new_id()[-6:]}"
        self.broker = RedisBroker(limits, self.counters, self._open_link, types)
        super().__init__(self.broker)
        self.ledger = _Ledger(self.broker.directory.links)
        self.totals: Totals | None = None
        """What all inboxes of all tenants hold, if this is the process that counts: the one that archives."""
        self._lease = lease
        self._keep = keep
        self._sweeper = Sweeper(self, keep)
        self._sweep_every = sweep_every
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="history")
        self._tasks: list[asyncio.Task[None]] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._calm = False
        self._client: Client
        self._wakeups: Wakeups
        self._archiver: Archiver

    async def start(self) -> None:
        """Finds Redis and the archive. Raises StartupError."""
        self._client, uptime = await open_server(self.url)
        self._calm = uptime >= _COME_BACK
        self._wakeups = Wakeups(self._client, self.process, self._heard)
        self._archiver = self.ledger.archiver = Archiver(self._client, self.journal, self.counters)
        await self._archiver.start()
        self._wakeups.start()
        keepers = (
            self._keep_time,
            self._keep_alive,
            self._keep_watch,
            self._keep_sweeping,
            self._keep_counting,
        )
        self._tasks = [asyncio.create_task(keep()) for keep in keepers]

    async def close(self) -> None:
        """Says what is left, gives back what is held, and leaves."""
        await stop(self._tasks)
        for timer in self._timers.values():
            timer.cancel()
        await asyncio.gather(*(link.close() for link in self.broker.directory.links.values()))
        await self._archiver.close()
        await self._wakeups.close()
        self._readers.shutdown(wait=True)
        await self._client.aclose()
        await asyncio.to_thread(self.journal.close)

    # ---------------------------------------------------------------------------------------------- links

    def _open_link(self, tenant_id: str) -> Link:
        options = LinkOptions(self.process, self.limits, self._lease, self.counters, self._calm)
        link = Link(self._client, tenant_id, options)
        link.guarded = self._wakeups.guards
        link.on_sooner = partial(self._sooner, link)
        self._wakeups.follow(tenant_id)
        return link

    def _heard(self, tenant_id: str, process: str, names: list[str]) -> None:
        link = self.broker.directory.links[tenant_id]
        if names == ["!"]:
            self._archiver.hurry()
        elif process == link.process:
            return
        elif names:
            link.look(names)
        else:
            self._sooner(link, 0.0)

    def _sooner(self, link: Link, due: float) -> None:
        """Has a tick at `due`, in epoch seconds, unless there is one before."""
        loop = asyncio.get_running_loop()
        when = loop.time() + max(0.0, due - self.broker.clock.wall()) + 0.002
        timer = self._timers.get(link.tenant_id)
        if timer is not None and not timer.cancelled() and loop.time() < timer.when() <= when:
            return
        if timer is not None:
            timer.cancel()
        self._timers[link.tenant_id] = loop.call_at(when, lambda: loop.create_task(self._tick(link)))

    async def _tick(self, link: Link) -> None:
        try:
            due = await link.tick()
        except OUTAGES:
            link.kick()  # it finds out, and tries again
            return
        if due is not None and due < _HEARTBEAT:
            self._sooner(link, self.broker.clock.wall() + due)

    async def publish(self, origin: Origin, body: bytes) -> tuple[str, bool]:
        """Takes one message: its id, and whether it is a duplicate. Raises PentadError."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        duplicates: list[str] = []

        def told(draft: Draft, error: PentadError | None, duplicate: bool) -> None:
            if error is not None:
                self.counters.rejected[error.reason] += 1
                resolve(answered, error)
            elif duplicate:
                self.counters.duplicates += 1
                duplicates.append(draft.id)

        draft = self.broker.draft(origin, body)
        frame = Frame([draft], told, _nothing, lambda: resolve(answered, None))
        self.broker.link(origin.tenant.id).submit(frame)
        await answered
        return draft.id, bool(duplicates)

    async def inbox_names(self, tenant_id: str) -> set[str]:
        """Of all inboxes of a tenant. Raises Unavailable."""
        try:
            found: Any = await self._client.hkeys(f"{tenant_prefix(tenant_id)}inboxes")
        except OUTAGES:
            raise unavailable() from None
        return {name if isinstance(name, str) else name.decode() for name in found}

    async def stats(self, tenant_id: str, names: Sequence[str]) -> list[list[Any]]:
        """Those of these inboxes that there are, as `lua/operations.lua` counts them. Raises Unavailable."""
        try:
            answer = await self.ask(tenant_id, "stats", {"names": list(names)})
        except OUTAGES:
            raise unavailable() from None
        return list(answer["queues"])

    async def ask(self, tenant_id: str, operation: str, ask: dict[str, Any]) -> Answer:
        """An operation that is nobody's in particular. Raises what is in OUTAGES."""
        limits = self.limits
        bounds = [limits.max_queue_messages, limits.max_queue_bytes, limits.queue_overflow]
        return await call(self._client, tenant_id, operation, {"p": self.process, "bounds": bounds, **ask})

    # ---------------------------------------------------------------------------------------------- history

    async def read(self, function: Callable[..., Result], *arguments: object, **options: object) -> Result:
        """Runs a reading method of the archive in a thread."""
        bound = partial(function, *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._readers, bound)

    async def catch_up(self, tenant_id: str) -> bool:
        """Waits until the archive has what this tenant's log held when this was called, which it then writes
        without a rest. False if that takes too long; while Redis is away there is nothing to wait for.
        """
        log_key = f"{tenant_prefix(tenant_id)}log"
        waiting = asyncio.timeout(_CATCH_UP)
        with suppress(TimeoutError, *OUTAGES):
            async with waiting:
                newest: Any = await self._client.xrevrange(log_key, count=1)
                while newest and await self._client.xrange(log_key, max=newest[0][0], count=1):
                    await self._hurry(tenant_id)
                    await asyncio.sleep(0.01 if self._archiver.leading else _HURRY)
        self.broker.stored_seq = await self.read(self.journal.newest_seq)
        return not waiting.expired()

    async def _hurry(self, tenant_id: str) -> None:
        self._archiver.hurry()
        if not self._archiver.leading:
            await self.ask(tenant_id, "hurry", {})

    async def stored_after(self, seq: int, tenant_id: str) -> int:
        """Waits until a message after `seq` is in the archive; the last seq there."""
        while (newest := await self.read(self.journal.newest_seq)) <= seq:
            with suppress(*OUTAGES):
                await self._hurry(tenant_id)
            await asyncio.sleep(_TAIL_POLL)
        self.broker.stored_seq = newest
        return newest

    # ---------------------------------------------------------------------------------------------- time

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                self.broker.tick()
            except Exception:
                log.exception("a scheduled action failed")

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT)
            links = list(self.broker.directory.links.values())
            for result in await asyncio.gather(*(self._tick(link) for link in links), return_exceptions=True):
                if isinstance(result, BaseException):
                    log.error("a tick failed", exc_info=result)

    async def _keep_watch(self) -> None:
        healthy = True
        while True:
            await asyncio.sleep(_PING)
            try:
                async with asyncio.timeout(TIMEOUT):
                    await self._ping()
                    full = [link for link in self.broker.directory.links.values() if link.full]
                    await asyncio.gather(*(link.probe() for link in full))
                found = not any(link.full for link in full)
            except OUTAGES:
                found = False
            if found != healthy:
                healthy = found
                (log.info if found else log.error)("Redis can be used" if found else "Redis cannot be used")
                self.ledger.on_health(found)

    async def _ping(self) -> None:
        if isinstance(self._client, RedisCluster):
            await self._client.ping(target_nodes=RedisCluster.PRIMARIES)
        else:
            await self._client.ping()

    async def _keep_counting(self) -> None:
        while True:
            try:
                self.totals = await self._count() if self._archiver.leading else None
            except OUTAGES:
                self.totals = None
            await asyncio.sleep(_COUNT_EVERY)

    async def _count(self) -> Totals:
        found = Totals()
        for tenant_id in await self._tenants():
            cursor = ""
            while cursor != "0":
                answer = await self.ask(tenant_id, "totals", {"cursor": cursor or "0"})
                cursor = answer["next"]
                inboxes, queued, in_flight, delayed = answer["sums"]
                found.inboxes += int(inboxes)
                found.queued += queued
                found.in_flight += in_flight
                found.delayed += delayed
            found.queued_bytes += answer["use"]
        return found

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_every)
            try:
                await self.sweep()
            except PentadError as error:
                log.warning("the history could not be swept", reason=error.reason)

    async def sweep(self) -> int:
        """Deletes history and dead letters that are too old or too much, if this process archives; how many
        messages.
        """
        if not self._archiver.leading:
            self._sweeper = Sweeper(self, self._keep)
            return 0
        await self.ledger.flushed()
        for tenant_id in list(self.broker.directory.links):
            await self.catch_up(tenant_id)
        return await self._sweeper.sweep()

    async def give_up_older(self, taken_before: float) -> None:
        """Gives up what has waited since before a time, in epoch seconds."""
        try:
            for tenant_id in await self._tenants():
                await self.ask(tenant_id, "age", {"before": taken_before})
        except OUTAGES:
            raise unavailable() from None

    async def still_needed(self) -> Needed:
        """What waits, or is being worked on."""
        try:
            answers = {tenant: await self.ask(tenant, "oldest", {}) for tenant in await self._tenants()}
        except OUTAGES:
            raise unavailable() from None
        oldest = {
            tenant: await self.read(self.journal.seq_at, float(answer["oldest"]) - _LOOK_BACK)
            for tenant, answer in answers.items()
            if "oldest" in answer
        }
        return Needed(1 << 62, oldest)

    async def _tenants(self) -> list[str]:
        found: Any = await self._client.smembers(TENANTS)
        return sorted(item if isinstance(item, str) else item.decode() for item in found)


def _nothing(_draft: Draft, _settled: bool) -> None:
    """Nothing is settled."""
