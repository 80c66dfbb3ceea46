"""What holds callers to their limits: the most that a call may take is reserved before it, and settled after
it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from pentad_common.call import CallContext
from pentad_llm_gateway.completion import Completion
from pentad_llm_gateway.limits.levels import LimitLevel
from pentad_llm_gateway.target import Target


class Reservation(Protocol):
    """What a call holds of its caller's limits."""

    def settle(self, tokens: int, micros: int) -> None:
        """The call took this much: tokens of input and output, and millionths of a dollar. It counts when the
        reservation is left; the rest is released then. Does not wait; the last word counts."""


class FittedReservation(Reservation, Protocol):
    """What a request holds of its caller's limits."""

    completion: Completion
    """The request as it is to be sent: with a bound on its output, where a limit needs one."""


class Limits(Protocol):
    """Reserves and settles, atomically among all callers."""

    def fitted(
        self, caller: CallContext, target: Target, completion: Completion
    ) -> AbstractAsyncContextManager[FittedReservation]:
        """Within the block the call holds the most that the request can take; as `reserved`."""

    def reserved(
        self, caller: CallContext, target: Target, tokens: int, micros: int | None
    ) -> AbstractAsyncContextManager[Reservation]:
        """Within the block the call holds `tokens`, `micros` and a place among the concurrent calls.

        Leaving it without `settle` releases all of that. Entering it raises ResourceExhausted RATE_LIMITED or
        BUDGET_EXCEEDED, with `retry_after` where it may fit later, and Unavailable LIMITS_UNAVAILABLE.
        """

    async def levels(self, tenant: str) -> list[LimitLevel]:
        """What is used of the tenant's limits now."""

    async def close(self) -> None:
        """Counts what is not counted yet."""


class Unlimited:
    """A reservation of nothing."""

    def __init__(self, completion: Completion) -> None:
        self.completion = completion

    def settle(self, tokens: int, micros: int) -> None:
        """See Reservation."""


NOTHING = Unlimited(Completion("", ()))


class NoLimits:
    """Limits of a gateway that was told none."""

    def fitted(
        self, caller: CallContext, target: Target, completion: Completion
    ) -> AbstractAsyncContextManager[FittedReservation]:
        """See Limits."""
        return nullcontext(Unlimited(completion))

    def reserved(
        self, caller: CallContext, target: Target, tokens: int, micros: int | None
    ) -> AbstractAsyncContextManager[Reservation]:
        """See Limits."""
        return nullcontext(NOTHING)

    async def levels(self, tenant: str) -> list[LimitLevel]:
        """See Limits."""
        return []

    async def close(self) -> None:
        """See Limits."""
