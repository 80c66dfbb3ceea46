"""Holds callers to the limits of the catalog and to their runs' budgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime

from pentad_common.call import CallContext
from pentad_common.errors import PentadError, Unavailable
from pentad_common.ids import new_id
from pentad_llm_gateway.completion import Completion
from pentad_llm_gateway.limits.base import NOTHING, Reservation
from pentad_llm_gateway.limits.claims import Most, Reason, Terms, terms
from pentad_llm_gateway.limits.counters import Claim, Counters, Spent
from pentad_llm_gateway.limits.levels import LimitLevel, levels
from pentad_llm_gateway.limits.refusal import alone, refusal, unpriced
from pentad_llm_gateway.limits.renewing import Renewing
from pentad_llm_gateway.limits.rules import Rules, default_output
from pentad_llm_gateway.limits.settling import Settling
from pentad_llm_gateway.limits.spending import Spending
from pentad_llm_gateway.reserve import bounded
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

    def bounded(self, caller: CallContext, target: Target, completion: Completion) -> Completion:
        """See Limits."""
        held = terms(self._rules(), caller, target.name)
        if not held.counts_output:
            return completion
        return bounded(completion, target.entry, default_output(item.bound for item in held.held))

    def reserved(
        self, caller: CallContext, target: Target, tokens: int, micros: int | None
    ) -> AbstractAsyncContextManager[Reservation]:
        """See Limits."""
        held = terms(self._rules(), caller, target.name)
        if not held:
            return nullcontext(NOTHING)
        most = Most(tokens, micros or 0)
        if error := (target.entry.price is None and unpriced(held, target.name)) or alone(held, most):
            raise error
        return self._reserved(caller.tenant_id, held, most)

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
    async def _reserved(self, tenant: str, held: Terms, most: Most) -> AsyncIterator[Reservation]:
        id = new_id()
        claims = await self._reserve(tenant, id, held, most)
        self._renewing.add(tenant, id)
        kept = _Kept()
        try:
            yield kept
        finally:
            self._renewing.remove(tenant, id)
            self._settling.begin(tenant, id, claims, kept.spent)

    async def _reserve(self, tenant: str, id: str, held: Terms, most: Most) -> Sequence[Claim]:
        """Takes what the call may take at most. Raises the refusal, or Unavailable."""
        await self._settling.done(tenant)
        seeds: dict[str, int] = {}
        for _ in range(_TRIES):
            now = self._counters.now()
            claims, reasons = held.claims(most, now)
            try:
                verdict = await self._counters.reserve(tenant, id, claims, seeds)
            except (PentadError, asyncio.CancelledError):
                self._settling.begin(
                    tenant, id, claims, Spent(), tries=2
                )  # it may have been done all the same
                raise
            if verdict.granted:
                return claims
            if verdict.refused:
                raise refusal(verdict.refused, claims, reasons)
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


class _Kept:
    """See Reservation."""

    def __init__(self) -> None:
        self.spent = Spent()

    def settle(self, tokens: int, micros: int) -> None:
        """See Reservation."""
        self.spent = Spent(1, max(0, tokens), max(0, micros))
