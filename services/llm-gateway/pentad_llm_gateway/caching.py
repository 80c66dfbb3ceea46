"""The stage of a call before any model is asked: an answer that was given already, or is being given to
another."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass

from pentad_common.call import CallContext
from pentad_common.errors import PentadError
from pentad_llm_gateway.cache.answer import KeptAnswer, assembled, deltas
from pentad_llm_gateway.cache.base import Cache, CachePolicy
from pentad_llm_gateway.cache.flight import Flight
from pentad_llm_gateway.cache.key import cache_key
from pentad_llm_gateway.cache.rules import CacheRules
from pentad_llm_gateway.cache.vectors import KeptVectors
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.completion import Completion, Usage
from pentad_llm_gateway.embedding import Texts
from pentad_llm_gateway.metrics import CACHE
from pentad_llm_gateway.replies import Done, Embedded, Failed, Frame, Reply

Kept = KeptAnswer | KeptVectors


@dataclass(frozen=True, slots=True)
class Asking:
    """The stages after this one. `record`: around a call that may need no model; however it ends, it is
    recorded once. `meaning`: the models that a name stands for."""

    invoke: Callable[[CallContext, Completion], Awaitable[Reply]]
    stream: Callable[[CallContext, Completion], AsyncGenerator[Frame, None]]
    embed: Callable[[CallContext, Texts], Awaitable[Embedded]]
    record: Callable[[CallContext, Completion, bool], AbstractContextManager[CallRecord]]
    meaning: Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A call for which the cache is on."""

    call: CallRecord
    request: Completion | Texts
    policy: CachePolicy
    ttl: float

    @property
    def shares(self) -> bool:
        """Whether others may have the answer, and it may be theirs."""
        return not (self.policy.bypass or self.policy.no_store)


class Caching:
    """Answers from the cache, shares calls under way, and keeps what models say.

    Calls for which the cache is not on pass through: of two that ask the same each is told something of its
    own.
    """

    def __init__(self, asking: Asking, cache: Cache, rules: Callable[[], CacheRules]) -> None:
        self._asking = asking
        self._cache = cache
        self._rules = rules
        self._flights: dict[bytes, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def invoke(self, caller: CallContext, completion: Completion, policy: CachePolicy) -> Reply:
        """The whole answer."""
        ttl = self._rules().lifetime(policy)
        if ttl is None:
            return await self._asking.invoke(caller, completion)
        with self._asking.record(caller, completion, False) as call:
            found = await self._settled(_Wanted(call, completion, policy, ttl))
            if isinstance(found, Flight):
                return _whole(call, found)
            assert isinstance(found, KeptAnswer)
            return _reply(call, found)

    async def embed(self, caller: CallContext, texts: Texts, policy: CachePolicy) -> Embedded:
        """The vectors."""
        ttl = self._rules().lifetime(policy)
        if ttl is None:
            return await self._asking.embed(caller, texts)
        with self._asking.record(caller, texts.completion(), False) as call:
            found = await self._settled(_Wanted(call, texts, policy, ttl))
            if isinstance(found, Flight):
                assert isinstance(found.end, Embedded)
                if not call.cached:
                    return found.end
                found = _vectors(found.end)
            assert isinstance(found, KeptVectors)
            call.provider, call.model = found.provider, found.model
            call.end()
            return Embedded(found.values, Usage(), 0, call.served())

    async def stream(
        self, caller: CallContext, completion: Completion, policy: CachePolicy
    ) -> AsyncGenerator[Frame, None]:
        """The answer as it is made, or as it was."""
        ttl = self._rules().lifetime(policy)
        if ttl is None:
            async with aclosing(self._asking.stream(caller, completion)) as frames:
                async for frame in frames:
                    yield frame
            return
        with self._asking.record(caller, completion, True) as call:
            while True:
                found = await self._found(_Wanted(call, completion, policy, ttl))
                if isinstance(found, KeptAnswer):
                    for delta in deltas(found.message):
                        call.first_token = call.first_token or time.perf_counter()
                        yield delta
                    end: Frame = _done(call, found)
                    break
                assert isinstance(found, Flight)
                async with found.joined(caller, self._forget):
                    try:
                        async for delta in found.seen():
                            call.first_token = call.first_token or time.perf_counter()
                            yield delta
                    except PentadError as error:
                        if _only_theirs(call, error):
                            continue
                        raise
                    if isinstance(found.end, Reply):
                        for delta in deltas(found.end.message):
                            yield delta
                    end = _end(call, found)
                    break
        yield end

    async def close(self) -> None:
        """Ends the calls that are under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _settled(self, wanted: _Wanted) -> Kept | Flight:
        """What answers the call as a whole: what is kept, or a call that has ended. Raises what it raised."""
        while True:
            found = await self._found(wanted)
            if not isinstance(found, Flight):
                return found
            async with found.joined(wanted.call.caller, self._forget):
                try:
                    await found.ended()
                except PentadError as error:
                    if _only_theirs(wanted.call, error):
                        continue
                    raise
                return found

    async def _found(self, wanted: _Wanted) -> Kept | Flight:
        """What answers the call: an answer that is kept, or a call under way, begun by another or now."""
        tenant, request = wanted.call.caller.tenant_id, wanted.request
        key = cache_key(tenant, self._asking.meaning(request.model), request)
        if wanted.shares and (flight := self._flights.get(key)):
            CACHE.labels("shared").inc()
            return flight
        if not wanted.policy.bypass and (kept := await self._kept(key, request)):
            CACHE.labels("hit").inc()
            return kept
        if wanted.shares and (flight := self._flights.get(key)):
            CACHE.labels("shared").inc()
            return flight
        CACHE.labels("miss").inc()
        return self._begun(wanted, key)

    def _begun(self, wanted: _Wanted, key: bytes) -> Flight:
        """A call under way, which the record of who asked for it tells of."""
        call = wanted.call
        call.cached, call.told_by_another = False, True
        flight = Flight(call.caller)
        if wanted.shares:
            self._flights[key] = flight
        task = flight.start(self._fly(flight, wanted, key), self._forget)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return flight

    async def _fly(self, flight: Flight, wanted: _Wanted, key: bytes) -> None:
        request = wanted.request
        if isinstance(request, Texts):
            await flight.whole(self._asking.embed(flight.caller, request))
        elif wanted.call.streamed:
            await flight.pieces(self._asking.stream(flight.caller, request))
        else:
            await flight.whole(self._asking.invoke(flight.caller, request))
        if not wanted.policy.no_store and (answer := _to_keep(flight)):
            data = answer.encode()
            if len(data) <= self._rules().max_answer_bytes:
                await self._cache.put(key, data, wanted.ttl)

    def _forget(self, flight: Flight) -> None:
        """Nobody joins it any more."""
        for key, known in list(self._flights.items()):
            if known is flight:
                del self._flights[key]

    async def _kept(self, key: bytes, request: Completion | Texts) -> Kept | None:
        data = await self._cache.get(key)
        if data is None:
            return None
        return KeptVectors.decode(data) if isinstance(request, Texts) else KeptAnswer.decode(data)


def _only_theirs(call: CallRecord, error: PentadError) -> bool:
    """Whether an error is of the limits of whoever began the call, and of no concern to one who joined it."""
    return call.cached and "limit" in error.metadata and error.reason in ("RATE_LIMITED", "BUDGET_EXCEEDED")


def _to_keep(flight: Flight) -> Kept | None:
    """The answer, if it is complete and of a model that was meant: what stood in for it would stay after it
    is back."""
    end = flight.end
    if isinstance(end, Embedded):
        return _vectors(end)
    if not isinstance(end, Reply | Done) or end.served.failed_models:
        return None
    answer = _answer(flight, end)
    return answer if answer.complete else None


def _answer(flight: Flight, end: Reply | Done) -> KeptAnswer:
    message = end.message if isinstance(end, Reply) else assembled(flight.deltas)
    return KeptAnswer(message, end.finish_reason, end.served.provider, end.served.model)


def _vectors(end: Embedded) -> KeptVectors:
    return KeptVectors(end.values, end.served.provider, end.served.model)


def _whole(call: CallRecord, flight: Flight) -> Reply:
    """The flight's answer, as a whole. Raises the error of one that was cut."""
    end = flight.end
    if isinstance(end, Failed):
        raise copy.copy(end.error)
    assert isinstance(end, Reply | Done)
    if call.cached:
        return _reply(call, _answer(flight, end))
    message = end.message if isinstance(end, Reply) else assembled(flight.deltas)
    return Reply(message, end.finish_reason, end.usage, end.cost_micros, end.served)


def _end(call: CallRecord, flight: Flight) -> Done | Failed:
    """The last frame of the flight's answer."""
    end = flight.end
    if isinstance(end, Failed):
        if not call.cached:
            return end
        call.end(end.error.reason)
        return Failed(copy.copy(end.error), Usage(), 0, call.served())
    assert isinstance(end, Reply | Done)
    if call.cached:
        return _done(call, _answer(flight, end))
    return Done(end.finish_reason, end.usage, end.cost_micros, end.served)


def _reply(call: CallRecord, answer: KeptAnswer) -> Reply:
    done = _done(call, answer)
    return Reply(answer.message, done.finish_reason, done.usage, done.cost_micros, done.served)


def _done(call: CallRecord, answer: KeptAnswer) -> Done:
    """The end of a call that took nothing."""
    call.provider, call.model, call.finish_reason = answer.provider, answer.model, answer.finish_reason
    call.end()
    return Done(answer.finish_reason, Usage(), 0, call.served())
