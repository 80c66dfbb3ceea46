"""From the candidates of a call to an answer: circuits, limits, places, attempts, and the next candidate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.breaker import Breakers
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.completion import Completion
from pentad_llm_gateway.fallback import Candidates
from pentad_llm_gateway.fitting import fit
from pentad_llm_gateway.limits.base import Limits
from pentad_llm_gateway.metrics import FALLBACKS, RETRIES
from pentad_llm_gateway.pace import Pace
from pentad_llm_gateway.retry import RetryPolicy, retrying
from pentad_llm_gateway.routing import not_set_up
from pentad_llm_gateway.target import Target

log = get_logger(__name__)

Result = TypeVar("Result")
Ask = Callable[[Target, Completion, Pace], Awaitable[Result]]
"""Asks a model once, the request made to fit it, within the time limits of the pace."""

_AFTER_GIVING_UP_SECONDS = 3.0
"""The least wait that callers are told of. Below two seconds their gRPC would try again by itself, and
multiply the attempts made here."""


class Asker:
    """Asks one candidate after another until one answers."""

    def __init__(self, retry: RetryPolicy, breakers: Breakers, limits: Limits) -> None:
        self._retry = retry
        self._limits = limits
        self._breakers = breakers

    @asynccontextmanager
    async def asked(
        self, call: CallRecord, candidates: Candidates, ask: Ask[Result]
    ) -> AsyncIterator[Result]:
        """What the first candidate says that can answer; within the block the call keeps its place and its
        reservation, which is settled in the end. Raises PentadErrors of the taxonomy.

        What is raised within the block is not the candidates': no other is asked then.
        """
        for target in candidates:
            if not self._turned(call, candidates, target):
                continue
            async with AsyncExitStack() as held:
                if not await self._allowed(call, candidates, held):
                    continue
                try:
                    await held.enter_async_context(target.provider.admitted(call.caller.tenant_id))
                    result = await self._attempts(call, candidates, ask)
                except PentadError as error:
                    call.gave_up(error)
                    self._note(candidates, target, error)
                    continue
                yield result
                return
        raise self._last_word(call, candidates.error())

    def _turned(self, call: CallRecord, candidates: Candidates, target: Target) -> bool:
        """Whether the call can ask the target, which the record says from now on."""
        try:
            if target.provider.unavailable():
                raise not_set_up(target)
            call.turn_to(target, *fit(target, call.requested))
        except PentadError as error:
            self._note(candidates, target, error, asked=False)
            return False
        try:
            self._breakers.check(target, others=candidates.others())
        except PentadError as error:
            self._note(candidates, target, error)
            return False
        return True

    def _note(
        self, candidates: Candidates, target: Target, error: PentadError, *, asked: bool = True
    ) -> None:
        candidates.failed(target, error, asked=asked)
        reason = candidates.failed_models[-1].reason
        FALLBACKS.labels(target.provider.name, reason).inc()
        log.info("model could not answer", provider=target.provider.name, model=target.label, reason=reason)

    async def _allowed(self, call: CallRecord, candidates: Candidates, held: AsyncExitStack) -> bool:
        """Whether the limits let the call ask the target; they hold for what is held. Raises PentadErrors of
        limits that hold for all targets alike."""
        try:
            await held.enter_async_context(self._reserved(call))
        except PentadError as error:
            error.metadata.setdefault("provider", call.target.provider.name)
            if error.metadata.get("scope") != "model":
                raise
            self._note(candidates, call.target, error, asked=False)
            return False
        return True

    @asynccontextmanager
    async def _reserved(self, call: CallRecord) -> AsyncIterator[None]:
        """Around a candidate: the most it can take is reserved, and what it took settled."""
        async with self._limits.fitted(call.caller, call.target, call.completion) as reservation:
            call.bound(reservation.completion)
            try:
                yield
            finally:
                usage, cost = call.usage, call.cost_micros
                reservation.settle(usage.input_tokens + usage.output_tokens, cost or 0)

    async def _attempts(self, call: CallRecord, candidates: Candidates, ask: Ask[Result]) -> Result:
        target = call.target
        pace = Pace(target.provider.name, call.caller, target.provider.time_limits(target.model))

        async def attempt() -> Result:
            with self._breakers.passed(target):
                call.attempt()
                return await ask(target, call.completion, pace)

        def left(error: PentadError) -> float | None:
            limited = error.reason == "RATE_LIMITED"
            if (candidates.others() if limited else self._breakers.of(target).wait()) > 0:
                return 0.0  # another need not be waited for; and what is left alone is not asked again
            return pace.left()

        def on_retry(number: int, error: PentadError, wait: float) -> None:
            provider = target.provider.name
            RETRIES.labels(provider, error.reason).inc()
            log.info(
                "trying again", provider=provider, attempt=number, reason=error.reason, wait=round(wait, 3)
            )

        return await retrying(self._retry, attempt, left, on_retry)

    def _last_word(self, call: CallRecord, error: PentadError) -> PentadError:
        error.metadata.setdefault("attempts", str(call.attempts))
        if error.retry_after is not None:
            error.retry_after = max(error.retry_after, _AFTER_GIVING_UP_SECONDS)
        return error
