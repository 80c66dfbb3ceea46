"""The ledger: keeps each call that ended, without making its caller wait for the database."""

from __future__ import annotations

import asyncio
from collections import deque

from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.metrics import LOST_RECORDS, observe
from pentad_llm_gateway.store.base import CallStore

log = get_logger(__name__)

_A_BATCH = 500
_MOST_PENDING = 50_000
_RETRY_SECONDS = 1.0


class Ledger:
    """Writes behind, in batches: whatever ended while the last batch was written is the next one.

    A graceful stop loses nothing; a killed process loses what ended in its last few milliseconds. While the
    database cannot be used, calls pile up here, to a bound.
    """

    def __init__(self, store: CallStore) -> None:
        self._store = store
        self._pending: deque[CallRecord] = deque()
        self._writer: asyncio.Task[None] | None = None

    def record(self, call: CallRecord) -> None:
        """Keeps a call that has ended. Does not wait."""
        observe(call)
        if len(self._pending) >= _MOST_PENDING:
            self._pending.popleft()
            LOST_RECORDS.inc()
        self._pending.append(call)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())

    async def flush(self) -> None:
        """Waits until what was recorded so far is kept. Raises PentadError if the database cannot be used."""
        if self._writer is not None:
            await asyncio.shield(self._writer)
        if self._pending:
            await self._write_batch()

    async def close(self, seconds: float = 5.0) -> None:
        """Writes what there is left, for as long as `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self._pending or self._writer is not None:
                    try:
                        await self.flush()
                    except PentadError:
                        await asyncio.sleep(_RETRY_SECONDS / 4)
        except TimeoutError:
            log.error("records of calls are lost", calls=len(self._pending))

    async def _write(self) -> None:
        try:
            while self._pending:
                try:
                    await self._write_batch()
                except PentadError as error:
                    log.warning("records of calls wait", reason=error.reason, calls=len(self._pending))
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._writer = None

    async def _write_batch(self) -> None:
        batch = [self._pending[index] for index in range(min(_A_BATCH, len(self._pending)))]
        await self._store.add(batch)
        written = {id(call) for call in batch}
        while self._pending and id(self._pending[0]) in written:
            self._pending.popleft()
