"""Servicers of the real contracts that do just enough to try the server around them, for each kind of RPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pentad.bus.v1 import bus_pb2, bus_pb2_grpc
from pentad.context.v1 import context_pb2, context_pb2_grpc
from pentad.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from pentad_client.channel import Channels, Stub
from pentad_client.config import ClientConfig
from pentad_common.call import CallContext, current_call
from pentad_common.db import Database
from pentad_common.errors import Aborted, NotFound, Unavailable
from pentad_common.keys import KeyStore
from pentad_common.server import Server

TENANT = "acme"


def address(key: str) -> context_pb2.Address:
    """The address of a key in the global namespace."""
    return context_pb2.Address(key=key)


class SampleContext(context_pb2_grpc.ContextServiceServicer):
    """Unary (`Get`) and a stream of responses (`Watch`); the key asked for says what happens."""

    def __init__(self) -> None:
        self.calls: list[CallContext] = []
        self.cancelled = asyncio.Event()

    async def Get(self, request: context_pb2.GetRequest, context: Any) -> context_pb2.GetResponse:
        """Fails as the key says, or echoes it."""
        self.calls.append(current_call())
        match request.address.key:
            case "missing":
                raise NotFound("KEY_NOT_FOUND", "there is no such key", key="missing")
            case "broken":
                raise RuntimeError("the secret plan of the house")
            case "busy":
                raise Aborted("REVISION_CONFLICT", "somebody else was first", retry_after=1.5)
            case "away":
                raise Unavailable("PROVIDER_UNAVAILABLE", "what this stands on is away")
            case "back soon" if len(self.calls) < 3:
                raise Unavailable("DATABASE_UNAVAILABLE", "wait a little", retry_after=0.05)
            case "slow":
                await self._wait()
        return context_pb2.GetResponse(entry=context_pb2.Entry(address=request.address))

    async def Watch(
        self, request: context_pb2.WatchRequest, context: Any
    ) -> AsyncIterator[context_pb2.WatchResponse]:
        """Two answers, then as the key says: an error, the end, or nothing more for ever."""
        self.calls.append(current_call())
        for revision in (1, 2):
            yield context_pb2.WatchResponse(revision=revision)
        match request.prefix.key:
            case "missing":
                raise NotFound("KEY_NOT_FOUND", "there is no such key", key="missing")
            case "broken":
                raise RuntimeError("the secret plan of the house")
            case "end":
                return
            case "flood":
                while True:
                    yield context_pb2.WatchResponse(cursor="x" * 100_000)
        await self._wait()

    async def _wait(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


class SampleOrchestrator(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """A stream of requests: `PutArtifact` counts bytes."""

    async def PutArtifact(
        self, requests: AsyncIterator[orchestrator_pb2.PutArtifactRequest], context: Any
    ) -> orchestrator_pb2.PutArtifactResponse:
        """The size of all that came."""
        response = orchestrator_pb2.PutArtifactResponse()
        async for request in requests:
            response.artifact.size += len(request.data)
        return response


class SampleBus(bus_pb2_grpc.BusServiceServicer):
    """Both ways: `Connect` answers each frame by writing by itself."""

    async def Connect(  # type: ignore[override]
        self, requests: AsyncIterator[bus_pb2.ConnectRequest], context: Any
    ) -> None:
        """Welcomes the agent of each hello."""
        async for request in requests:
            agent = current_call().grant(request.hello.agent)
            await context.write(bus_pb2.ConnectResponse(welcome=bus_pb2.Welcome(instance=agent)))


@dataclass
class House:
    """A running server with the samples, and ways to call it."""

    server: Server
    address: str
    keys: KeyStore
    database: Database
    context: SampleContext
    channels: Channels

    async def key(self, role: Any = "client", *agents: str, **more: Any) -> str:
        """The text of a new key of the tenant."""
        _, text = await self.keys.create(TENANT, name="test", role=role, agents=agents, **more)
        return text

    def stub(self, kind: Any, contract: Any, key: str = "") -> Stub:
        """A stub that calls with `key`."""
        channels = Channels(ClientConfig(api_key=key))
        channels._open = self.channels._open  # one channel for all keys
        return channels.stub(self.address, kind, contract)

    def context_stub(self, key: str = "") -> Stub:
        """Unary calls and streams of responses."""
        return self.stub(context_pb2_grpc.ContextServiceStub, context_pb2.DESCRIPTOR, key)

    def orchestrator_stub(self, key: str = "") -> Stub:
        """Streams of requests."""
        return self.stub(orchestrator_pb2_grpc.OrchestratorServiceStub, orchestrator_pb2.DESCRIPTOR, key)

    def bus_stub(self, key: str = "") -> Stub:
        """Streams both ways."""
        return self.stub(bus_pb2_grpc.BusServiceStub, bus_pb2.DESCRIPTOR, key)
