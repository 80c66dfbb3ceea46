"""The ledger: keeps each call that ended, without making its caller wait for the database."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from datetime import datetime
from itertools import islice

from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.limits.claims import Subject
from pentad_llm_gateway.limits.counters import Spent
from pentad_llm_gateway.metrics import LOST_RECORDS, observe
from pentad_llm_gateway.store.base import CallStore, ModelUsage, UsageQuery

log = get_logger(__name__)

_A_BATCH = 500
_MOST_PENDING = 50_000
_RETRY_SECONDS = 1.0
_FLUSH_SECONDS = 2.0
_REST_SECONDS = 0.1
"""Between two batches: a commit costs as much as twenty rows."""


class Ledger:
    """Writes behind, in batches: whatever ended while the last batch was written, and in a short rest after
    it, is the next one.

    A graceful stop loses nothing; a killed process loses what ended in its last hundred milliseconds. While
    the database cannot be used, calls pile up here, to a bound.
    """

    def __init__(self, store: CallStore) -> None:
        self._store = store
        self._pending: deque[CallRecord] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._recorded = 0
        self._settled = 0
        self._progress = asyncio.Event()
        self._wanted = asyncio.Event()
        """Someone waits for what is recorded."""

    def record(self, call: CallRecord) -> None:
        """Keeps a call that has ended. Does not wait."""
        observe(call)
        if len(self._pending) >= _MOST_PENDING:
            self._settle(1)
            LOST_RECORDS.inc()
        self._pending.append(call)
        self._recorded += 1
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())

    async def flush(self, seconds: float = _FLUSH_SECONDS) -> bool:
        """Waits until what was recorded so far is kept, at most `seconds`; returns whether it is."""
        until = self._recorded
        self._wanted.set()
        try:
            async with asyncio.timeout(seconds):
                while self._settled < until:
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    async def usage(self, tenant: str, query: UsageQuery) -> list[ModelUsage]:
        """What the tenant's calls cost, by model; those that ended a moment ago included."""
        await self.flush()
        return await self._store.usage(tenant, query)

    async def spent(self, tenant: str, subject: Subject, since: datetime) -> Spent:
        """What the subject's calls took that began at `since` or later; those that ended a moment ago
        included."""
        await self.flush()
        return await self._store.spent(tenant, subject, since)

    async def close(self, seconds: float = 5.0) -> None:
        """Writes what there is left, for as long as `seconds`."""
        if not await self.flush(seconds):
            log.error("records of calls are lost", calls=len(self._pending))
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait({self._writer})

    async def _write(self) -> None:
        try:
            while self._pending:
                batch = list(islice(self._pending, _A_BATCH))
                try:
                    await self._keep(batch)
                except PentadError as error:
                    log.warning("records of calls wait", reason=error.reason, calls=len(self._pending))
                    await asyncio.sleep(_RETRY_SECONDS)
                else:
                    kept = {call.id for call in batch}
                    self._settle(sum(call.id in kept for call in islice(self._pending, len(batch))))
                    await self._rest()
        finally:
            self._writer = None

    async def _rest(self) -> None:
        if self._pending and self._wanted.is_set():
            return
        self._wanted.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST_SECONDS):
                await self._wanted.wait()

    async def _keep(self, batch: list[CallRecord]) -> None:
        """Keeps a batch. One that cannot be kept, as of a tenant that is gone, holds up no others."""
        try:
            await self._store.add(batch)
        except PentadError:
            raise
        except Exception as error:
            if len(batch) > 1:
                for call in batch:
                    await self._keep([call])
                return
            log.error("record of a call is lost", call=batch[0].id, error=type(error).__name__)
            LOST_RECORDS.inc()

    def _settle(self, count: int) -> None:
        """The oldest `count` are done with."""
        for _ in range(count):
            self._pending.popleft()
        self._settled += count
        self._progress.set()
        self._progress = asyncio.Event()
