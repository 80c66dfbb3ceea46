"""The gateway's rules, in the order of a call: check it, find the models that may answer, ask them one after
another, and account for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from pentad_common.call import CallContext
from pentad_common.errors import PentadError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.asking import Asker
from pentad_llm_gateway.breaker import Breakers
from pentad_llm_gateway.cache.base import USUAL, CachePolicy
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.completion import Answer, Completion, TokenCount
from pentad_llm_gateway.errors import classified
from pentad_llm_gateway.extras import check_extras
from pentad_llm_gateway.fallback import Candidates
from pentad_llm_gateway.fitting import fit
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.ledger import Ledger
from pentad_llm_gateway.limits.base import Limits, NoLimits
from pentad_llm_gateway.metrics import OPEN_CALLS
from pentad_llm_gateway.pace import Pace
from pentad_llm_gateway.replies import Done, Failed, Frame, Reply
from pentad_llm_gateway.retry import RetryPolicy, retrying
from pentad_llm_gateway.settings import GatewaySettings
from pentad_llm_gateway.spans import asked, said, spanned
from pentad_llm_gateway.store.base import CallStore, ModelUsage, UsageQuery
from pentad_llm_gateway.streaming import Begun, begin, frames
from pentad_llm_gateway.target import Target

__all__ = ["Done", "Failed", "Frame", "Gateway", "Reply"]

log = get_logger(__name__)


class Gateway:
    """One door to all models."""

    def __init__(
        self,
        settings: GatewaySettings,
        generations: Generations,
        store: CallStore,
        limits: Limits | None = None,
    ) -> None:
        self._generations = generations
        self._store = store
        self._ledger = Ledger(store)
        self._keeps_words = settings.llm_log_words
        self._retry = RetryPolicy(settings.llm_attempts, settings.llm_retry_seconds)
        self.breakers = Breakers(lambda: generations.current.catalog.breaker)
        self._asker = Asker(self._retry, self.breakers, limits or NoLimits())

    async def invoke(self, caller: CallContext, completion: Completion, policy: CachePolicy = USUAL) -> Reply:
        """Asks a model and waits for the whole answer. Raises PentadErrors of the taxonomy."""
        with classified():
            check_extras(completion.extras)
            return await self._invoke(caller, completion)

    async def stream(
        self, caller: CallContext, completion: Completion, policy: CachePolicy = USUAL
    ) -> AsyncGenerator[Frame, None]:
        """Asks a model: deltas as they come, then one Done or one Failed.

        Raises PentadErrors of the taxonomy for what fails before the first delta. Closing the generator ends
        the request upstream; the call is accounted all the same.
        """
        with classified():
            check_extras(completion.extras)
            async with aclosing(self._stream(caller, completion)) as answer:
                async for frame in answer:
                    yield frame

    async def _invoke(self, caller: CallContext, completion: Completion) -> Reply:
        async def ask(target: Target, fitted: Completion, pace: Pace) -> Answer:
            async with pace.whole():
                return await target.provider.invoke(target.model, fitted)

        with self._accounted(caller, completion, streamed=False) as (call, candidates):
            async with self._asker.asked(call, candidates, ask) as answer:
                call.answered(answer)
            call.end()
            return Reply(answer.message, answer.finish_reason, call.usage, call.cost_micros, call.served())

    async def _stream(self, caller: CallContext, completion: Completion) -> AsyncGenerator[Frame, None]:
        async def ask(target: Target, fitted: Completion, pace: Pace) -> Begun:
            return await begin(target.provider.stream(target.model, fitted), call, pace)

        with self._accounted(caller, completion, streamed=True) as (call, candidates):
            async with (
                self._asker.asked(call, candidates, ask) as begun,
                aclosing(begun.events),
                aclosing(frames(begun, call)) as answer,
            ):
                async for frame in answer:
                    if isinstance(frame, Failed):
                        self.breakers.failed(call.target, frame.error)
                    yield frame

    async def count_tokens(self, caller: CallContext, completion: Completion) -> tuple[TokenCount, Target]:
        """Tokens of the request's input, and the model that they were counted for."""
        with classified(), self._generations.held() as generation:
            check_extras(completion.extras)
            target = generation.router.resolve(completion.model)
            fitted, _ = fit(target, completion)
            pace = Pace(target.provider.name, caller, target.provider.time_limits(target.model))

            async def count() -> TokenCount:
                async with pace.whole():
                    return await target.provider.count_tokens(target.model, fitted)

            return await retrying(self._retry, count, lambda _: pace.left(), lambda *_: None), target

    async def usage(self, tenant: str, query: UsageQuery) -> list[ModelUsage]:
        """What the tenant's calls cost, by model; those that ended here a moment ago included."""
        await self._ledger.flush()
        return await self._store.usage(tenant, query)

    async def close(self) -> None:
        """Keeps what is not kept yet."""
        await self._ledger.close()

    @contextmanager
    def _accounted(
        self, caller: CallContext, completion: Completion, *, streamed: bool
    ) -> Iterator[tuple[CallRecord, Candidates]]:
        """Around a call: it keeps to one reading of the catalog, and however it ends, it is recorded once."""
        with self._generations.held() as generation:
            candidates = generation.router.candidates(completion.model)
            call = CallRecord(caller, candidates.first, completion, streamed)
            call.failed_models = candidates.failed_models
            call.words = [] if self._keeps_words else None
            with spanned(call), self._recorded(call):
                yield call, candidates

    @contextmanager
    def _recorded(self, call: CallRecord) -> Iterator[None]:
        open_calls = OPEN_CALLS.labels(call.target.provider.name)
        open_calls.inc()
        try:
            yield
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
            open_calls.dec()
            self._ledger.record(call)
            _log(call)
            if call.words is not None:
                log.info("llm words", call=call.id, asked=asked(call.requested), said=said(call.words))


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
