"""Trying again: exponential waits with full jitter, the provider's Retry-After, and never beyond the caller's
patience.

This is the only layer that retries: the SDKs' own retries are off.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from pentad_common.errors import PentadError

Result = TypeVar("Result")

_LONGEST_WAIT = 30.0
_LEFT_FOR_AN_ATTEMPT = 0.05


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` in all; up to `base` seconds before the second, up to twice as much before each after it.

    The waits are drawn evenly from nothing to that bound, so that callers who failed together do not come
    back together: "Exponential Backoff and Jitter", AWS Architecture Blog (2015).
    """

    attempts: int
    base: float

    def wait(
        self, attempt: int, error: PentadError, left: float | None, jitter: float | None = None
    ) -> float | None:
        """Seconds to wait after the failure of `attempt` (from 1); None when it shall not be tried again.

        `left`: seconds until the caller gives up. `jitter`: from 0 to 1, random by default.
        """
        if error.retry_after is None or attempt >= self.attempts:
            return None
        spread = random.random() if jitter is None else jitter
        backoff = min(self.base * 2 ** (attempt - 1), _LONGEST_WAIT) * spread
        asked = float(error.metadata.get("retry_after_seconds", 0))
        if asked > _LONGEST_WAIT:
            return None  # the caller may wait that long, not we with its request in our hands
        wait = max(backoff, asked * (1 + spread / 10))
        return None if left is not None and wait + _LEFT_FOR_AN_ATTEMPT > left else wait


async def retrying(
    policy: RetryPolicy,
    attempt: Callable[[], Awaitable[Result]],
    left: Callable[[PentadError], float | None],
    on_retry: Callable[[int, PentadError, float], None],
) -> Result:
    """The result of `attempt()`, called until it succeeds or its error shall not be tried again, which is
    raised.

    `left(error)`: seconds until it is given up after such an error, None if never.
    `on_retry(attempt, error, wait)` is told of each retry.
    """
    number = 1
    while True:
        try:
            return await attempt()
        except PentadError as error:
            wait = policy.wait(number, error, left(error))
            if wait is None:
                raise
            on_retry(number, error, wait)
        await asyncio.sleep(wait)
        number += 1
