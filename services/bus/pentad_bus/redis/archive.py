"""From the tenants' logs in Redis into SQL: history and dead letters, each once, whenever this is killed.

One bus process at a time does it: the one that has the journal. Rows are committed first and then taken from
the log; what was committed and not yet taken is known again by what stands last in the table.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.publisher import message_row
from pentad_bus.redis.script import OUTAGES, TENANTS, Client, tenant_prefix
from pentad_bus.store.journal import Changes, DeadRow
from pentad_bus.store.sql import SqlJournal
from pentad_common.db import ALL_TENANTS
from pentad_common.errors import PentadError, StartupError
from pentad_common.models import BusMessage
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

_ENTRIES = 4
_MESSAGES = 4096
_MOST_REPEATED = 10_000
"""More rows than one transaction can have: _MESSAGES and what one tenant adds in _ENTRIES."""
_LENGTH = struct.Struct(">I")


class Archive(SqlJournal):
    """The journal as an archive: what is read of it needs no possession, what is written does."""

    def try_open(self) -> bool:
        """Takes possession, if no other process has it. Raises StartupError if it cannot be used."""
        try:
            self.open()
        except StartupError:
            if not self._is_taken():
                raise
            return False
        return True

    def _is_taken(self) -> bool:
        """Possession was refused because another has it: what was opened for it is closed."""
        if self._lock_connection is not None:
            self._lock_connection.close()
            self._lock_connection = None
            return True
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None
            return True
        return False

    def newest_seq(self) -> int:
        """The last of the history; 0 if there is none."""
        with self._connect(ALL_TENANTS) as connection:
            return int(connection.execute(select(func.max(BusMessage.seq))).scalar() or 0)

    def last_rows(self) -> tuple[int, set[tuple[str, int]]]:
        """The last seq, and what tells the last messages from others. Raises Unavailable if it is no longer
        possessed.
        """
        if self._lock_connection is not None:
            try:
                self._lock_connection.exec_driver_sql("select 1")
            except DBAPIError as error:
                raise StartupError("the journal's lock is lost") from error
        newest = self.newest_seq()
        query = select(BusMessage.tenant_id, BusMessage.body).where(BusMessage.seq > newest - _MOST_REPEATED)
        with self._connect(ALL_TENANTS) as connection:
            return newest, {(row.tenant_id, hash(bytes(row.body))) for row in connection.execute(query)}


class Archiver:
    """Keeps the archive up to date, while this process has it."""

    def __init__(self, client: Client, archive: Archive) -> None:
        self.leading = False
        self._client = client
        self._archive = archive
        self._last_seq = 0
        self._known: set[tuple[str, int]] = set()
        """What was committed and may still be in a log."""
        self._repeated: set[tuple[str, int]] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes the archive if it is free. Raises StartupError if it cannot be used."""
        await self._lead()
        self._task = asyncio.create_task(self._run(), name="archive")

    async def close(self) -> None:
        """Writes what can be written, and gives the archive up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.call(_nothing)  # what the thread was doing is done
        if self.leading:
            with suppress(PentadError, *OUTAGES, DBAPIError, TimeoutError):
                async with asyncio.timeout(5):
                    while await self._cycle():
                        pass
        self._thread.shutdown(wait=True)

    def news(self, _tenant_id: str) -> None:
        """There is something to write."""
        self._news.set()

    async def call(self, function: Any, *arguments: Any) -> Any:
        """Runs a writing method of the archive."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _lead(self) -> None:
        self.leading = await self.call(self._archive.try_open)
        if self.leading:
            self._last_seq, self._known = await self.call(self._archive.last_rows)
            log.info("this process archives", last_seq=self._last_seq)

    async def _run(self) -> None:
        tenants = 1
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.1, tenants * 0.002) if self.leading else 1.0):
                    await self._news.wait()
            self._news.clear()
            try:
                if not self.leading:
                    await self._lead()
                while self.leading and (found := await self._cycle()):
                    tenants = max(1, found)
            except OUTAGES:
                await asyncio.sleep(0.5)
            except (PentadError, DBAPIError, StartupError) as error:
                log.warning(
                    "the history cannot be written at the moment; it waits in Redis", error=str(error)
                )
                self._resign()
                await asyncio.sleep(1)
            except Exception:
                log.exception("archiving failed")
                self._resign()
                await asyncio.sleep(1)

    def _resign(self) -> None:
        self.leading = False
        self._archive._drop_connection()
        self._archive._is_taken()

    async def _cycle(self) -> int:
        """One transaction; how many tenants had something."""
        changes = Changes()
        self._repeated = set()
        done: dict[str, str] = {}
        for tenant in sorted(await self._client.smembers(TENANTS)):
            tenant_id = tenant if isinstance(tenant, str) else tenant.decode()
            entries: Any = await self._client.xrange(f"{tenant_prefix(tenant_id)}log", count=_ENTRIES)
            for entry_id, entry in entries:
                self._read(changes, tenant_id, entry)
                done[tenant_id] = entry_id.decode()
            if len(changes.messages) >= _MESSAGES:
                break
        if not done:
            return 0
        await self.call(self._write, changes)
        for tenant_id, last in done.items():
            milliseconds, _, number = last.partition("-")
            first_kept = f"{milliseconds}-{int(number) + 1}"
            await self._client.xtrim(f"{tenant_prefix(tenant_id)}log", minid=first_kept, approximate=False)
        return len(done)

    def _write(self, changes: Changes) -> None:
        written = {row.id for row in self._dead_there(changes)}
        changes.dead = [row for row in changes.dead if row.id not in written]
        if changes:
            self._archive.write(changes)
        self._last_seq = max((row[0] for row in changes.messages), default=self._last_seq)
        if changes.messages:
            self._known = {(row[2], hash(row[10])) for row in changes.messages} | self._repeated

    def _dead_there(self, changes: Changes) -> Iterator[DeadRow]:
        for tenant_id in {row.tenant_id for row in changes.dead}:
            ids = [row.id for row in changes.dead if row.tenant_id == tenant_id]
            yield from self._archive.dead_by_id(tenant_id, ids)

    def _read(self, changes: Changes, tenant_id: str, entry: dict[bytes, bytes]) -> None:
        if b"m" in entry:
            for body in _bodies(entry[b"m"]):
                if (tenant_id, hash(body)) in self._known:
                    self._repeated.add((tenant_id, hash(body)))
                else:
                    changes.messages.append(self._message_row(tenant_id, body, len(changes.messages)))
        elif b"d" in entry:
            key, recipient, reason, detail, attempts, dead_time = json.loads(entry[b"d"])
            body = entry[b"b"]
            message_id = Message.FromString(body).id
            changes.dead.append(
                DeadRow(
                    key,
                    tenant_id,
                    message_id,
                    recipient,
                    reason,
                    detail,
                    attempts,
                    body,
                    int(dead_time) / 1000,
                )
            )
        elif b"r" in entry:
            changes.redriven.append(entry[b"r"].decode())

    def _message_row(self, tenant_id: str, body: bytes, before: int) -> Any:
        message = Message.FromString(body)
        time = message.create_time
        created = time.seconds + time.nanos / 1e9
        seq = self._last_seq + before + 1
        return message_row(seq, message.id, tenant_id, message.sender, message, created, body)


def _nothing() -> None:
    """Takes its turn."""


def _bodies(blob: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(blob):
        (size,) = _LENGTH.unpack_from(blob, at)
        at += _LENGTH.size
        yield blob[at : at + size]
        at += size
