"""Work of the orchestrator itself, apart from any call that may have set it off."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from pentad_client.envelope import Envelope, set_envelope
from pentad_common.telemetry import bind, get_logger

log = get_logger(__name__)


class Background:
    """Tasks that nobody waits for. They see nothing of the caller's deadline, tenant or trace."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def spawn(self, work: Coroutine[Any, Any, object], tenant: str = "") -> asyncio.Task[None]:
        """Runs `work`, on behalf of the tenant if there is one; an exception is logged."""
        task = asyncio.get_running_loop().create_task(_run(work, tenant), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._closed:
            task.cancel()
        return task

    async def close(self) -> None:
        """Cancels all tasks and waits until they are gone."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(work: Coroutine[Any, Any, object], tenant: str) -> None:
    if tenant:
        set_envelope(Envelope(on_behalf_of=tenant))
        bind(tenant=tenant)
    try:
        await work
    except Exception:
        log.exception("background work failed", work=getattr(work, "__qualname__", ""))
