"""Between the contract's messages and the registry's plain values."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pentad.registry.v1 import registry_pb2 as pb
from pentad_registry.keepalive import Answer
from pentad_registry.model import Agent, AgentFile, Card, Change, ChangeKind, Lease, Load, Selector, Status
from pentad_registry.registry import Heartbeat, Registration

_KINDS = {
    ChangeKind.UPDATED: pb.WatchAgentsResponse.TYPE_UPDATED,
    ChangeKind.REMOVED: pb.WatchAgentsResponse.TYPE_REMOVED,
    ChangeKind.SYNCED: pb.WatchAgentsResponse.TYPE_SYNCED,
}


def seconds(duration: Duration) -> float:
    """A duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def to_duration(value: float) -> Duration:
    """Seconds as a duration."""
    duration = Duration()
    duration.FromNanoseconds(round(value * 1e9))
    return duration


def to_timestamp(value: float) -> Timestamp:
    """Unix seconds as a timestamp, to the microsecond."""
    timestamp = Timestamp()
    timestamp.FromMicroseconds(round(value * 1e6))
    return timestamp


def to_status(status: Status) -> str:
    """The contract's name of a status."""
    return f"INSTANCE_STATUS_{status.name}"


def from_status(number: int) -> Status | None:
    """The status of the contract's number; None where it is unset."""
    name = pb.InstanceStatus.Name(number).removeprefix("INSTANCE_STATUS_")
    return None if name == "UNSPECIFIED" else Status[name]


def from_load(load: pb.Load) -> Load:
    """A load; a capacity of 0 means 1."""
    return Load(load.in_flight, load.capacity or 1, max(0.0, seconds(load.queue_age)))


def from_card(card: pb.AgentCard) -> Card:
    """A card; what it can do and its tags without repeats, in the order given."""
    return Card(
        name=card.name,
        version=card.version,
        description=card.description,
        capabilities=tuple(dict.fromkeys(card.capabilities)),
        tags=tuple(dict.fromkeys(card.tags)),
        input_schema=card.input_schema,
        output_schema=card.output_schema,
        source=card.source,
    )


def to_card(card: Card) -> pb.AgentCard:
    """A card as the contract has it."""
    return pb.AgentCard(
        name=card.name,
        version=card.version,
        description=card.description,
        capabilities=card.capabilities,
        tags=card.tags,
        input_schema=card.input_schema,
        output_schema=card.output_schema,
        source=card.source,
    )


def from_register(request: pb.RegisterRequest) -> Registration:
    """What an instance announces."""
    return Registration(
        card=from_card(request.card),
        instance=request.instance,
        labels=dict(request.labels),
        ttl=seconds(request.lease_ttl) if request.HasField("lease_ttl") else None,
        reported=from_status(request.status) or Status.ACTIVE,
        load=from_load(request.load),
        request_id=request.request_id,
    )


def from_heartbeat(request: pb.KeepAliveRequest) -> Heartbeat:
    """A heartbeat."""
    return Heartbeat(
        agent=request.agent,
        instance=request.instance,
        epoch=request.epoch,
        reported=from_status(request.status),
        load=from_load(request.load) if request.HasField("load") else None,
    )


def to_answer(answer: Answer, registry_epoch: str) -> pb.KeepAliveResponse:
    """The answer to a heartbeat, or an order."""
    response = pb.KeepAliveResponse(
        agent=answer.agent, instance=answer.instance, registry_epoch=registry_epoch
    )
    if answer.lease is None:
        response.order = pb.KeepAliveResponse.ORDER_REGISTER
        return response
    response.lease_expire_time.CopyFrom(to_timestamp(answer.lease.expire_time))
    if answer.lease.drain_ordered:
        response.order = pb.KeepAliveResponse.ORDER_DRAIN
    return response


def to_instance(lease: Lease, now: float) -> pb.AgentInstance:
    """An instance as it is at `now`."""
    load = pb.Load(
        in_flight=lease.load.in_flight,
        capacity=lease.load.capacity,
        queue_age=to_duration(lease.load.queue_age),
    )
    return pb.AgentInstance(
        instance=lease.instance,
        agent=lease.agent,
        version=lease.card.version,
        epoch=lease.epoch,
        status=to_status(lease.status(now)),
        load=load,
        reservations=lease.reserved(now),
        labels=dict(lease.labels),
        register_time=to_timestamp(lease.register_time),
        heartbeat_time=to_timestamp(lease.heartbeat_time),
        lease_expire_time=to_timestamp(lease.expire_time),
    )


def to_agent(agent: Agent, now: float) -> pb.Agent:
    """An agent with its instances as they are at `now`."""
    return pb.Agent(
        card=to_card(agent.card), instances=[to_instance(lease, now) for lease in agent.instances]
    )


def to_change(change: Change, cursor: str) -> pb.WatchAgentsResponse:
    """A change, with the agent as it was then."""
    agent = to_agent(change.agent, change.time) if change.agent else None
    return pb.WatchAgentsResponse(type=_KINDS[change.kind], agent=agent, cursor=cursor)


def from_selector(selector: pb.AgentSelector) -> Selector:
    """What an agent must be like."""
    return Selector(
        name=selector.name,
        capabilities=frozenset(selector.capabilities),
        labels=dict(selector.labels),
        tags=frozenset(selector.tags),
        exclude=frozenset(selector.exclude),
    )


def from_file(file: pb.AgentFile) -> AgentFile:
    """A file of a host's report."""
    return AgentFile(
        path=file.path,
        loaded=file.status == pb.AgentFile.STATUS_LOADED,
        agents=tuple(file.agents),
        reason=file.reason,
        message=file.message,
        detail=file.detail,
        load_time=file.load_time.ToMicroseconds() / 1e6 if file.HasField("load_time") else None,
    )


def to_file(file: AgentFile) -> pb.AgentFile:
    """A reported file."""
    return pb.AgentFile(
        path=file.path,
        status=pb.AgentFile.STATUS_LOADED if file.loaded else pb.AgentFile.STATUS_FAILED,
        agents=file.agents,
        reason=file.reason,
        message=file.message,
        detail=file.detail,
        load_time=to_timestamp(file.load_time) if file.load_time is not None else None,
        host=file.host,
    )
