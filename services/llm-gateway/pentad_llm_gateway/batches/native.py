"""Batches that a provider's own batch API does: handed on, looked after, and their results taken in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from pentad.common.v1.common_pb2 import Error
from pentad_common.clock import utcnow
from pentad_common.errors import Code, PentadError, Unavailable, from_proto
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.batches.budget import BatchBudget
from pentad_llm_gateway.batches.courtesy import in_turns
from pentad_llm_gateway.batches.model import Batch, Outcome
from pentad_llm_gateway.batches.outcome import cancelled, ended, from_provider, read_request, serialised
from pentad_llm_gateway.batches.queue import BatchQueue
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.completion import Answer, Completion
from pentad_llm_gateway.fitting import fit
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.limits.base import Limits
from pentad_llm_gateway.metrics import observe
from pentad_llm_gateway.providers.batch import BatchApi
from pentad_llm_gateway.routing import Target

log = get_logger(__name__)

_AT_ONCE = 100
_LONGEST_ERROR_WAIT = 300.0
_NAME = "item-"


class NativeBatches:
    """Takes one step with one batch at a time. `poll_seconds`: the wait after the first look; the waits grow
    to `most_poll_seconds`."""

    def __init__(
        self,
        generations: Generations,
        queue: BatchQueue,
        limits: Limits,
        poll_seconds: float,
        most_poll_seconds: float,
    ) -> None:
        self._generations = generations
        self._budget = BatchBudget(limits, queue)
        self._queue = queue
        self._poll = poll_seconds
        self._most_poll = most_poll_seconds

    @property
    def held(self) -> set[str]:
        """The batches that this gateway looks after."""
        return self._budget.held

    async def let_go(self, batch_ids: Iterable[str]) -> None:
        """Others look after these, or are to."""
        for batch_id in batch_ids:
            await self._budget.let_go(batch_id)

    async def step(self) -> bool:
        """Does what is due for one batch; returns whether there was one."""
        if not await self._queue.natives_due():
            return False
        batch = await self._queue.claim_native()
        if batch is None:
            return False
        try:
            wait = await self._advance(batch)
        except PentadError as error:
            wait = await self._failed(batch, error)
        await self._queue.wait(batch, wait)
        return True

    async def _advance(self, batch: Batch) -> float:
        """Seconds until there is something to do again; it does not matter for one that has ended."""
        with self._generations.held() as generation:
            target = generation.router.resolve(batch.model)
            api = target.provider.batches()
            if api is None:
                raise Unavailable(
                    "PROVIDER_UNAVAILABLE",
                    f"{target.provider.name} has no batch API any more",
                    retry_after=60.0,
                )
            await self._budget.hold(batch, target)
            if not batch.provider_batch_id:
                return await self._hand_on(batch, target, api)
            if batch.state == "CANCELLING":
                await api.cancel(batch.provider_batch_id)
            status = await api.status(batch.provider_batch_id)
            if not status.ended:
                return min(self._poll * math.pow(1.5, min(batch.polls, 40)), self._most_poll)
            if status.error is not None:
                await self._queue.fail(batch.id, serialised(status.error))
            else:
                await self._take_in(batch, target, api)
            await self._budget.let_go(batch.id)
            await _forget(api, batch.provider_batch_id)
            return self._most_poll

    async def _hand_on(self, batch: Batch, target: Target, api: BatchApi) -> float:
        found = await api.find(batch.id) if batch.polls > 1 else ""
        if batch.state == "CANCELLING" and not found:
            await self._close(batch, [], cancelled())
            await self._budget.let_go(batch.id)
            return self._most_poll
        if not found:
            requests = await self._queue.native_requests(batch.id)
            asked = [(f"{_NAME}{number}", _fitted(target, data)) async for number, data in in_turns(requests)]
            found = await api.submit(batch.id, target.model, asked)
        await self._queue.handed_on(batch.id, found)
        log.info("batch handed on", batch=batch.id, provider=target.provider.name)
        return self._poll

    async def _take_in(self, batch: Batch, target: Target, api: BatchApi) -> None:
        """Keeps the results. Done halfway, it goes on where it was."""
        open_items = dict(await self._queue.native_requests(batch.id))
        why = from_proto(Error.FromString(batch.error)) if batch.error else None
        outcomes: list[Outcome] = []
        async for name, result in api.results(batch.provider_batch_id):
            number = _number(name)
            if number is None or number not in open_items:
                continue
            if why is not None and isinstance(result, PentadError) and result.code is Code.CANCELLED:
                outcomes.append(replace(ended(number, cancelled()), error=serialised(why)))
            else:
                outcome = _outcome(batch, target, number, open_items[number], result)
                self._budget.spend(batch.id, outcome)
                outcomes.append(outcome)
            del open_items[number]
            if len(outcomes) >= _AT_ONCE:
                await self._queue.settle(batch.id, outcomes)
                outcomes = []
        await self._queue.settle(batch.id, outcomes)
        missing = Unavailable(
            "PROVIDER_UNAVAILABLE", f"{target.provider.name} gave no result", provider=target.provider.name
        )
        await self._close(batch, list(open_items), cancelled() if why else missing)

    async def _close(self, batch: Batch, numbers: list[int], error: PentadError) -> None:
        numbers = numbers or [number for number, _ in await self._queue.native_requests(batch.id)]
        await self._queue.settle(batch.id, [ended(number, error) for number in numbers])

    async def _failed(self, batch: Batch, error: PentadError) -> float:
        """What can pass is tried again, until the batch is over its time."""
        log.warning("batch waits", batch=batch.id, reason=error.reason)
        late = utcnow() > batch.expire_time
        if (error.retry_after is None and not batch.provider_batch_id) or late:
            await self._queue.fail(batch.id, serialised(error))
            await self._budget.let_go(batch.id)
            return self._most_poll
        wait: float = min(self._poll * math.pow(2, min(batch.polls, 20)), _LONGEST_ERROR_WAIT)
        return max(wait, min(error.retry_after or 0.0, _LONGEST_ERROR_WAIT))


def _fitted(target: Target, data: bytes) -> Completion:
    return fit(target, read_request(data))[0]


def _outcome(batch: Batch, target: Target, number: int, data: bytes, result: Answer | PentadError) -> Outcome:
    asked = replace(read_request(data), model=batch.requested_model)
    fitted, ignored = fit(target, asked)
    call = CallRecord(batch.caller, target, asked, False)
    call.turn_to(target, fitted, ignored)
    outcome = from_provider(number, call, target, result)
    if outcome.call is not None:
        observe(call)
    return outcome


def _number(name: str) -> int | None:
    text = name.removeprefix(_NAME)
    return int(text) if name.startswith(_NAME) and text.isdecimal() else None


async def _forget(api: BatchApi, provider_batch_id: str) -> None:
    """What cannot be deleted at the provider stays there; the results are safe."""
    try:
        await api.forget(provider_batch_id)
    except PentadError as error:
        log.warning("batch's files stay at the provider", reason=error.reason)
