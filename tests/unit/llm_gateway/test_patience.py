"""A time limit that is entered for every token."""

from __future__ import annotations

import asyncio
import time

import pytest

from pentad_common.errors import DeadlineExceeded, PentadError
from pentad_llm_gateway.pace import Patience


def late() -> PentadError:
    """What a wait ends with."""
    return DeadlineExceeded("PROVIDER_TIMEOUT", "late")


async def wait(patience: Patience, limit: float, seconds: float) -> None:
    """A wait of some seconds within a limit."""
    patience.until = time.monotonic() + limit
    async with patience:
        await asyncio.sleep(seconds)


async def test_each_wait_has_the_whole_limit() -> None:
    """Many waits that are each short enough take longer than the limit together."""
    patience = Patience(late)
    for _ in range(10):
        await wait(patience, 0.1, 0.03)
    with pytest.raises(DeadlineExceeded):
        await wait(patience, 0.05, 1.0)
    await wait(patience, 0.1, 0.01)
    patience.close()


async def test_time_between_waits_does_not_count() -> None:
    """A reader that is slow to take a token is not the provider's fault."""
    patience = Patience(late)
    await wait(patience, 0.05, 0.0)
    await asyncio.sleep(0.1)
    await wait(patience, 0.05, 0.02)
    patience.close()


async def test_a_cancelled_wait_stays_cancelled() -> None:
    """Who is cancelled while waiting is not told of a time limit instead."""
    patience = Patience(late)
    task = asyncio.create_task(wait(patience, 5.0, 5.0))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    patience.close()


async def test_nothing_is_left_over() -> None:
    """After a wait that was too long the task is as it was: no cancellation is pending."""
    patience = Patience(late)
    with pytest.raises(DeadlineExceeded):
        await wait(patience, 0.01, 1.0)
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0
    await asyncio.sleep(0)
    patience.close()
