"""What counts for all callers at once: reserving takes all claims of a call in one step, or none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Unit = Literal["calls", "requests", "tokens", "micros"]
"""What a claim is made of: places among the concurrent calls, requests, tokens, millionths of a dollar."""

RATE_SECONDS = 60
"""A rate counts what came in this many seconds before now, cut into buckets of one second. A bucket counts
until its last instant is that old: no minute ever has more than the limit."""
IDLE_SECONDS = 3600
"""A sum that nobody asked for so long, and of which nothing is held, may be forgotten; it begins with what is
in the records then."""
HELD_RETRY_SECONDS = 2.0
"""When to try again for what others have reserved and may give back."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a call wants of one counter. `key` names the counter within the tenant.

    A rate forgets after a minute. A sum is what was used since its window began, and what is held by calls
    under way; of concurrent calls, there is only the latter. Times are seconds of `time.time()`.
    """

    key: str
    unit: Unit
    amount: int
    limit: int | None
    """None: what is left decides alone."""
    rate: bool = False
    begin: float = 0.0
    end: float = 0.0
    """When the window of a sum ends; 0 for one without a window."""
    left: int | None = None
    """What was left of the sum by the caller's word. The least that was ever left, of all words, counts."""

    @property
    def remembers(self) -> bool:
        """Whether it counts what the records of calls know, too."""
        return not self.rate and self.unit != "calls"

    def used(self, spent: Spent) -> int:
        """What of it remains used when the call is over."""
        return getattr(spent, self.unit, 0)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call took in the end."""

    requests: int = 0
    tokens: int = 0
    micros: int = 0


@dataclass(frozen=True, slots=True)
class Level:
    """How full a counter is. `reset`: seconds of `time.time()`, when a rate will have forgotten what it
    counts now; None for a sum."""

    key: str
    used: int
    held: int
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A claim that does not fit. `wait`: seconds until it may; None if it never will."""

    claim: int
    used: int
    held: int
    limit: int
    wait: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of reserving. With `now` outside of a claim's window, or `unknown` sums, nothing was decided:
    reserve again with the right window, or with seeds."""

    now: float
    refused: Sequence[Refused] = ()
    unknown: Sequence[int] = ()
    outside: bool = False

    @property
    def granted(self) -> bool:
        """Whether all of it is reserved."""
        return not (self.refused or self.unknown or self.outside)


Seeds = Mapping[str, int]
"""By key: what the records of calls say was used."""


class Counters(Protocol):
    """The counters of all tenants. Every method is one atomic step. Raises Unavailable LIMITS_UNAVAILABLE."""

    lease: float | None
    """Seconds after which a reservation is given back unless it is renewed; None if it never is."""

    def now(self) -> float:
        """The counters' clock, as far as is known: seconds of `time.time()`."""

    async def reserve(self, tenant: str, id: str, claims: Sequence[Claim], seeds: Seeds) -> Verdict:
        """Takes all claims under `id`, or none."""

    async def settle(self, tenant: str, id: str, claims: Sequence[Claim], spent: Spent) -> None:
        """Puts what was spent in the place of what is reserved under `id`. Doing so again changes nothing."""

    async def renew(self, tenant: str, ids: Sequence[str], *, touch: bool) -> None:
        """Says that these calls are under way. Reservations that are not renewed are given back. `touch`:
        what they hold is not idle; to be said now and then of those that take hours."""

    async def levels(self, tenant: str) -> list[Level]:
        """All counters of the tenant that are not at zero."""

    async def close(self) -> None:
        """Lets go of connections."""


def as_json(claim: Claim) -> dict[str, Any]:
    """The claim as `counters.lua` reads it: times in milliseconds, and without what it does not have."""
    values: dict[str, Any] = {"key": claim.key, "unit": claim.unit, "amount": claim.amount}
    if claim.limit is not None:
        values["limit"] = claim.limit
    if claim.left is not None:
        values["left"] = claim.left
    if claim.rate:
        values["rate"] = True
    if claim.end:
        values |= {"begin": round(claim.begin * 1000), "end": round(claim.end * 1000)}
    return values


@dataclass(slots=True)
class Buckets:
    """A rate: what came, by the second."""

    seconds: dict[int, int] = field(default_factory=dict)

    def forget(self, now: float) -> None:
        """Lets go of what does not count any more."""
        oldest = int(now) - RATE_SECONDS
        for second in [second for second in self.seconds if second < oldest]:
            del self.seconds[second]

    @property
    def total(self) -> int:
        """What counts."""
        return sum(self.seconds.values())

    def wait(self, now: float, amount: int, limit: int) -> float | None:
        """Seconds until `amount` fits; None if it never does."""
        if amount > limit:
            return None
        over = self.total + amount - limit
        for second in sorted(self.seconds):
            over -= self.seconds[second]
            if over <= 0:
                return second + RATE_SECONDS + 1 - now
        return 0.0
