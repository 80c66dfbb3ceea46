"""Open streams: ended when their key ends, and when the server goes away."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass

from pentad_common.errors import PentadError
from pentad_common.keys import KeyStore, invalid_key
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

LOOK_SECONDS = 0.5
"""How often the keys of open streams are looked at: a stream of a revoked key ends within a second."""


@dataclass(eq=False, slots=True)
class _Stream:
    method: str
    key_id: str
    task: asyncio.Task[object]
    error: PentadError | None = None

    def end(self, error: PentadError) -> None:
        if self.error is None:
            self.error = copy.copy(error)  # each stream raises its own
            self.task.cancel()


class OpenStreams:
    """The streams being served. While there are any, one task looks at their keys."""

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys
        self._streams: set[_Stream] = set()
        self._watcher: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def kept(self, method: str, key_id: str) -> AsyncIterator[None]:
        """Around the stream that the current task serves.

        Raises the PentadError that it was ended with, if any, whatever the handler made of its cancellation.
        """
        task = asyncio.current_task()
        assert task is not None
        stream = _Stream(method, key_id, task)
        self._streams.add(stream)
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), context=Context())
        try:
            yield
        except (Exception, asyncio.CancelledError):
            if stream.error is None:
                raise
        finally:
            self._streams.discard(stream)
        if stream.error is not None:
            task.uncancel()
            raise stream.error

    def end(self, error: PentadError, which: Callable[[str], bool]) -> None:
        """Ends the streams of the methods that `which` picks with `error`."""
        for stream in list(self._streams):
            if which(stream.method):
                stream.end(error)

    async def _watch(self) -> None:
        try:
            while self._streams:
                await asyncio.sleep(LOOK_SECONDS)
                await self._look()
        finally:
            self._watcher = None

    async def _look(self) -> None:
        key_ids = {stream.key_id for stream in self._streams}
        try:
            keys = await self._keys.lookup(key_ids) if key_ids else {}
        except Exception:  # whatever it is, the next look may succeed, and must take place
            log.exception("cannot look up the keys of open streams")
            return
        ended = {key_id: keys[key_id].ended() if key_id in keys else invalid_key() for key_id in key_ids}
        for stream in list(self._streams):
            why = ended.get(stream.key_id)
            if why is not None:
                stream.end(why)
