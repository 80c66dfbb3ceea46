"""Going through many items without keeping everybody else waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

Item = TypeVar("Item")

_AT_ONCE = 50


async def in_turns(items: Iterable[Item]) -> AsyncIterator[Item]:
    """The items; after some of them, whatever else is to be done on the event loop has its turn."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
