"""Streams that go on after the connection or the server was lost, from the cursor of the last item."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol, TypeVar

from pentad_client.errors import PentadError, Unavailable

FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 2.0


class WithCursor(Protocol):
    """An item of a stream that can be resumed after it."""

    cursor: str


Item = TypeVar("Item", bound=WithCursor)


class Backoff:
    """Waits that grow up to a bound, with jitter, so that clients do not come back all at once."""

    def __init__(self, first: float = FIRST_WAIT_SECONDS, longest: float = LONGEST_WAIT_SECONDS) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def reset(self) -> None:
        """After something worked."""
        self._next = self._first

    async def wait(self) -> None:
        """After something failed."""
        await asyncio.sleep(self._next * random.uniform(0.5, 1.0))
        self._next = min(self._next * 2, self._longest)


async def resumed(
    open_stream: Callable[[str], Any], cursor: str, item_type: type[Item], *, start_anew: bool = False
) -> AsyncIterator[Item]:
    """The items of `open_stream(cursor)`, opened again after the last item's cursor whenever it is lost.

    `start_anew`: if the server no longer keeps what follows the last item, go on with `open_stream("")`.
    Raises the PentadError of a stream that ends for another reason than being unavailable.
    """
    backoff, received = Backoff(), False
    while True:
        stream = open_stream(cursor)
        try:
            async for item in stream:
                assert isinstance(item, item_type)
                backoff.reset()
                cursor, received = item.cursor or cursor, True
                yield item
        except Unavailable:
            pass
        except PentadError as error:
            if error.reason != "CURSOR_EXPIRED" or not (start_anew and received):
                raise
            cursor = ""
        finally:
            stream.cancel()
        await backoff.wait()
