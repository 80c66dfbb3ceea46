"""The money that batches at their providers may cost: reserved as long as they run, settled when they end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.batches.courtesy import in_turns
from pentad_llm_gateway.batches.model import Batch, Outcome
from pentad_llm_gateway.batches.outcome import read_request
from pentad_llm_gateway.batches.queue import BatchQueue
from pentad_llm_gateway.completion import Usage
from pentad_llm_gateway.fitting import fit
from pentad_llm_gateway.limits.base import Limits, Reservation
from pentad_llm_gateway.reserve import most_input
from pentad_llm_gateway.target import Target

log = get_logger(__name__)


@dataclass(slots=True)
class _Held:
    stack: AsyncExitStack
    reservation: Reservation | None = None
    micros: int = 0


class BatchBudget:
    """The reservations of the batches that this gateway looks after. A batch counts as one call; its tokens
    are not held to limits a minute, which providers do not hold batches to."""

    def __init__(self, limits: Limits, queue: BatchQueue) -> None:
        self._limits = limits
        self._queue = queue
        self._held: dict[str, _Held] = {}

    @property
    def held(self) -> set[str]:
        """The batches that this gateway looks after."""
        return set(self._held)

    async def hold(self, batch: Batch, target: Target) -> None:
        """Reserves the most that the batch can cost. Raises ResourceExhausted BUDGET_EXCEEDED or RATE_LIMITED
        for one that its provider does not have yet; what it has is paid for, whatever the limits say."""
        if batch.id in self._held:
            return
        held = _Held(AsyncExitStack())
        try:
            micros = await self._most(batch, target)
            reserved = self._limits.reserved(batch.caller, target, 0, micros)
            held.reservation = await held.stack.enter_async_context(reserved)
        except PentadError as error:
            if not batch.provider_batch_id:
                raise
            log.warning("batch goes on beyond its limits", batch=batch.id, reason=error.reason)
        self._held[batch.id] = held

    def spend(self, batch_id: str, outcome: Outcome) -> None:
        """What an item cost."""
        if held := self._held.get(batch_id):
            held.micros += outcome.cost_micros or 0
            if held.reservation is not None:
                held.reservation.settle(0, held.micros)

    async def let_go(self, batch_id: str) -> None:
        """The batch has ended, or another gateway looks after it."""
        if held := self._held.pop(batch_id, None):
            await held.stack.aclose()

    async def _most(self, batch: Batch, target: Target) -> int:
        """Millionths of a dollar; 0 where no price is known."""
        total = 0
        async for _, data in in_turns(await self._queue.native_requests(batch.id)):
            completion, _ = fit(target, read_request(data))
            output = target.provider.most_output_tokens(target.model, completion)
            usage = Usage(most_input(completion, target.entry), output)
            total += target.entry.batch_cost_micros(usage) or 0
        return total
