"""Items asked call by call, a few at once, through the gateway: with its limits, fallbacks and ledger."""

from __future__ import annotations

import asyncio
from contextvars import Context

from pentad_common.clock import utcnow
from pentad_common.errors import Internal, PentadError
from pentad_common.telemetry import bind, get_logger
from pentad_llm_gateway.batches.model import Item, Outcome
from pentad_llm_gateway.batches.outcome import answered, cancelled, ended, read_request
from pentad_llm_gateway.batches.queue import BatchQueue
from pentad_llm_gateway.gateway import Gateway

log = get_logger(__name__)

_MOST_ATTEMPTS = 5
_LONGEST_WAIT = 300.0
_STORE_SECONDS = 1.0


class FanOut:
    """The items that this gateway asks now, `width` at most."""

    def __init__(self, gateway: Gateway, queue: BatchQueue, width: int) -> None:
        self._gateway = gateway
        self._queue = queue
        self._width = width
        self._running: dict[asyncio.Task[None], Item] = {}
        self._stopped: set[asyncio.Task[None]] = set()
        self.room = asyncio.Event()
        """Set when an item has ended."""

    @property
    def free(self) -> int:
        """Items that may be begun now."""
        return self._width - len(self._running)

    async def begin(self) -> int:
        """Claims items and begins to ask them; returns how many."""
        items = await self._queue.claim_items(self.free)
        for item in items:
            task = asyncio.create_task(self._work(item), context=Context())
            self._running[task] = item
            task.add_done_callback(self._ended)
        return len(items)

    def stop_batch(self, batch_id: str) -> None:
        """Ends what runs of a batch: upstream too."""
        for task, item in self._running.items():
            if item.batch_id == batch_id:
                self._stopped.add(task)
                task.cancel()

    @property
    def busy(self) -> bool:
        """Whether items are asked now."""
        return bool(self._running)

    async def close(self, seconds: float) -> None:
        """What is under way may end within so many seconds; others may go on with the rest at once."""
        if self._running:
            await asyncio.wait(list(self._running), timeout=seconds)
        for task in (tasks := list(self._running)):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._queue.release()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._stopped.discard(task)
        self.room.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("item of a batch failed", exc_info=task.exception())

    async def _work(self, item: Item) -> None:
        bind(tenant=item.caller.tenant_id, key=item.caller.key_id, batch=item.batch_id)
        try:
            outcome = await self._ask(item)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task not in self._stopped:
                raise
            task.uncancel()
            outcome = ended(item.number, cancelled())
        if isinstance(outcome, Outcome):
            await self._settle(item, outcome)
        else:
            await self._queue.put_back(item, outcome)

    async def _ask(self, item: Item) -> Outcome | float:
        """What came of it, or the seconds to wait before it is asked again."""
        if item.stopping:
            return ended(item.number, cancelled())
        if item.attempts > _MOST_ATTEMPTS * 2:
            return ended(
                item.number, Internal("INTERNAL", "the gateway ended too often while this was asked")
            )
        try:
            return answered(item.number, await self._gateway.invoke(item.caller, read_request(item.request)))
        except PentadError as error:
            wait = _wait(item, error)
            return ended(item.number, error) if wait is None else wait

    async def _settle(self, item: Item, outcome: Outcome) -> None:
        """Keeps what came of it: paid for, it must not be asked again because the database was away."""
        while True:
            try:
                return await self._queue.settle(item.batch_id, [outcome])
            except PentadError as error:
                log.warning("result of a batch waits", reason=error.reason)
                await asyncio.sleep(_STORE_SECONDS)


def _wait(item: Item, error: PentadError) -> float | None:
    """Seconds until it is asked again; None if it is not. What waits for a limit may wait as long as the
    batch may take; other errors that pass are given a few attempts."""
    if error.retry_after is None:
        return None
    if error.reason not in ("RATE_LIMITED", "BUDGET_EXCEEDED") and item.attempts >= _MOST_ATTEMPTS:
        return None
    wait = min(max(error.retry_after, 2.0 ** min(item.attempts, 6) / 2), _LONGEST_WAIT)
    return wait if (item.expire_time - utcnow()).total_seconds() > wait else None
