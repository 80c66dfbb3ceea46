"""What holds callers to their limits: the most that a call may take is reserved before it, and settled after
it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from pentad_common.call import CallContext
from pentad_llm_gateway.target import Target


class Reservation(Protocol):
    """What a call holds of its caller's limits."""

    def settle(self, tokens: int, micros: int) -> None:
        """The call took this much: tokens of input and output, and millionths of a dollar. It counts when the
        reservation is left; the rest is released then. Does not wait; the last word counts."""


class Limits(Protocol):
    """Reserves and settles, atomically among all callers."""

    def reserved(
        self, caller: CallContext, target: Target, tokens: int, micros: int
    ) -> AbstractAsyncContextManager[Reservation]:
        """Within the block the call holds `tokens`, `micros` and a place among the concurrent calls.

        Leaving it without `settle` releases all of that. Entering it raises ResourceExhausted RATE_LIMITED or
        BUDGET_EXCEEDED with `retry_after`.
        """


class _Nothing:
    """A reservation of nothing."""

    def settle(self, tokens: int, micros: int) -> None:
        """See Reservation."""


class NoLimits:
    """Limits of a gateway that was told none."""

    def reserved(
        self, caller: CallContext, target: Target, tokens: int, micros: int
    ) -> AbstractAsyncContextManager[Reservation]:
        """See Limits."""
        return nullcontext(_Nothing())
