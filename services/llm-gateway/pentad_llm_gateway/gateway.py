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
from pentad_llm_gateway.cache.base import USUAL, Cache, CachePolicy, NoCache
from pentad_llm_gateway.caching import Asking, Caching
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.completion import Answer, Completion, TokenCount
from pentad_llm_gateway.embedding import Texts, Vectors
from pentad_llm_gateway.errors import classified
from pentad_llm_gateway.extras import check_extras
from pentad_llm_gateway.fallback import Candidates
from pentad_llm_gateway.fitting import fit
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.ledger import Ledger
from pentad_llm_gateway.limits.base import Limits, NoLimits
from pentad_llm_gateway.limits.levels import LimitLevel
from pentad_llm_gateway.metrics import OPEN_CALLS
from pentad_llm_gateway.pace import Pace
from pentad_llm_gateway.replies import Done, Embedded, Failed, Frame, Reply
from pentad_llm_gateway.retry import RetryPolicy, retrying
from pentad_llm_gateway.routing import Router
from pentad_llm_gateway.settings import GatewaySettings
from pentad_llm_gateway.spans import asked, said, spanned
from pentad_llm_gateway.store.base import ModelUsage, UsageQuery
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
        ledger: Ledger,
        limits: Limits | None = None,
        cache: Cache | None = None,
    ) -> None:
        self._generations = generations
        self._ledger = ledger
        self._limits = limits or NoLimits()
        self._keeps_words = settings.llm_log_words
        self._retry = RetryPolicy(settings.llm_attempts, settings.llm_retry_seconds)
        self.breakers = Breakers(lambda: generations.current.catalog.breaker)
        self._asker = Asker(self._retry, self.breakers, self._limits)
        asking = Asking(self._invoke, self._stream, self._embed, self._maybe_asked, self._meaning)
        self._caching = Caching(asking, cache or NoCache(), lambda: generations.current.catalog.cache)

    async def invoke(self, caller: CallContext, completion: Completion, policy: CachePolicy = USUAL) -> Reply:
        """Asks a model and waits for the whole answer. Raises PentadErrors of the taxonomy."""
        with classified():
            check_extras(completion.extras)
            return await self._caching.invoke(caller, completion, policy)

    async def stream(
        self, caller: CallContext, completion: Completion, policy: CachePolicy = USUAL
    ) -> AsyncGenerator[Frame, None]:
        """Asks a model: deltas as they come, then one Done or one Failed.

        Raises PentadErrors of the taxonomy for what fails before the first delta. Closing the generator ends
        the request upstream; the call is accounted all the same.
        """
        with classified():
            check_extras(completion.extras)
            async with aclosing(self._caching.stream(caller, completion, policy)) as answer:
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
                    if isinstance(frame, Done | Failed):
                        break
                    yield frame
                if isinstance(frame, Failed):
                    self.breakers.failed(call.target, frame.error)
        yield frame  # whoever is told of the end finds the call settled

    async def embed(self, caller: CallContext, texts: Texts, policy: CachePolicy = USUAL) -> Embedded:
        """Vectors of texts. No other model is asked for the one that was named: vectors of two models cannot
        be compared. Raises PentadErrors of the taxonomy."""
        with classified():
            check_extras(texts.extras)
            return await self._caching.embed(caller, texts, policy)

    async def _embed(self, caller: CallContext, texts: Texts) -> Embedded:
        async def ask(target: Target, _fitted: Completion, pace: Pace) -> Vectors:
            async with pace.whole():
                return await target.provider.embed(target.model, texts)

        with self._accounted(caller, texts.completion(), streamed=False) as (call, candidates):
            async with self._asker.asked(call, candidates, ask) as vectors:
                call.embedded(vectors)
            call.end()
            return Embedded(vectors.values, call.usage, call.cost_micros, call.served())

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
        return await self._ledger.usage(tenant, query)

    async def limits(self, tenant: str) -> list[LimitLevel]:
        """What is used of the tenant's limits now."""
        return await self._limits.levels(tenant)

    async def close(self) -> None:
        """Keeps what is not kept yet."""
        await self._caching.close()
        await self._limits.close()
        await self._ledger.close()

    @contextmanager
    def _accounted(
        self, caller: CallContext, completion: Completion, *, streamed: bool
    ) -> Iterator[tuple[CallRecord, Candidates]]:
        """Around a call: it keeps to one reading of the catalog, and however it ends, it is recorded once."""
        with self._generations.held() as generation:
            candidates = _candidates(generation.router, completion)
            call = CallRecord(caller, candidates.first, completion, streamed)
            call.failed_models = candidates.failed_models
            call.words = [] if self._keeps_words else None
            with spanned(call), self._recorded(call):
                yield call, candidates

    @contextmanager
    def _maybe_asked(
        self, caller: CallContext, completion: Completion, streamed: bool
    ) -> Iterator[CallRecord]:
        """Around a call that takes nothing unless a model is asked for it, which has a record of its own."""
        with self._generations.held() as generation:
            target = _candidates(generation.router, completion).first
            call = CallRecord(caller, target, completion, streamed, cached=True)
            with self._recorded(call):
                yield call

    def _meaning(self, name: str) -> tuple[str, ...]:
        return self._generations.current.router.stands_for(name)

    @contextmanager
    def _recorded(self, call: CallRecord) -> Iterator[None]:
        open_calls = None if call.cached else OPEN_CALLS.labels(call.target.provider.name)
        if open_calls is not None:
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
            if open_calls is not None:
                open_calls.dec()
            if not call.told_by_another:
                self._ledger.record(call)
                _log(call)
                if call.words is not None:
                    log.info("llm words", call=call.id, asked=asked(call.requested), said=said(call.words))


def _candidates(router: Router, completion: Completion) -> Candidates:
    answers = completion.purpose == "answer"
    return (router.candidates if answers else router.embedding_candidates)(completion.model)


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
        cached=call.cached,
        ms=round(call.latency * 1000),
    )
