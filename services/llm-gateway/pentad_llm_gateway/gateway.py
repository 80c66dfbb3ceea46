"""The gateway's rules: find the model, ask it in time, try again where that can help, and account for every
call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from pentad_common.call import CallContext
from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.call_record import CallRecord, Served
from pentad_llm_gateway.completion import (
    Answer,
    Completion,
    Event,
    Finished,
    FinishReason,
    Message,
    Opened,
    TextDelta,
    TokenCount,
    ToolCallDelta,
    Usage,
)
from pentad_llm_gateway.errors import cut_short, upstream_timeout
from pentad_llm_gateway.extras import check_extras
from pentad_llm_gateway.ledger import Ledger
from pentad_llm_gateway.metrics import OPEN_CALLS, RETRIES
from pentad_llm_gateway.retry import RetryPolicy, retrying
from pentad_llm_gateway.routing import Router, Target, fit
from pentad_llm_gateway.settings import GatewaySettings
from pentad_llm_gateway.store.base import CallStore, ModelUsage, UsageQuery

log = get_logger(__name__)

Result = TypeVar("Result")

_AFTER_GIVING_UP_SECONDS = 3.0
"""The least wait that callers are told of. Below two seconds their gRPC would try again by itself, and
multiply the attempts made here."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer and its account. `cost_micros`: millionths of a dollar; None where no price is known."""

    message: Message
    finish_reason: FinishReason
    usage: Usage
    cost_micros: int | None
    served: Served


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a streamed answer."""

    finish_reason: FinishReason
    usage: Usage
    cost_micros: int | None
    served: Served


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a streamed answer that was cut, with what it cost so far."""

    error: PentadError
    usage: Usage
    cost_micros: int | None
    served: Served


Frame = TextDelta | ToolCallDelta | Done | Failed


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds; `total` is from the first attempt to the last token."""

    first_token: float
    between_tokens: float
    total: float


class Gateway:
    """One door to all models."""

    def __init__(self, settings: GatewaySettings, router: Router, store: CallStore) -> None:
        self._router = router
        self._store = store
        self._ledger = Ledger(store)
        self._retry = RetryPolicy(settings.llm_attempts, settings.llm_retry_seconds)
        self._limits = TimeLimits(
            settings.llm_first_token_seconds, settings.llm_between_tokens_seconds, settings.llm_total_seconds
        )

    async def invoke(self, caller: CallContext, completion: Completion) -> Reply:
        """Asks a model and waits for the whole answer. Raises PentadErrors of the taxonomy."""
        target, completion, ignored = self._prepare(completion)
        with self._accounted(CallRecord(caller, target, completion, False, ignored)) as call:
            async with target.provider.admitted(caller.tenant_id):
                pace = Pace(call, self._limits)

                async def ask() -> Answer:
                    call.asked = True
                    async with pace.whole():
                        return await target.provider.invoke(target.model, completion)

                answer = await self._retrying(call, pace, ask)
            call.answered(answer)
            call.end()
            return Reply(answer.message, answer.finish_reason, call.usage, call.cost_micros, call.served())

    async def stream(self, caller: CallContext, completion: Completion) -> AsyncGenerator[Frame, None]:
        """Asks a model: deltas as they come, then one Done or one Failed.

        Raises PentadErrors of the taxonomy for what fails before the first delta. Closing the generator ends
        the request upstream; the call is accounted all the same.
        """
        target, completion, ignored = self._prepare(completion)
        with self._accounted(CallRecord(caller, target, completion, True, ignored)) as call:
            async with target.provider.admitted(caller.tenant_id):
                pace = Pace(call, self._limits)

                async def open_stream() -> tuple[Event, AsyncGenerator[Event, None]]:
                    call.asked = True
                    return await _begin(target.provider.stream(target.model, completion), call, pace)

                event, events = await self._retrying(call, pace, open_stream)
                async with aclosing(events), aclosing(_frames(event, events, call, pace)) as frames:
                    async for frame in frames:
                        yield frame

    async def count_tokens(self, caller: CallContext, completion: Completion) -> tuple[TokenCount, Target]:
        """Tokens of the request's input, and the model that they were counted for."""
        target, completion, ignored = self._prepare(completion)
        call = CallRecord(caller, target, completion, False, ignored)
        pace = Pace(call, self._limits)

        async def count() -> TokenCount:
            async with pace.whole():
                return await target.provider.count_tokens(target.model, completion)

        return await self._retrying(call, pace, count), target

    async def usage(self, tenant: str, query: UsageQuery) -> list[ModelUsage]:
        """What the tenant's calls cost, by model; those that ended here a moment ago included."""
        await self._ledger.flush()
        return await self._store.usage(tenant, query)

    async def close(self) -> None:
        """Keeps what is not kept yet."""
        await self._ledger.close()

    def _prepare(self, completion: Completion) -> tuple[Target, Completion, tuple[str, ...]]:
        check_extras(completion.extras)
        target = self._router.resolve(completion.model)
        return (target, *fit(target, completion))

    @contextmanager
    def _accounted(self, call: CallRecord) -> Iterator[CallRecord]:
        """Around a call: however it ends, it is recorded once."""
        provider = call.target.provider.name
        OPEN_CALLS.labels(provider).inc()
        try:
            yield call
        except PentadError as error:
            call.end(error.reason)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            call.end("DEADLINE_EXCEEDED" if call.caller.remaining() == 0 else "CANCELLED")
            raise
        except BaseException:
            call.end("INTERNAL")
            raise
        finally:
            call.end()
            OPEN_CALLS.labels(provider).dec()
            self._ledger.record(call)
            _log(call)

    async def _retrying(
        self, call: CallRecord, pace: Pace, attempt: Callable[[], Awaitable[Result]]
    ) -> Result:
        def on_retry(number: int, error: PentadError, wait: float) -> None:
            provider = call.target.provider.name
            RETRIES.labels(provider, error.reason).inc()
            log.info(
                "trying again", provider=provider, attempt=number, reason=error.reason, wait=round(wait, 3)
            )
            call.attempts = number + 1

        try:
            return await retrying(self._retry, attempt, pace.left, on_retry)
        except PentadError as error:
            error.metadata.setdefault("attempts", str(call.attempts))
            if error.retry_after is not None:
                error.retry_after = max(error.retry_after, _AFTER_GIVING_UP_SECONDS)
            raise


class Pace:
    """The time limits of one call, from its first attempt on."""

    def __init__(self, call: CallRecord, limits: TimeLimits) -> None:
        self._provider = call.target.provider.name
        self._caller = call.caller
        self._limits = limits
        self._until = time.monotonic() + limits.total

    def left(self) -> float:
        """Seconds until the call is over: the limit in total, or the caller's deadline if that is sooner."""
        total = max(0.0, self._until - time.monotonic())
        caller = self._caller.remaining()
        return total if caller is None else min(total, caller)

    def whole(self) -> AbstractAsyncContextManager[None]:
        """Around a whole answer."""
        return self._within("the answer", self._limits.total)

    def first_token(self) -> AbstractAsyncContextManager[None]:
        """Around the wait for the first token."""
        return self._within("the first token", self._limits.first_token)

    def next_token(self) -> AbstractAsyncContextManager[None]:
        """Around the wait for each further token."""
        return self._within("the next token", self._limits.between_tokens)

    @asynccontextmanager
    async def _within(self, phase: str, seconds: float) -> AsyncIterator[None]:
        left = self._until - time.monotonic()
        try:
            async with asyncio.timeout(min(seconds, left)):
                yield
        except TimeoutError:
            if left <= seconds:
                raise upstream_timeout(
                    self._provider, "the answer", self._limits.total, retryable=False
                ) from None
            raise upstream_timeout(self._provider, phase, seconds) from None


async def _begin(
    events: AsyncGenerator[Event, None], call: CallRecord, pace: Pace
) -> tuple[Event, AsyncGenerator[Event, None]]:
    """The first event that the caller will see, and those after it. Closes the stream if there is none.

    A model that thinks shows signs of life meanwhile; the wait for the first token begins anew with each.
    """
    try:
        while True:
            async with pace.first_token():
                event = await anext(events)
            call.see(event)
            if not isinstance(event, Opened):
                return event, events
    except BaseException as error:
        await events.aclose()
        if isinstance(error, StopAsyncIteration):
            raise cut_short(call.target.provider.name) from None
        raise


async def _frames(
    event: Event, events: AsyncGenerator[Event, None], call: CallRecord, pace: Pace
) -> AsyncGenerator[Frame, None]:
    """The frames of an answer that has begun with `event`; ends with Done or Failed and raises nothing
    upstream's."""
    try:
        while not isinstance(event, Finished):
            if not isinstance(event, Opened):
                yield event
            async with pace.next_token():
                event = await anext(events)
            call.see(event)
    except (PentadError, StopAsyncIteration) as caught:
        error = caught if isinstance(caught, PentadError) else cut_short(call.target.provider.name)
        call.end(error.reason)
        yield Failed(error, call.usage, call.cost_micros, call.served())
        return
    call.end()
    yield Done(event.finish_reason, call.usage, call.cost_micros, call.served())


def _log(call: CallRecord) -> None:
    usage = call.usage
    write = log.info if call.status in ("OK", "CANCELLED") else log.warning
    write(
        "llm call",
        call=call.id,
        provider=call.target.provider.name,
        model=call.target.model,
        status=call.status,
        finish=call.finish_reason,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        attempts=call.attempts,
        ms=round(call.latency * 1000),
    )
