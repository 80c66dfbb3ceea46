"""The janitor: lets entries end at their time, and histories forget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pentad_common.clock import utcnow
from pentad_common.errors import Unavailable
from pentad_common.telemetry import get_logger
from pentad_context.feed import Feed
from pentad_context.store import ContextStore, Retention

log = get_logger(__name__)


class Janitor:
    """Any number of them may work on one database."""

    def __init__(
        self,
        store: ContextStore,
        feed: Feed,
        retention: Retention,
        *,
        expire_seconds: float = 0.5,
        trim_seconds: float = 300.0,
    ) -> None:
        self._store = store
        self._feed = feed
        self._retention = retention
        self._works = ((self.expire, expire_seconds), (self.trim, trim_seconds))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works while the block runs."""
        tasks = [asyncio.create_task(_repeat(work, seconds)) for work, seconds in self._works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def expire(self) -> None:
        """Removes what has expired."""
        for tenant, revision in (await self._store.expire(utcnow())).items():
            self._feed.notify(tenant, revision)

    async def trim(self) -> None:
        """Forgets what need not be kept."""
        forgotten = await self._store.trim(self._retention, utcnow())
        if forgotten:
            log.info("histories trimmed", changes=forgotten)


async def _repeat(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Unavailable as error:  # the next round tries again
            log.warning("janitor has to wait", reason=error.reason)
        except Exception:
            log.exception("janitor failed")
