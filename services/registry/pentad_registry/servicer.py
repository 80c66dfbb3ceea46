"""RegistryService: the contract's messages to the registry and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pentad.registry.v1 import registry_pb2 as pb
from pentad.registry.v1 import registry_pb2_grpc
from pentad_common.call import current_call
from pentad_common.cursor import page_size
from pentad_registry import conversion
from pentad_registry.keepalive import KeepAlive
from pentad_registry.parts import Parts
from pentad_registry.registry import BEATS_A_LEASE, Heartbeat


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """Converts, calls, converts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def Register(self, request: pb.RegisterRequest, context: Any) -> pb.RegisterResponse:
        """Takes or renews a lease."""
        registry = self._parts.registry
        lease = await registry.register(current_call(), conversion.from_register(request))
        return pb.RegisterResponse(
            instance=conversion.to_instance(lease, self._parts.now()),
            heartbeat_interval=conversion.to_duration(lease.ttl / BEATS_A_LEASE),
            registry_epoch=registry.registry_epoch,
        )

    async def KeepAlive(
        self, requests: AsyncIterator[pb.KeepAliveRequest], context: Any
    ) -> AsyncIterator[pb.KeepAliveResponse]:
        """Heartbeats up; leases and orders down."""
        parts = self._parts
        stream = KeepAlive(parts.registry, parts.watches, parts.live, current_call())
        async for answer in stream.answers(_heartbeats(requests)):
            yield conversion.to_answer(answer, parts.registry.registry_epoch)

    async def Deregister(self, request: pb.DeregisterRequest, context: Any) -> pb.DeregisterResponse:
        """Takes an instance off the list."""
        call = current_call()
        await self._parts.registry.deregister(call, request.agent, request.instance, forget=request.forget)
        return pb.DeregisterResponse()

    async def GetAgent(self, request: pb.GetAgentRequest, context: Any) -> pb.GetAgentResponse:
        """One agent."""
        agent = await self._parts.directory.agent(current_call().tenant_id, request.name)
        return pb.GetAgentResponse(agent=conversion.to_agent(agent, self._parts.now()))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Any) -> pb.ListAgentsResponse:
        """A page of agents."""
        agents, token = await self._parts.directory.page(
            current_call().tenant_id,
            live=request.live,
            size=page_size(request.page_size),
            token=request.page_token,
        )
        now = self._parts.now()
        return pb.ListAgentsResponse(
            agents=[conversion.to_agent(agent, now) for agent in agents], next_page_token=token
        )

    async def FindAgents(self, request: pb.FindAgentsRequest, context: Any) -> pb.FindAgentsResponse:
        """Agents that fit, best first."""
        selector = conversion.from_selector(request.selector)
        agents = await self._parts.directory.find(
            current_call().tenant_id, selector, page_size(request.limit)
        )
        now = self._parts.now()
        return pb.FindAgentsResponse(agents=[conversion.to_agent(agent, now) for agent in agents])

    async def SelectAgent(self, request: pb.SelectAgentRequest, context: Any) -> pb.SelectAgentResponse:
        """The least busy instance that fits, with a place reserved."""
        selector = conversion.from_selector(request.selector)
        seconds = conversion.seconds(request.reserve) if request.HasField("reserve") else None
        lease, place = await self._parts.places.select(
            current_call().tenant_id, selector, seconds, request.request_id
        )
        return pb.SelectAgentResponse(
            instance=conversion.to_instance(lease, self._parts.now()), reservation_id=place.id
        )

    async def ReleaseReservation(
        self, request: pb.ReleaseReservationRequest, context: Any
    ) -> pb.ReleaseReservationResponse:
        """Gives a place back."""
        await self._parts.places.release(current_call().tenant_id, request.reservation_id)
        return pb.ReleaseReservationResponse()

    async def DrainAgent(self, request: pb.DrainAgentRequest, context: Any) -> pb.DrainAgentResponse:
        """Orders to drain."""
        ordered = await self._parts.registry.drain(current_call().tenant_id, request.agent, request.instance)
        return pb.DrainAgentResponse(draining=ordered)

    async def WatchAgents(
        self, request: pb.WatchAgentsRequest, context: Any
    ) -> AsyncIterator[pb.WatchAgentsResponse]:
        """Changes as they happen."""
        async for change, cursor in self._parts.watches.changes(current_call().tenant_id, request.after):
            yield conversion.to_change(change, cursor)

    async def ReportAgentFiles(
        self, request: pb.ReportAgentFilesRequest, context: Any
    ) -> pb.ReportAgentFilesResponse:
        """Takes a host's report."""
        files = [conversion.from_file(file) for file in request.files]
        repeat = await self._parts.files.put(current_call().tenant_id, request.host, files)
        return pb.ReportAgentFilesResponse(repeat_interval=conversion.to_duration(repeat))

    async def ListAgentFiles(
        self, request: pb.ListAgentFilesRequest, context: Any
    ) -> pb.ListAgentFilesResponse:
        """The reported files."""
        files = await self._parts.files.list(current_call().tenant_id)
        return pb.ListAgentFilesResponse(files=[conversion.to_file(file) for file in files])


async def _heartbeats(requests: AsyncIterator[pb.KeepAliveRequest]) -> AsyncIterator[Heartbeat]:
    async for request in requests:
        yield conversion.from_heartbeat(request)
