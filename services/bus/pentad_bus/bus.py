"""The bus as it runs: the broker, its journal, and what happens by the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from pentad_bus.broker import Broker
from pentad_bus.counters import Counters
from pentad_bus.draining import Draining
from pentad_bus.group_commit import RETRY, GroupCommit, resolve
from pentad_bus.limits import Limits
from pentad_bus.message_types import MessageTypes
from pentad_bus.publisher import Origin
from pentad_bus.retention import Retention, Sweeper
from pentad_bus.store.journal import Journal, Needed
from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

_TICK = 0.25
_ARCHIVE_PAUSE = 0.1
_ARCHIVE_MOST = 64
"""Messages that go from the journal's log into its tables at a time: commits wait so long, half a
millisecond.
"""
_ARCHIVE_REST = 3
"""How many times as long as that took nothing is archived then."""
_ARCHIVE_BUSY = 500
"""Messages that were taken during a pause: with so many, the log may grow, up to what the ledger allows."""

Result = TypeVar("Result")


class Bus(Draining):
    """Start it within an event loop, and close it there."""

    def __init__(
        self,
        journal: Journal,
        limits: Limits,
        keep: Retention,
        sweep_every: float,
        types: MessageTypes | None = None,
    ) -> None:
        self.journal = journal
        self.counters = Counters()
        self.ledger = GroupCommit(journal, self.counters)
        self.broker = Broker(limits, self.ledger, counters=self.counters, types=types)
        super().__init__(self.broker)
        self._sweeper = Sweeper(self, keep)
        self._sweep_every = sweep_every
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="history")
        self._sooner = asyncio.Event()
        self._news: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Takes the journal and puts back what waits in it. Raises StartupError."""
        started = time.perf_counter()
        await self.ledger.call(self.journal.open)
        since = self.broker.clock.wall() - self.broker.limits.dedup_window
        found = await self.ledger.call(self.journal.recover, since)
        self.ledger.start()
        waiting = self.broker.restore(found)
        self.broker.settlement.schedule.on_earlier = lambda _due: self._sooner.set()
        self.broker.on_stored = self._announce
        keepers = (self._keep_time, self._keep_sweeping, self._keep_archiving)
        self._tasks = [asyncio.create_task(keep()) for keep in keepers]
        seconds = round(time.perf_counter() - started, 3)
        log.info("recovered", waiting=waiting, inboxes=len(found.inboxes), seconds=seconds)

    async def close(self) -> None:
        """Stores what is left and gives the journal up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.ledger.close()
        self._readers.shutdown(wait=True)
        await asyncio.to_thread(self.journal.close)

    async def publish(self, origin: Origin, body: bytes) -> tuple[str, bool]:
        """Takes one message and waits until it is stored: its id ("" for a duplicate), and whether it is one.
        Raises PentadError.
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        taken = self.broker.publish(origin, body, partial(resolve, stored))
        await stored
        return taken

    async def read(self, function: Callable[..., Result], *arguments: object, **options: object) -> Result:
        """Runs a reading method of the journal in a thread."""
        call = partial(function, *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    # ---------------------------------------------------------------------------------------------- tails

    def _announce(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    async def stored_after(self, seq: int, tenant_id: str) -> int:
        """Waits until a message after `seq` is stored; the last stored seq."""
        while self.broker.stored_seq <= seq:
            if self._news is None:
                self._news = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._news)  # others wait for the same one
        return self.broker.stored_seq

    # ---------------------------------------------------------------------------------------------- time

    async def _keep_time(self) -> None:
        while True:
            due = self.broker.next_due()
            wait = _TICK if due is None else min(_TICK, max(0.0, due - self.broker.clock.wall()))
            self._sooner.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._sooner.wait()
            try:
                self.broker.tick()
            except Exception:
                log.exception("a scheduled action failed")

    async def _keep_archiving(self) -> None:
        """When there is little else to do; if there is much for long, the ledger makes room."""
        pause, published, done = _ARCHIVE_PAUSE, 0, -1
        while True:
            await asyncio.sleep(pause)
            taken, published = self.counters.published - published, self.counters.published
            began, left, commits = time.perf_counter(), 0, self.counters.commits
            busy = taken >= _ARCHIVE_BUSY * pause / _ARCHIVE_PAUSE or not self.ledger.idle
            if not busy and commits != done:
                left = await self._archive()
                done = -1 if left else commits
            rest = _ARCHIVE_REST * (time.perf_counter() - began)
            pause = max(0.002, rest) if left else max(_ARCHIVE_PAUSE, rest)

    async def _archive(self) -> int:
        try:
            return await self.read(self.journal.archive, _ARCHIVE_MOST)
        except PentadError as error:
            log.warning("the log could not be archived", reason=error.reason)
        except Exception:
            log.exception("the log could not be archived")
        await asyncio.sleep(RETRY)
        return 1  # there is more, presumably

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_every)
            try:
                await self.sweep()
            except PentadError as error:
                log.warning("the history could not be swept", reason=error.reason)

    async def give_up_older(self, taken_before: float) -> None:
        """Gives up what has waited since before a time, in epoch seconds."""
        self.broker.expire_older(taken_before)

    async def still_needed(self) -> Needed:
        """What waits, or is being worked on."""
        return self.broker.still_needed()

    async def sweep(self) -> int:
        """Deletes history and dead letters that are too old or too much; how many messages."""
        return await self._sweeper.sweep()
