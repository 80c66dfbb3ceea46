"""Tells the counters that calls are under way, for as long as they are."""

from __future__ import annotations

import asyncio
import time
from contextvars import Context

from pentad_common.errors import PentadError
from pentad_llm_gateway.limits.counters import Counters

_TOUCH_SECONDS = 3600.0


class Renewing:
    """The reservations of this process. While there are any, one task renews them."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._open: dict[str, set[str]] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, tenant: str, id: str) -> None:
        """From now on this one is renewed."""
        if self._counters.lease is None:
            return
        self._open.setdefault(tenant, set()).add(id)
        if self._task is None:
            self._task = asyncio.create_task(self._renew(self._counters.lease / 3), context=Context())

    def remove(self, tenant: str, id: str) -> None:
        """It is over."""
        ids = self._open.get(tenant, set())
        ids.discard(id)
        if not ids:
            self._open.pop(tenant, None)

    async def close(self) -> None:
        """Renews no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _renew(self, seconds: float) -> None:
        touched = time.monotonic()
        try:
            while self._open:
                await asyncio.sleep(seconds)
                touch = time.monotonic() - touched > _TOUCH_SECONDS
                touched = time.monotonic() if touch else touched
                for tenant, ids in list(self._open.items()):
                    try:
                        await self._counters.renew(tenant, list(ids), touch=touch)
                    except PentadError:
                        continue  # there are two more tries before the lease is over
        finally:
            self._task = None
