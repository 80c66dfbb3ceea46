"""Messages of the contract and the rows that keep them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.clock import utcnow
from pentad_orchestrator.run import state_number


def run_proto(row: Any) -> orchestrator_pb2.Run:
    """A run without what is large, from the columns of a summary."""
    run = orchestrator_pb2.Run.FromString(row.header)
    run.state = state_number(row.status)
    run.degraded = row.degraded
    run.missing.extend(row.missing)
    if row.error:
        json_format.ParseDict(row.error, run.error)
    if row.usage:
        json_format.ParseDict(row.usage, run.usage)
    if row.start_time:
        run.start_time.FromDatetime(row.start_time)
    if row.end_time:
        run.end_time.FromDatetime(row.end_time)
    return run


def attempt_row(tenant: str, attempt: orchestrator_pb2.AgentRun) -> dict[str, Any]:
    """The columns of an attempt."""
    return {
        "id": attempt.agent_run_id,
        "tenant_id": tenant,
        "run_id": attempt.run_id,
        "step": attempt.step,
        "agent": attempt.agent,
        "attempt": attempt.attempt,
        "status": orchestrator_pb2.State.Name(attempt.state).removeprefix("STATE_"),
        "reason": attempt.error.reason[:128] or None,
        "record": attempt.SerializeToString(),
        "start_time": _time(attempt, "start_time"),
        "end_time": _time(attempt, "end_time"),
    }


def _time(attempt: orchestrator_pb2.AgentRun, field: str) -> datetime | None:
    return getattr(attempt, field).ToDatetime(UTC) if attempt.HasField(field) else None


def event_row(tenant: str, event: orchestrator_pb2.RunEvent) -> dict[str, Any]:
    """The columns of an event."""
    return {
        "tenant_id": tenant,
        "run_id": event.run_id,
        "sequence": event.sequence,
        "type": orchestrator_pb2.RunEvent.Type.Name(event.type).removeprefix("TYPE_"),
        "data": event.SerializeToString(),
        "create_time": utcnow(),
    }
