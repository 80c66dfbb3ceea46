"""Request id and log: binds what every line of the call carries, and writes one line when it ends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from pentad_client.envelope import Envelope, new_traceparent, set_envelope
from pentad_common.errors import Code
from pentad_common.ids import new_id
from pentad_common.interceptors.chain import Interceptor, Rpc
from pentad_common.telemetry import bind, get_logger

log = get_logger(__name__)

# UNAUTHENTICATED, because the authentication interceptor notes it, at a bounded rate.
_QUIET = {Code.OK, Code.CANCELLED, Code.NOT_FOUND, Code.UNAUTHENTICATED}
_LOUD = {Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS}


class RequestLog(Interceptor):
    """Takes the caller's request id and trace, or makes them; calls made meanwhile carry them on."""

    @asynccontextmanager
    async def around(self, rpc: Rpc) -> AsyncIterator[None]:
        """Logs failures at info (faults of ours at error), what succeeded at debug."""
        envelope = _take(rpc)
        structlog.contextvars.clear_contextvars()
        bind(
            method=rpc.method,
            request_id=rpc.request_id,
            trace=(envelope.traceparent or "")[3:35],
            **{key: value for key, value in (("run", envelope.run_id), ("agent", envelope.agent)) if value},
        )
        rpc.context.set_trailing_metadata((("pentad-request-id", rpc.request_id),))
        try:
            yield
        finally:
            _report(rpc)


def _take(rpc: Rpc) -> Envelope:
    """The caller's envelope, completed and made the current one, without what only authentication may
    confirm.
    """
    envelope = Envelope.from_metadata(rpc.metadata)
    rpc.request_id = envelope.request_id or new_id()
    envelope = replace(
        envelope,
        request_id=rpc.request_id,
        traceparent=envelope.traceparent or new_traceparent(),
        agent=None,
        on_behalf_of=None,
    )
    set_envelope(envelope)
    return envelope


def _report(rpc: Rpc) -> None:
    milliseconds = round((time.perf_counter() - rpc.started) * 1000, 2)
    write = log.error if rpc.code in _LOUD else log.debug if rpc.code in _QUIET or rpc.is_health else log.info
    write("rpc", code=rpc.code.name, ms=milliseconds)
