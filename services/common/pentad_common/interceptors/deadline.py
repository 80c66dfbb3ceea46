"""Deadlines: the handler knows how long its caller waits, and no unary call takes for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from pentad_client.envelope import current_envelope, set_envelope
from pentad_common.call import set_current_call
from pentad_common.errors import DeadlineExceeded
from pentad_common.interceptors.chain import Interceptor, Rpc


class Deadline(Interceptor):
    """Hands the caller's deadline to `current_call()` and to calls made meanwhile; caps unary calls."""

    def __init__(self, unary_seconds: float) -> None:
        self._unary_seconds = unary_seconds

    @asynccontextmanager
    async def around(self, rpc: Rpc) -> AsyncIterator[None]:
        """Raises DeadlineExceeded DEADLINE_EXCEEDED when the cap is reached before the caller's deadline."""
        asked = rpc.context.time_remaining()
        cap = None if rpc.streaming else self._unary_seconds
        left = min((limit for limit in (asked, cap) if limit is not None), default=None)
        if left is not None:
            _announce(rpc, time.time() + left)
        try:
            async with asyncio.timeout(cap if left == cap else None):
                yield
        except TimeoutError:
            if cap is None or left != cap:
                raise
            raise DeadlineExceeded(
                "DEADLINE_EXCEEDED",
                f"{rpc.method} took longer than the {cap:g} s that this server allows",
                seconds=cap,
            ) from None


def _announce(rpc: Rpc, deadline: float) -> None:
    set_envelope(replace(current_envelope(), deadline=deadline))
    if rpc.call is not None:
        rpc.call = replace(rpc.call, deadline=deadline)
        set_current_call(rpc.call)
