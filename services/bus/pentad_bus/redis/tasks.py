"""Ending tasks that talk to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN = 0.2


async def stop(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancels tasks until they have ended: a cancellation that meets a time-out within redis-py is lost."""
    pending = {task for task in tasks if task is not None and not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN)
