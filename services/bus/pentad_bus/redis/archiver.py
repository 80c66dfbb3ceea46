"""From the tenants' logs in Redis into SQL: history and dead letters, each once, whenever this is killed.

One bus process at a time does it: the one that has the journal. Rows are committed first and then taken from
the log; what was committed and not yet taken is known again by what stands last in the table.
"""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import DBAPIError

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.counters import Counters
from pentad_bus.redis.archive import Archive
from pentad_bus.redis.chunks import bodies
from pentad_bus.redis.script import OUTAGES, TENANTS, Client, tenant_prefix
from pentad_bus.redis.tasks import stop
from pentad_bus.store.journal import Changes, DeadRow
from pentad_common.errors import PentadError, StartupError
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

_MOST_ENTRIES = 64
"""Of one tenant's log in a transaction; an entry is what one exchange published, 4,096 messages at most."""
_BYTES = 256 * 1024
"""About how much of a log is read at a time, if an entry is no larger."""
_MESSAGES = 4096
_REST = 3
"""How many times as long as a transaction took nothing is archived then, while nobody waits for it."""
_MOST_BEHIND = 128 * 1024 * 1024
"""Bytes in a log, about, and there is no rest."""
_BUSY = 500
"""Messages that this process took during _POLL: with so many, the log may grow up to that."""
_POLL = 0.1
_CANDIDATE = 1.0
_PAUSE = 0.5


class Archiver:
    """Keeps the archive up to date, while this process has it."""

    def __init__(self, client: Client, archive: Archive, counters: Counters) -> None:
        self.leading = False
        self._client = client
        self._archive = archive
        self._counters = counters
        self._last_seq = 0
        self._known: set[tuple[str, int]] = set()
        """What was committed and may still be in a log."""
        self._entries = 2
        """To be read of a log: fewer when they were large."""
        self._entry_size = 0.0
        """Of what was in the logs lately, on the average."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes the archive if it is free. Raises StartupError if it cannot be used."""
        await self._lead()
        self._task = asyncio.create_task(self._run(), name="archive")

    async def close(self) -> None:
        """Writes what can be written, and gives the archive up."""
        await stop([self._task])
        await self.call(_nothing)  # what the thread was doing is done
        if self.leading:
            with suppress(PentadError, *OUTAGES, DBAPIError, TimeoutError):
                async with asyncio.timeout(5):
                    while await self._cycle():
                        pass
        self._thread.shutdown(wait=True)

    def hurry(self) -> None:
        """Someone waits for it."""
        self._hurry.set()

    async def call(self, function: Any, *arguments: Any) -> Any:
        """Runs a writing method of the archive."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _lead(self) -> None:
        self.leading = await self.call(self._archive.try_open)
        if self.leading:
            self._last_seq, self._known = await self.call(self._archive.last_rows)
            log.info("this process archives", last_seq=self._last_seq)

    async def _run(self) -> None:
        while True:
            try:
                if self.leading:
                    await _wait(self._hurry, _POLL)
                else:
                    await asyncio.sleep(_CANDIDATE)
                    await self._lead()
                if self.leading:
                    await self._catch_up()
            except OUTAGES:
                await asyncio.sleep(_PAUSE)
            except (PentadError, DBAPIError, StartupError) as error:
                log.warning(
                    "the history cannot be written at the moment; it waits in Redis", error=str(error)
                )
                await self._resign()
            except Exception:
                log.exception("archiving failed")
                await self._resign()

    async def _catch_up(self) -> None:
        while True:
            hurried = self._hurry.is_set()
            self._hurry.clear()
            began, published = time.perf_counter(), self._counters.published
            behind = await self._cycle()
            if not behind:
                return
            if hurried or behind > _MOST_BEHIND:
                continue
            await _wait(self._hurry, _REST * (time.perf_counter() - began))
            while not self._hurry.is_set() and self._counters.published - published >= _BUSY:
                published = self._counters.published
                await _wait(self._hurry, _POLL)
                if await self._longest() * self._entry_size > _MOST_BEHIND:
                    break

    async def _longest(self) -> int:
        return max([int(await self._client.xlen(key)) for key in await self._logs()], default=0)

    async def _logs(self) -> dict[str, str]:
        """The tenants' logs: keys, and whose they are."""
        found = sorted(await self._client.smembers(TENANTS))
        tenants = [tenant if isinstance(tenant, str) else tenant.decode() for tenant in found]
        return {f"{tenant_prefix(tenant)}log": tenant for tenant in tenants}

    async def _resign(self) -> None:
        self.leading = False
        await self.call(self._archive.give_up)
        await asyncio.sleep(2 * _PAUSE)

    async def _cycle(self) -> float:
        """One transaction; the bytes in the longest log, about, or 0 if there is nothing more."""
        changes = Changes()
        repeated: set[tuple[str, int]] = set()
        done: dict[str, bytes] = {}
        longest = 0
        sizes = [1]
        for key, tenant_id in (await self._logs()).items():
            entries: Any = await self._client.xrange(key, count=self._entries)
            for entry_id, entry in entries:
                self._read(changes, repeated, tenant_id, entry)
                done[key] = entry_id
                sizes.append(sum(map(len, entry.values())))
                if len(changes.messages) >= _MESSAGES:
                    break
            if len(entries) == self._entries:
                longest = max(longest, int(await self._client.xlen(key)))
            if len(changes.messages) >= _MESSAGES:
                break
        if not done:
            return 0
        self._entry_size = 0.8 * self._entry_size + 0.2 * sum(sizes) / len(sizes)
        self._entries = min(_MOST_ENTRIES, max(2, _BYTES // max(sizes)))
        await self.call(self._store, changes, repeated)
        for key, last in done.items():
            milliseconds, _, number = last.decode().partition("-")
            await self._client.xtrim(key, minid=f"{milliseconds}-{int(number) + 1}", approximate=False)
        return longest * self._entry_size

    def _store(self, changes: Changes, repeated: set[tuple[str, int]]) -> None:
        """In the thread: what is committed is noted, whoever waits for it or not."""
        self._archive.store(changes)
        if changes.messages:
            self._last_seq = changes.messages[-1][0]
            self._counters.stored_bytes += sum(len(row[-1]) for row in changes.messages)
            self._known = {(row[2], hash(row[3])) for row in changes.messages} | repeated

    def _read(
        self, changes: Changes, repeated: set[tuple[str, int]], tenant_id: str, entry: dict[bytes, bytes]
    ) -> None:
        if b"d" in entry:
            changes.dead.append(_dead_row(tenant_id, json.loads(entry[b"d"]), entry[b"b"]))
        elif b"r" in entry:
            changes.redriven.append(entry[b"r"].decode())
        else:
            found = sorted(item for chunk in entry.values() for item in bodies(chunk))
            for _, body in found:
                if (tenant_id, hash(body)) in self._known:
                    repeated.add((tenant_id, hash(body)))
                else:
                    seq = self._last_seq + len(changes.messages) + 1
                    changes.messages.append((seq, "", tenant_id, body))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _dead_row(tenant_id: str, told: list[Any], body: bytes) -> DeadRow:
    key, recipient, reason, detail, attempts, dead_time, history = told
    return DeadRow(
        key,
        tenant_id,
        Message.FromString(body).id,
        recipient,
        reason,
        detail,
        attempts,
        body,
        float(dead_time),
        [tuple(attempt) for attempt in json.loads(history)] if history else [],
    )


def _nothing() -> None:
    """Takes its turn."""
