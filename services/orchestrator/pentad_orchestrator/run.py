"""A run as it is kept, and what a move changes about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from google.protobuf.timestamp_pb2 import Timestamp

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import common_pb2
from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.cursor import decode_cursor, encode_cursor
from pentad_common.errors import InvalidArgument
from pentad_orchestrator.core import Graph, RunState, signals
from pentad_orchestrator.core.state import Phase

State = orchestrator_pb2.State
AgentRun = orchestrator_pb2.AgentRun

EVENTS = "run-events"
ENDED_STATES = frozenset({State.STATE_COMPLETED, State.STATE_FAILED, State.STATE_CANCELLED})
LAST_EVENTS = frozenset(
    {
        orchestrator_pb2.RunEvent.TYPE_RUN_COMPLETED,
        orchestrator_pb2.RunEvent.TYPE_RUN_FAILED,
        orchestrator_pb2.RunEvent.TYPE_RUN_CANCELLED,
    }
)


@dataclass(slots=True)
class StoredRun:
    """A run in memory, as of `epoch`. What it holds is not changed: a move makes a new one."""

    tenant: str
    run_id: str
    epoch: int
    sequence: int
    header: orchestrator_pb2.Run
    """What never changes: project, strategy, instruction, labels, limits, workflow, create time."""
    inputs: tuple[common_pb2.Part, ...]
    graph: Graph
    state: RunState
    attempts: dict[tuple[str, int], AgentRun]
    """Every attempt, by step and number."""


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """Bytes to be kept as an artifact."""

    reference: common_pb2.Artifact
    name: str
    data: bytes


@dataclass(slots=True)
class Change:
    """What a move of a run has to write, all in one transaction, and what is to be done after it."""

    state: RunState
    attempts: dict[tuple[str, int], AgentRun] = field(default_factory=dict)
    events: list[orchestrator_pb2.RunEvent] = field(default_factory=list)
    messages: list[bus_pb2.Message] = field(default_factory=list)
    artifacts: list[NewArtifact] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    """Ids of artifacts that the run now refers to."""
    lookups: list[signals.Resolve] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Owed:
    """A message that is committed and still to be published."""

    seq: int
    tenant: str
    run_id: str
    message: bus_pb2.Message


def state_number(phase: Phase | str) -> orchestrator_pb2.State:
    """The contract's number of a phase."""
    return cast(orchestrator_pb2.State, State.Value(f"STATE_{phase}"))


def timestamp(seconds: float) -> Timestamp:
    """A time as a message."""
    stamp = Timestamp()
    stamp.FromMicroseconds(round(seconds * 1_000_000))
    return stamp


def moment(seconds: float | None) -> datetime | None:
    """A time as the database takes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def event_cursor(run_id: str, sequence: int) -> str:
    """Where a watch resumes after this event."""
    return encode_cursor(EVENTS, run_id, sequence)


def cursor_sequence(run_id: str, cursor: str) -> int:
    """The sequence in a cursor; 0 without one. Raises CURSOR_INVALID if it is not this run's."""
    if not cursor:
        return 0
    match decode_cursor(EVENTS, cursor):
        case [owner, int(sequence)] if owner == run_id and sequence >= 0:
            return sequence
    raise InvalidArgument("CURSOR_INVALID", f"{cursor!r} is not a cursor of run {run_id!r}", run=run_id)
