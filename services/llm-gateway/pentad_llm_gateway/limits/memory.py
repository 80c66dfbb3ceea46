"""Counters in this process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pentad_llm_gateway.limits.counters import (
    HELD_RETRY_SECONDS,
    IDLE_SECONDS,
    RATE_SECONDS,
    Buckets,
    Claim,
    Level,
    Refused,
    Seeds,
    Spent,
    Verdict,
)

_SWEEP_SECONDS = 60.0


@dataclass(slots=True)
class _Sum:
    used: int
    held: int = 0
    cap: int | None = None
    end: float = 0.0
    touched: float = 0.0


@dataclass(slots=True)
class _Tenant:
    sums: dict[str, _Sum] = field(default_factory=dict)
    rates: dict[str, Buckets] = field(default_factory=dict)
    open: dict[str, int] = field(default_factory=dict)
    """The reservations that are not settled, and their seconds."""


class MemoryCounters:
    """See Counters. No step is interrupted by another: none of them awaits anything."""

    lease: float | None = None

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tenants: dict[str, _Tenant] = {}
        self._swept = clock()

    def now(self) -> float:
        """See Counters."""
        return self._clock()

    async def reserve(self, tenant: str, id: str, claims: Sequence[Claim], seeds: Seeds) -> Verdict:
        """See Counters."""
        now = self._clock()
        self._sweep(now)
        counters = self._tenants.setdefault(tenant, _Tenant())
        if id in counters.open:
            return Verdict(now)
        if any(claim.end and not claim.begin <= now < claim.end for claim in claims):
            return Verdict(now, outside=True)
        unknown = [i for i, claim in enumerate(claims) if not _known(counters, claim, seeds, now)]
        if unknown:
            return Verdict(now, unknown=unknown)
        refused = [found for i, claim in enumerate(claims) if (found := _check(counters, i, claim, now))]
        if refused:
            return Verdict(now, refused=refused)
        for claim in claims:
            _take(counters, claim, now)
        counters.open[id] = int(now)
        return Verdict(now)

    async def settle(self, tenant: str, id: str, claims: Sequence[Claim], spent: Spent) -> None:
        """See Counters."""
        counters = self._tenants.get(tenant)
        second = counters.open.pop(id, None) if counters else None
        if counters is None or second is None:
            return
        for claim in claims:
            if counter := counters.sums.get(claim.key):
                counter.held -= claim.amount
                counter.used += claim.used(spent)
            elif (buckets := counters.rates.get(claim.key)) and second in buckets.seconds:
                buckets.seconds[second] += claim.used(spent) - claim.amount

    async def renew(self, tenant: str, ids: Sequence[str], *, touch: bool) -> None:
        """See Counters: reservations live as long as this process."""

    async def levels(self, tenant: str) -> list[Level]:
        """See Counters."""
        now = self._clock()
        counters = self._tenants.get(tenant, _Tenant())
        levels = []
        for key, counter in counters.sums.items():
            if (counter.used or counter.held) and not 0 < counter.end <= now:
                levels.append(Level(key, counter.used, counter.held))
        for key, buckets in counters.rates.items():
            buckets.forget(now)
            if buckets.total:
                levels.append(Level(key, buckets.total, 0, max(buckets.seconds) + RATE_SECONDS + 1.0))
        return levels

    async def close(self) -> None:
        """See Counters."""

    def _sweep(self, now: float) -> None:
        """Forgets what counts no more, now and then."""
        if now - self._swept < _SWEEP_SECONDS:
            return
        self._swept = now
        for tenant, counters in list(self._tenants.items()):
            counters.sums = {key: item for key, item in counters.sums.items() if _alive(item, now)}
            for buckets in counters.rates.values():
                buckets.forget(now)
            counters.rates = {key: item for key, item in counters.rates.items() if item.seconds}
            if not (counters.sums or counters.rates or counters.open):
                del self._tenants[tenant]


def _alive(counter: _Sum, now: float) -> bool:
    return counter.held > 0 or (now - counter.touched < IDLE_SECONDS and not 0 < counter.end <= now)


def _known(counters: _Tenant, claim: Claim, seeds: Seeds, now: float) -> bool:
    """Whether the claim's counter is there, or can be made."""
    if claim.rate:
        counters.rates.setdefault(claim.key, Buckets())
        return True
    if claim.key not in counters.sums:
        if claim.remembers and claim.key not in seeds:
            return False
        counters.sums[claim.key] = _Sum(seeds[claim.key] if claim.remembers else 0, end=claim.end)
    counters.sums[claim.key].touched = now
    return True


def _check(counters: _Tenant, index: int, claim: Claim, now: float) -> Refused | None:
    if claim.rate:
        return _check_rate(counters.rates[claim.key], index, claim, now)
    counter = counters.sums[claim.key]
    limit = math.inf if claim.limit is None else claim.limit
    if claim.left is not None:
        left = counter.used + counter.held + claim.left
        counter.cap = left if counter.cap is None else min(left, counter.cap)
        limit = min(limit, counter.cap)
    if counter.used + counter.held + claim.amount <= limit:
        return None
    return Refused(index, counter.used, counter.held, int(limit), _wait(counter, claim, limit, now))


def _check_rate(buckets: Buckets, index: int, claim: Claim, now: float) -> Refused | None:
    limit = claim.limit or 0
    buckets.forget(now)
    used = buckets.total
    if used + claim.amount <= limit:
        return None
    return Refused(index, used, 0, limit, buckets.wait(now, claim.amount, limit))


def _wait(counter: _Sum, claim: Claim, limit: float, now: float) -> float | None:
    """Seconds until the claim may fit; None if it never will."""
    if claim.amount > limit:
        return None
    if counter.used + claim.amount <= limit:
        return HELD_RETRY_SECONDS
    return claim.end - now if claim.end else None


def _take(counters: _Tenant, claim: Claim, now: float) -> None:
    if claim.rate:
        seconds = counters.rates[claim.key].seconds
        seconds[int(now)] = seconds.get(int(now), 0) + claim.amount
    else:
        counters.sums[claim.key].held += claim.amount
