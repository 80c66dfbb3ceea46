"""Server-sent events, as far as providers' streams use them: the data of each event.

The SDK's own reader looks at every line by itself and passes each event through five generators.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

DONE = b"[DONE]"
_DATA = b"data:"
_REST_SECONDS = 0.2


class EventReader:
    """Takes a stream's bytes in whatever pieces they come."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that are complete with this piece; of several lines, joined by line ends."""
        self._rest += piece
        if b"\r" in self._rest:
            self._rest = self._rest.replace(b"\r\n", b"\n")
        *blocks, self._rest = self._rest.split(b"\n\n")
        return [data for block in blocks if (data := _data(block))]

    def last(self) -> list[bytes]:
        """The data of an event that the stream ended without ending."""
        block, self._rest = self._rest.strip(b"\r\n"), b""
        return [data] if (data := _data(block)) else []


def _data(block: bytes) -> bytes:
    lines = [line[len(_DATA) :].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(_DATA)]
    return lines[0] if len(lines) == 1 else b"\n".join(lines)


async def events(pieces: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """The data of events, those together that came together; ends at `[DONE]`, or with the stream."""
    reader = EventReader()
    async for piece in pieces:
        found = reader.feed(piece)
        if DONE in found:
            yield found[: found.index(DONE)]
            await _rest(pieces)
            return
        if found:
            yield found
    yield reader.last()


async def _rest(pieces: AsyncIterator[bytes]) -> None:
    """Reads what is left, usually nothing: the connection can be used again only after its end."""
    with suppress(Exception):  # the answer is complete, whatever comes of the connection
        async with asyncio.timeout(_REST_SECONDS):
            async for _ in pieces:
                pass
