"""Metrics of RPCs: how many ended how, how long they took, how many are open."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Counter, Gauge, Histogram

from pentad_common import conventions as names
from pentad_common import otel
from pentad_common.interceptors.chain import Interceptor, Rpc

CALLS = Counter("rpc_server_calls", "RPCs that ended, by their status code.", ["method", "code"])
DURATION = Histogram(
    f"{names.prometheus(names.RPC_DURATION.name)}_seconds",
    names.RPC_DURATION.description,
    ["method", "code"],
    buckets=names.RPC_DURATION.buckets,
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
            took = time.perf_counter() - rpc.started
            DURATION.labels(method, rpc.code.name).observe(took)
            otel.record(
                names.RPC_DURATION,
                took,
                {
                    names.RPC_SYSTEM: "grpc",
                    names.RPC_METHOD: method.lstrip("/"),
                    names.RPC_STATUS: rpc.code.name,
                },
            )
