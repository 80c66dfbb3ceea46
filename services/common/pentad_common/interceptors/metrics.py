"""Metrics of RPCs: how many ended how, how long they took, how many are open."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Counter, Gauge, Histogram

from pentad_common.interceptors.chain import Interceptor, Rpc

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

CALLS = Counter("rpc_server_calls", "RPCs that ended, by their status code.", ["method", "code"])
DURATION = Histogram(
    "rpc_server_call_duration_seconds",
    "How long RPCs took, from first to last byte.",
    ["method", "code"],
    buckets=_BUCKETS,
)
OPEN = Gauge("rpc_server_open_calls", "RPCs that are being served.", ["method"])


class Metrics(Interceptor):
    """Counts each RPC once, when it ends."""

    @asynccontextmanager
    async def around(self, rpc: Rpc) -> AsyncIterator[None]:
        """Methods that do not exist are counted as `unknown`: their names come from outside."""
        method = rpc.method if rpc.known else "unknown"
        gauge = OPEN.labels(method)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()
            CALLS.labels(method, rpc.code.name).inc()
            DURATION.labels(method, rpc.code.name).observe(time.perf_counter() - rpc.started)
