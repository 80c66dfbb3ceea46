"""A turnstile: so many at once, the others wait, and no tenant's crowd keeps another tenant waiting."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pentad_common.errors import ResourceExhausted


class Turnstile:
    """Lets `width` in at once. Within a tenant the first come are the first served; tenants take turns."""

    def __init__(self, name: str, width: int, most_waiting: int) -> None:
        self._name = name
        self._free = width
        self._most_waiting = most_waiting
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.waiting = 0

    @asynccontextmanager
    async def passed(self, tenant: str) -> AsyncIterator[None]:
        """Within the block a place is taken. Raises ResourceExhausted RATE_LIMITED when too many wait
        already."""
        await self._enter(tenant)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, tenant: str) -> None:
        if self._free and not self.waiting:
            self._free -= 1
            return
        if self.waiting >= self._most_waiting:
            raise ResourceExhausted(
                "RATE_LIMITED",
                f"{self.waiting} calls wait for {self._name} already; try again later",
                retry_after=2.0,
                provider=self._name,
                waiting=self.waiting,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(tenant, deque()).append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place came at the same moment: hand it on
            else:
                self._forget(tenant, turn)
            raise

    def _leave(self) -> None:
        if not self._queues:
            self._free += 1
            return
        tenant, queue = self._queues.popitem(last=False)
        turn = queue.popleft()
        if queue:
            self._queues[tenant] = queue  # to the back of the line of tenants
        self.waiting -= 1
        turn.set_result(None)

    def _forget(self, tenant: str, turn: asyncio.Future[None]) -> None:
        queue = self._queues[tenant]
        queue.remove(turn)
        self.waiting -= 1
        if not queue:
            del self._queues[tenant]
