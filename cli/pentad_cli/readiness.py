"""When a service is ready: it answers gRPC's health check with SERVING."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

_POLL_SECONDS = 0.05
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 200),
    # Several checks of the same address must not share a connection that is in backoff.
    ("grpc.use_local_subchannel_pool", 1),
]


async def serving(address: str) -> None:
    """Returns once the service at `address` (`host:port`) serves, however long that takes."""
    async with aio.insecure_channel(address, options=_OPTIONS) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while not await _check(stub, 1.0, wait=True):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)


async def is_serving(address: str, seconds: float = 1.0) -> bool:
    """Whether the service at `address` says within `seconds` that it serves."""
    async with aio.insecure_channel(address, options=_OPTIONS) as channel:
        return await _check(health_pb2_grpc.HealthStub(channel), seconds, wait=False)


async def _check(stub: Any, seconds: float, wait: bool) -> bool:
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=seconds, wait_for_ready=wait)
    except aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
