"""Holds callers to the limits of the catalog and to their runs' budgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pentad_common.call import CallContext
from pentad_common.errors import PentadError, Unavailable
from pentad_common.ids import new_id
from pentad_llm_gateway.completion import Completion
from pentad_llm_gateway.limits.base import NOTHING, FittedReservation, Reservation, Unlimited
from pentad_llm_gateway.limits.claims import Most, Reason, Terms, terms
from pentad_llm_gateway.limits.counters import Claim, Counters, Spent
from pentad_llm_gateway.limits.levels import LimitLevel, levels
from pentad_llm_gateway.limits.refusal import Outcome, alone, unpriced
from pentad_llm_gateway.limits.renewing import Renewing
from pentad_llm_gateway.limits.rules import Rules, default_output
from pentad_llm_gateway.limits.settling import Settling
from pentad_llm_gateway.limits.spending import Spending
from pentad_llm_gateway.reserve import bounded, most, output_that_fits, with_output
from pentad_llm_gateway.target import Target

_TRIES = 8


class Keeper:
    """See Limits. `rules()` are those in force."""

    def __init__(self, rules: Callable[[], Rules], counters: Counters, spending: Spending) -> None:
        self._rules = rules
        self._counters = counters
        self._spending = spending
        self._settling = Settling(counters)
        self._renewing = Renewing(counters)

    def fitted(
        self, caller: CallContext, target: Target, completion: Completion
    ) -> AbstractAsyncContextManager[FittedReservation]:
        """See Limits."""
        held = self._terms(caller, target)
        if not held:
            return nullcontext(Unlimited(completion))
        default = default_output(item.bound for item in held.held)
        sent = bounded(completion, target.entry, default) if held.counts_output else completion
        return self._fitted(_Case(caller.tenant_id, held), _Request(target, completion, sent))

    def reserved(
        self, caller: CallContext, target: Target, tokens: int, micros: int | None
    ) -> AbstractAsyncContextManager[Reservation]:
        """See Limits."""
        held = self._terms(caller, target)
        if not held:
            return nullcontext(NOTHING)
        return self._reserved(_Case(caller.tenant_id, held), Most(tokens, micros or 0))

    def _terms(self, caller: CallContext, target: Target) -> Terms:
        held = terms(self._rules(), caller, target.name)
        if held and target.entry.price is None and (error := unpriced(held, target.name)):
            raise error
        return held

    async def levels(self, tenant: str) -> list[LimitLevel]:
        """See Limits."""
        rules = self._rules()
        if not rules:
            return []
        await self._settling.done(tenant)
        now = self._counters.now()
        own = terms(rules, CallContext(tenant, "", "service"), "")
        claims, reasons = own.claims(Most(), now)
        sums = [pair for pair in zip(claims, reasons, strict=True) if pair[0].remembers]
        seeds = await self._seeds(tenant, sums)
        return levels(rules, tenant, await self._counters.levels(tenant), seeds, now)

    async def close(self) -> None:
        """See Limits."""
        await self._settling.close()
        await self._renewing.close()
        await self._counters.close()

    @asynccontextmanager
    async def _reserved(self, case: _Case, most: Most) -> AsyncIterator[Reservation]:
        outcome = await self._reserve(case, most)
        if not outcome.granted:
            raise outcome.error()
        with self._kept(case, outcome.claims, None) as kept:
            yield kept

    @asynccontextmanager
    async def _fitted(self, case: _Case, request: _Request) -> AsyncIterator[FittedReservation]:
        """Takes what the request may take at most. One that may say as much as its model can is asked to say
        less where it could not be made otherwise. Raises the refusal, or Unavailable."""
        outcome = await self._reserve(case, request.most)
        if not outcome.granted and (smaller := request.within(outcome.room())):
            request, outcome = smaller, await self._reserve(case, smaller.most)
        if not outcome.granted:
            raise outcome.error()
        with self._kept(case, outcome.claims, request.sent) as kept:
            yield kept

    @contextmanager
    def _kept(self, case: _Case, claims: Sequence[Claim], sent: Completion | None) -> Iterator[_Kept]:
        """Around what is done with what was reserved: it is renewed, and settled in the end."""
        kept = _Kept(sent or NOTHING.completion)
        if not claims:
            yield kept
            return
        self._renewing.add(case.tenant, case.id)
        try:
            yield kept
        finally:
            self._renewing.remove(case.tenant, case.id)
            self._settling.begin(case.tenant, case.id, claims, kept.spent)

    async def _reserve(self, case: _Case, most: Most) -> Outcome:
        """Asks the counters, with what they need to know."""
        tenant, id, held = case.tenant, case.id, case.held
        outcome = alone(held, most)
        if outcome or not (held.held or held.run):
            return outcome or Outcome([], [])
        await self._settling.done(tenant)
        seeds: dict[str, int] = {}
        for _ in range(_TRIES):
            claims, reasons = held.claims(most, self._counters.now())
            try:
                verdict = await self._counters.reserve(tenant, id, claims, seeds)
            except (PentadError, asyncio.CancelledError):
                # It may have been done all the same.
                self._settling.begin(tenant, id, claims, Spent(), tries=2)
                raise
            if verdict.granted or verdict.refused:
                return Outcome(claims, reasons, verdict.refused)
            seeds |= await self._seeds(tenant, [(claims[i], reasons[i]) for i in verdict.unknown])
        raise Unavailable(
            "LIMITS_UNAVAILABLE", "the limits' clock does not stand still; try again", retry_after=3.0
        )

    async def _seeds(self, tenant: str, sums: Iterable[tuple[Claim, Reason]]) -> dict[str, int]:
        """What the records say of sums that are not counted yet: after a restart no budget is new."""
        seeds = {}
        for claim, reason in sums:
            since = datetime.fromtimestamp(claim.begin, UTC)
            seeds[claim.key] = claim.used(await self._spending.spent(tenant, reason.subject, since))
        return seeds


@dataclass(frozen=True, slots=True)
class _Case:
    """A call, what it is held to, and the name of its reservation."""

    tenant: str
    held: Terms
    id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be asked: as it came, and as it is sent."""

    target: Target
    asked: Completion
    sent: Completion

    @property
    def most(self) -> Most:
        """The most that it can take."""
        tokens, micros = most(self.target, self.sent)
        return Most(tokens, micros or 0)

    def within(self, room: tuple[int | None, int | None] | None) -> _Request | None:
        """The request with so small a bound on its output that it takes no more than `room`; None if there is
        none."""
        output = None if room is None else output_that_fits(self.target, self.asked, *room)
        return None if output is None else replace(self, sent=with_output(self.sent, output))


class _Kept:
    """See Reservation."""

    def __init__(self, completion: Completion) -> None:
        self.completion = completion
        self.spent = Spent()

    def settle(self, tokens: int, micros: int) -> None:
        """See Reservation."""
        self.spent = Spent(1, max(0, tokens), max(0, micros))
