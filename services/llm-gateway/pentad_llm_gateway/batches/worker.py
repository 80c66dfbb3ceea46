"""Works on batches as long as the gateway serves; see `pentad_common.server.Companion`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from pentad_common.errors import DeadlineExceeded, PentadError
from pentad_common.keys import KeyStore, invalid_key
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.batches.fan_out import FanOut
from pentad_llm_gateway.batches.native import NativeBatches
from pentad_llm_gateway.batches.outcome import serialised
from pentad_llm_gateway.batches.queue import BatchQueue
from pentad_llm_gateway.batches.store import BatchStore

log = get_logger(__name__)

_KEYS_SECONDS = 1.0
_SWEEP_SECONDS = 60.0
_DRAIN_SHARE = 0.8
_ERROR_SECONDS = 2.0


class BatchWorker:
    """Claims what there is to do and does it. `idle_seconds`: how often it looks when nothing is under way
    here; what is handed in here is begun at once."""

    def __init__(
        self,
        store: BatchStore,
        queue: BatchQueue,
        fan_out: FanOut,
        native: NativeBatches,
        keys: KeyStore,
        *,
        idle_seconds: float,
        lease_seconds: float,
        retention_seconds: float,
    ) -> None:
        self._store = store
        self._queue = queue
        self._fan_out = fan_out
        self._native = native
        self._keys = keys
        self._idle = idle_seconds
        self._lease = lease_seconds
        self._retention = retention_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._due = asyncio.Event()
        self._more = False

    async def start(self) -> None:
        """Begins to work."""
        loops: list[tuple[Callable[[], Awaitable[object]], float]] = [
            (self._claim_items, 0.0),
            (self._look_after_natives, 0.0),
            (self._renew, min(1.0, self._lease / 3)),
            (self._end_revoked, _KEYS_SECONDS),
            (self._sweep, _SWEEP_SECONDS),
        ]
        self._tasks = [asyncio.create_task(self._repeat(work, pause)) for work, pause in loops]

    async def stop(self, seconds: float) -> None:
        """Begins nothing more. What is not done within the seconds another gateway, or the next one, does."""
        if not self._tasks:
            return
        claiming, natives, *others = self._tasks
        claiming.cancel()
        natives.cancel()
        await asyncio.wait({natives})
        await self._native.let_go(self._native.held)
        await self._fan_out.close(seconds * _DRAIN_SHARE)
        for task in others:
            task.cancel()
        await asyncio.wait(self._tasks)

    def wake(self) -> None:
        """There may be something to do."""
        self._fan_out.room.set()
        self._due.set()

    def stop_batch(self, batch_id: str) -> None:
        """Ends what runs here of a batch that is being stopped."""
        self._fan_out.stop_batch(batch_id)
        self.wake()

    async def _repeat(self, work: Callable[[], Awaitable[object]], pause: float) -> None:
        while True:
            try:
                await work()
            except PentadError as error:
                log.warning("batches wait", reason=error.reason)
                await asyncio.sleep(_ERROR_SECONDS)
            except Exception:
                log.exception("work on batches failed")
                await asyncio.sleep(_ERROR_SECONDS)
            await asyncio.sleep(pause)

    async def _claim_items(self) -> None:
        self._fan_out.room.clear()
        free = self._fan_out.free
        if free > 0 and (self._more or await self._queue.items_waiting()):
            begun = await self._fan_out.begin()
            self._more = begun == free  # then there is no need to look before the next claim
            if begun:
                return
        await self._wait(self._fan_out.room)

    async def _look_after_natives(self) -> None:
        self._due.clear()
        while await self._native.step():
            pass
        await self._wait(self._due)

    async def _wait(self, event: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._idle):
                await event.wait()

    async def _renew(self) -> None:
        held = self._native.held
        if not (self._fan_out.busy or held):
            return
        stopping, owned = await self._queue.renew()
        await self._native.let_go(held - owned)
        for batch_id in stopping:
            self._fan_out.stop_batch(batch_id)

    async def _end_revoked(self) -> None:
        """Batches whose key has ended are stopped: their items are asked in its name."""
        open_keys = await self._queue.open_keys()
        keys = await self._keys.lookup(set(open_keys.values())) if open_keys else {}
        why = {
            key_id: keys[key_id].ended() if key_id in keys else invalid_key() for key_id in open_keys.values()
        }
        for batch_id, key_id in open_keys.items():
            error = why[key_id]
            if error is not None:
                await self._queue.stop([batch_id], serialised(error))
                log.info("batch stopped", batch=batch_id, reason=error.reason)

    async def _sweep(self) -> None:
        late = DeadlineExceeded("DEADLINE_EXCEEDED", "the batch took longer than it may")
        await self._queue.give_up(serialised(late))
        if deleted := await self._store.purge(self._retention):
            log.info("old batches deleted", batches=deleted)
