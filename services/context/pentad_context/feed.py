"""News of revisions: at once of what this process wrote, soon of what others wrote."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_context.store import ContextStore

log = get_logger(__name__)


class Feed:
    """The newest known revision of each tenant, to wait for the next.

    While somebody waits, the database is asked every `poll_seconds` for revisions that other processes made.
    """

    def __init__(self, store: ContextStore, poll_seconds: float = 0.5) -> None:
        self._store = store
        self._poll_seconds = poll_seconds
        self._known: dict[str, int] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._waiting: Counter[str] = Counter()

    def notify(self, tenant: str, revision: int) -> None:
        """There is a revision; lower ones than are known are no news."""
        if revision > self._known.get(tenant, 0):
            self._known[tenant] = revision
            if event := self._news.pop(tenant, None):
                event.set()

    async def wait(self, tenant: str, after: int) -> None:
        """Returns when there is a revision after this one."""
        self._waiting[tenant] += 1
        try:
            while self._known.get(tenant, 0) <= after:
                await self._news.setdefault(tenant, asyncio.Event()).wait()
        finally:
            self._waiting[tenant] -= 1
            if not self._waiting[tenant]:
                del self._waiting[tenant]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Polls while the block runs."""
        task = asyncio.create_task(self._poll())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            if not self._waiting:
                continue
            try:
                revisions = await self._store.revisions(list(self._waiting))
            except PentadError as error:
                log.warning("cannot look for revisions", reason=error.reason)
                continue
            except Exception:
                log.exception("cannot look for revisions")
                continue
            for tenant, revision in revisions.items():
                self.notify(tenant, revision)
