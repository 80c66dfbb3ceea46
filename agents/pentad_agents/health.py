"""gRPC's health check of the host, for `pentad up` and Kubernetes: SERVING while agents are served."""

from __future__ import annotations

import asyncio
from types import TracebackType

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pentad_agents.settings import ConfigurationError

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Listens within the `async with` block; port 0 listens nowhere. SERVING from `ready` until `stopped`."""

    def __init__(self, host: str, port: int, ready: asyncio.Event, stopped: asyncio.Event) -> None:
        self._host, self._port = host, port
        self._ready, self._stopped = ready, stopped
        self._server: aio.Server | None = None
        self._follower: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Health:
        if self._port:
            await self._listen()
        return self

    async def _listen(self) -> None:
        servicer = health.aio.HealthServicer()
        await servicer.set("", NOT_SERVING)
        self._server = aio.server(options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        try:
            self._server.add_insecure_port(f"{self._host}:{self._port}")
        except RuntimeError:
            raise ConfigurationError(
                f"port {self._port} on {self._host} cannot be opened: set PENTAD_PORT to a free one, or to 0"
            ) from None
        await self._server.start()
        self._follower = asyncio.create_task(self._follow(servicer))

    async def _follow(self, servicer: health.aio.HealthServicer) -> None:
        await self._ready.wait()
        await servicer.set("", SERVING)
        await self._stopped.wait()
        await servicer.set("", NOT_SERVING)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._follower:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        if self._server:
            await self._server.stop(0.5)
