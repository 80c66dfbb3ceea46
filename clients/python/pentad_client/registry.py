"""The registry: who is there, what they can do, who has time.

async with await pentad.registry.register(card, capacity=4) as registration:
    registration.report(in_flight=1)
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import cached_property

from pentad.registry.v1 import registry_pb2 as pb
from pentad.registry.v1 import registry_pb2_grpc
from pentad_client.channel import Channels
from pentad_client.config import ClientConfig
from pentad_client.registration import Keeper, OnDrain, Registration, status_number
from pentad_client.resume import resumed

__all__ = ["OnDrain", "Registration", "RegistryClient", "selector"]


def selector(
    *,
    name: str = "",
    capabilities: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    tags: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> pb.AgentSelector:
    """What an agent must be like: all `capabilities` and `labels`, none of `exclude`; `tags` rank it."""
    return pb.AgentSelector(
        name=name, capabilities=capabilities, labels=labels or {}, tags=tags, exclude=exclude
    )


class RegistryClient:
    """RegistryService."""

    def __init__(self, channels: Channels, config: ClientConfig) -> None:
        self._stub = channels.stub(
            config.registry_address, registry_pb2_grpc.RegistryServiceStub, pb.DESCRIPTOR
        )

    @cached_property
    def _keeper(self) -> Keeper:
        return Keeper(self._stub)

    async def register(
        self,
        card: pb.AgentCard,
        instance: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        capacity: int = 1,
        status: str = "ACTIVE",
        lease_ttl: float | None = None,
        on_drain: OnDrain | None = None,
    ) -> Registration:
        """Registers an instance and keeps it registered, over restarts of the registry too.

        `instance` empty: the registry names it. `status`: STARTING, ACTIVE, BUSY or DRAINING. `lease_ttl`:
        seconds it may be silent. `on_drain(registration)` is called, and awaited if that gives an awaitable,
        when the registry orders it to drain.

        Raises PermissionDenied AGENT_NOT_GRANTED, InvalidArgument INVALID_SCHEMA.
        """
        request = pb.RegisterRequest(
            card=card,
            instance=instance,
            labels=labels or {},
            status=status_number(status),
            load=pb.Load(capacity=capacity),
        )
        if lease_ttl is not None:
            request.lease_ttl.FromNanoseconds(round(lease_ttl * 1e9))
        registration = Registration(self._keeper, request, on_drain)
        await self._keeper.add(registration)
        return registration

    async def deregister(self, agent: str, instance: str, *, forget: bool = False) -> None:
        """Takes any instance off the list; `forget`: the agent too, if it was the last."""
        await self._stub.Deregister(pb.DeregisterRequest(agent=agent, instance=instance, forget=forget))

    async def get(self, name: str) -> pb.Agent:
        """One agent. Raises NotFound AGENT_NOT_FOUND."""
        response: pb.GetAgentResponse = await self._stub.GetAgent(pb.GetAgentRequest(name=name))
        return response.agent

    async def list(self, *, live: bool = False) -> AsyncIterator[pb.Agent]:
        """All agents by name, page by page; `live`: those with an instance that is not gone."""
        token = ""
        while True:
            page = await self._stub.ListAgents(pb.ListAgentsRequest(live=live, page_token=token))
            for agent in page.agents:
                yield agent
            token = page.next_page_token
            if not token:
                return

    async def find(self, wanted: pb.AgentSelector | None = None, limit: int = 0) -> tuple[pb.Agent, ...]:
        """The agents that fit, best first. `limit` 0 means 100."""
        response = await self._stub.FindAgents(pb.FindAgentsRequest(selector=wanted, limit=limit))
        return tuple(response.agents)

    async def select(
        self, wanted: pb.AgentSelector, *, reserve: float | None = None, request_id: str = ""
    ) -> pb.SelectAgentResponse:
        """The least busy instance that fits, with a place reserved on it for `reserve` seconds.

        Raises NotFound NO_AGENT_MATCHES, Unavailable NO_INSTANCE_AVAILABLE.
        """
        request = pb.SelectAgentRequest(selector=wanted, request_id=request_id or uuid.uuid4().hex)
        if reserve is not None:
            request.reserve.FromNanoseconds(round(reserve * 1e9))
        response: pb.SelectAgentResponse = await self._stub.SelectAgent(request)
        return response

    async def release(self, reservation_id: str) -> None:
        """Gives a reservation back; no error if it has ended."""
        await self._stub.ReleaseReservation(pb.ReleaseReservationRequest(reservation_id=reservation_id))

    async def drain(self, agent: str, instance: str = "") -> int:
        """Orders an instance, or all of an agent's, to drain; returns how many. Needs a key of role admin.

        Raises NotFound AGENT_NOT_FOUND, INSTANCE_NOT_FOUND.
        """
        response = await self._stub.DrainAgent(pb.DrainAgentRequest(agent=agent, instance=instance))
        return int(response.draining)

    def watch(self, after: str = "") -> AsyncIterator[pb.WatchAgentsResponse]:
        """Changes for ever; without `after` what is there comes first, up to TYPE_SYNCED.

        Resumes by itself. After a restart of the registry what is there is sent again, up to TYPE_SYNCED.
        Raises OutOfRange CURSOR_EXPIRED if what follows `after` is no longer kept.
        """

        def open_stream(cursor: str) -> object:
            return self._stub.WatchAgents(pb.WatchAgentsRequest(after=cursor))

        return resumed(open_stream, after, pb.WatchAgentsResponse, start_anew=True)

    async def report_files(self, host: str, files: Iterable[pb.AgentFile]) -> float:
        """Replaces a host's report; returns the seconds after which to repeat it."""
        response = await self._stub.ReportAgentFiles(pb.ReportAgentFilesRequest(host=host, files=files))
        return float(response.repeat_interval.ToNanoseconds() / 1e9)

    async def list_files(self) -> tuple[pb.AgentFile, ...]:
        """The files that hosts reported, by host and path."""
        response = await self._stub.ListAgentFiles(pb.ListAgentFilesRequest())
        return tuple(response.files)
