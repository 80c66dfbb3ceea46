"""Reservations on their way back: settled in the background, again and again while the counters are away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context

from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.limits.counters import Claim, Counters, Spent

log = get_logger(__name__)

_RETRY_SECONDS = 0.5
_TRIES = 1200
"""Ten minutes. After that the counters begin anew with what is in the records."""
_WAIT_SECONDS = 2.0


class Settling:
    """What ended here and may not be counted yet."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}

    def begin(self, tenant: str, id: str, claims: Sequence[Claim], spent: Spent, tries: int = _TRIES) -> None:
        """Puts what was spent in the place of what was reserved. Does not wait."""
        task = asyncio.create_task(self._settle(tenant, id, claims, spent, tries), context=Context())
        self._tasks.setdefault(tenant, set()).add(task)
        task.add_done_callback(lambda done: self._forget(tenant, done))

    async def done(self, tenant: str) -> None:
        """Waits until what ended here so far is counted, not for long."""
        if tasks := self._tasks.get(tenant):
            await asyncio.wait(set(tasks), timeout=_WAIT_SECONDS)

    async def close(self) -> None:
        """Waits for all of them, not for long."""
        tasks = {task for tasks in self._tasks.values() for task in tasks}
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_WAIT_SECONDS)
            for task in left:
                task.cancel()

    def _forget(self, tenant: str, task: asyncio.Task[None]) -> None:
        tasks = self._tasks[tenant]
        tasks.discard(task)
        if not tasks:
            del self._tasks[tenant]

    async def _settle(self, tenant: str, id: str, claims: Sequence[Claim], spent: Spent, tries: int) -> None:
        for _ in range(tries):
            try:
                await self._counters.settle(tenant, id, claims, spent)
                return
            except PentadError:
                await asyncio.sleep(_RETRY_SECONDS)
        if spent.tokens or spent.micros:
            log.error("what a call took could not be counted", tokens=spent.tokens, micros=spent.micros)
