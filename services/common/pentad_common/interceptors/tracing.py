"""Tracing: a span of OpenTelemetry's for each RPC, where a collector is set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from pentad_client.envelope import Envelope, current_envelope, set_envelope
from pentad_common import conventions as names
from pentad_common import otel
from pentad_common.errors import Code
from pentad_common.interceptors.chain import Interceptor, Rpc
from pentad_common.telemetry import bind

_OURS = {
    Code.UNKNOWN,
    Code.DEADLINE_EXCEEDED,
    Code.UNIMPLEMENTED,
    Code.INTERNAL,
    Code.UNAVAILABLE,
    Code.DATA_LOSS,
}
"""The codes that are a server's failure by the conventions; the others are the caller's."""


class Tracing(Interceptor):
    """What is called meanwhile, and what is logged, belongs to the span. It costs nothing without one."""

    @asynccontextmanager
    async def around(self, rpc: Rpc) -> AsyncIterator[None]:
        """Within the caller's trace, if it sent one; a trace of its own begins otherwise."""
        if rpc.is_health or not rpc.known or not otel.spans_wanted():
            yield
            return
        method = rpc.method.lstrip("/")
        parent = Envelope.from_metadata(rpc.metadata).traceparent or ""
        span = otel.start_span(method, "server", parent, {names.RPC_SYSTEM: "grpc", names.RPC_METHOD: method})
        set_envelope(replace(current_envelope(), traceparent=span.traceparent))
        bind(trace=span.traceparent[3:35])
        try:
            yield
        finally:
            tenant = rpc.call.tenant_id if rpc.call else None
            span.note({names.RPC_STATUS: rpc.code.name, names.TENANT: tenant})
            span.end(rpc.code.name if rpc.code in _OURS else "")
