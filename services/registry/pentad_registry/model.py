"""What the registry knows: cards, leases, reservations. Plain values; times are Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Status(Enum):
    """What an instance is up to."""

    STARTING = "starting"
    ACTIVE = "active"
    BUSY = "busy"
    DRAINING = "draining"
    SUSPECT = "suspect"
    GONE = "gone"


REPORTABLE = frozenset({Status.STARTING, Status.ACTIVE, Status.BUSY, Status.DRAINING})
"""What an instance may say of itself; the others are the registry's to say."""


@dataclass(frozen=True, slots=True)
class Card:
    """What an agent is."""

    name: str
    version: str = ""
    description: str = ""
    capabilities: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    input_schema: str = ""
    output_schema: str = ""
    source: str = ""
    since: datetime | None = field(default=None, compare=False)
    """When this version got this text; None until it is stored. The newer of two cards is the agent's."""


@dataclass(frozen=True, slots=True)
class Load:
    """How busy an instance says it is. `queue_age`: seconds that its oldest waiting task has waited."""

    in_flight: int = 0
    capacity: int = 1
    queue_age: float = 0.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """A place kept for a caller. `taken_up`: the work it was for is in flight, so it no longer counts."""

    id: str
    expire_time: float
    request_id: str = ""
    taken_up: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """An instance of an agent and its place in the registry. Times are Unix seconds.

    `generation` counts the changes of this record, for compare-and-set in the store; 0 is not stored yet.
    `announced` is the status that watchers were last told.
    """

    tenant: str
    card: Card
    instance: str
    epoch: int
    ttl: float
    register_time: float
    heartbeat_time: float
    reported: Status = Status.ACTIVE
    load: Load = field(default_factory=Load)
    labels: Mapping[str, str] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    drain_ordered: bool = False
    request_id: str = ""
    announced: Status | None = None
    picked_time: float = 0.0
    generation: int = 0

    @property
    def agent(self) -> str:
        """The agent's name."""
        return self.card.name

    @property
    def expire_time(self) -> float:
        """When it is gone unless heard of."""
        return self.heartbeat_time + self.ttl

    def status(self, now: float) -> Status:
        """What it is up to at `now`: half a lease of silence makes it SUSPECT, a whole one GONE."""
        if now >= self.expire_time:
            return Status.GONE
        if now >= self.heartbeat_time + self.ttl / 2:
            return Status.SUSPECT
        if self.drain_ordered or self.reported is Status.DRAINING:
            return Status.DRAINING
        full = self.load.in_flight >= self.load.capacity
        return Status.BUSY if full and self.reported is Status.ACTIVE else self.reported

    def reserved(self, now: float) -> int:
        """Places kept on it at `now` for work that it has not reported yet."""
        return sum(1 for item in self.reservations if item.expire_time > now and not item.taken_up)


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent and its instances that are not gone, by name."""

    card: Card
    instances: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class Selector:
    """What an agent must be like; what is empty matches all."""

    name: str = ""
    capabilities: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()


class ChangeKind(Enum):
    """What a change is about. SYNCED is no change: it ends what was there when a watch began."""

    UPDATED = "updated"
    REMOVED = "removed"
    SYNCED = "synced"


@dataclass(frozen=True, slots=True)
class Change:
    """An agent as it was after a change. `time` fixes the status of its instances."""

    kind: ChangeKind
    agent: Agent | None
    time: float


@dataclass(frozen=True, slots=True)
class AgentFile:
    """What became of a file in a host's folder. `reason` is empty when it was loaded."""

    path: str
    loaded: bool
    agents: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""
    detail: str = ""
    load_time: float | None = None
    host: str = ""
